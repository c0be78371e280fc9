import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { encodeCbor } from '../../protocol/cbor.ts'
import { toLink } from '../../protocol/cid.ts'
import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { importFolder } from '../../storage/content/import-folder.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { contentIdOf, subject } from '../support/facts.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'
import { registry as testRegistry, signal, storeWith } from './set-up.ts'

let node: TestRunningNode
let registry: RegistryId

beforeAll(async () => {
  node = await runningNode()
  registry = await node.found('open')
})

afterEach(() => vi.restoreAllMocks())
afterAll(stopRunningNodes)

const full = new RegistryError('DISK_FULL', 'no space is left')
const stat = async () => (await node.call('storeStat', {})).spaces[0]
const isKept = (root: ContentId): Promise<boolean> => node.parts.spaces.public.isKept(root)
const folderOf = (name: string, version = '1.0.0'): Promise<string> =>
  packageFolder({ name, version, files: { 'data.bin': randomBytes(80_000) } })

/** What is pinned because it was published here, and the bytes there are. */
async function published(): Promise<readonly string[]> {
  const pins = await node.call('storePins', {})
  return pins.flatMap(({ type, what }) => (type === 'published' ? [what] : [])).toSorted()
}

/** Nothing of what a refused call brought stays, once the store is tidied. */
async function expectLike(before: { readonly pins: readonly string[]; readonly bytes: number | undefined }) {
  await vi.waitFor(async () => expect(await published()).toEqual(before.pins), { timeout: 20_000 })
  await vi.waitFor(async () => expect((await stat())?.bytes).toBe(before.bytes), { timeout: 20_000 })
}

/** The gate takes so many facts more, then none; `persisted`: it takes that one, too, and its answer is lost. */
function failAfter(left: number, { persisted = false } = {}): void {
  const { gate } = node.parts
  const admit = gate.admit.bind(gate)
  let taken = 0
  vi.spyOn(gate, 'admit').mockImplementation(async (bytes, source) => {
    taken += 1
    if (taken <= left) return admit(bytes, source)
    if (persisted && taken === left + 1) await admit(bytes, source)
    throw full
  })
}

/** What is noted as brought for a fact. */
async function unsaid(): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { root } of node.parts.unsaidRecords.all('public')) found.push(root)
  return found
}

const now = async () => ({ pins: await published(), bytes: (await stat())?.bytes })

test('what a refused publish brought is given back: a version that exists', async () => {
  const folder = await folderOf('twice')
  const { cid } = await node.call('publish', { folder })
  const before = await now()
  await writeFile(join(folder, 'data.bin'), randomBytes(80_000))
  expect(await codeOfAsync(() => node.call('publish', { folder }))).toBe('VERSION_EXISTS')
  await expectLike(before)
  expect(await isKept(cid)).toBe(true)
})

test('so is that of one whose fact found no room, at the claim or at the release', async () => {
  for (const [name, left] of [
    ['roomless', 0],
    ['half', 1]
  ] as const) {
    const folder = await folderOf(name)
    const before = await now()
    failAfter(left)
    expect(await codeOfAsync(() => node.call('publish', { folder }))).toBe('DISK_FULL')
    await expectLike(before)
    vi.restoreAllMocks()
    await node.parts.disk.check()
    const { cid } = await node.call('publish', { folder })
    expect(await published()).toContain(cid)
  }
})

test('one of which the fact was written after all stays, whatever whoever wrote it was told', async () => {
  const folder = await folderOf('cruel')
  failAfter(1, { persisted: true })
  expect(await codeOfAsync(() => node.call('publish', { folder }))).toBe('DISK_FULL')
  vi.restoreAllMocks()
  await node.parts.disk.check()
  const { cid, already } = await node.call('publish', { folder })
  expect(already).toBe(true)
  expect(await published()).toContain(cid)
  expect(await unsaid()).toEqual([])
})

