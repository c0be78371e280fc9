import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { toLink } from '../../protocol/cid.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { encodeHaveMessage } from '../../protocol/have/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from '../../node/p2p/components.ts'
import { fetchContent, honest, madeUpPeer, memoryNode, store } from '../support/dag-peer.ts'
import { MapHeld, filterOf, tellRoots, toldBy } from '../support/held.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { dialRaw, rawPeer, sayHello, stopRawPeers } from '../support/raw-peer.ts'
import { realClock, registryNamed, stopNodes } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const registry = registryNamed('acme')
const registries = [registry]

function folder(count = 4, bytes = 3_000): MadeDag {
  const blocks = new DagBlocks()
  const files = Array.from({ length: count }, (_, i) => [`f${i}`, blocks.raw(randomBytes(bytes))] as const)
  return { blocks, root: rootOf(blocks.folder(Object.fromEntries(files))), size: count * bytes }
}

async function says(node: TestNode, { root }: MadeDag, peers: readonly string[]): Promise<void> {
  await expect.poll(() => node.swarm.holders(root).toSorted(), { interval: 5 }).toEqual(peers.toSorted())
}

describe('what is held', () => {
  test('is told to whoever comes, and what changes soon after, until the host is gone', async () => {
    const [first, second] = [folder(), folder()]
    const held = new MapHeld([first.root, second.root])
    const source = await memoryNode({ registries, content: { held } })
    const [me, other] = [await memoryNode({ registries }), await memoryNode({ registries })]
    await me.swarm.connect(source.address())
    await source.swarm.connect(other.address())
    const peers = [source.swarm.peerId]
    for (const node of [me, other]) await says(node, first, peers)
    // A filter errs for one root in 256 that is not held: hardly ever for six of them.
    const isUnknown = ({ root }: MadeDag): boolean => [me, other].every(node => node.swarm.holders(root).length === 0)
    const third = Array.from({ length: 6 }, () => folder()).find(isUnknown)
    if (third === undefined) throw new Error('everything is said to be held')
    held.set(third.root, true)
    held.set(first.root, false)
    for (const node of [me, other]) {
      await says(node, third, peers)
      await says(node, first, [])
      expect(node.swarm.holders(second.root)).toEqual(peers)
    }
    await source.stop()
    await says(me, second, [])
  })

  test('goes out anew when too much has changed, and is right after it', async () => {
    const roots = Array.from({ length: LIMITS.have.changesUntilFilter * 2 }, () =>
      rootOf(new DagBlocks().raw(randomBytes(9)))
    )
    const held = new MapHeld()
    const source = await memoryNode({ registries, content: { held } })
    const me = await memoryNode({ registries })
    await me.swarm.connect(source.address())
    const last = { ...folder(0), root: roots.at(-1) ?? folder().root }
    for (const root of roots) held.set(root, true)
    await says(me, last, [source.swarm.peerId])
    expect(roots.every(root => me.swarm.holders(root).length === 1)).toBe(true)
    held.set(last.root, false)
    await says(me, last, [])
  })

  test('is not told by a leech, who gives nothing in any other way either', async () => {
    const dag = folder()
    const leech = await memoryNode({ registries, content: { held: new MapHeld([dag.root]), isLeech: true } })
    const me = await memoryNode({ registries, config: { tuning: { blockTimeoutMs: 300 } } })
    await store(leech, dag.blocks)
    await me.swarm.connect(leech.address())
    expect(await fetchContent(me, { ...dag, registry })).toMatchObject({ stored: [] })
    const session = me.swarm.fetch(registry)
    await expect(session.block(toLink(dag.root))).rejects.toMatchObject({ code: 'CONTENT_UNAVAILABLE' })
    session.close()
    expect(me.swarm.holders(dag.root)).toEqual([])
    // It takes what others give.
    const other = folder()
    await store(me, other.blocks)
    expect((await fetchContent(leech, { ...other, registry })).stored).toHaveLength(other.blocks.map.size)
  })
})

