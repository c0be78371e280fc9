import { randomBytes } from 'node:crypto'
import { setTimeout as turn } from 'node:timers/promises'
import type { CID } from 'multiformats/cid'
import { afterEach, describe, expect, test } from 'vitest'
import type { Clock, Throttle } from '../../node/p2p/components.ts'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { SharedThrottle } from '../../node/p2p/throttle.ts'
import { Uploads } from '../../node/p2p/dag-uploads.ts'
import { toLink } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { DAG_PROTOCOL, encodeDagRequest } from '../../protocol/dag/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { RAW } from '../../protocol/unixfs-node.ts'
import { fetchContent, honest, localOf, madeUpPeer, memoryNode, store } from '../support/dag-peer.ts'
import { tellRoots } from '../support/held.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { dialRaw, rawPeer, sayHello, stopRawPeers } from '../support/raw-peer.ts'
import { realClock, registryNamed, stopNodes } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'
import { VirtualTime } from '../support/virtual-time.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const registry = registryNamed('acme')
const registries = [registry]
const MiB = 2 ** 20

function file(bytes: number): MadeDag {
  const blocks = new DagBlocks()
  return { root: rootOf(blocks.folder({ 'big.bin': blocks.file(randomBytes(bytes), MiB) })), blocks, size: bytes }
}

function leavesOf(count: number): { readonly root: ContentId; readonly leaves: readonly CID[] } {
  const blocks = new DagBlocks()
  const leaves = Array.from({ length: count }, (_, n) => blocks.raw(Uint8Array.of(n)))
  return { root: rootOf(blocks.folder({ a: leaves[0] as CID })), leaves }
}

/** Takes every place that a node has for one root, and keeps it. */
async function crowd(server: TestNode, { root }: MadeDag): Promise<FramedStream[]> {
  const held: FramedStream[] = []
  for (let n = 0; n < LIMITS.dag.uploadsPerRoot; n++) {
    const connection = await dialRaw(await rawPeer(), server.address())
    await sayHello(connection)
    const io = new FramedStream(await connection.newStream(DAG_PROTOCOL))
    await io.write(encodeDagRequest({ reach: 'blocks', root, wants: [toLink(root)] }), AbortSignal.timeout(60_000))
    await io.chunk(AbortSignal.timeout(60_000))
    held.push(io)
  }
  return held
}

/** Resolves when nobody has sent or taken a byte for some turns of the event loop. */
async function quiet(nodes: readonly TestNode[]): Promise<void> {
  const moved = (): number =>
    nodes.reduce((sum, { swarm }) => sum + swarm.traffic().bytesIn + swarm.traffic().bytesOut, 0)
  for (let before = moved(), calm = 0; calm < 4;) {
    await turn(1)
    const now = moved()
    calm = now === before ? calm + 1 : 0
    before = now
  }
}

