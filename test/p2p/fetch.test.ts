import { createHash, randomBytes } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { afterEach, expect, test } from 'vitest'
import type { Blockstore } from '../../node/p2p/components.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { shortPeer } from '../../protocol/peer-text.ts'
import { registryNamed, stopNodes, testNode } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'

afterEach(stopNodes)

const registry = registryNamed('acme')
const registries = [registry]

function rawCid(bytes: Uint8Array): CID {
  return CID.createV1(0x55, createDigest(0x12, createHash('sha256').update(bytes).digest()))
}

async function store(node: TestNode, bytes: Uint8Array): Promise<CID> {
  const cid = rawCid(bytes)
  await node.blocks.put(cid, bytes)
  return cid
}

/** A node that has what is asked for, and sends other bytes. */
async function liar(bytes: Uint8Array): Promise<TestNode> {
  return await testNode({
    registries,
    wrapBlocks: blocks =>
      new Proxy<Blockstore>(blocks, {
        get: (target, name) => {
          if (name === 'has') return async () => true
          if (name === 'get')
            return async function* () {
              yield bytes
            }
          const value: unknown = Reflect.get(target, name)
          return typeof value === 'function'
            ? (...args: unknown[]): unknown => Reflect.apply(value, target, args)
            : value
        }
      })
  })
}

test('gets blocks from a neighbour and keeps them', async () => {
  const [a, b] = [await testNode({ registries }), await testNode({ registries })]
  await b.swarm.connect(a.address())
  const contents = Array.from({ length: 120 }, () => randomBytes(20_000))
  const cids = await Promise.all(contents.map(async bytes => await store(a, bytes)))
  const sessions = [b.swarm.fetch(registry), b.swarm.fetch(registry), b.swarm.fetch(registry)]
  const got = await Promise.all(cids.map(async (cid, i) => await sessions[i % 3]?.block(cid)))
  for (const session of sessions) session.close()
  expect(got.every((bytes, i) => bytes !== undefined && contents[i]?.equals(bytes) === true)).toBe(true)
  for (const cid of cids) expect(await b.blocks.has(cid)).toBe(true)
})

test('a block of 1 MiB comes whole', async () => {
  const [a, b] = [await testNode({ registries }), await testNode({ registries })]
  await b.swarm.connect(a.address())
  const bytes = randomBytes(2 ** 20)
  const cid = await store(a, bytes)
  const session = b.swarm.fetch(registry)
  expect(Buffer.from(await session.block(cid)).equals(bytes)).toBe(true)
  session.close()
})

test('a liar is passed over for an honest neighbour, and his bytes are stored nowhere', async () => {
  const wrong = randomBytes(5_000)
  const right = randomBytes(5_000)
  const [bad, good, me] = [
    await liar(wrong),
    await testNode({ registries }),
    await testNode({ registries, config: { tuning: { hedgeMs: 300 } } })
  ]
  await me.swarm.connect(bad.address())
  await me.swarm.connect(good.address())
  const cid = await store(good, right)
  const session = me.swarm.fetch(registry, { providers: [bad.swarm.peerId, good.swarm.peerId] })
  expect(Buffer.from(await session.block(cid)).equals(right)).toBe(true)
  session.close()
  expect(await me.blocks.has(rawCid(wrong))).toBe(false)
})

test('with liars only the fetch ends at its deadline and says whom it asked', async () => {
  const bad = await liar(randomBytes(5_000))
  const me = await testNode({ registries, config: { tuning: { hedgeMs: 100, blockTimeoutMs: 1_500 } } })
  await me.swarm.connect(bad.address())
  const cid = rawCid(randomBytes(5_000))
  const session = me.swarm.fetch(registry)
  const error: unknown = await session.block(cid).catch((thrown: unknown) => thrown)
  session.close()
  if (!isRegistryError(error)) throw error
  expect(error.code).toBe('CONTENT_UNAVAILABLE')
  expect(error.tried).toContain('asked 1 peer, 0 said no, 1 did not answer in 1.5 s')
  expect(await me.blocks.has(cid)).toBe(false)
})

test('a neighbour that has not got it says so', async () => {
  const [a, me] = [
    await testNode({ registries }),
    await testNode({ registries, config: { tuning: { blockTimeoutMs: 1_500 } } })
  ]
  await me.swarm.connect(a.address())
  const session = me.swarm.fetch(registry)
  await expect(session.block(rawCid(randomBytes(9)))).rejects.toMatchObject({
    code: 'CONTENT_UNAVAILABLE',
    message: expect.stringContaining('asked 1 peer, 1 said no') as string
  })
  session.close()
})

test('a peer that is gone has not said no', async () => {
  const [gone, me] = [
    await testNode({ registries }),
    await testNode({ registries, config: { tuning: { blockTimeoutMs: 700, hedgeMs: 100 } } })
  ]
  const { peerId } = gone.swarm
  await me.swarm.connect(gone.address())
  await gone.stop()
  const session = me.swarm.fetch(registry, { providers: [peerId] })
  const error: unknown = await session.block(rawCid(randomBytes(9))).catch((thrown: unknown) => thrown)
  session.close()
  if (!isRegistryError(error)) throw error
  expect(error.tried).toContain(`over bitswap: ${shortPeer(peerId)} could not be reached`)
})

test('a fetch that is given up stops at once', async () => {
  const me = await testNode({ registries })
  const abort = new AbortController()
  const session = me.swarm.fetch(registry, { signal: abort.signal })
  const block = session.block(rawCid(randomBytes(9)))
  abort.abort(new Error('enough'))
  await expect(block).rejects.toThrow('enough')
  session.close()
})

test('finds in the DHT who has said that it provides', async () => {
  const [a, b, c] = [await testNode(), await testNode(), await testNode()]
  await b.swarm.connect(a.address())
  await c.swarm.connect(b.address())
  const cid = await store(a, randomBytes(100))
  await expect.poll(() => a.swarm.libp2p.services.dht.getMode()).toBe('server')
  a.swarm.provide(cid)
  await expect.poll(async () => await c.swarm.findProviders(cid), { interval: 200 }).toContain(a.swarm.peerId)
})
