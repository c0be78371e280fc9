import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { Spaces } from '../../node/spaces.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import { toLink } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { importFolder } from '../../storage/content/import-folder.ts'
import { listBlocks, readTree, readerOf } from '../../storage/content/walk-dag.ts'
import { memoryBlocks } from '../../storage/memory-blocks.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { Records } from '../../storage/records.ts'
import { failing } from '../support/failing.ts'
import { tempDir } from '../support/temp-dir.ts'

const signal = new AbortController().signal

async function setUp() {
  const allBlocks = memoryBlocks()
  const kv = memoryKeyValue()
  const kept = new Records(kv).keptIn('public')
  const clock = { now: () => 1_700_000_000_000 }
  const add = async (files: Readonly<Record<string, string>>): Promise<ContentId> => {
    const folder = await tempDir('takedown')
    await mkdir(folder, { recursive: true })
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    const { root } = await importFolder(folder, allBlocks, { signal })
    await kept.markKept(root)
    return root
  }
  const open = async (store: KeyValue = kv) => {
    const spaces = await Spaces.open({
      openBlocks: () => Promise.resolve(allBlocks),
      deleteBlocks: () => Promise.resolve(),
      kv: store,
      records: new Records(kv),
      clock,
      registries: { all: [] }
    })
    return { takedowns: spaces.takedowns, blocks: spaces.public.blocks }
  }
  return { allBlocks, kv, kept, add, open, ...(await open()) }
}

async function cidsOf(root: ContentId, blocks: ReturnType<typeof memoryBlocks>): Promise<readonly CID[]> {
  const cids: CID[] = []
  for await (const cid of listBlocks(root, blocks)) cids.push(cid)
  return cids
}

const A = { 'a.txt': 'only in a', 'both.txt': 'in both' }
const B = { 'b.txt': 'only in b', 'both.txt': 'in both' }

test('what was taken down is neither read nor reported as had, and what others need still is', async () => {
  const { add, allBlocks, takedowns, blocks, kept } = await setUp()
  const [a, b] = [await add(A), await add(B)]
  const result = await takedowns.takedown(a, { reference: 'ggen/a@1.0.0' }, signal)
  expect(result).toEqual({ root: a, withheld: 2, shared: 1, deleted: 0 })
  const shared = new Set((await cidsOf(b, allBlocks)).map(String))
  for (const cid of await cidsOf(a, allBlocks)) {
    expect(await blocks.has(cid)).toBe(shared.has(cid.toString()))
    if (shared.has(cid.toString())) continue
    await expect(blocks.read(cid)).rejects.toMatchObject({ code: 'TAKEN_DOWN' })
    await expect(blocks.get(cid).next()).rejects.toMatchObject({ code: 'TAKEN_DOWN' })
    expect(blocks.readNow(cid)).toBeUndefined()
    // Blocks are found by their hash: another codec is no way around it.
    expect(await blocks.has(CID.createV1(0x55, cid.multihash))).toBe(false)
  }
  expect((await readTree(readerOf(blocks, {}), b)).files).toHaveLength(2)
  const listed: string[] = []
  for await (const { cid } of blocks.getAll()) listed.push(cid.toString())
  expect(listed).toHaveLength(3)
  expect(await kept.isKept(a)).toBe(false)
  expect(() => takedowns.assertAllowed(a)).toThrow(/withholds this content: ggen\/a@1\.0\.0/)
})

test('the root goes even when another package holds all that is below it', async () => {
  const { add, takedowns, blocks } = await setUp()
  const a = await add({ 'both.txt': 'in both' })
  await add(B)
  expect(await takedowns.takedown(a, { reference: 'a' }, signal)).toMatchObject({ withheld: 1, shared: 1 })
  expect(await blocks.has(toLink(a))).toBe(false)
})

test('a restart keeps it down, and a release brings all of it back', async () => {
  const { add, open, allBlocks, takedowns } = await setUp()
  const a = await add(A)
  await takedowns.takedown(a, { reference: 'a' }, signal)
  const again = await open()
  expect(again.takedowns.all).toMatchObject([{ root: a, reference: 'a', time: 1_700_000_000_000 }])
  expect(await again.blocks.has(toLink(a))).toBe(false)
  expect(await again.takedowns.release(a)).toBe(true)
  for (const { blocks } of [again, await open()]) {
    for (const cid of await cidsOf(a, allBlocks)) expect(await blocks.has(cid)).toBe(true)
  }
  expect(await again.takedowns.release(a)).toBe(false)
})

test('a block of two takedowns is withheld until both are taken back', async () => {
  const { add, allBlocks, takedowns, blocks, kept } = await setUp()
  const [a, b] = [await add(A), await add(B)]
  await kept.forgetKept(b)
  await takedowns.takedown(a, { reference: 'a' }, signal)
  await takedowns.takedown(b, { reference: 'b' }, signal)
  const inB = new Set((await cidsOf(b, allBlocks)).map(String))
  const [both] = (await cidsOf(a, allBlocks)).filter(cid => inB.has(cid.toString()))
  if (both === undefined) throw new Error('they share a file')
  await takedowns.release(a)
  expect(await blocks.has(both)).toBe(false)
  await takedowns.release(b)
  expect(await blocks.has(both)).toBe(true)
})

test('content that comes later is handed out whole, but for the roots that were taken down', async () => {
  const { add, allBlocks, takedowns, blocks, open, kept } = await setUp()
  const [a, b] = [await add(A), await add(B)]
  await kept.forgetKept(b)
  await takedowns.takedown(a, { reference: 'a' }, signal)
  await takedowns.allow(b, signal)
  for (const each of [blocks, (await open()).blocks]) {
    for (const cid of await cidsOf(b, allBlocks)) expect(await each.has(cid)).toBe(true)
    expect(await each.has(toLink(a))).toBe(false)
  }
})

test('bytes go from the disk only when that was asked for, and what others need stays', async () => {
  const { add, allBlocks, takedowns } = await setUp()
  const [a, b] = [await add(A), await add(B)]
  const cids = await cidsOf(a, allBlocks)
  const { deleted } = await takedowns.takedown(a, { reference: 'a', isDeleted: true }, signal)
  expect(deleted).toBe(2)
  const left = await Promise.all(cids.map(cid => allBlocks.has(cid)))
  expect(left.filter(Boolean)).toHaveLength(1)
  for (const cid of await cidsOf(b, allBlocks)) expect(await allBlocks.has(cid)).toBe(true)
})

test.each([true, false])(
  'a takedown whose write fails (landed: %s) withholds all the same until it is done again',
  async persisted => {
    const { add, open, kv } = await setUp()
    const a = await add(A)
    const broken = await open(failing(kv, key => key.startsWith('takedown!'), { persisted }))
    await expect(broken.takedowns.takedown(a, { reference: 'a' }, signal)).rejects.toThrow(/landed|did not land/)
    expect(await broken.blocks.has(toLink(a))).toBe(false)
    await broken.takedowns.takedown(a, { reference: 'a' }, signal)
    expect((await open()).takedowns.isTakenDown(a)).toBe(true)
  }
)

test('content of which only the root is known is refused before any of it is fetched', async () => {
  const { add, allBlocks, takedowns } = await setUp()
  const a = await add(A)
  for (const cid of await cidsOf(a, allBlocks)) await allBlocks.delete(cid)
  expect(await takedowns.takedown(a, { reference: 'a' }, signal)).toMatchObject({ withheld: 1 })
  expect(takedowns.isTakenDown(a)).toBe(true)
})
