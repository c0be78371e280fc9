import { randomBytes } from 'node:crypto'
import type { ConnectionGater, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import { afterEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../node/p2p/components.ts'
import { dial } from '../../node/p2p/dial.ts'
import type { TogetherOptions } from '../../node/p2p/dag-together.ts'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { Trail } from '../../node/services/trail.ts'
import { toLink } from '../../protocol/cid.ts'
import type { DagRequest } from '../../protocol/dag/messages.ts'
import { RootFilter, rootHash } from '../../protocol/have/filter.ts'
import { HAVE_PROTOCOL, encodeHaveMessage } from '../../protocol/have/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { shortPeer } from '../../protocol/peer-text.ts'
import { decodeTrace, encodeTrace } from '../../protocol/trace-record.ts'
import { fetchContent, honest, localOf, madeUpPeer, memoryNode, store } from '../support/dag-peer.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { stopRawPeers } from '../support/raw-peer.ts'
import { blackHole, closeWays, muteListener, wayTo } from '../support/silent-ways.ts'
import type { Way } from '../support/silent-ways.ts'
import { realClock, registryNamed, stopNodes } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'

afterEach(async () => {
  // All of them, whatever fails: a way that stays open keeps the process.
  try {
    await stopRawPeers()
    await stopNodes()
  } finally {
    await closeWays()
  }
})

/** A crowded machine takes its time. */
const SLOWLY = { timeout: 60_000 }

const registry = registryNamed('acme')
const registries = [registry]

function folder(files = 30, bytes = 9_000): MadeDag {
  const blocks = new DagBlocks()
  const contents = Array.from({ length: files }, (_, i) => [`f${i}`, blocks.raw(randomBytes(bytes))] as const)
  return { blocks, root: rootOf(blocks.folder(Object.fromEntries(contents))), size: files * bytes }
}

/** A node that has some content. */
async function holder(...dags: readonly MadeDag[]): Promise<TestNode> {
  const node = await memoryNode({ registries })
  for (const { blocks } of dags) await store(node, blocks)
  return node
}

/** One that has just started, and is not to dial anybody again of its own accord. */
async function started(bootstrap: readonly string[], clock: Clock = realClock): Promise<TestNode> {
  return await memoryNode({ registries, clock, config: { bootstrap, tuning: { redialMs: 600_000 } } })
}

/** Time as it is, except that all the looks for a first word are over long before a dial is given up. */
const quickLooks: Clock = {
  ...realClock,
  after: (ms, task) => realClock.after(ms === LIMITS.connections.company.lookMs ? ms / 10 : ms, task)
}

/** Which of some things came first. */
async function firstOf(things: Readonly<Record<string, Promise<unknown>>>): Promise<string> {
  return await Promise.race(Object.entries(things).map(async ([name, thing]) => await thing.then(() => name)))
}

/** A fetch is not to be ended by a deadline of the test. */
const PATIENTLY = { signal: new AbortController().signal }

describe('a fetch that begins while nobody is here', () => {
  /** A holder that closes the first connection, as a machine does that has too much to do. */
  async function busyHolder(dag: MadeDag): Promise<Way> {
    return await wayTo(await holder(dag), { closes: 1 })
  }

  test('dials whoever was merely busy again, while packets to another one go nowhere', async () => {
    const dag = folder()
    const me = await started([(await blackHole()).address, (await busyHolder(dag)).address])
    expect((await fetchContent(me, { ...dag, registry }, PATIENTLY)).stored).toHaveLength(dag.blocks.map.size)
  })

  test('and while another one takes the connection and says nothing', async () => {
    const dag = folder()
    const mute = await muteListener()
    const me = await started([mute.address, (await busyHolder(dag)).address])
    await mute.taken
    const fetched = fetchContent(me, { ...dag, registry }, PATIENTLY)
    expect(await firstOf({ fetched, givenUp: mute.givenUp })).toBe('fetched')
    expect((await fetched).stored).toHaveLength(dag.blocks.map.size)
  })

  test('does not wait until a dial to somebody who says nothing is given up', async () => {
    const mute = await muteListener()
    const me = await started([mute.address], quickLooks)
    await mute.taken
    const fetched = fetchContent(me, { ...folder(), registry }, PATIENTLY)
    expect(await firstOf({ fetched, givenUp: mute.givenUp })).toBe('fetched')
    expect((await fetched).stored).toEqual([])
    const [block] = folder().blocks.map.values()
    const session = me.swarm.fetch(registry)
    await expect(session.block(block?.cid as CID)).rejects.toMatchObject({
      message: expect.stringContaining('there was nobody to ask') as string,
      tried: expect.arrayContaining([expect.stringContaining(mute.address) as string]) as string[]
    })
    session.close()
  })
})

/** Time as it is, and a promise that some wait was to the end. */
function clockThatTells(ofMs: number): { readonly clock: Clock; readonly passed: Promise<void> } {
  const passed = Promise.withResolvers<void>()
  const after: Clock['after'] = (ms, task) =>
    realClock.after(ms, () => {
      if (ms === ofMs) passed.resolve()
      task()
    })
  return { clock: { ...realClock, after }, passed: passed.promise }
}

describe('a peer that is here, and from which nothing comes any more', () => {
  /** Connected to two who have something, of whom the one that would be asked first is silent from then on. */
  async function besideSilent(clock: Clock, dags: readonly MadeDag[]): Promise<TestNode> {
    const me = await memoryNode({ registries, clock })
    const [dead, good] = [await holder(...dags), await holder(...dags)]
    const way = await wayTo(dead)
    for (const address of [way.address, good.address()]) {
      await me.swarm.connect(address)
      await expect.poll(() => me.swarm.libp2p.services.pubsub.getPeers().length).toBe(me.swarm.peers().length)
    }
    way.mute()
    return me
  }

  test('is passed over for another one, and the fetch does not wait for it in the end', async () => {
    const dag = folder()
    const { clock, passed } = clockThatTells(LIMITS.dag.openMs)
    const me = await besideSilent(clock, [dag])
    const fetched = fetchContent(me, { ...dag, registry }, PATIENTLY)
    expect(await firstOf({ fetched, passed })).toBe('fetched')
    expect((await fetched).stored).toHaveLength(dag.blocks.map.size)
  })

  test('costs several contents that are asked of it together one look', async () => {
    const dags = [folder(1, 900), folder(1, 900), folder(1, 900)]
    const { clock, passed } = clockThatTells(LIMITS.dag.togetherMs)
    const me = await besideSilent(clock, dags)
    const put: TogetherOptions['put'] = async (cid, bytes) => await me.blocks.put(cid, bytes)
    const came = me.swarm.fetchTogether(registry, dags, { put, ...PATIENTLY })
    expect(await firstOf({ came, passed })).toBe('came')
    // It is not the first that is asked for the next.
    const again = await me.swarm.fetchTogether(registry, dags, { put, ...PATIENTLY })
    for (const { blocks } of dags) for (const key of blocks.map.keys()) expect(again.has(key)).toBe(true)
  })
})

/** Content that only somebody has who is not here, and whom the DHT alone names; `open` lets him be dialled again. */
async function farContent(
  me: TestNode
): Promise<{ readonly dag: MadeDag; readonly far: TestNode; readonly open: () => void }> {
  const dag = folder()
  const [far, middle] = [await holder(dag), await memoryNode()]
  await middle.swarm.connect(far.address())
  await me.swarm.connect(middle.address())
  await expect.poll(() => far.swarm.libp2p.services.dht.getMode(), SLOWLY).toBe('server')
  far.swarm.provide(toLink(dag.root))
  const found = async (): Promise<readonly string[]> => await me.swarm.findProviders(toLink(dag.root))
  await expect.poll(found, { ...SLOWLY, interval: 200 }).toContain(far.swarm.peerId)
  // Those who are in the DHT dial each other of their own accord.
  const open = denyDials(me, far)
  denyDials(far, me)
  for (const [one, other] of [
    [far, me],
    [me, far]
  ] as const) {
    const isDialled = (): boolean =>
      one.swarm.libp2p.getDialQueue().some(({ peerId }) => peerId?.toString() === other.swarm.peerId)
    await expect.poll(isDialled).toBe(false)
    await one.swarm.disconnect(other.swarm.peerId)
  }
  await expect.poll(() => idsOf(me)).not.toContain(far.swarm.peerId)
  return { dag, far, open }
}

/** One node dials the other no more, until it is told so. */
function denyDials(one: TestNode, other: TestNode): () => void {
  const { connectionGater } = Reflect.get(one.swarm.libp2p, 'components') as { connectionGater: ConnectionGater }
  const before = connectionGater.denyDialPeer?.bind(connectionGater)
  connectionGater.denyDialPeer = peer => peer.toString() === other.swarm.peerId
  return () => void Object.assign(connectionGater, { denyDialPeer: before })
}

/** Tells when a node asks the DHT who has something. */
function onLookUp({ swarm }: TestNode, onAsked: () => void): void {
  const { contentRouting } = swarm.libp2p
  const before = contentRouting.findProviders.bind(contentRouting)
  contentRouting.findProviders = (cid, options) => {
    onAsked()
    return before(cid, options)
  }
}

function idsOf({ swarm }: TestNode): readonly string[] {
  return swarm.peers().flatMap(({ id, connected }) => (connected ? [id] : []))
}

/** Somebody who never has room, and names others where nobody answers. */
async function neverHasRoom(
  me: TestNode,
  onAsked: () => void
): Promise<{ readonly peer: string; readonly asked: readonly DagRequest[] }> {
  const holes = [await blackHole(), await blackHole(), await muteListener()]
  const peers = holes.map(({ peer, address }) => ({ id: peer, addresses: [address.replace(/\/p2p\/.*/, '')] }))
  return await madeUpPeer(me, registry, () => {
    onAsked()
    return [{ type: 'busy', peers }]
  })
}

/** Somebody who says that he holds a root, and has nothing. */
async function claims(me: TestNode, { root }: MadeDag): Promise<{ readonly peer: string }> {
  const liar = await madeUpPeer(me, registry, request => honest(new DagBlocks(), request))
  const [connection] = liar.host.getConnections()
  const io = new FramedStream((await connection?.newStream(HAVE_PROTOCOL)) as Stream)
  const salt = randomBytes(LIMITS.have.saltBytes)
  const filter = RootFilter.of(salt, [rootHash(salt, toLink(root).multihash.digest)])
  await io.write(encodeHaveMessage({ type: 'full', version: 1, filter }), PATIENTLY.signal)
  await expect.poll(() => me.swarm.holders(root)).toContain(liar.peer)
  return liar
}

describe('content that only somebody has whom the DHT names', () => {
  test('is found beside somebody who never has room', async () => {
    const me = await memoryNode({ registries })
    const { dag, open } = await farContent(me)
    const { asked } = await neverHasRoom(me, () => {})
    // From the look-up on: those who are in the DHT dial each other of their own accord, and one who is here is not looked for.
    onLookUp(me, open)
    const { stored, found } = await fetchContent(me, { ...dag, registry }, PATIENTLY)
    expect(stored).toHaveLength(dag.blocks.map.size)
    expect(found).toBeDefined()
    expect(asked.length).toBeGreaterThan(0)
    // Who has no room is given up after a minute, the seventeenth time.
    expect(asked.length).toBeLessThan(10)
  }, 120_000)

  test('is found beside all of those who are bad, slow or mute', async () => {
    const me = await started([(await muteListener()).address, (await blackHole()).address])
    const { dag, open } = await farContent(me)
    const way = await wayTo(await holder(dag))
    await me.swarm.connect(way.address)
    way.mute()
    const silent = await madeUpPeer(me, registry, () => ['silence'])
    const [busy, liar] = [await neverHasRoom(me, open), await claims(me, dag)]
    const trail = new Trail({ now: () => Date.now() })
    const session = me.swarm.fetch(registry, { watch: trail })
    const { stored } = await session.content(dag, localOf(me), PATIENTLY)
    session.close()
    expect(stored).toHaveLength(dag.blocks.map.size)
    expect(busy.asked.length).toBeLessThan(10)
    const tried = decodeTrace(encodeTrace(trail.record(null))).tried.join('\n')
    for (const [{ peer }, said] of [
      [silent, 'did not answer'],
      [busy, 'had no room'],
      [liar, 'said no']
    ] as const)
      expect(tried).toContain(`${shortPeer(peer)} ${said}`)
  }, 120_000)
})

describe('a peer of several addresses, of which the first is a black hole', () => {
  const bare = (address: string): string => address.replace(/\/p2p\/.*/, '')

  test('is reached where somebody without room names him', async () => {
    const dag = folder()
    const far = await holder(dag)
    const me = await memoryNode({ registries })
    const addresses = [bare((await blackHole()).address), bare(far.address())]
    await madeUpPeer(me, registry, () => [{ type: 'busy', peers: [{ id: far.swarm.peerId, addresses }] }])
    const isLate = Promise.withResolvers<void>()
    const cancel = realClock.after(LIMITS.connections.addressDialMs, isLate.resolve)
    const fetched = fetchContent(me, { ...dag, registry }, PATIENTLY)
    expect(await firstOf({ fetched, isLate: isLate.promise })).toBe('fetched')
    cancel()
    expect((await fetched).stored).toHaveLength(dag.blocks.map.size)
  })

  test('is reached where the DHT names him', async () => {
    const me = await memoryNode({ registries })
    const { dag, open, far } = await farContent(me)
    // libp2p keeps addresses in the order of their text.
    let hole = await blackHole()
    for (; bare(hole.address) > bare(far.address()); hole = await blackHole());
    const multiaddrs = [hole.address, far.address()].map(text => multiaddr(bare(text)))
    await me.swarm.libp2p.peerStore.patch(far.swarm.libp2p.peerId, { multiaddrs })
    open()
    const { stored } = await fetchContent(me, { ...dag, registry }, PATIENTLY)
    expect(stored).toHaveLength(dag.blocks.map.size)
  }, 120_000)
})

describe('a peer from whom every answer takes longer than somebody in a hurry waits', () => {
  /** A node to which the way opens as soon as a hurried dial has left it, and the clock of such a dial. */
  async function farAway(): Promise<{ readonly peer: string; readonly address: string; readonly hurry: Clock }> {
    const far = await memoryNode()
    const hole = await blackHole({ to: Number(/tcp\/(\d+)/.exec(far.address())?.[1]) })
    const after: Clock['after'] = (ms, task) =>
      realClock.after(ms, () => {
        task()
        if (ms === LIMITS.connections.addressOpenMs) setImmediate(hole.open)
      })
    const peer = far.swarm.peerId
    return { peer, address: hole.address.replace(/[^/]+$/, peer), hurry: { ...realClock, after } }
  }

  const options = { membership: undefined, signal: PATIENTLY.signal }

  test('is reached at an address that is not the last', async () => {
    const { peer, address, hurry } = await farAway()
    const me = await memoryNode()
    const both = [address, `/ip4/127.0.0.1/tcp/1/p2p/${peer}`].map(text => multiaddr(text))
    expect(await dial(me.swarm.libp2p, both, { ...options, hurry })).toBe(peer)
  })
})