describe('content is asked of', () => {
  test('who says that he has it, and of nobody else', async () => {
    const me = await memoryNode({ registries })
    const dag = folder()
    const others = await Promise.all([0, 1, 2].map(async () => await madeUpPeer(me, registry, () => ['silence'])))
    const holder = await madeUpPeer(me, registry, request => honest(dag.blocks, request))
    await tellRoots(holder.host, [dag.root])
    await says(me, dag, [holder.peer])
    expect((await fetchContent(me, { ...dag, registry })).stored).toHaveLength(dag.blocks.map.size)
    expect(others.map(({ asked }) => asked.length)).toEqual([0, 0, 0])
  })

  test('who says nothing before who says no, and of him too', async () => {
    const me = await memoryNode({ registries })
    const dag = folder()
    const order: string[] = []
    const peer = async (name: string) =>
      await madeUpPeer(me, registry, request => {
        order.push(name)
        return name === 'no'
          ? honest(dag.blocks, request)
          : [...request.wants.map(() => ({ type: 'missing' }) as const), { type: 'end' }]
      })
    const denies = await peer('no')
    await tellRoots(denies.host, [])
    await peer('nothing')
    const wrong = await peer('yes')
    await tellRoots(wrong.host, [dag.root])
    await says(me, dag, [wrong.peer])
    expect((await fetchContent(me, { ...dag, registry })).stored).toHaveLength(dag.blocks.map.size)
    expect([...new Set(order)]).toEqual(['yes', 'nothing', 'no'])
  })

  test('a dead one once, for less than a second, and last the next time', async () => {
    // Longer waits never end here: what comes, comes without one, however busy the machine is.
    const after: Clock['after'] = (ms, task) => (ms < 1_000 ? realClock.after(ms, task) : () => undefined)
    const me = await memoryNode({ registries, clock: { ...realClock, after } })
    const [first, second] = [folder(), folder()]
    // Connected, and it says that it has everything; nothing that it is asked is ever answered.
    const dead = await madeUpPeer(me, registry, () => ['silence'])
    await tellRoots(dead.host, [first.root, second.root])
    await says(me, first, [dead.peer])
    const good = await memoryNode({ registries })
    for (const { blocks } of [first, second]) await store(good, blocks)
    await me.swarm.connect(good.address())
    expect((await fetchContent(me, { ...first, registry })).stored).toHaveLength(first.blocks.map.size)
    expect(dead.asked).toHaveLength(1)
    expect((await fetchContent(me, { ...second, registry })).stored).toHaveLength(second.blocks.map.size)
    expect(dead.asked).toHaveLength(1)
  })

  test('all who are there, and the message says what they said', async () => {
    const me = await memoryNode({ registries, config: { tuning: { blockTimeoutMs: 300 } } })
    const dag = folder()
    await madeUpPeer(me, registry, ({ wants }) => [...wants.map(() => ({ type: 'missing' }) as const), { type: 'end' }])
    await madeUpPeer(me, registry, () => [Uint8Array.of(9, 9, 9, 9)])
    const session = me.swarm.fetch(registry)
    const local = { has: async () => false, read: async () => undefined, put: async () => undefined }
    const options = { signal: AbortSignal.timeout(60_000) }
    expect((await session.content({ root: dag.root, size: 1 }, local, options)).report).toMatch(
      /^asked 2 peers, 1 said no, 1 broke off$/
    )
    await expect(session.block(toLink(dag.root))).rejects.toMatchObject({
      code: 'CONTENT_UNAVAILABLE',
      tried: expect.arrayContaining([expect.stringMatching(/said no.* over \/ggen\/dag\/1$/)]) as string[]
    })
    session.close()
  })
})

describe('a peer that says what it holds', () => {
  const filter = filterOf([folder().root])
  const full = { type: 'full', version: 5, salt: filter.salt, roots: 1, filter: filter.bytes }
  const delta = { type: 'delta', from: 5, version: 6, added: new Uint8Array(), removed: new Uint8Array() }
  const lies: readonly [what: string, messages: readonly unknown[]][] = [
    ['in ones alone', [{ ...full, filter: new Uint8Array(200).fill(0xff) }]],
    ['and counts wrongly', [{ ...full, roots: 2 }]],
    ['by a change of nothing', [delta]],
    ['by a version that goes back', [full, { ...full, version: 4 }]],
    ['by a change of an earlier version', [full, delta, delta]],
    ['in another shape', ['everything']]
  ]
  test.each(lies)('%s is struck for it, and cut', async (_, messages) => {
    const me = await memoryNode({ registries })
    for (let strikes = 0; me.events.of('onCut').length === 0; strikes++) {
      expect(strikes).toBeLessThan(9)
      const host = strikes === 0 ? await rawPeer() : hosts.at(-1)
      if (host === undefined) throw new Error('no host')
      if (strikes === 0) {
        hosts.push(host)
        await sayHello(await dialRaw(host, me.address()), { registries })
      }
      const [first, ...more] = messages.map(message => encodeCbor(message))
      const io = await toldBy(host, first ?? new Uint8Array())
      const closed = new Promise(resolve => io.stream.addEventListener('close', resolve, { once: true }))
      for (const message of more) await io.write(message, AbortSignal.timeout(60_000))
      await closed
    }
    expect(me.events.of('onCut')).toMatchObject([{ reason: 'malformed-message' }])
  })

  test('without end is struck for it', async () => {
    // Time stands still, so nothing of what it may send comes back.
    const now = Date.now()
    const clock: Clock = { ...realClock, now: () => now }
    const me = await memoryNode({ registries, clock })
    const host = await rawPeer()
    await sayHello(await dialRaw(host, me.address()), { registries })
    const io = await toldBy(host, encodeCbor(full))
    const closed = new Promise(resolve => io.stream.addEventListener('close', resolve, { once: true }))
    const endless = async (): Promise<void> => {
      for (let version = 6; version < 5 + 2 * LIMITS.have.burstMessages; version++) {
        const { signal } = new AbortController()
        await io.write(encodeHaveMessage({ type: 'delta', from: version - 1, version, added: [], removed: [] }), signal)
      }
    }
    await endless().catch(() => undefined)
    await closed
    expect(io.stream.status).toBe('reset')
  })
})

const hosts: Awaited<ReturnType<typeof rawPeer>>[] = []
