import { randomBytes } from 'node:crypto'
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { CID } from 'multiformats/cid'
import { afterEach, describe, expect, test } from 'vitest'
import { fetchContent as fetchStored } from '../../node/content-fetch.ts'
import type { Clock } from '../../node/p2p/components.ts'
import { withGateways } from '../../node/gateway-race.ts'
import { Gateways } from '../../node/gateway-source.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import { concatBytes } from '../../protocol/bytes.ts'
import { contentCarHeader, contentCarPrefix } from '../../protocol/content-car.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { VerifiedBlocks } from '../../storage/verified-blocks.ts'
import { fetchContent, madeUpPeer, memoryNode, store } from '../support/dag-peer.ts'
import type { Said } from '../support/dag-peer.ts'
import { freePort } from '../support/free-port.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { stopRawPeers } from '../support/raw-peer.ts'
import { closeWays, muteListener } from '../support/silent-ways.ts'
import { realClock, registryNamed, stopNodes } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'

const closers: (() => void)[] = []

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
  await closeWays()
  for (const close of closers.splice(0)) close()
})

const registry = registryNamed('acme')
const registries = [registry]
const { signal } = new AbortController()

function file(): MadeDag {
  const blocks = new DagBlocks()
  const MiB = 2 ** 20
  return { root: rootOf(blocks.folder({ 'one.bin': blocks.file(randomBytes(3 * MiB), MiB) })), blocks, size: 3 * MiB }
}

