import { randomBytes } from 'node:crypto'
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openClient } from '../../node/open-client.ts'
import { toLink } from '../../protocol/cid.ts'
import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import { importFolder } from '../../storage/content/import-folder.ts'
import { HEARD_MS } from '../support/heard.ts'
import { matching } from '../support/like.ts'
import { lookedThrough } from '../support/looked-through.ts'
import { packageFolder } from '../support/package-folder.ts'
import { join as follow, runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { flipBitIn, storedBlocks } from '../support/stored-blocks.ts'
import { tempDir } from '../support/temp-dir.ts'
import { cidsOf, isWhole, storeWith } from './set-up.ts'

let a: TestRunningNode
let b: TestRunningNode
let registry: RegistryId

beforeAll(async () => {
  a = await runningNode()
  registry = await a.found('open')
  b = await runningNode()
  await lookedThrough(b.parts.scrubs)
  await follow(b, registry, a)
})

afterAll(stopRunningNodes)

const signal = new AbortController().signal
const here = (root: ContentId, node = b) => node.parts.spaces.public.isKept(root)
const waiting = { timeout: 20_000, interval: 100 }

/** A package that `b` has because somebody installed it, and that nothing pins there. */
async function unpinned(name: string): Promise<ContentId> {
  const folder = await packageFolder({ name, files: { 'data.bin': randomBytes(300_000) } })
  const { cid } = await a.call('publish', { folder })
  const facts = a.parts.facts.head(registry).count
  await b.call('waitFor', { registry, facts, peers: 1, kept: false, timeoutMs: HEARD_MS })
  await b.call('storePin', { what: cid })
  await vi.waitFor(async () => expect(await here(cid)).toBe(true), waiting)
  await b.call('storeUnpin', { what: cid })
  return cid
}

/** Flips a bit in a file of a content. */
async function damage(root: ContentId, node = b): Promise<void> {
  const names = new Set((await cidsOf(root, node.parts.spaces.public.stored)).map(cid => cid.multihash.digest.join()))
  const all = await storedBlocks(join(node.home, 'blocks'))
  const largest = all
    .filter(({ cid }) => names.has(cid.multihash.digest.join()))
    .toSorted((x, y) => y.length - x.length)[0]
  if (largest === undefined) throw new Error('it has no blocks')
  await flipBitIn(largest)
}

/** What `doctor --deep` says of the blocks of a home in which no node runs. */
async function examined(home: string) {
  const opened = await openClient({ home, network: false, create: false })
  try {
    const findings = await opened.client.call('doctor', { deep: true }, { signal })
    return findings.find(({ check }) => check === 'blocks')
  } finally {
    await opened.close()
  }
}

test('doctor has a running node fetch again what is damaged and nothing pins, and tells nobody meanwhile that it is here', async () => {
  const root = await unpinned('doctored')
  await vi.waitFor(() => expect(a.parts.network().holders(root)).toEqual([b.peerId]), waiting)
  await damage(root)
  const told: boolean[] = []
  const stop = b.parts.spaces.public.onKept((each, isKept) => void (each === root && told.push(isKept)))
  const findings = await b.call('doctor', { deep: true })
  expect(findings.find(({ check }) => check === 'blocks')).toMatchObject({
    ok: false,
    text: matching(/^1 package damaged, first bafy.*fetched again/),
    next: matching(/ggen-node store verify/)
  })
  await vi.waitFor(async () => expect(await here(root)).toBe(true), waiting)
  stop()
  expect(told).toEqual([false, true])
  expect(await isWhole(root, b.parts.spaces.public.stored)).toBe(true)
})

test('what doctor found while no node ran comes with the next one, what was published there and what nothing pins', async () => {
  const root = await unpinned('asleep')
  const own = await unpinned('published')
  // As if it had been published here.
  await b.parts.spaces.public.markKept(own, { pinned: true })
  for (const each of [root, own]) await damage(each)
  await b.stop()
  const said = await examined(b.home)
  expect(said).toMatchObject({ ok: false, next: matching(/start the node/) })
  expect(said?.text).toMatch(/^2 packages damaged/)
  // Looked at again: it is still not whole, and still said.
  expect((await examined(b.home))?.text).toMatch(/2 packages not whole/)
  b = await runningNode({ home: b.home })
  expect([await here(root), await here(own)]).toEqual([false, false])
  await b.call('connect', { address: a.address })
  await vi.waitFor(async () => expect([await here(root), await here(own)]).toEqual([true, true]), waiting)
  expect((await b.call('doctor', { deep: true })).find(({ check }) => check === 'blocks')).toMatchObject({ ok: true })
})

test('store verify asks again for what was lost before, and names it while nobody has it', async () => {
  const root = await unpinned('lost-before')
  await damage(root)
  await a.stop()
  const verify = async () => (await b.call('storeVerify', {})).spaces[0]
  expect(await verify()).toMatchObject({
    damaged: 1,
    broken: 1,
    repaired: 0,
    unrepaired: [{ root, name: 'ggen/lost-before' }]
  })
  expect(await verify()).toMatchObject({ damaged: 0, broken: 1, repaired: 0, unrepaired: [{ root }] })
  a = await runningNode({ home: a.home })
  await b.call('connect', { address: a.address })
  await vi.waitFor(async () => expect(await verify()).toMatchObject({ broken: 0 }), waiting)
  expect(await here(root)).toBe(true)
})

test('what no registry names and nothing pins is forgotten, and that is said', async () => {
  const { root } = await importOrphan()
  await damage(root)
  const findings = await b.call('doctor', { deep: true })
  expect(findings.find(({ check }) => check === 'blocks')?.text).toMatch(/1 .*forgotten/)
  expect(await b.parts.spaces.public.keptEntry(root)).toBeUndefined()
})

test('what was lost and then collected is wanted no more', async () => {
  const root = await unpinned('collected')
  await damage(root)
  await a.stop()
  await b.call('doctor', { deep: true })
  await vi.waitFor(() => expect(b.parts.mirror.wants('public', root)).toBe(true), waiting)
  // What somebody fetches just now stays.
  const collected = async () => {
    await b.call('storeGc', { all: true, dryRun: false })
    expect(await b.parts.spaces.public.keptEntry(root)).toBeUndefined()
  }
  await vi.waitFor(collected, waiting)
  await vi.waitFor(() => expect(b.parts.mirror.wants('public', root)).toBe(false), waiting)
  a = await runningNode({ home: a.home })
  await b.call('connect', { address: a.address })
})

test('what was lost, nothing pins and did not come for a day is given up, the rest is not', async () => {
  const { space, keeper, gone, add, later } = await storeWith()
  const [old, own, young] = [await add({ a: 'a' }), await add({ b: 'b' }, { pinned: true }), await add({ c: 'c' })]
  for (const root of [old, own]) await space.lostKept(root)
  await keeper.giveUpLost(space, signal)
  expect(gone).toEqual([])
  later()
  await space.lostKept(young)
  // Lost again is lost since then.
  await space.lostKept(old)
  await keeper.giveUpLost(space, signal)
  expect(gone).toEqual([old])
  expect([await space.keptEntry(old), (await space.keptEntry(young))?.whole]).toEqual([undefined, false])
  expect(await space.keptEntry(own)).toMatchObject({ pinned: true, whole: false })
})

test('a predicate that is content of its own is fetched again as well', async () => {
  const { cid } = await a.call('publish', { folder: await packageFolder({ name: 'said-of', files: { a: 'a' } }) })
  const file = join(await tempDir('predicate'), 'sbom.json')
  await writeFile(file, JSON.stringify({ note: randomBytes(60_000).toString('hex') }))
  const said = { reference: 'said-of', type: 'https://example.com/large/v1', predicate: file }
  const content = (await a.call('attest', said)).content
  if (content === null) throw new Error('it is small')
  const facts = a.parts.facts.head(registry).count
  await b.call('waitFor', { registry, facts, peers: 1, kept: false, timeoutMs: 15_000 })
  await b.call('storePin', { what: content })
  await vi.waitFor(async () => expect(await here(content)).toBe(true), waiting)
  await b.parts.spaces.public.stored.delete(toLink(content))
  const findings = await b.call('doctor', { deep: true })
  expect(findings.find(({ check }) => check === 'blocks')?.text).toMatch(/1 of them are fetched again/)
  await vi.waitFor(async () => expect(await here(content)).toBe(true), waiting)
  expect(await here(cid, a)).toBe(true)
})

test('of what is pinned and no registry names, doctor says that nobody is asked for it', async () => {
  const { root } = await importOrphan('kept-orphan')
  const space = b.parts.spaces.public
  await space.markKept(root, { pinned: true })
  await damage(root)
  const text = (await b.call('doctor', { deep: true })).find(({ check }) => check === 'blocks')?.text
  expect(text).toMatch(/nobody is asked for 1 of them/)
  expect(text).not.toMatch(/fetched again/)
  expect(await space.keptEntry(root)).toMatchObject({ pinned: true, whole: false })
  await b.call('storeUnpin', { what: root })
})

test('what an operator withholds below another content is no damage', async () => {
  const inner = await packageFolder({ name: 'inner', files: { 'a.txt': 'inside' } })
  const { cid } = await a.call('publish', { folder: inner })
  const space = a.parts.spaces.public
  const outer = await tempDir('outer')
  await cp(inner, join(outer, 'sub'), { recursive: true })
  const { root } = await importFolder(outer, space.allBlocks, { signal })
  await space.markKept(root, { pinned: true })
  await a.call('takedown', { reference: cid, reason: 'for a test', release: false, isDeleted: false })
  expect((await a.call('doctor', { deep: true })).find(({ check }) => check === 'blocks')).toMatchObject({ ok: true })
  expect(await space.isKept(root)).toBe(true)
  // Taken back, what is on the disk counts again.
  await a.call('takedown', { reference: cid, reason: '', release: true, isDeleted: false })
  await vi.waitFor(async () => expect(await here(cid, a)).toBe(true), waiting)
})

async function importOrphan(name = 'orphan'): Promise<{ readonly root: ContentId }> {
  const space = b.parts.spaces.public
  const folder = await packageFolder({ name, files: { 'data.bin': randomBytes(300_000) } })
  const { root } = await importFolder(folder, space.allBlocks, { signal })
  await space.markKept(root)
  return { root }
}
