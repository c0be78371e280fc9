import { randomBytes } from 'node:crypto'
import { cp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openBlocks } from '../../storage/block-store.ts'
import type { VerifiedBlocks } from '../../storage/verified-blocks.ts'
import { flipBitIn, storedBlocks } from '../support/stored-blocks.ts'
import { tempDir } from '../support/temp-dir.ts'
import { blockOf, filled, verifiedBlocksContract } from './blocks.contract.ts'

/** Segments of which each holds a few blocks, an index after each close, and more of them than may be open. */
const TINY = { blocks: 1_000, fileBytes: 600, fileRecords: 12, openFiles: 2, unindexedBytes: 0 }

verifiedBlocksContract('a folder of many segments', async () => openBlocks(await tempDir('segments'), TINY))

type Block = ReturnType<typeof blockOf>

const textBlock = (text: string): Block => blockOf(new Uint8Array(Buffer.from(text)))
/** Of sizes from nothing to more than a segment holds. */
const numbered = (n: number): Block => blockOf(filled([0, 1, 40, 150, 700][n % 5] ?? 0, n))

async function segmentsIn(dir: string): Promise<readonly string[]> {
  const names = await readdir(join(dir, 'small')).catch(() => [])
  return names.filter(name => name.endsWith('.segment')).toSorted()
}

/** What the store says, everywhere it says something, is what is in the model. */
async function expectHolds(blocks: VerifiedBlocks, model: ReadonlyMap<string, Block>, all: readonly Block[]) {
  for (const { cid, bytes } of all) {
    const isHere = model.has(cid.toString())
    expect(await blocks.has(cid)).toBe(isHere)
    expect(await blocks.read(cid)).toEqual(isHere ? bytes : undefined)
    expect(blocks.readNow(cid)).toEqual(isHere ? bytes : undefined)
    expect(blocks.sizeOf(cid)).toBe(isHere ? bytes.length : undefined)
  }
  const listed: string[] = []
  for await (const { cid } of blocks.getAll()) listed.push(cid.toString())
  expect(listed.toSorted()).toEqual([...model.keys()].toSorted())
  const bytes = [...model.values()].reduce((sum, block) => sum + block.bytes.length, 0)
  expect(await blocks.usage()).toEqual({ blocks: model.size, bytes })
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), n: fc.nat(29) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('delete' as const, 'sweep' as const), n: fc.nat(29) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('compact' as const, 'tidy' as const), n: fc.nat(29) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reopen' as const, 'kill' as const), n: fc.nat(29) }) }
)

