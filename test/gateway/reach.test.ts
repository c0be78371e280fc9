import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { BlocksBelow } from '../../node/blocks-below.ts'
import { PUBLIC_SWARM } from '../../node/config-schema.ts'
import { StreamSight } from '../../node/p2p/dag-sight.ts'
import { Reach } from '../../node/reach.ts'
import { Reachable } from '../../node/reachable.ts'
import type { DigestView } from '../../protocol/attest/fold.ts'
import { parseContentId, toLink } from '../../protocol/cid.ts'
import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import type { PackageView } from '../../protocol/fold.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseUnixfsNode } from '../../protocol/unixfs-node.ts'
import { listBlocks } from '../../storage/content/walk-dag.ts'
import { memoryBlocks } from '../../storage/memory-blocks.ts'
import { askDag } from '../support/ask-dag.ts'
import { packageFolder } from '../support/package-folder.ts'
import { subject } from '../support/facts.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import { runningNode, stopRunningNodes } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { stopNodes, testNode } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'

let node: TestRunningNode
let asker: TestNode
let registry: RegistryId
let root: ContentId

beforeAll(async () => {
  node = await runningNode()
  registry = await node.found('curated')
  root = await publish('alpha')
  asker = await testNode({ registries: [registry], config: { tuning: { blockTimeoutMs: 1_000 } } })
  await asker.swarm.connect(node.address)
}, 180_000)

afterAll(async () => {
  await stopNodes()
  await stopRunningNodes()
})

const publish = async (name: string, where: RegistryId = registry): Promise<ContentId> => {
  const folder = await packageFolder({ name, files: { 'docs/one.md': randomBytes(9_000) } })
  return (await node.call('publish', { folder, registry: where })).cid
}

const blocksOf = async (of: ContentId, where: RegistryId = registry): Promise<readonly CID[]> => {
  const found: CID[] = []
  for await (const cid of listBlocks(of, node.parts.spaces.of(where).stored)) found.push(cid)
  return found
}

/** A folder with a file, on the disk of the node as what was imported and refused is. */
async function stray(): Promise<{ readonly top: ContentId; readonly leaf: CID }> {
  const blocks = new DagBlocks()
  const leaf = blocks.raw(randomBytes(5_000))
  const top = rootOf(blocks.folder({ 'a.txt': leaf }))
  for (const { cid, bytes } of blocks.map.values()) await node.parts.spaces.public.allBlocks.put(cid, bytes)
  return { top, leaf }
}

async function overBitswap(cid: CID): Promise<boolean> {
  const session = asker.swarm.fetch(registry)
  try {
    await session.block(cid)
    return true
  } catch {
    return false
  } finally {
    session.close()
  }
}

test('what a release leads to is sent over every way', async () => {
  const all = await blocksOf(root)
  expect(all.length).toBeGreaterThan(3)
  expect(await askDag(asker, { root, wants: [toLink(root)], reach: 'all' })).toEqual([...all.map(() => 'block'), 'end'])
  // Leaves alone, as whoever has the rest asks for them.
  expect(await askDag(asker, { root, wants: all.slice(1) })).toEqual([...all.slice(1).map(() => 'block'), 'end'])
  for (const cid of all) expect(await overBitswap(cid)).toBe(true)
})

test('what lies on the disk and no release leads to is sent over none', async () => {
  const { top, leaf } = await stray()
  expect(await askDag(asker, { root: top, wants: [toLink(top)], reach: 'all' })).toEqual(['missing', 'end'])
  expect(await askDag(asker, { root: top, wants: [leaf] })).toEqual(['missing', 'end'])
  // Attack: asked for as if it were part of a package that anybody may have.
  const wants = [toLink(root), leaf, toLink(top)]
  expect(await askDag(asker, { root, wants })).toEqual(['block', 'missing', 'missing', 'end'])
  expect(await overBitswap(leaf)).toBe(false)
  expect(await overBitswap(toLink(top))).toBe(false)
  expect(await node.parts.spaces.public.blocks.has(leaf)).toBe(true)
})

test('several contents that releases name are sent at once, and among them nothing that none names', async () => {
  const others = [await publish('many-one'), await publish('many-two')]
  const { top } = await stray()
  const wants = [root, ...others, top].map(toLink)
  const counts = await Promise.all([root, ...others].map(async of => (await blocksOf(of)).length))
  const blocks = Array.from({ length: counts.reduce((sum, n) => sum + n, 0) }, () => 'block')
  const frames = await askDag(asker, { root, wants, reach: 'all' })
  // What two of them share comes once.
  expect(frames.filter(type => type === 'block').length).toBeLessThanOrEqual(blocks.length)
  expect(frames.filter(type => type === 'block').length).toBeGreaterThan(counts[0] ?? 0)
  expect(frames.slice(-2)).toEqual(['missing', 'end'])
})

