import { randomBytes } from 'node:crypto'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, expect, test } from 'vitest'
import { relayOf } from '../../node/p2p/address.ts'
import { toLink } from '../../protocol/cid.ts'
import { fetchContent, memoryNode, store } from '../support/dag-peer.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { registryNamed, stopNodes } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'

/** A crowded machine takes its time. */
const SLOWLY = { timeout: 60_000 }

afterEach(stopNodes)

const registry = registryNamed('acme')
const registries = [registry]

function folder(): MadeDag {
  const blocks = new DagBlocks()
  const files = Array.from({ length: 30 }, (_, i) => [`f${i}`, blocks.raw(randomBytes(9_000))] as const)
  return { blocks, root: rootOf(blocks.folder(Object.fromEntries(files))), size: 30 * 9_000 }
}

async function inDht(asker: TestNode, { root }: MadeDag, provider: TestNode): Promise<void> {
  await expect.poll(() => provider.swarm.libp2p.services.dht.getMode(), SLOWLY).toBe('server')
  provider.swarm.provide(toLink(root))
  await expect
    .poll(async () => await asker.swarm.findProviders(toLink(root)), { ...SLOWLY, interval: 200 })
    .toContain(provider.swarm.peerId)
}

test('content that only somebody has whom nobody but the DHT knows is found, and comes as a stream', async () => {
  const [far, middle, me] = [await memoryNode(), await memoryNode(), await memoryNode({ registries })]
  await middle.swarm.connect(far.address())
  await me.swarm.connect(middle.address())
  const dag = folder()
  await store(far, dag.blocks)
  await inDht(me, dag, far)
  // To look in the DHT is to speak to those who are in it.
  await me.swarm.disconnect(far.swarm.peerId)
  await expect.poll(() => me.swarm.peers().filter(({ connected }) => connected).length).toBe(1)
  const { stored, found } = await fetchContent(me, { ...dag, registry })
  expect(found).toEqual([far.swarm.peerId])
  expect(stored).toHaveLength(dag.blocks.map.size)
  expect(me.swarm.peers().map(({ id }) => id)).toContain(far.swarm.peerId)
})

test('content that is held only behind a relay is found, by whoever is connected to the relay', async () => {
  const relay = await memoryNode({ config: { relay: true } })
  const hidden = await memoryNode({ config: { listen: [] } })
  const me = await memoryNode({ registries, config: { listen: [] } })
  await hidden.swarm.connect(relay.address())
  const isRelayed = (): boolean => hidden.swarm.addresses().some(text => relayOf(multiaddr(text)) !== undefined)
  await expect.poll(isRelayed, SLOWLY).toBe(true)
  await me.swarm.connect(relay.address())
  const dag = folder()
  await store(hidden, dag.blocks)
  await inDht(me, dag, hidden)
  const { stored } = await fetchContent(me, { ...dag, registry })
  expect(stored).toHaveLength(dag.blocks.map.size)
  const [connection] = me.swarm.libp2p.getConnections(hidden.swarm.libp2p.peerId)
  expect(connection === undefined ? undefined : relayOf(connection.remoteAddr)).toBe(relay.swarm.peerId)
})
