import { afterEach, expect, test } from 'vitest'
import { factsTopic } from '../../protocol/gossip-message.ts'
import { registryNamed, stopNodes, testNode } from '../support/swarm-node.ts'

afterEach(stopNodes)

test('two nodes introduce themselves and see what the other says', async () => {
  const registry = registryNamed('acme')
  const [a, b] = [await testNode({ registries: [registry] }), await testNode({ config: { roles: ['mirror'] } })]
  const id = await b.swarm.connect(a.address())
  expect(id).toBe(a.swarm.peerId)
  expect(await a.events.next('onPeer')).toBe(b.swarm.peerId)
  const [seen] = b.swarm.peers()
  expect(seen).toMatchObject({ id, connected: true, direction: 'outbound', agent: 'ggen-node/test', version: 1 })
  expect(seen?.registries).toEqual([registry])
  expect(a.swarm.peers()[0]).toMatchObject({ direction: 'inbound', roles: ['mirror'] })
  expect(factsTopic(registry)).toContain(registry)
})

test('a peer without a version in common is refused with the reason', async () => {
  const [a, b] = [await testNode(), await testNode({ config: { versions: [9] } })]
  await expect(b.swarm.connect(a.address())).rejects.toMatchObject({ code: 'PEER_INCOMPATIBLE' })
  await expect(a.swarm.connect(b.address())).rejects.toMatchObject({ code: 'PEER_INCOMPATIBLE' })
  expect(a.events.of('onPeer')).toEqual([])
})

test('counts the bytes of each peer at the socket', async () => {
  const [a, b] = [await testNode(), await testNode()]
  await b.swarm.connect(a.address())
  await a.events.next('onPeer')
  const [of] = a.swarm.peers()
  expect(of?.bytesIn).toBeGreaterThan(300)
  expect(of?.bytesOut).toBeGreaterThan(300)
  await b.stop()
  await a.events.next('onPeerGone')
  const [after] = a.swarm.peers()
  expect(after).toMatchObject({ id: b.swarm.peerId, connected: false })
  expect(after?.bytesIn).toBeGreaterThanOrEqual(of?.bytesIn ?? Infinity)
})

test('a port that is taken is said to be taken', async () => {
  const a = await testNode()
  const port = /tcp\/(\d+)/.exec(a.address())?.[1] ?? ''
  const b = await testNode({ start: false, config: { listen: [`/ip4/127.0.0.1/tcp/${port}`] } })
  await expect(b.swarm.start()).rejects.toMatchObject({ code: 'PORT_IN_USE' })
})