test('what has just been published is sent at once, and what was yanked as before', async () => {
  const fresh = await publish('beta')
  const leaf = (await blocksOf(fresh)).at(-1) as CID
  expect(await askDag(asker, { root: fresh, wants: [leaf] })).toEqual(['block', 'end'])
  expect(await overBitswap(leaf)).toBe(true)
  await node.call('yank', { reference: 'main:beta@1.0.0', reason: 'broken' })
  expect(await askDag(asker, { root: fresh, wants: [leaf] })).toEqual(['block', 'end'])
})

test('what is in quarantine is sent over none from that moment on, stays on the disk, and is sent again once it is lifted', async () => {
  const stopped = await publish('epsilon')
  const leaf = (await blocksOf(stopped)).at(-1) as CID
  const wants = [toLink(stopped), leaf]
  expect(await askDag(asker, { root: stopped, wants })).toEqual(['block', 'block', 'end'])
  await node.call('quarantine', { reference: 'main:epsilon@1.0.0', reason: 'a key leaked' })
  expect(await askDag(asker, { root: stopped, wants })).toEqual(['missing', 'missing', 'end'])
  expect(await overBitswap(leaf)).toBe(false)
  expect(await overBitswap(toLink(stopped))).toBe(false)
  expect(await askDag(asker, { root, wants: [toLink(root)] })).toEqual(['block', 'end'])
  expect(await node.parts.spaces.public.blocks.has(leaf)).toBe(true)
  await node.call('unquarantine', { reference: 'main:epsilon@1.0.0' })
  expect(await askDag(asker, { root: stopped, wants })).toEqual(['block', 'block', 'end'])
})

test('what is in quarantine is said of to nobody, and said again once it is lifted', async () => {
  const stopped = await publish('zeta')
  const { contentRouting } = node.parts.network().libp2p
  const withdrawn = vi.spyOn(contentRouting, 'cancelReprovide')
  const told = () => asker.swarm.holders(stopped)
  await expect.poll(told).toEqual([node.peerId])
  await node.call('quarantine', { reference: 'main:zeta@1.0.0', reason: 'a key leaked' })
  await expect.poll(told).toEqual([])
  expect(withdrawn.mock.calls.map(([cid]) => cid.toString())).toEqual([stopped])
  const { swarm } = await testNode({ registries: [registry] })
  await swarm.connect(node.address)
  await expect.poll(() => swarm.holders(root)).toEqual([node.peerId])
  expect(swarm.holders(stopped)).toEqual([])
  const provided = vi.spyOn(contentRouting, 'provide').mockResolvedValue()
  for (const each of [stopped, root]) node.parts.network().provide(toLink(each))
  const again = () => provided.mock.calls.map(([cid]) => cid.toString())
  await expect.poll(again).toEqual([root])
  await node.call('unquarantine', { reference: 'main:zeta@1.0.0' })
  await expect.poll(() => [told(), again()]).toEqual([[node.peerId], [root, stopped]])
  vi.restoreAllMocks()
})

test('what is in quarantine here and named by another package, too, is sent again once all was read anew', async () => {
  const dag = new DagBlocks()
  const shared = rootOf(dag.folder({ a: dag.raw(randomBytes(9)) }))
  const other = '2' as string as RegistryId
  const { signal } = new AbortController()
  let now = 0
  let isStopped = false
  const view = (): PackageView =>
    ({
      versions: [{ yanks: [], contents: [{ root: shared }], ...(isStopped ? { quarantines: [{}] } : {}) }]
    }) as unknown as PackageView
  const named = { versions: [{ yanks: [], contents: [{ root: shared }] }] } as unknown as PackageView
  const reachable = new Reachable({
    space: () => ({
      stored: memoryBlocks(),
      isKept: async () => false,
      onKept: () => () => undefined,
      kept: async function* () {
        yield* []
      }
    }),
    registries: () => [registry, other],
    view: {
      ...NOTHING_SAID,
      find: async () => view(),
      packages: async function* (which: RegistryId) {
        yield which === other ? named : view()
      }
    },
    clock: { now: () => now, after: () => undefined },
    stopping: signal
  })
  const isShown = (): Promise<boolean> => reachable.isNamed(toLink(shared), signal)
  expect(await isShown()).toBe(true)
  isStopped = true
  reachable.noted(registry, subject('alpha'))
  expect(await isShown()).toBe(false)
  // Nor does news about roles, which makes all of it be read again in a while, bring it back before.
  reachable.noted(registry, 'registry')
  expect(await isShown()).toBe(false)
  now += LIMITS.gateway.rescanMs
  expect(await isShown()).toBe(true)
})

