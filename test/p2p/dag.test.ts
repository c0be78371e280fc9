import { randomBytes } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { afterEach, describe, expect, test } from 'vitest'
import { toLink } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { memoryBlocks } from '../../storage/memory-blocks.ts'
import { withheldBlocks } from '../../storage/withheld-blocks.ts'
import { fetchContent, localOf, madeUpPeer, memoryNode, store } from '../support/dag-peer.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { stopRawPeers } from '../support/raw-peer.ts'
import { registryNamed, stopNodes } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const registry = registryNamed('acme')
const registries = [registry]
const MiB = 2 ** 20

/** Folders, small files, an empty one, one of several leaves: what a package may have. */
function packageOf({ small = 40, large = 3 * MiB + 5, seed = randomBytes(16) } = {}): MadeDag {
  const blocks = new DagBlocks()
  const contents = Array.from({ length: small }, (_, i) => Buffer.concat([seed, Buffer.alloc(2_000 + i, i)]))
  const big = randomBytes(large)
  const files = Object.fromEntries(contents.map((bytes, i) => [`file-${i}`, blocks.file(bytes, MiB)]))
  const root = blocks.folder({
    'big.bin': blocks.file(big, MiB),
    empty: blocks.file(new Uint8Array(), MiB),
    'src/': blocks.folder({ lib: blocks.folder(files), none: blocks.folder({}) })
  })
  const size = contents.reduce((sum, { length }) => sum + length, big.length)
  return { blocks, root: rootOf(root), size }
}

async function expectAll(node: TestNode, { blocks }: MadeDag): Promise<void> {
  for (const { cid } of blocks.map.values()) expect(await node.blocks.has(cid)).toBe(true)
}

async function pair(): Promise<readonly [server: TestNode, me: TestNode]> {
  const [server, me] = [await memoryNode({ registries }), await memoryNode({ registries })]
  await me.swarm.connect(server.address())
  return [server, me]
}

