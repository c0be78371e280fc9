import type { Stream } from '@libp2p/interface'
import { afterEach, expect, test } from 'vitest'
import { encodeFactsRequest } from '../../protocol/facts-messages.ts'
import { HELLO_PROTOCOL } from '../../protocol/hello.ts'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { encodeFrame } from '../../protocol/frame.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { dialRaw, drain, rawPeer, sayHello, stopRawPeers } from '../support/raw-peer.ts'
import { FactMaker, registryNamed, stopNodes, testNode } from '../support/swarm-node.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const registry = registryNamed('acme')

/** Every protocol that the node answers, by what the node itself has registered. */
async function everyProtocol(): Promise<readonly string[]> {
  const probe = await testNode()
  const protocols = probe.swarm.libp2p.getProtocols().filter(protocol => protocol !== HELLO_PROTOCOL)
  await probe.stop()
  return protocols
}

test('answers no protocol, its own or a library one, before the introduction', async () => {
  const protocols = await everyProtocol()
  // The list is the node's own; these are in it, or the test would prove nothing.
  for (const known of [
    '/ggen/facts/1',
    '/ggen/sync/1',
    '/ggen/kad/1.0.0',
    '/ipfs/bitswap/1.2.0',
    '/meshsub/1.2.0',
    '/ipfs/id/1.0.0'
  ]) {
    expect(protocols).toContain(known)
  }
  const node = await testNode({ registries: [registry], config: { tuning: { helloTimeoutMs: 3_000 } } })
  node.facts.addAll(registry, new FactMaker(registry).many(3))
  const opened: Stream[] = []
  // No more on one connection than may wait there, and than libp2p keeps of those that come before it listens (10): some
  // would be refused for their number.
  const most = Math.min(LIMITS.hello.waitingStreams, 8)
  const groups = Array.from({ length: Math.ceil(protocols.length / most) }, (_, i) =>
    protocols.slice(i * most, (i + 1) * most)
  )
  let open = 0
  const knock = async (group: readonly string[]): Promise<void> => {
    const stranger = await rawPeer()
    await stranger.handle(protocols.slice(), stream => void opened.push(stream))
    const connection = await dialRaw(stranger, node.address())
    const heard = await Promise.all(
      group.map(async protocol => {
        // On a slow machine the time is up before all are open; on those nothing can be heard either.
        const stream = await connection.newStream(protocol).catch(() => undefined)
        if (stream === undefined) return 0
        open += 1
        const bytes = drain(stream)
        stream.send(encodeFrame(encodeFactsRequest(requestAll())))
        stream.send(new Uint8Array(100))
        return (await bytes).length
      })
    )
    expect(heard).toEqual(group.map(() => 0))
    await expect.poll(() => connection.status).not.toBe('open')
  }
  await Promise.all(groups.map(knock))
  expect(open).toBeGreaterThan(0)
  // The node did not open a stream of its own accord either.
  expect(opened.map(({ protocol, direction }) => `${protocol} ${direction}`)).toEqual([])
  expect(node.facts.judged).toBe(0)
  expect(node.swarm.peers().filter(peer => peer.connected)).toEqual([])
})

test('a peer that connects and says nothing is dropped when its time is up', async () => {
  const node = await testNode({ config: { tuning: { helloTimeoutMs: 300 } } })
  const connection = await dialRaw(await rawPeer(), node.address())
  await new Promise(resolve => connection.addEventListener('close', resolve, { once: true }))
  expect(node.events.of('onPeer')).toEqual([])
  await expect.poll(() => node.swarm.libp2p.getConnections().length).toBe(0)
})

test('a peer that has introduced itself is answered, on one stream after another', async () => {
  const node = await testNode({ registries: [registry] })
  node.facts.addAll(registry, new FactMaker(registry).many(3))
  const connection = await dialRaw(await rawPeer(), node.address())
  await sayHello(connection)
  // More than once: libp2p's own middleware list keeps the handler of each stream and runs it for the next ones.
  for (let i = 0; i < 3; i++) {
    const io = new FramedStream(await connection.newStream('/ggen/facts/1'))
    await io.write(encodeFactsRequest(requestAll()), AbortSignal.timeout(60_000))
    expect(await io.read(2 ** 20, AbortSignal.timeout(60_000))).toBeDefined()
    expect((await io.chunk(AbortSignal.timeout(60_000)))?.length).toBeGreaterThan(300)
    await io.end(AbortSignal.timeout(60_000))
  }
})

test('a second hello on one connection is refused', async () => {
  const node = await testNode()
  const connection = await dialRaw(await rawPeer(), node.address())
  await sayHello(connection)
  await expect(sayHello(connection)).rejects.toThrow()
})

test.each([
  ['a hello', HELLO_PROTOCOL, false],
  ['a request for facts', '/ggen/facts/1', true],
  ['a comparison', '/ggen/sync/1', true]
])('%s that claims 10 MB is refused at its header', async (_, protocol, introduced) => {
  const node = await testNode({ registries: [registry], config: { tuning: { helloTimeoutMs: 15_000 } } })
  const connection = await dialRaw(await rawPeer(), node.address())
  if (introduced) await sayHello(connection)
  const stream = await connection.newStream(protocol)
  const header = new Uint8Array(4)
  new DataView(header.buffer).setUint32(0, 10 * 2 ** 20)
  const ended = drain(stream)
  stream.send(header)
  expect((await ended).length).toBe(0)
  expect(stream.status).toBe('reset')
})

test('a stranger cannot pile up bytes on a stream while he has no verdict', async () => {
  const node = await testNode({ config: { tuning: { helloTimeoutMs: 60_000 } } })
  const connection = await dialRaw(await rawPeer(), node.address())
  const stream = await connection.newStream('/ggen/facts/1')
  const reset = new Promise(resolve => stream.addEventListener('close', resolve, { once: true }))
  stream.send(new Uint8Array(200 * 1024))
  await reset
  expect([stream.status, connection.status]).toEqual(['reset', 'open'])
})

test('a stranger cannot pile up streams while he has no verdict', async () => {
  const node = await testNode({ config: { tuning: { helloTimeoutMs: 60_000 } } })
  const connection = await dialRaw(await rawPeer(), node.address())
  const protocols = ['/ggen/kad/1.0.0', '/ipfs/bitswap/1.2.0']
  const streams: Stream[] = []
  for (let i = 0; i < LIMITS.hello.waitingStreams + 4; i++)
    streams.push(await connection.newStream(protocols[i % 2] ?? ''))
  await expect.poll(() => streams.filter(({ status }) => status === 'reset').length).toBe(4)
  expect(connection.status).toBe('open')
})

function requestAll() {
  return { type: 'snapshot', registry } as const
}