describe('whoever has no room', () => {
  test('names others who have it, and where they are, and they are dialled', async () => {
    const dag = file(100_000)
    const [source, owner, me] = [
      await memoryNode({ registries }),
      await memoryNode({ registries }),
      await memoryNode({ registries })
    ]
    await store(source, dag.blocks)
    await owner.swarm.connect(source.address())
    await fetchContent(owner, { ...dag, registry })
    const held = await crowd(source, dag)
    await me.swarm.connect(source.address())
    const sent = owner.swarm.traffic().bytesOut
    // The places stay taken until it is over, so nothing came from there.
    expect((await fetchContent(me, { ...dag, registry })).stored).toHaveLength(dag.blocks.map.size)
    expect(owner.swarm.traffic().bytesOut - sent).toBeGreaterThan(dag.size)
    for (const io of held) io.abort(new Error('over'))
  })

  test('names nobody by an address that the asker would dial into its own site', async () => {
    const dag = file(100_000)
    const me = await memoryNode({ registries })
    const id = (await rawPeer()).peerId.toString()
    const addresses = ['/dns4/localhost/tcp/1', 'no address', '/ip4/127.0.0.1/tcp/1/p2p-circuit']
    const liar = await madeUpPeer(me, registry, (request, n) =>
      n > 2
        ? honest(dag.blocks, request)
        : [{ type: 'busy', peers: addresses.map(address => ({ id, addresses: [address] })) }]
    )
    expect((await fetchContent(me, { ...dag, registry })).stored).toHaveLength(dag.blocks.map.size)
    expect(liar.asked.length).toBeGreaterThan(2)
    expect(me.swarm.peers().map(peer => peer.id)).toEqual([liar.peer])
  })

  test('sends a few copies however many ask at once, who send it to each other', async () => {
    const dag = file(LIMITS.dag.crowdBytes + 2 * MiB)
    // Whoever is lonely for ten seconds goes back to the source. On a machine with much else to do that is anybody, so these are long ones.
    const clock: Clock = { ...realClock, now: () => Math.floor(Date.now() / 10) }
    const source = await memoryNode({ registries, clock })
    await store(source, dag.blocks)
    const nodes = await Promise.all(Array.from({ length: 6 }, async () => await memoryNode({ registries, clock })))
    for (const node of nodes) await node.swarm.connect(source.address())
    await expect.poll(() => source.swarm.peers().length).toBe(nodes.length)
    const signal = AbortSignal.timeout(100_000)
    const fetch = async (node: TestNode): Promise<void> => {
      // What has not come after long stays missing, and is asked for anew: on a machine with much else to do.
      for (let left = 3; left > 0; left--) {
        await fetchContent(node, { ...dag, registry }, { signal })
        const here = await Promise.all([...dag.blocks.map.values()].map(async ({ cid }) => await node.blocks.has(cid)))
        if (here.every(Boolean)) break
      }
    }
    await Promise.all(nodes.map(fetch))
    for (const node of nodes)
      for (const { cid } of dag.blocks.map.values()) expect(await node.blocks.has(cid)).toBe(true)
    // Three have places; others get a part when one of them breaks off before it is known that this is much.
    expect(source.swarm.traffic().bytesOut).toBeLessThan(5 * dag.size)
  })

  test('and says that others have every leaf, without end, keeps nothing from who asks others', async () => {
    const dag = file(6 * MiB)
    const [me, good] = [await memoryNode({ registries }), await memoryNode({ registries })]
    await store(good, dag.blocks)
    const liar = await madeUpPeer(me, registry, request =>
      honest(dag.blocks, request).map(frame =>
        frame.type === 'block' && request.wants[0]?.code === RAW ? { type: 'elsewhere' } : frame
      )
    )
    await me.swarm.connect(good.address())
    expect((await fetchContent(me, { ...dag, registry })).stored).toHaveLength(dag.blocks.map.size)
    const asked = liar.asked.flatMap(({ wants }) => wants.map(String))
    expect(new Set(asked).size).toBe(asked.length)
    expect(me.events.of('onCut')).toEqual([])
  })

  test('sends on to who is still receiving it: what he has not got he is asked for again', async () => {
    const dag = file(6 * MiB)
    const [me, receiving] = [await memoryNode({ registries }), await memoryNode({ registries })]
    const all = [...dag.blocks.map.values()]
    // The nodes are made last: what is stored first are leaves, and the way to them.
    const [late, early] = [all.slice(0, 3), all.slice(3)]
    for (const { cid, bytes } of early) await receiving.blocks.put(cid, bytes)
    const named = { id: receiving.swarm.peerId, addresses: [receiving.address().replace(/\/p2p\/.*/, '')] }
    await madeUpPeer(me, registry, () => [{ type: 'busy', peers: [named] }])
    const local = localOf(me)
    const put: typeof local.put = async (cid, bytes) => {
      await local.put(cid, bytes)
      if (local.puts.length === early.length)
        for (const block of late) await receiving.blocks.put(block.cid, block.bytes)
    }
    const { stored } = await fetchContent(me, { ...dag, registry }, { local: { ...local, put } })
    expect(stored).toHaveLength(all.length)
  })

  test('counts as a crowd, too, who come one after the other, and names who is receiving it', () => {
    let now = 0
    const uploads = new Uploads({ clock: { now: () => now }, isPeer: () => true })
    const { root, leaves } = leavesOf(1)
    const come = (peer: string): boolean[] => {
      now += 1_000
      const upload = uploads.take(peer, root)
      const claimed = leaves.map(leaf => upload?.claim(leaf) === true)
      upload?.sent(LIMITS.dag.crowdBytes)
      upload?.release(true)
      return claimed
    }
    for (const peer of ['a', 'b', 'c']) expect(come(peer)).toEqual([true])
    expect(come('d')).toEqual([false])
    // Whoever was cut off and comes again is no further copy.
    expect(come('a')).toEqual([true])
    expect(uploads.receiversOf(root, leaves).slice(0, 3).toSorted()).toEqual(['a', 'b', 'c'])
    now += LIMITS.dag.crowdMs
    expect(come('e')).toEqual([true])
  })

  test('is sent elsewhere leaf by leaf, and to those who are here', () => {
    let now = 0
    const gone = new Set<string>()
    const uploads = new Uploads({ clock: { now: () => now }, isPeer: peer => !gone.has(peer) })
    const { root, leaves } = leavesOf(2)
    const [first, second] = leaves
    const taken = ['a', 'b', 'c'].map(peer => uploads.take(peer, root))
    expect(uploads.take('d', root)).toBeUndefined()
    for (const upload of taken) expect(upload?.claim(first as CID)).toBe(true)
    // Little content is sent to whoever finds a place.
    taken[0]?.release(true)
    const small = uploads.take('d', root)
    expect(small?.claim(first as CID)).toBe(true)
    small?.unclaim(first as CID)
    small?.sent(LIMITS.dag.crowdBytes)
    small?.release(false)
    const upload = uploads.take('e', root)
    expect([upload?.claim(second as CID), upload?.claim(first as CID)]).toEqual([true, true])
    upload?.release(false)
    const next = uploads.take('f', root)
    expect([next?.claim(second as CID), next?.claim(first as CID)]).toEqual([true, false])
    // Whoever asks again after a while could not get it from those others; and nobody is sent to who is gone.
    now += LIMITS.dag.referMs - 1
    expect(next?.claim(first as CID)).toBe(false)
    now += 1
    expect(next?.claim(first as CID)).toBe(true)
    next?.release(false)
    const last = uploads.take('g', root)
    expect(last?.claim(first as CID)).toBe(false)
    gone.add('f')
    expect(last?.claim(first as CID)).toBe(true)
  })
})