describe('content comes from a neighbour', () => {
  test('as a whole, each block once', async () => {
    const [server, me] = await pair()
    const dag = packageOf()
    await store(server, dag.blocks)
    const local = localOf(me)
    const { stored, bytes } = await fetchContent(me, { ...dag, registry }, { local })
    await expectAll(me, dag)
    expect(stored.map(String).toSorted()).toEqual([...dag.blocks.map.keys()].toSorted())
    expect(local.puts).toHaveLength(dag.blocks.map.size)
    expect(bytes).toBe([...dag.blocks.map.values()].reduce((sum, block) => sum + block.bytes.length, 0))
  })

  test('while it is sent it is held, so that nothing of it is let go of', async () => {
    const dag = packageOf()
    const events: string[] = []
    const released = Promise.withResolvers<void>()
    const held = {
      ...memoryBlocks(),
      hold: (root: string) => {
        events.push(`held ${root}`)
        return () => {
          events.push(`released ${root}`)
          released.resolve()
        }
      }
    }
    const get = held.get.bind(held)
    Object.assign(held, {
      get: (...args: Parameters<typeof get>) => {
        if (events.at(-1) !== 'read') events.push('read')
        return get(...args)
      }
    })
    const server = await memoryNode({ registries, wrapBlocks: () => held })
    const me = await memoryNode({ registries })
    await me.swarm.connect(server.address())
    await store(server, dag.blocks)
    await fetchContent(me, { ...dag, registry })
    await released.promise
    expect(events).toEqual([`held ${dag.root}`, 'read', `released ${dag.root}`])
  })

  test('a file of one block too, and a folder with nothing in it', async () => {
    const [server, me] = await pair()
    const blocks = new DagBlocks()
    const [one, none] = [blocks.raw(randomBytes(100)), blocks.folder({})]
    await store(server, blocks)
    for (const root of [one, none]) {
      expect((await fetchContent(me, { root: rootOf(root), size: 100, registry })).stored).toEqual([root])
    }
    expect((await fetchContent(me, { root: rootOf(one), size: 100, registry })).stored).toEqual([])
  })

  test('and what is here already is not sent', async () => {
    const [server, me] = await pair()
    const dag = packageOf({ small: 400 })
    await store(server, dag.blocks)
    const all = [...dag.blocks.map.values()]
    const fresh = all.filter(({ cid }, i) => cid.code === 0x55 && i % 100 === 0)
    const root = toLink(dag.root)
    for (const { cid, bytes } of all) {
      if (!fresh.some(one => one.cid.equals(cid)) && !cid.equals(root)) await me.blocks.put(cid, bytes)
    }
    const before = me.swarm.traffic().bytesIn
    const { stored } = await fetchContent(me, { ...dag, registry })
    expect(stored.map(String).toSorted()).toEqual([...fresh.map(({ cid }) => cid), root].map(String).toSorted())
    const nodes = all.filter(({ cid }) => cid.code !== 0x55).reduce((sum, { bytes }) => sum + bytes.length, 0)
    const needed = fresh.reduce((sum, { bytes }) => sum + bytes.length, nodes)
    expect(me.swarm.traffic().bytesIn - before).toBeLessThan(needed + 16 * 1_024)
    await expectAll(me, dag)
  })

  test('and what one neighbour lacks comes from another', async () => {
    const me = await memoryNode({ registries })
    const dag = packageOf()
    const all = [...dag.blocks.map.values()]
    for (const share of [0, 1, 2]) {
      const server = await memoryNode({ registries })
      await me.swarm.connect(server.address())
      for (const [i, { cid, bytes }] of all.entries()) {
        if (i % 3 !== share) await server.blocks.put(cid, bytes)
      }
    }
    await fetchContent(me, { ...dag, registry })
    await expectAll(me, dag)
  })

  test('from several at once where it is much', async () => {
    const me = await memoryNode({ registries })
    const dag = packageOf({ small: 1, large: 32 * MiB })
    const servers = [
      await memoryNode({ registries }),
      await memoryNode({ registries }),
      await memoryNode({ registries })
    ]
    for (const server of servers) {
      await store(server, dag.blocks)
      await me.swarm.connect(server.address())
    }
    await fetchContent(me, { ...dag, registry })
    await expectAll(me, dag)
    const shares = servers.map(({ swarm }) => swarm.traffic().bytesOut)
    for (const share of shares) expect(share).toBeGreaterThan(2 * MiB)
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeLessThan(34 * MiB)
  })

  test('and nobody who has it is no failure', async () => {
    const [, me] = await pair()
    const dag = packageOf()
    expect(await fetchContent(me, { ...dag, registry })).toMatchObject({ stored: [], bytes: 0 })
    const alone = await memoryNode({ registries })
    expect(await fetchContent(alone, { ...dag, registry })).toMatchObject({ stored: [], bytes: 0 })
  })

  test('until the asker gives up', async () => {
    const me = await memoryNode({ registries })
    const dag = packageOf()
    const { asked } = await madeUpPeer(me, registry, () => ['silence'])
    const abort = new AbortController()
    const fetch = fetchContent(me, { ...dag, registry }, { signal: abort.signal })
    await expect.poll(() => asked.length).toBe(1)
    abort.abort(new Error('enough'))
    await expect(fetch).rejects.toThrow('enough')
  })
})

test('what an operator withholds, or what the disk has lost, is not sent', async () => {
  const dag = packageOf({ small: 6, large: 10 })
  const cids = [...dag.blocks.map.values()].map(({ cid }) => cid).filter(({ code }) => code === 0x55)
  const [withheld, damaged] = [cids[0], cids[1]]
  const inner = memoryBlocks()
  const server = await memoryNode({
    registries,
    wrapBlocks: () =>
      withheldBlocks(
        {
          ...inner,
          // Bytes that are at hand are not verified, and those that are asked for are found out.
          readNow: cid => (cid.equals(damaged) ? new Uint8Array(3) : inner.readNow(cid)),
          async *get(cid) {
            if (cid.equals(damaged)) throw new RegistryError('CORRUPT_BLOCK', 'not what it was')
            yield* inner.get(cid)
          }
        },
        { has: cid => cid.equals(withheld) }
      )
  })
  await store(server, dag.blocks)
  const me = await memoryNode({ registries })
  await me.swarm.connect(server.address())
  const { stored } = await fetchContent(me, { ...dag, registry })
  const kept = [...dag.blocks.map.keys()].filter(key => key !== withheld?.toString() && key !== damaged?.toString())
  expect(stored.map(String).toSorted()).toEqual(kept.toSorted())
  expect(me.events.of('onCut')).toEqual([])
})