describe('small blocks in segments', () => {
  test('are what a model says, whatever is put, deleted, compacted and opened again, in whatever order', async () => {
    const all = Array.from({ length: 30 }, (_, n) => numbered(n)).filter(
      (block, at, blocks) => blocks.findIndex(({ cid }) => cid.equals(block.cid)) === at
    )
    const property = fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async steps => {
      const dir = await tempDir('segments')
      const model = new Map<string, Block>()
      let blocks = await openBlocks(dir, TINY)
      for (const { do: what, n } of steps) {
        const block = numbered(n)
        const name = block.cid.toString()
        switch (what) {
          case 'put':
            await blocks.put(block.cid, block.bytes)
            model.set(name, block)
            break
          case 'delete':
            await blocks.delete(block.cid)
            model.delete(name)
            break
          case 'sweep':
            expect(blocks.sweep(block.cid, () => true)).toBe(model.get(name)?.bytes.length)
            model.delete(name)
            break
          case 'compact':
          case 'tidy':
            await blocks.compact({ isThorough: what === 'tidy' })
            if (what === 'tidy') expect(blocks.deadBytes()).toBe(0)
            break
          case 'reopen':
            await blocks.close()
            blocks = await openBlocks(dir, TINY)
            break
          case 'kill':
            // Nothing is told that it ends, and what it does in the background is done by then or never.
            blocks = await openBlocks(dir, TINY)
        }
      }
      await expectHolds(blocks, model, all)
      await blocks.close()
      const last = await openBlocks(dir, TINY)
      await expectHolds(last, model, all)
      await last.close()
      await rm(dir, { recursive: true })
    })
    await fc.assert(property, { numRuns: 60 })
  })

  test('that a crash cut off in the middle of a write are not there, and all before them are', async () => {
    const dir = await tempDir('segments')
    const blocks = await openBlocks(dir)
    const [first, gone, last] = [textBlock('first'), textBlock('gone'), textBlock('the last one')]
    for (const { cid, bytes } of [first, gone]) await blocks.put(cid, bytes)
    await blocks.delete(gone.cid)
    const file = join(dir, 'small', '0000000001.segment')
    const before = (await stat(file)).size
    await blocks.put(last.cid, last.bytes)
    const whole = await readFile(file)
    for (let length = before; length <= whole.length; length++) {
      await writeFile(file, whole.subarray(0, length))
      const again = await openBlocks(dir)
      expect(await again.read(first.cid)).toEqual(first.bytes)
      expect(await again.read(gone.cid)).toBeUndefined()
      expect(await again.read(last.cid)).toEqual(length === whole.length ? last.bytes : undefined)
      // What comes next stands where the cut is, and nothing of the old end behind it.
      const next = textBlock('x')
      await again.put(next.cid, next.bytes)
      const third = await openBlocks(dir)
      expect(await third.read(next.cid)).toEqual(next.bytes)
      expect((await third.usage()).blocks).toBe(length === whole.length ? 3 : 2)
    }
  })

  test('are never others than were put, and one flipped bit costs one of them, with an index and without', async () => {
    const made = await tempDir('segments')
    const blocks = await openBlocks(made, TINY)
    const all = Array.from({ length: 8 }, (_, n) => blockOf(Uint8Array.from(randomBytes(20 + n))))
    for (const { cid, bytes } of all) await blocks.put(cid, bytes)
    await blocks.close()
    const files = (await readdir(join(made, 'small'))).toSorted()
    const flips: { readonly name: string; readonly at: number }[] = []
    for (const name of files) {
      const { size } = await stat(join(made, 'small', name))
      for (let at = 0; at < size; at += 13) flips.push({ name, at })
    }
    for (const hasIndex of [true, false]) {
      for (const { name, at } of flips) {
        const dir = await tempDir('segments')
        await cp(made, dir, { recursive: true })
        const path = join(dir, 'small', name)
        const bytes = await readFile(path)
        bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
        await writeFile(path, bytes)
        if (!hasIndex) for (const file of files) if (file.endsWith('.index')) await rm(join(dir, 'small', file))
        const again = await openBlocks(dir, TINY)
        let lost = 0
        for (const { cid, bytes: put } of all) {
          const read = await again.read(cid).catch(() => undefined)
          if (read === undefined) lost += 1
          else expect(read).toEqual(put)
          await again.put(cid, put)
        }
        expect(lost, `${name} at ${at}, ${hasIndex ? 'with' : 'without'} an index`).toBeLessThan(2)
        for (const { cid, bytes: put } of all) expect(await again.read(cid)).toEqual(put)
        await again.close()
        await rm(dir, { recursive: true })
      }
    }
  })

  test('stay readable, each once, while what was deleted around them is given back and others are written', async () => {
    const dir = await tempDir('segments')
    const blocks = await openBlocks(dir, TINY)
    const all = Array.from({ length: 90 }, (_, n) => textBlock(`block ${n} ${'x'.repeat(100)}`))
    const [gone, kept] = [all.filter((_, n) => n % 3 > 0), all.filter((_, n) => n % 3 === 0)]
    for (const { cid, bytes } of all) await blocks.put(cid, bytes)
    for (const { cid } of gone) blocks.sweep(cid, () => true)
    const late: Block[] = []
    let isOver = false
    const compacted = blocks.compact().finally(() => (isOver = true))
    do {
      const later = textBlock(`later ${late.length}`)
      await blocks.put(later.cid, later.bytes)
      late.push(later)
      for (const { cid, bytes } of kept) expect(blocks.readNow(cid)).toEqual(bytes)
      await new Promise(resolve => void setImmediate(resolve))
    } while (!isOver)
    expect(await compacted).toBeGreaterThan(0)
    await blocks.flush([...kept, ...late].map(({ cid }) => cid))
    expect(await segmentsIn(dir)).not.toContain('0000000001.segment')
    const model = new Map([...kept, ...late].map(block => [block.cid.toString(), block]))
    await expectHolds(blocks, model, [...all, ...late])
    await blocks.close()
  })

  test('are there once when a crash leaves what they were moved from, and what was deleted stays deleted', async () => {
    const dir = await tempDir('segments')
    const first = await openBlocks(dir, TINY)
    const all = Array.from({ length: 20 }, (_, n) => textBlock(`block ${n} ${'y'.repeat(60)}`))
    for (const { cid, bytes } of all) await first.put(cid, bytes)
    for (const { cid } of all.slice(0, 7)) await first.delete(cid)
    await first.close()
    const before = await tempDir('segments')
    await cp(join(dir, 'small'), before, { recursive: true })
    const second = await openBlocks(dir, TINY)
    await second.compact({ isThorough: true })
    const ninth = all[8] ?? textBlock('none')
    await second.delete(ninth.cid)
    await second.close()
    await cp(before, join(dir, 'small'), { recursive: true })
    const model = new Map(all.flatMap((block, n) => (n < 7 || n === 8 ? [] : [[block.cid.toString(), block] as const])))
    const others = all.filter((_, n) => n !== 8)
    // That of what was deleted after it was moved the older record comes back is garbage for the next collection.
    const third = await openBlocks(dir, TINY)
    await third.delete(ninth.cid)
    await expectHolds(third, model, others)
    await third.close()
    const fourth = await openBlocks(dir, TINY)
    await expectHolds(fourth, model, all)
    await fourth.close()
  })

  test('that are damaged are told once, also when those beside them are moved, and can be put again', async () => {
    const dir = await tempDir('segments')
    const blocks = await openBlocks(dir, TINY)
    const all = Array.from({ length: 4 }, (_, n) => textBlock(`block ${n} ${'z'.repeat(60)}`))
    for (const { cid, bytes } of all) await blocks.put(cid, bytes)
    const [free, damaged, , other] = all
    if (free === undefined || damaged === undefined || other === undefined) throw new Error('there are four')
    const place = (await storedBlocks(dir)).find(({ cid }) => cid.equals(damaged.cid))
    if (place === undefined) throw new Error('it was put')
    await flipBitIn(place)
    await blocks.delete(free.cid)
    await blocks.compact({ isThorough: true })
    expect(await blocks.has(damaged.cid)).toBe(true)
    await expect(blocks.read(damaged.cid)).rejects.toMatchObject({ code: 'CORRUPT_BLOCK' })
    expect(await blocks.read(damaged.cid)).toBeUndefined()
    expect(await readdir(join(dir, '.quarantine'))).toHaveLength(1)
    expect(await blocks.read(other.cid)).toEqual(other.bytes)
    await blocks.compact({ isThorough: true })
    expect(blocks.deadBytes()).toBe(0)
    await blocks.put(damaged.cid, damaged.bytes)
    expect(await blocks.read(damaged.cid)).toEqual(damaged.bytes)
    await blocks.close()
  })

  test('beyond those that are remembered have files of their own, and are found all the same', async () => {
    const dir = await tempDir('segments')
    const blocks = await openBlocks(dir, { ...TINY, blocks: 2 })
    const all = Array.from({ length: 3 }, (_, n) => textBlock(`block ${n}`))
    for (const { cid, bytes } of all) await blocks.put(cid, bytes)
    const files = (await storedBlocks(dir)).map(({ file }) => file.endsWith('.data'))
    expect(files.filter(isAlone => isAlone)).toHaveLength(1)
    expect(files).toHaveLength(3)
    await expectHolds(blocks, new Map(all.map(block => [block.cid.toString(), block])), all)
    await blocks.close()
  })

  test('are neither written nor read after the store was closed', async () => {
    const blocks = await openBlocks(await tempDir('segments'))
    const { cid, bytes } = textBlock('late')
    await blocks.put(cid, bytes)
    await blocks.close()
    await expect(blocks.read(cid)).rejects.toMatchObject({ code: 'INTERNAL' })
    expect(blocks.readNow(cid)).toBeUndefined()
    const other = textBlock('later')
    await expect(blocks.put(other.cid, other.bytes)).rejects.toMatchObject({ code: 'INTERNAL' })
  })
})