describe('several peers', () => {
  test('that say nothing, and yes to everything, cost no more than a few waits', async () => {
    const looks = new Set<() => void>()
    const tuning = { hedgeMs: LIMITS.dag.hedgeLeastMs }
    const clock: Clock = {
      now: () => Date.now(),
      after: (ms, task) => {
        if (ms !== tuning.hedgeMs) return realClock.after(ms, task)
        looks.add(task)
        return () => looks.delete(task)
      }
    }
    const me = await memoryNode({ registries, clock, config: { tuning } })
    const dag = file(3 * MiB)
    const silent: Awaited<ReturnType<typeof madeUpPeer>>[] = []
    for (let n = 0; n < 6; n++) {
      const peer = await madeUpPeer(me, registry, () => ['silence'])
      await tellRoots(peer.host, [dag.root])
      silent.push(peer)
    }
    await expect.poll(() => me.swarm.holders(dag.root).length).toBe(6)
    const good = await memoryNode({ registries })
    await store(good, dag.blocks)
    await me.swarm.connect(good.address())
    const fetch = fetchContent(me, { ...dag, registry })
    // One, then two more, then all: one after the other would take six waits.
    for (const asked of [1, 3]) {
      await expect.poll(() => silent.reduce((sum, peer) => sum + peer.asked.length, 0)).toBe(asked)
      const due = [...looks]
      looks.clear()
      for (const look of due) look()
    }
    expect((await fetch).stored).toHaveLength(dag.blocks.map.size)
    expect(me.events.of('onCut')).toEqual([])
  })

  test('of whom one is slow: what it was asked for last is asked of a faster one', async () => {
    const dag = file(24 * MiB)
    const nodes: TestNode[] = []
    // Time passes while no byte is on its way: how busy the machine is changes nothing of who is how fast.
    const time = new VirtualTime(async () => await quiet(nodes))
    const sending = async (bytesPerSecond: number): Promise<TestNode> => {
      const upload = new SharedThrottle(bytesPerSecond, time)
      return await memoryNode({ registries, content: { throttles: { upload, download: undefined } } })
    }
    const [slow, fast] = [await sending(MiB / 4), await sending(8 * MiB)]
    const me = await memoryNode({ registries, clock: time })
    nodes.push(slow, fast, me)
    for (const node of [slow, fast]) {
      await store(node, dag.blocks)
      await me.swarm.connect(node.address())
    }
    let stored: readonly unknown[] | undefined
    const signal = new AbortController().signal
    const fetched = fetchContent(me, { ...dag, registry }, { signal }).then(outcome => (stored = outcome.stored))
    await time.runUntil(() => stored !== undefined, 120_000)
    await fetched
    expect(stored).toHaveLength(dag.blocks.map.size)
    // What is asked of it at a time, twice four mebibytes, would take it half a minute.
    expect(slow.swarm.traffic().bytesOut).toBeLessThan(6 * MiB)
    expect(time.now()).toBeLessThan(15_000)
  })
})

describe('an operator', () => {
  test.each(['upload', 'download'] as const)('bounds the %s of all streams together', async way => {
    let counted = 0
    const inner = new SharedThrottle(8 * MiB, realClock)
    const throttle: Throttle = {
      bytesPerSecond: inner.bytesPerSecond,
      owe: bytes => {
        counted += bytes
        return inner.owe(bytes)
      },
      turn: async bytes => {
        counted += bytes
        await inner.turn(bytes)
      }
    }
    const throttles = { upload: undefined, download: undefined, [way]: throttle }
    // Much more than the window of a stream, which comes in one go whatever is the bound.
    const dag = file(8 * MiB)
    const server = await memoryNode({ registries, ...(way === 'upload' && { content: { throttles } }) })
    const me = await memoryNode({ registries, ...(way === 'download' && { content: { throttles } }) })
    await store(server, dag.blocks)
    await me.swarm.connect(server.address())
    const started = performance.now()
    await fetchContent(me, { ...dag, registry })
    expect(performance.now() - started).toBeGreaterThan(500)
    expect(counted).toBeGreaterThan(dag.size)
    // Whoever holds back bytes loses none of them.
    expect(me.swarm.traffic().bytesIn).toBeLessThan(1.1 * dag.size)
    // And what goes over bitswap, which is not asked for twice.
    const other = new DagBlocks()
    const cid = other.raw(randomBytes(100_000))
    await store(server, other)
    const before = counted
    const session = me.swarm.fetch(registry)
    await session.block(cid)
    session.close()
    if (way === 'upload') expect(counted - before).toBeGreaterThanOrEqual(100_000)
  })
})