test('a disk that takes no more ends the fetch, and nobody is struck', async () => {
  const [server, me] = await pair()
  const dag = packageOf()
  await store(server, dag.blocks)
  const local = localOf(me)
  let room = 5
  const full = {
    ...local,
    put: async (cid: CID, bytes: Uint8Array) => {
      if ((room -= 1) < 0) throw new RegistryError('DISK_FULL', 'no space is left')
      await local.put(cid, bytes)
    }
  }
  await expect(fetchContent(me, { ...dag, registry }, { local: full })).rejects.toMatchObject({ code: 'DISK_FULL' })
  expect(local.puts).toHaveLength(5)
  expect(me.swarm.peers().filter(({ connected }) => connected)).toHaveLength(1)
  await fetchContent(me, { ...dag, registry }, { local })
  await expectAll(me, dag)
})

test('who writes slowly holds the sender back, and all comes', async () => {
  const [server, me] = await pair()
  const dag = packageOf({ small: 1, large: 24 * MiB })
  await store(server, dag.blocks)
  const local = localOf(me)
  const gate = Promise.withResolvers<void>()
  const slow = {
    ...local,
    put: async (cid: CID, bytes: Uint8Array) => {
      await gate.promise
      await local.put(cid, bytes)
    }
  }
  const fetch = fetchContent(me, { ...dag, registry }, { local: slow })
  const { writeAheadBytes } = LIMITS.dag
  await expect.poll(() => me.swarm.traffic().bytesIn).toBeGreaterThan(writeAheadBytes)
  // What is on its way is one window of the stream, and one block that is not whole.
  const most = writeAheadBytes + LIMITS.streams.yamuxWindowBytes + 2 * MiB
  let before = 0
  await expect.poll(() => before === (before = me.swarm.traffic().bytesIn), { interval: 100 }).toBe(true)
  expect(me.swarm.traffic().bytesIn).toBeLessThan(most)
  gate.resolve()
  await fetch
  await expectAll(me, dag)
})

test('whoever is cut off ten times pays for one block each time, and no more', async () => {
  const [server, me] = await pair()
  const dag = packageOf({ small: 200, large: 24 * MiB })
  await store(server, dag.blocks)
  const total = [...dag.blocks.map.values()].reduce((sum, { bytes }) => sum + bytes.length, 0)
  const cuts = Array.from({ length: 10 }, () => Math.floor(Math.random() * total)).toSorted((a, b) => a - b)
  const { libp2p } = me.swarm
  const before = me.swarm.traffic().bytesIn
  const local = localOf(me)
  const arrived = (): number => me.swarm.traffic().bytesIn - before
  for (const cut of cuts) {
    const over = fetchContent(me, { ...dag, registry }, { local })
    const [connection] = libp2p.getConnections(server.swarm.libp2p.peerId)
    await Promise.race([over, expect.poll(() => arrived() >= cut, { interval: 1 }).toBe(true)])
    connection?.abort(new Error('cut'))
    await over
    await me.swarm.connect(server.address())
  }
  await fetchContent(me, { ...dag, registry }, { local })
  await expectAll(me, dag)
  expect(local.puts).toHaveLength(dag.blocks.map.size)
  // Handshakes, introductions and the frames around what is sent: about one in a hundred.
  expect(arrived()).toBeLessThan(total * 1.01 + cuts.length * (LIMITS.content.chunkBytes + 32 * 1_024))
})