test('what an operator withholds is sent over none, whatever leads to it', async () => {
  const withheld = await publish('gamma')
  const [, ...below] = await blocksOf(withheld)
  await node.call('takedown', { reference: withheld, reason: '', release: false, isDeleted: false })
  const own = below.at(-1) as CID
  expect(await askDag(asker, { root: withheld, wants: [toLink(withheld), own] })).toEqual(['missing', 'missing', 'end'])
  expect(await overBitswap(own)).toBe(false)
})

test('each host shows what its own registries lead to, and a public release that names private content leads to none', async () => {
  const { registry: own } = await node.call('swarmCreate', { name: 'acme' })
  const secret = await publish('secret', own)
  const stopping = new AbortController().signal
  const reach = new Reach({ ...node.parts, stopping })
  const [open, closed] = [reach.sightOf(PUBLIC_SWARM), reach.sightOf('acme')]
  const wants = await blocksOf(secret, own)
  expect([await closed.isNamed(secret, stopping), await open.isNamed(secret, stopping)]).toEqual([true, false])
  expect([await closed.isNamed(root, stopping), await open.isNamed(root, stopping)]).toEqual([false, true])
  expect([await closed.strange(secret, wants), await open.strange(secret, wants)]).toEqual([[], wants.slice(1)])
  for (const cid of wants)
    expect([await closed.has(cid, stopping), await open.has(cid, stopping)]).toEqual([true, false])
})

test('a predicate that is content is shown where it was said, also by a node that reads everything anew', async () => {
  const file = join(await tempDir('predicate'), 'review.json')
  await writeFile(file, JSON.stringify({ score: 4, text: 'long\n'.repeat(20_000) }))
  const { content } = await node.call('attest', { reference: 'alpha', type: 'review', predicate: file })
  const cid = parseContentId(content ?? '')
  const stopping = new AbortController().signal
  const reach = new Reach({ ...node.parts, stopping })
  expect(await reach.sightOf(PUBLIC_SWARM).isNamed(cid, stopping)).toBe(true)
  expect(await reach.sightOf('acme').isNamed(cid, stopping)).toBe(false)
})

test('what a registry held that is no longer followed is sent over none', async () => {
  const { id } = await node.call('registryCreate', { name: 'other', alias: 'other' })
  const left = await publish('delta', id)
  expect(await askDag(asker, { root: left, wants: [toLink(left)] })).toEqual(['block', 'end'])
  await node.call('registryRemove', { registry: 'other', purge: false })
  expect(await askDag(asker, { root: left, wants: [toLink(left)] })).toEqual(['missing', 'end'])
})

/** A registry in which nobody says anything of bytes. */
const NOTHING_SAID = {
  said: async () => undefined,
  digests: async function* (): AsyncGenerator<DigestView> {
    yield* []
  }
}

describe('one stream', () => {
  const clock = { now: () => 0, after: () => () => undefined }
  const dag = new DagBlocks()
  const leaves = Array.from({ length: 600 }, () => dag.raw(randomBytes(9)))
  const top = dag.folder(Object.fromEntries(leaves.map((leaf, i) => [`f${i}`, leaf])))
  const request = (wants: readonly CID[]) => ({ reach: 'blocks', root: rootOf(top), wants }) as const

  test('knows the leaves by the nodes that it was sent, and reads nothing for them', async () => {
    const asked: CID[] = []
    const strange = async (_: ContentId, cids: readonly CID[]): Promise<readonly CID[]> => (asked.push(...cids), cids)
    const below = new StreamSight({ sight: { isNamed: async () => true, strange }, clock })
    expect(await below.hidden(request([top]))).toEqual(new Set())
    expect(await below.hidden(request(leaves.slice(0, 1)))).toEqual(new Set(leaves.slice(0, 1)))
    below.sent(parseUnixfsNode(dag.bytes(top), LIMITS.content))
    asked.length = 0
    const other = dag.raw(randomBytes(9))
    expect(await below.hidden(request([...leaves, other]))).toEqual(new Set([other]))
    expect(asked).toEqual([other])
  })

  test('shows nothing more as soon as its root is named no more', async () => {
    let isNamed = true
    const below = new StreamSight({ sight: { isNamed: async () => isNamed, strange: async () => [] }, clock })
    expect((await below.hidden(request(leaves))).size).toBe(0)
    isNamed = false
    expect(await below.hidden(request(leaves))).toEqual(new Set(leaves))
  })
})

