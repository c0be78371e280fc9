import { mkdir, readdir, readFile, rename, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { unpackTo } from '../../storage/content/export-folder.ts'
import { importFolder } from '../../storage/content/import-folder.ts'
import type { ImportedFolder } from '../../storage/content/import-folder.ts'
import { recoverFolder } from '../../storage/content/place-folder.ts'
import { listBlocks } from '../../storage/content/walk-dag.ts'
import { collect, MemoryBlocks, readTreeOf, refusal, tempDir, writeTree } from './support.ts'
import type { Tree } from './support.ts'

const segment = fc.constantFrom('a', 'b', 'c-d', 'c.d', 'é', '日本', '.hidden', '{{name}}', 'x y')
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map(parts => parts.join('/'))
const content = fc.oneof(
  fc.uint8Array({ maxLength: 600 }),
  fc.constant(null),
  fc.constant(new Uint8Array(1_500_000).fill(7))
)
/** Files never stand where another path needs a folder. */
const tree = fc
  .uniqueArray(fc.tuple(path, fc.boolean(), content), { maxLength: 12, selector: ([p]) => p })
  .map(entries => {
    const free = entries.filter(([p]) => !entries.some(([other]) => other.startsWith(`${p}/`)))
    return Object.fromEntries(free.map(([p, x, bytes]) => [x && bytes !== null ? `!${p}` : p, bytes]))
  })

async function unpack(blocks: MemoryBlocks, imported: ImportedFolder, target: string): Promise<void> {
  const { root, size, executables, digests } = imported
  const unpacked = await unpackTo(root, blocks, target, { declaredSize: size, executables, expectDigests: digests })
  expect(unpacked.digests).toEqual(digests)
}

describe('what goes in comes out', () => {
  test('for any tree, and its CID depends on nothing but names and bytes', async () => {
    await fc.assert(
      fc.asyncProperty(tree, async files => {
        const base = await tempDir()
        const blocks = new MemoryBlocks()
        const one = await importFolder(await writeTree(join(base, 'one'), { '.': null, ...files }), blocks)
        const reversed = Object.fromEntries(Object.entries(files).toReversed()) as Tree
        const two = await writeTree(join(base, 'two'), { '.': null, ...reversed })
        for (const name of await readdir(two, { recursive: true })) await utimes(join(two, name), 1, 1)
        const again = await importFolder(two, new MemoryBlocks())
        expect(again).toEqual(one)
        await unpack(blocks, one, join(base, 'out'))
        expect(await readTreeOf(join(base, 'out'))).toEqual(await readTreeOf(join(base, 'one')))
        const listed = (await collect(listBlocks(one.root, blocks))).map(cid => cid.toString())
        const ahead = await collect(listBlocks(one.root, blocks, { ahead: 4 }))
        expect(ahead.map(cid => cid.toString())).toEqual(listed)
        expect(listed.toSorted()).toEqual(one.blocks.map(cid => cid.toString()).toSorted())
        expect(one.blocks.at(-1)?.toString()).toBe(one.root)
      }),
      { numRuns: 40 }
    )
  })
})

describe('a package takes the place of another one whole', () => {
  async function two(): Promise<{ base: string; blocks: MemoryBlocks; v1: ImportedFolder; v2: ImportedFolder }> {
    const base = await tempDir()
    const blocks = new MemoryBlocks()
    const v1 = await importFolder(await writeTree(join(base, 'v1'), { 'a.txt': '1', 'gone.txt': 'x' }), blocks)
    const v2 = await importFolder(await writeTree(join(base, 'v2'), { 'a.txt': '2', 'new/b.txt': 'y' }), blocks)
    await mkdir(join(base, 'packages'))
    return { base, blocks, v1, v2 }
  }

  test('with no file of the old one left', async () => {
    const { base, blocks, v1, v2 } = await two()
    const target = join(base, 'packages', 'demo')
    await unpack(blocks, v1, target)
    await unpack(blocks, v2, target)
    expect(await readTreeOf(target)).toEqual(await readTreeOf(join(base, 'v2')))
    expect(await readdir(join(base, 'packages'))).toEqual(['demo'])
  })

  test('or not at all when a block is missing', async () => {
    const { base, blocks, v1, v2 } = await two()
    const target = join(base, 'packages', 'demo')
    await unpack(blocks, v1, target)
    for (const cid of v2.blocks.slice(0, 2)) blocks.map.delete(cid.toString())
    await expect(unpack(blocks, v2, target)).rejects.toThrow('no block')
    expect(await readTreeOf(target)).toEqual(await readTreeOf(join(base, 'v1')))
    expect(await readdir(join(base, 'packages'))).toEqual(['demo'])
  })

  test('whatever a crash left beside it', async () => {
    const { base, blocks, v1, v2 } = await two()
    const packages = join(base, 'packages')
    const target = join(packages, 'demo')
    const [fresh, old] = [join(packages, '.demo.ggen-new'), join(packages, '.demo.ggen-old')]
    await unpack(blocks, v1, target)
    const before = await readTreeOf(target)

    // After step 1: half of a new one.
    await writeTree(fresh, { half: 'x' })
    await recoverFolder(target)
    expect(await readTreeOf(target)).toEqual(before)
    expect(await readdir(packages)).toEqual(['demo'])

    // After step 2: the old one aside, nothing in its place.
    await rename(target, old)
    await writeTree(fresh, { whole: 'x' })
    await recoverFolder(target)
    expect(await readTreeOf(target)).toEqual(before)

    // After step 3: the new one in place, the old one not deleted yet.
    await writeTree(old, { stale: 'x' })
    await unpack(blocks, v2, target)
    expect(await readTreeOf(target)).toEqual(await readTreeOf(join(base, 'v2')))
    expect(await readdir(packages)).toEqual(['demo'])
  })

  test('but never of a file', async () => {
    const { base, blocks, v1 } = await two()
    const target = join(base, 'packages', 'demo')
    await writeFile(target, 'mine')
    const { root, size, executables, digests } = v1
    const promise = unpackTo(root, blocks, target, { declaredSize: size, executables, expectDigests: digests })
    expect((await refusal(promise)).code).toBe('ALREADY_EXISTS')
    expect(await readFile(target, 'utf8')).toBe('mine')
  })
})
