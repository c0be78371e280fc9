import { randomBytes } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { afterEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../node/p2p/components.ts'
import type { TogetherOrder } from '../../node/p2p/dag-together.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { DAG_PROTOCOL, encodeAnswerFrame } from '../../protocol/dag/messages.ts'
import type { AnswerFrame, DagRequest } from '../../protocol/dag/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { honest, madeUpPeer, memoryNode, store } from '../support/dag-peer.ts'
import type { Said } from '../support/dag-peer.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { stopRawPeers } from '../support/raw-peer.ts'
import { realClock, registryNamed, stopNodes } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const registry: RegistryId = registryNamed('acme')
const registries = [registry]
/** A machine that has much to do is no peer that says nothing. */
const patient = { tuning: { hedgeMs: 10_000 } }
const LOOK_MS = 400
const LICENSE = randomBytes(900)

/** Small contents in one store of blocks; all of them have a file in common. */
function contents(count: number, bytes = 700): { readonly blocks: DagBlocks; readonly all: readonly MadeDag[] } {
  const blocks = new DagBlocks()
  const all = Array.from({ length: count }, (): MadeDag => {
    const files = { LICENSE: blocks.raw(LICENSE), src: blocks.folder({ 'a.txt': blocks.raw(randomBytes(bytes)) }) }
    return { blocks, root: rootOf(blocks.folder(files)), size: LICENSE.length + bytes }
  })
  return { blocks, all }
}

async function fetch(me: TestNode, orders: readonly TogetherOrder[]): Promise<ReadonlyMap<string, Uint8Array>> {
  const put = async (cid: CID, bytes: Uint8Array): Promise<void> => void (await me.blocks.put(cid, bytes))
  return await me.swarm.fetchTogether(registry, orders, { put, signal: AbortSignal.timeout(60_000) })
}

describe('small contents', () => {
  test('come with one request for each so many of them, and a file that they share comes once', async () => {
    const me = await memoryNode({ registries, config: patient })
    const { blocks, all } = contents(LIMITS.dag.rootsTogether + 2)
    const { asked } = await madeUpPeer(me, registry, request => honest(blocks, request))
    const told: number[] = []
    const watch = {
      asked: () => {},
      lookedUp: () => {},
      block: (_: string, __: string, n: number) => void told.push(n)
    }
    const came = await fetch(
      me,
      all.map(each => ({ ...each, watch }))
    )
    expect(new Set(came.keys())).toEqual(new Set(blocks.map.keys()))
    expect(asked.map(({ wants }) => wants.length)).toEqual([LIMITS.dag.rootsTogether, 2])
    expect(told.filter(bytes => bytes === LICENSE.length)).toHaveLength(2)
    for (const { cid } of blocks.map.values()) expect(await me.blocks.has(cid)).toBe(true)
  })

  test('come from a node as from anybody, without the one that is not there', async () => {
    const [server, me] = [await memoryNode({ registries }), await memoryNode({ registries, config: patient })]
    const [{ blocks, all }, elsewhere] = [contents(20), contents(1)]
    await store(server, blocks)
    await me.swarm.connect(server.address())
    const came = await fetch(me, [...all.slice(0, 7), ...elsewhere.all, ...all.slice(7)])
    expect(new Set(came.keys())).toEqual(new Set(blocks.map.keys()))
  })

  test('of which one is large leave that one, and one alone is not asked for', async () => {
    const me = await memoryNode({ registries, config: patient })
    const { blocks, all } = contents(3)
    const [one, two, three] = all as [MadeDag, MadeDag, MadeDag]
    const { asked } = await madeUpPeer(me, registry, request => honest(blocks, request))
    expect((await fetch(me, [one])).size).toBe(0)
    await fetch(me, [one, { ...two, size: LIMITS.dag.eagerBytes + 1 }, three])
    expect(asked.map(({ wants }) => wants.map(String))).toEqual([[one.root, three.root]])
  })

  test('are left to others when nobody is here, or somebody has no room', async () => {
    const me = await memoryNode({ registries, config: patient })
    const { blocks, all } = contents(4)
    expect((await fetch(me, all)).size).toBe(0)
    const { asked } = await madeUpPeer(me, registry, () => [{ type: 'busy', peers: [] }])
    expect((await fetch(me, all)).size).toBe(0)
    expect(asked).toHaveLength(1)
    expect(blocks.map.size).toBeGreaterThan(0)
    expect(me.events.of('onCut')).toEqual([])
  })

  test('are not waited for at somebody who says nothing, and he is not asked again', async () => {
    const me = await memoryNode({ registries, config: { tuning: { hedgeMs: 50 } } })
    const { all } = contents(4)
    const { asked } = await madeUpPeer(me, registry, () => ['silence'])
    expect((await fetch(me, all)).size).toBe(0)
    expect((await fetch(me, all)).size).toBe(0)
    expect(asked).toHaveLength(1)
  })

  test('are not waited for at somebody who sends a byte now and then', async () => {
    const { blocks, all } = contents(4)
    const [first] = all
    const drops = [...encodeAnswerFrame({ type: 'block', bytes: blocks.bytes(CID.parse(first?.root ?? '')) })]
    const waits: number[] = []
    let drip: (() => void) | undefined
    // As soon as the next byte is waited for, it is sent.
    const after: Clock['after'] = (ms, task) => {
      if (drip !== undefined && ms <= LOOK_MS) {
        waits.push(ms)
        realClock.after(ms / 4, drip)
      }
      return realClock.after(ms, task)
    }
    const clock: Clock = { ...realClock, after }
    const me = await memoryNode({ registries, clock, config: { tuning: { hedgeMs: LOOK_MS } } })
    const { host } = await madeUpPeer(me, registry, () => ['silence'])
    await host.unhandle(DAG_PROTOCOL)
    await host.handle(DAG_PROTOCOL, stream => {
      drip = () => {
        const [next] = drops.splice(0, 1)
        if (next !== undefined && stream.status === 'open') stream.send(Uint8Array.of(next))
      }
    })
    expect((await fetch(me, all)).size).toBe(0)
    // The time that is left gets less with each of them.
    expect(waits.reduce((sum, ms) => sum + ms, 0)).toBeLessThan(LOOK_MS * 10)
    expect(drops.length).toBeGreaterThan(0)
  })

  test('that are more than they declare are given up, and nobody is struck', async () => {
    const me = await memoryNode({ registries, config: patient })
    const blocks = new DagBlocks()
    const leaves = Array.from({ length: 20 }, (_, i) => [`f${i}`, blocks.raw(randomBytes(2 ** 20))] as const)
    const bomb = rootOf(blocks.folder(Object.fromEntries(leaves)))
    const { all } = contents(2)
    const [good] = all as [MadeDag]
    for (const { bytes, cid } of good.blocks.map.values()) blocks.map.set(cid.toString(), { cid, bytes })
    await madeUpPeer(me, registry, request => honest(blocks, request))
    const came = await fetch(me, [good, { root: bomb, size: 1_000 }])
    let bytes = 0
    for (const block of came.values()) bytes += block.length
    expect(bytes).toBeLessThan(2 ** 20)
    expect(came.has(good.root)).toBe(true)
    expect(me.events.of('onCut')).toEqual([])
  })
})

const STRANGE = randomBytes(700)
const isBlock = (frame: AnswerFrame): boolean => frame.type === 'block'

describe('a peer that answers for many', () => {
  test.each<[string, (frames: readonly AnswerFrame[]) => readonly Said[], string]>([
    ['with wrong bytes', f => f.map(x => (isBlock(x) ? { type: 'block', bytes: STRANGE } : x)), 'lied'],
    ['with a block twice', f => f.flatMap(x => (isBlock(x) ? [x, x] : [x])), 'lied'],
    ['in another order', f => f.toReversed(), 'malformed-message'],
    ['with an end before the last', () => [{ type: 'end' }], 'malformed-message'],
    ['without end', f => [...f.slice(0, -1), ...f], 'malformed-message'],
    ['that it is busy, in the middle', f => [...f.slice(0, 2), { type: 'busy', peers: [] }], 'malformed-message']
  ])('%s is struck for it and cut, and nothing strange is kept', async (_, lie, reason) => {
    const me = await memoryNode({ registries, config: patient })
    const { blocks, all } = contents(5)
    const liar = await madeUpPeer(me, registry, (request: DagRequest) => lie(honest(blocks, request)))
    for (let strikes = 0; me.events.of('onCut').length === 0; strikes++) {
      expect(strikes).toBeLessThan(9)
      for (const cid of (await fetch(me, all)).keys()) expect(blocks.map.has(cid)).toBe(true)
    }
    expect(me.events.of('onCut')).toMatchObject([{ peer: liar.peer, reason }])
  })
})
