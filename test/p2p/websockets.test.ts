import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, expect, test } from 'vitest'
import { dial } from '../../node/p2p/dial.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { closeWays, listening, nobody, wayTo } from '../support/silent-ways.ts'
import { FactMaker, realClock, registryNamed, stopNodes, testNode } from '../support/swarm-node.ts'

/** A crowded machine takes its time. */
const SLOWLY = { timeout: 60_000 }

afterEach(async () => {
  try {
    await stopNodes()
  } finally {
    await closeWays()
  }
})

const registry = registryNamed('acme')
const registries = [registry]
const listen = ['/ip4/127.0.0.1/tcp/0/ws']

test('a node that listens on WebSockets is reached by one that was told of none', async () => {
  const a = await testNode({ registries, config: { listen } })
  a.facts.addAll(registry, new FactMaker(registry).many(500))
  expect(a.address()).toMatch(/\/tcp\/\d+\/ws\/p2p\//)
  const b = await testNode({ registries })
  await b.swarm.connect(a.address())
  await b.facts.until(registry, 500)
  expect(a.swarm.peers()[0]?.address).toContain('/ws')
  // What was sent is counted where the socket can be seen.
  expect(a.swarm.traffic().bytesOut).toBeGreaterThan(50_000)
})

test('the limits by address hold for WebSockets as for any other transport', async () => {
  const tuning = { perPrivateRange: 1 }
  const a = await testNode({ config: { listen, tuning } })
  const [b, c] = [await testNode(), await testNode()]
  await b.swarm.connect(a.address())
  await expect(c.swarm.connect(a.address())).rejects.toThrow()
  expect(a.swarm.libp2p.getConnections().length).toBe(1)
})

test('a peer that is cut is cut at its socket', async () => {
  const a = await testNode({ registries, config: { listen } })
  const b = await testNode({ registries })
  await b.swarm.connect(a.address())
  await a.events.next('onPeer')
  for (let i = 0; i < 40; i++) a.swarm.blame(b.swarm.peerId)
  await a.events.next('onCut')
  await b.events.next('onPeerGone')
  await expect.poll(() => openSockets(a), SLOWLY).toBe(0)
})

test('a socket that says nothing does not stay, nor does one that asks for something else', async () => {
  const a = await testNode({ config: { listen } })
  const port = Number(/tcp\/(\d+)/.exec(a.address())?.[1])
  const silent = connect({ host: '127.0.0.1', port })
  silent.on('error', () => {})
  const closed = once(silent, 'close')
  const answer = await fetch(`http://127.0.0.1:${port}/`)
  expect(answer.status).toBe(400)
  const started = performance.now()
  await closed
  expect(performance.now() - started).toBeLessThan(LIMITS.reach.webSocket.requestMs * 3)
})

test('a dial that is given up leaves no socket, also where the other side agrees later', async () => {
  const asked = Promise.withResolvers<readonly [Socket, string]>()
  const port = await listening(socket => {
    socket.once('data', (bytes: Buffer) => asked.resolve([socket, bytes.toString()]))
  })
  const me = await testNode()
  const given = new AbortController()
  const dialled = me.swarm.libp2p.dial(multiaddr(`/ip4/127.0.0.1/tcp/${port}/ws/p2p/${await nobody()}`), {
    signal: given.signal
  })
  dialled.catch(() => {})
  const [socket, request] = await asked.promise
  const closed = new Promise(resolve => socket.resume().once('close', resolve))
  given.abort()
  await expect(dialled).rejects.toThrow()
  const key = `${/sec-websocket-key: (.*)\r/i.exec(request)?.[1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
  const accept = createHash('sha1').update(key).digest('base64')
  const agrees = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade']
  socket.write([...agrees, `Sec-WebSocket-Accept: ${accept}`, '', ''].join('\r\n'))
  await closed
}, 30_000)

test('a peer that takes its time to agree to WebSockets is waited for by somebody in a hurry, too', async () => {
  const far = await testNode({ config: { listen } })
  const way = await wayTo(far, { lateMs: LIMITS.connections.addressOpenMs * 2 })
  const me = await testNode()
  const addresses = [way.address, `/ip4/127.0.0.1/tcp/1/ws/p2p/${far.swarm.peerId}`].map(text => multiaddr(text))
  const options = { membership: undefined, signal: AbortSignal.timeout(60_000), hurry: realClock }
  expect(await dial(me.swarm.libp2p, addresses, options)).toBe(far.swarm.peerId)
  expect(way.taken()).toBe(1)
})

/** Sockets that a listener still holds. */
function openSockets({ swarm }: { readonly swarm: { readonly libp2p: object } }): number {
  const manager: unknown = Reflect.get(Reflect.get(swarm.libp2p, 'components') as object, 'transportManager')
  const listeners = (
    manager as { getListeners(): readonly { readonly sockets?: ReadonlySet<unknown> }[] }
  ).getListeners()
  return listeners.reduce((sum, { sockets }) => sum + (sockets?.size ?? 0), 0)
}