test('whoever asks for a root does not wait for those who make the node look through all that it holds', async () => {
  const dag = new DagBlocks()
  const named = rootOf(dag.folder({ a: dag.raw(randomBytes(9)) }))
  const stuck = Promise.withResolvers<void>()
  const { signal } = new AbortController()
  const reachable = new Reachable({
    space: () => ({
      stored: memoryBlocks(),
      isKept: async () => true,
      onKept: () => () => undefined,
      kept: async function* () {
        await stuck.promise
        yield named
      }
    }),
    registries: () => [registry],
    view: {
      ...NOTHING_SAID,
      find: async () => undefined,
      packages: async function* () {
        yield { versions: [{ contents: [{ root: named }] }] } as unknown as PackageView
      }
    },
    clock: node.parts.clock,
    stopping: signal
  })
  const block = reachable.has(dag.raw(randomBytes(9)), signal)
  expect(await reachable.isNamed(toLink(named), signal)).toBe(true)
  stuck.resolve()
  expect(await block).toBe(false)
})

test('what was named is served while all is read again, and what is no longer followed waits for that', async () => {
  const dag = new DagBlocks()
  const top = rootOf(dag.folder({ a: dag.raw(randomBytes(9)) }))
  const named = toLink(top)
  const { signal } = new AbortController()
  let registries: readonly RegistryId[] = [registry]
  let ms = 1_000
  let isStuck = false
  const stuck = Promise.withResolvers<void>()
  const late: (() => unknown)[] = []
  const reachable = new Reachable({
    space: () => ({
      stored: memoryBlocks(),
      isKept: async () => false,
      onKept: () => () => undefined,
      kept: async function* () {}
    }),
    registries: () => registries,
    view: {
      ...NOTHING_SAID,
      find: async () => undefined,
      packages: async function* () {
        if (isStuck) await stuck.promise
        if (registries.length > 0) yield { versions: [{ contents: [{ root: top }] }] } as unknown as PackageView
      }
    },
    clock: {
      now: () => ms,
      after: (delay, task) => {
        if (delay === LIMITS.gateway.staleMs) late.push(task)
      }
    },
    stopping: signal
  })
  expect(await reachable.isNamed(named, signal)).toBe(true)
  isStuck = true
  reachable.noted(registry, 'registry')
  ms += LIMITS.gateway.rescanMs
  const again = reachable.isNamed(named, signal)
  expect(late).toHaveLength(1)
  late[0]?.()
  expect(await again).toBe(true)
  // The first reading goes on; what it was told of counts from when it has ended.
  registries = []
  const gone = reachable.isNamed(named, signal)
  expect(late).toHaveLength(1)
  stuck.resolve()
  expect(await gone).toBe(false)
})

describe('the blocks below a root', () => {
  const { signal: stopping } = new AbortController()
  const made = () => {
    const blocks = memoryBlocks()
    const clock = { ms: 1_000, now: () => clock.ms }
    return { blocks, clock, below: new BlocksBelow({ blocks: () => blocks, clock, stopping }) }
  }

  test('are known as far as its nodes are here, and read again when more may have come', async () => {
    const { blocks, clock, below } = made()
    const dag = new DagBlocks()
    const [near, far] = [dag.raw(randomBytes(9)), dag.raw(randomBytes(9))]
    const folder = dag.folder({ far })
    const top = dag.folder({ folder, near })
    await blocks.put(top, dag.bytes(top))
    expect(await below.strange(rootOf(top), [top, near, folder, far])).toEqual([far])
    await blocks.put(folder, dag.bytes(folder))
    expect(await below.strange(rootOf(top), [far])).toEqual([far])
    clock.ms += LIMITS.gateway.rereadMs
    expect(await below.strange(rootOf(top), [far])).toEqual([])
  })

  test('are read once, however often somebody asks for something else', async () => {
    const { blocks, below } = made()
    let reads = 0
    const counted = { ...blocks, readNow: undefined, get: (cid: CID) => (reads++, blocks.get(cid)) }
    const dag = new DagBlocks()
    const leaves = Array.from({ length: 20 }, () => dag.raw(randomBytes(9)))
    const top = dag.folder(Object.fromEntries(leaves.map((leaf, i) => [`f${i}`, leaf])))
    for (const { cid, bytes } of dag.map.values()) await blocks.put(cid, bytes)
    const counting = new BlocksBelow({ blocks: () => counted as never, clock: { now: () => 0 }, stopping })
    const other = new DagBlocks().raw(randomBytes(9))
    for (let i = 0; i < 10; i++) expect(await counting.strange(rootOf(top), [...leaves, other])).toEqual([other])
    expect(reads).toBe(1)
    expect(await below.strange(rootOf(top), leaves)).toEqual([])
  })
})
