import { mkdir, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { FsBlockstore } from 'blockstore-fs'
import { NextToLast } from 'blockstore-fs/sharding'
import * as fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { openBlocks } from '../../storage/block-store.ts'
import { memoryBlocks } from '../../storage/memory-blocks.ts'
import { tempDir } from '../support/temp-dir.ts'
import { blockOf, bytesOf, filled, verifiedBlocksContract } from './blocks.contract.ts'

verifiedBlocksContract('memory', async () => memoryBlocks())
verifiedBlocksContract('a folder', async () => openBlocks(await tempDir('blocks')))

function fileOf(dir: string, cid: CID): string {
  const { dir: folder, file } = new NextToLast().encode(cid)
  return join(dir, folder, file)
}

/** In a file of its own, as a large block is, and as a program wrote it that knew nothing else. */
async function stored(bytes: Uint8Array) {
  const dir = await tempDir('blocks')
  const { cid } = blockOf(bytes)
  await writeAlone(dir, cid, bytes)
  return { dir, blocks: await openBlocks(dir), cid, file: fileOf(dir, cid), bytes }
}

async function writeAlone(dir: string, cid: CID, bytes: Uint8Array): Promise<void> {
  const file = fileOf(dir, cid)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, bytes, { mode: 0o600 })
}

describe('blocks in files of their own', () => {
  test('any bit flipped in the file is CORRUPT_BLOCK naming the block, and never the wrong bytes', async () => {
    const { dir, blocks, cid, file, bytes } = await stored(filled(1_000, 7))
    const anyBit = fc.asyncProperty(fc.nat(8 * bytes.length - 1), async bit => {
      await writeAlone(dir, cid, bytes)
      const damaged = await readFile(file)
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      await writeFile(file, damaged)
      await expect(blocks.read(cid)).rejects.toMatchObject({ code: 'CORRUPT_BLOCK', detail: { cid: cid.toString() } })
      expect(await blocks.has(cid)).toBe(false)
    })
    await fc.assert(anyBit, { numRuns: 40 })
    expect(await readdir(join(dir, '.quarantine'))).toHaveLength(1)
  })

  test.each([
    ['cut short', async (file: string) => truncate(file, 10)],
    ['empty, as a power cut leaves it', async (file: string) => truncate(file, 0)],
    ['longer by a byte', async (file: string) => writeFile(file, filled(101, 7))],
    ['larger than any block', async (file: string) => truncate(file, 50 * LIMITS.content.blockBytes)]
  ])('a file that is %s is not served, and can be put again', async (_, damage) => {
    const { blocks, cid, file, bytes } = await stored(filled(100, 7))
    await damage(file)
    await expect(bytesOf(blocks.get(cid))).rejects.toMatchObject({ code: 'CORRUPT_BLOCK' })
    expect(await blocks.read(cid)).toBeUndefined()
    await blocks.put(cid, bytes)
    expect(await blocks.read(cid)).toEqual(bytes)
  })

  test('putting a block heals a damaged file that nobody has read yet', async () => {
    const { blocks, cid, file, bytes } = await stored(filled(100, 7))
    await truncate(file, 5)
    await blocks.put(cid, bytes)
    expect(await blocks.read(cid)).toEqual(bytes)
  })

  test('keeps no more damaged blocks than the limit', async () => {
    const dir = await tempDir('blocks')
    const blocks = await openBlocks(dir)
    for (let i = 0; i < LIMITS.storage.quarantinedBlocks + 5; i++) {
      const { cid, bytes } = blockOf(filled(50, i))
      await writeAlone(dir, cid, bytes)
      await truncate(fileOf(dir, cid), 3)
      await expect(blocks.read(cid)).rejects.toMatchObject({ code: 'CORRUPT_BLOCK' })
    }
    expect(await readdir(join(dir, '.quarantine'))).toHaveLength(LIMITS.storage.quarantinedBlocks)
  })

  test('the same block put many times at once is written whole', async () => {
    const dir = await tempDir('blocks')
    const blocks = await openBlocks(dir)
    const { cid, bytes } = blockOf(filled(300_000, 3))
    await Promise.all(Array.from({ length: 16 }, () => blocks.put(cid, bytes)))
    expect(await blocks.read(cid)).toEqual(bytes)
    expect(await readdir(dirname(fileOf(dir, cid)))).toEqual([basename(fileOf(dir, cid))])
  })

  test('opening clears what a crash left half written, and no block', async () => {
    const { dir, cid, file, bytes } = await stored(filled(10))
    await writeFile(join(dirname(file), '.tmp-1-0'), filled(5))
    const again = await openBlocks(dir)
    expect(await readdir(dirname(file))).toEqual([basename(file)])
    expect(await again.read(cid)).toEqual(bytes)
  })

  test('blockstore-fs reads what we wrote, and we read what it wrote', async () => {
    const { dir, blocks, cid, bytes } = await stored(filled(70_000, 5))
    const theirs = new FsBlockstore(dir)
    await theirs.open()
    expect(await bytesOf(theirs.get(cid))).toEqual(bytes)
    const other = blockOf(filled(70_000, 6))
    await theirs.put(other.cid, other.bytes)
    expect(await blocks.read(other.cid)).toEqual(other.bytes)
  })

  test('files of others in the folder are neither listed nor an error', async () => {
    const { dir, blocks, cid, file } = await stored(filled(10))
    await mkdir(join(dir, 'ZZ'))
    await writeFile(join(dir, 'ZZ', 'thumbs.db'), 'x')
    await writeFile(`${file}.bak`, 'x')
    const listed: CID[] = []
    for await (const one of blocks.getAll()) listed.push(one.cid)
    expect(listed.map(String)).toEqual([cid.toString()])
  })

  test.skipIf(process.platform === 'win32')('block files are readable by their owner only', async () => {
    const dir = await tempDir('blocks')
    const blocks = await openBlocks(dir)
    const [large, small] = [blockOf(filled(70_000)), blockOf(filled(10))]
    for (const { cid, bytes } of [large, small]) await blocks.put(cid, bytes)
    for (const file of [fileOf(dir, large.cid), join(dir, 'small', '0000000001.segment')]) {
      expect((await stat(file)).mode & 0o777).toBe(0o600)
    }
  })
})
