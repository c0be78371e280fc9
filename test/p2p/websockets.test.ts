import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { FactMaker, registryNamed, stopNodes, testNode } from '../support/swarm-node.ts'

/** A crowded machine takes its time. */
const SLOWLY = { timeout: 60_000 }

afterEach(stopNodes)

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

/** Sockets that a listener still holds. */
function openSockets({ swarm }: { readonly swarm: { readonly libp2p: object } }): number {
  const manager: unknown = Reflect.get(Reflect.get(swarm.libp2p, 'components') as object, 'transportManager')
  const listeners = (
    manager as { getListeners(): readonly { readonly sockets?: ReadonlySet<unknown> }[] }
  ).getListeners()
  return listeners.reduce((sum, { sockets }) => sum + (sockets?.size ?? 0), 0)
}