/** A way to a node on which the first connection hears a word of it, and then nothing, until it is told to cut it. */
async function stallingWay(node: TestNode): Promise<{ address: string; taken: Promise<void>; cut: () => void }> {
  const [, port = '', peer = ''] = /tcp\/([0-9]+)\/p2p\/(.+)$/.exec(node.address()) ?? []
  const taken = Promise.withResolvers<void>()
  const sockets: Socket[] = []
  const server = createServer(socket => {
    sockets.push(socket)
    socket.on('error', () => {})
    const isFirst = sockets.length === 1
    const on = connect(Number(port), '127.0.0.1').on('error', () => socket.destroy())
    sockets.push(on)
    if (!isFirst) return void socket.pipe(on).pipe(socket)
    socket.once('data', bytes => on.write(bytes))
    on.once('data', bytes => socket.write(bytes, () => taken.resolve()))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}/p2p/${peer}`
  return { address, taken: taken.promise, cut: () => sockets[0]?.destroy() }
}

/** A node whose dial to the only holder is under way: connected, and not answered until it is cut and dialled again. */
async function dialling() {
  const dag = file()
  const source = await memoryNode({ registries })
  await store(source, dag.blocks)
  const { address, taken, cut } = await stallingWay(source)
  const me = await memoryNode({ registries, config: { bootstrap: [address], tuning: { redialMs: 600_000 } } })
  await taken
  return { dag, me, cut }
}

describe('a fetch that begins while nobody is here', () => {
  test('waits for the dial that is under way, and for another one when that comes to nothing', async () => {
    const { dag, me, cut } = await dialling()
    const fetching = fetchContent(me, { ...dag, registry })
    cut()
    expect((await fetching).stored.length).toBe(dag.blocks.map.size)
  })

  test('dials those that are known, however long it is until they would be dialled again', async () => {
    const dag = file()
    const source = await memoryNode({ registries })
    await store(source, dag.blocks)
    const [me, before] = [await memoryNode({ registries }), source.address()]
    await me.swarm.connect(before)
    await expect.poll(() => source.swarm.peers().length).toBe(1)
    await Promise.all(me.swarm.libp2p.getConnections().map(async connection => await connection.close()))
    expect((await fetchContent(me, { ...dag, registry })).stored.length).toBe(dag.blocks.map.size)
  })

  test('ends soon where nothing listens, and says what came of it', async () => {
    const dead = `/ip4/127.0.0.1/tcp/${await freePort()}/p2p/${(await memoryNode()).swarm.peerId}`
    const me = await memoryNode({ registries, config: { bootstrap: [dead] } })
    const started = performance.now()
    const session = me.swarm.fetch(registry)
    const { root, size, blocks } = file()
    const local = { has: async () => false, put: async () => undefined, read: async () => undefined }
    await session.content({ root, size }, local, { signal })
    const [first] = blocks.map.values()
    if (first === undefined) throw new Error('an empty dag')
    await expect(session.block(first.cid)).rejects.toMatchObject({
      code: 'CONTENT_UNAVAILABLE',
      message: expect.stringContaining('there was nobody to ask') as string,
      tried: expect.arrayContaining([expect.stringContaining(dead) as string]) as string[]
    })
    session.close()
    expect(performance.now() - started).toBeLessThan(LIMITS.fetch.blockTimeoutMs)
  })
})

/** A node that waits for the first word of somebody who is mute, without end: no look at him is ever over. */
async function waiting(): Promise<TestNode> {
  const after: Clock['after'] = (ms, task) =>
    ms === LIMITS.connections.company.lookMs ? () => undefined : realClock.after(ms, task)
  const mute = await muteListener()
  const config = { bootstrap: [mute.address], tuning: { redialMs: 600_000 } }
  const me = await memoryNode({ registries, clock: { ...realClock, after }, config })
  await mute.taken
  return me
}

describe('somebody who takes the connection and never says a word', () => {
  test('is not waited for where another peer is here, nor as soon as one comes', async () => {
    const dag = file()
    const source = await memoryNode({ registries })
    await store(source, dag.blocks)
    const me = await waiting()
    const fetching = fetchContent(me, { ...dag, registry })
    await me.swarm.connect(source.address())
    expect((await fetching).stored.length).toBe(dag.blocks.map.size)
    const other = file()
    await store(source, other.blocks)
    expect((await fetchContent(me, { ...other, registry })).stored.length).toBe(other.blocks.map.size)
  })
})

describe('a fetch that has gateways, and begins while nobody is here', () => {
  type Handler = (cid: string, isArchive: boolean) => Uint8Array | undefined

  /** Answers with the first block, or with an archive that has no more than that. */
  function archiveOf({ blocks }: MadeDag): Handler {
    return (cid, isArchive) => {
      const bytes = blocks.map.get(cid)?.bytes ?? new Uint8Array()
      if (!isArchive) return bytes
      const link = CID.parse(cid)
      return concatBytes([contentCarHeader(link), contentCarPrefix(link, bytes.length), bytes])
    }
  }

  /** A gateway, and a fetch that knows it and the peers of a node. */
  async function fetchBeside(me: TestNode, { root, size }: MadeDag, handler: Handler): Promise<unknown> {
    const server = createHttpServer(({ url = '' }, response) => {
      const [, cid = '', format = ''] = /^\/ipfs\/([^?]+)\?format=(car|raw)/.exec(url) ?? []
      const bytes = handler(cid, format === 'car')
      if (bytes === undefined) response.writeHead(404).end()
      else response.writeHead(200, { 'content-type': `application/vnd.ipld.${format}` }).end(bytes)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const clock = systemClock(() => undefined)
    const gateways = new Gateways({ urls: [url], clock, log: { warn: () => undefined } })
    closers.push(() => {
      gateways.close()
      server.close()
      server.closeAllConnections()
    })
    const remote = withGateways(
      { open: (_, abort, watch) => me.swarm.fetch(registry, { signal: abort, watch }) },
      { gateways, clock }
    )
    const local = me.blocks as unknown as VerifiedBlocks
    return await fetchStored({ local, remote }, { registry, root, size }, AbortSignal.timeout(120_000))
  }

  test('waits for nobody who is mute beside them', async () => {
    const dag = file()
    const me = await waiting()
    await fetchBeside(me, dag, archiveOf(dag))
    for (const { cid } of dag.blocks.map.values()) expect(await me.blocks.has(cid)).toBe(true)
  })

  test('asks them while somebody takes the connection and says no more than a word', async () => {
    const dag = file()
    const { address, taken } = await stallingWay(await memoryNode({ registries }))
    const me = await memoryNode({ registries, config: { bootstrap: [address], tuning: { redialMs: 600_000 } } })
    await taken
    const asked = Promise.withResolvers<'gateway'>()
    const fetching = fetchBeside(me, dag, (cid, isArchive) => {
      asked.resolve('gateway')
      return archiveOf(dag)(cid, isArchive)
    })
    fetching.catch(() => undefined)
    // The way lets the second connection through.
    const here = me.events.next('onPeer', 0).then(() => 'peer')
    expect(await Promise.race([asked.promise, here])).toBe('gateway')
    await fetching
    for (const { cid } of dag.blocks.map.values()) expect(await me.blocks.has(cid)).toBe(true)
  })

  test.each<readonly [string, () => readonly Said[]]>([
    ['never has room', () => [{ type: 'busy', peers: [] }]],
    ['says nothing', () => ['silence']]
  ])('asks them beside the only one who is here and %s', async (_, answer) => {
    const dag = file()
    const me = await memoryNode({ registries })
    const { asked } = await madeUpPeer(me, registry, answer)
    await fetchBeside(me, dag, archiveOf(dag))
    for (const { cid } of dag.blocks.map.values()) expect(await me.blocks.has(cid)).toBe(true)
    // He is asked again after half a second, a second, two seconds.
    expect(asked.length).toBeGreaterThan(0)
    expect(asked.length).toBeLessThan(10)
  })

  test('waits on for the dial that is under way when they have nothing', async () => {
    const { dag, me, cut } = await dialling()
    let asked = 0
    await fetchBeside(me, dag, () => {
      asked += 1
      cut()
      return undefined
    })
    expect(asked).toBeGreaterThan(0)
    for (const { cid } of dag.blocks.map.values()) expect(await me.blocks.has(cid)).toBe(true)
  })
})