test('what was here for other reasons stays so, and is pinned no more than it was', async () => {
  const folder = await folderOf('before')
  const { cid } = await node.call('publish', { folder })
  await node.call('storeUnpin', { what: cid })
  const before = await now()
  const other = (await node.call('registryCreate', { name: 'other' })).id
  failAfter(0)
  expect(await codeOfAsync(() => node.call('publish', { folder, registry: other }))).toBe('DISK_FULL')
  await expectLike(before)
  expect(await isKept(cid)).toBe(true)
  vi.restoreAllMocks()
  await node.parts.disk.check()
})

test('of two who bring the same, it stays for the one whose fact is written', async () => {
  const { unsaid: contents, spaces, keeper } = await storeWith()
  const space = spaces.public
  const root = contentIdOf('both')
  const [one, two] = ['one', 'two'].map(name => ({ registry: testRegistry, subject: subject(name) }))
  if (one === undefined || two === undefined) throw new Error('two')
  const [first, second] = [await contents.keep(space, root, one), await contents.keep(space, root, two)]
  first.failed()
  await keeper.giveBack(full, space)
  expect((await space.keptEntry(root))?.pinned).toBe(true)
  await second.said()
  await keeper.giveBack(full, space)
  expect((await space.keptEntry(root))?.pinned).toBe(true)
  const [again, last] = [
    await contents.keep(space, contentIdOf('neither'), one),
    await contents.keep(space, contentIdOf('neither'), two)
  ]
  again.failed()
  last.failed()
  await keeper.giveBack(full, space)
  expect(await space.keptEntry(contentIdOf('neither'))).toBeUndefined()
})

test('a statement that is content of its own is given back as well', async () => {
  const folder = await folderOf('said-of')
  await node.call('publish', { folder })
  const file = join(await tempDir('predicate'), 'sbom.json')
  await writeFile(file, JSON.stringify({ note: randomBytes(60_000).toString('hex') }))
  const before = await now()
  const attest = () =>
    node.call('attest', { reference: 'said-of', type: 'https://example.com/large/v1', predicate: file })
  failAfter(0)
  expect(await codeOfAsync(attest)).toBe('DISK_FULL')
  await expectLike(before)
  vi.restoreAllMocks()
  await node.parts.disk.check()
  const { content } = await attest()
  expect(await published()).toContain(content)
  expect(await unsaid()).toEqual([])
})

test('what a process that ended had brought for no fact is given back by the next start, what it had said is not', async () => {
  const { cid } = await node.call('publish', { folder: await folderOf('ended') })
  const { spaces, unsaidRecords } = node.parts
  const { size, root } = await importFolder(await folderOf('never'), spaces.public.allBlocks, { signal })
  expect(size).toBeGreaterThan(80_000)
  await spaces.public.markKept(root, { pinned: true })
  const by = [{ registry, subject: subject('never') }]
  await unsaidRecords.put('public', { root, wasKept: false, by })
  await unsaidRecords.put('public', { root: cid, wasKept: false, by: [{ registry, subject: subject('ended') }] })
  await node.stop()
  node = await runningNode({ home: node.home })
  await vi.waitFor(async () => expect(await published()).not.toContain(root), { timeout: 20_000 })
  await vi.waitFor(async () => expect(await unsaid()).toEqual([]), { timeout: 20_000 })
  await vi.waitFor(async () => expect(node.parts.spaces.public.stored.sizeOf(toLink(root))).toBeUndefined(), {
    timeout: 20_000
  })
  expect(await published()).toContain(cid)
})

test('what cannot be read of what is left stays where it is', async () => {
  const kv = memoryKeyValue()
  const { space, unsaid: contents, add } = await storeWith({ kv })
  const root = await add({ 'a.txt': 'a' }, { pinned: true })
  for (const value of [
    new Uint8Array(0),
    encodeCbor({ by: 'x', wasKept: false }),
    encodeCbor({ by: ['x y'], wasKept: false })
  ]) {
    await kv.batch([{ type: 'put', key: `unsaid!public!${root}`, value }])
    await contents.giveBack(space, () => Promise.reject(new Error('nothing goes')))
    expect((await space.keptEntry(root))?.pinned).toBe(true)
  }
})
