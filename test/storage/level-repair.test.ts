import { cp, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLevel } from '../../storage/level-key-value.ts'
import { finishRebuild } from '../../storage/level-repair.ts'
import { tempDir } from '../support/temp-dir.ts'

const text = new TextEncoder()

async function filled(): Promise<string> {
  const dir = join(await tempDir('level'), 'store')
  const kv = await openLevel(dir)
  for (let i = 0; i < 100; i++) await kv.batch([{ type: 'put', key: `key!${i}`, value: text.encode(`value ${i}`) }])
  await kv.close()
  return dir
}

async function keysIn(dir: string): Promise<number> {
  const kv = await openLevel(dir)
  let found = 0
  for await (const _ of kv.iterate()) found += 1
  await kv.close()
  return found
}

test('a rebuild keeps every record, and operations wait for it', async () => {
  const dir = await filled()
  const kv = await openLevel(dir)
  const rebuilding = kv.rebuild()
  const [, found] = await Promise.all([rebuilding, kv.get('key!42')])
  expect(found).toEqual(new Uint8Array(text.encode('value 42')))
  await kv.batch([{ type: 'put', key: 'key!new', value: text.encode('new') }])
  await kv.close()
  expect(await keysIn(dir)).toBe(101)
  expect((await readdir(join(dir, '..'))).toSorted()).toEqual(['store'])
})

test('a crash in a rebuild leaves the old store, or the new one', async () => {
  const dir = await filled()
  // While it was being written.
  await mkdir(`${dir}.rebuilt`)
  await writeFile(join(`${dir}.rebuilt`, 'CURRENT'), 'half')
  expect(await keysIn(dir)).toBe(100)
  // Between the two renames.
  await cp(dir, `${dir}.rebuilt`, { recursive: true })
  await rename(dir, `${dir}.damaged`)
  expect(await keysIn(dir)).toBe(100)
  // Before the old one was removed.
  await cp(dir, `${dir}.damaged`, { recursive: true })
  await finishRebuild(dir)
  expect((await readdir(join(dir, '..'))).toSorted()).toEqual(['store'])
  expect(await keysIn(dir)).toBe(100)
})

test('a manifest that makes no sense is made again from the tables', async () => {
  const dir = await filled()
  for (const name of await readdir(dir)) {
    if (name.startsWith('MANIFEST') || name === 'CURRENT') await writeFile(join(dir, name), 'nonsense')
  }
  expect(await keysIn(dir)).toBe(100)
})

test('a store that cannot be repaired either says what to do', async () => {
  const dir = await filled()
  for (const name of await readdir(dir)) if (name.startsWith('MANIFEST')) await rm(join(dir, name))
  await writeFile(join(dir, 'CURRENT'), 'nonsense')
  // A folder stands where the new manifest would, and cannot be moved away.
  await writeFile(join(dir, 'lost'), '')
  await mkdir(join(dir, 'MANIFEST-000001', 'x'), { recursive: true })
  await expect(openLevel(dir)).rejects.toMatchObject({
    code: 'STORE_CORRUPT',
    next: expect.stringContaining('move') as string
  })
})
