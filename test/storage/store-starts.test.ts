import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { openLevel } from '../../storage/level-key-value.ts'
import { tempDir } from '../support/temp-dir.ts'

const value = new TextEncoder().encode('value')

test('a start is counted until the store is closed, or has been in use for a while', async () => {
  const dir = join(await tempDir('starts'), 'store')
  const closed = await openLevel(dir)
  expect(await readFile(`${dir}.starts`, 'utf8')).toBe('1')
  await closed.close()
  expect(existsSync(`${dir}.starts`)).toBe(false)
  const settled = await openLevel(dir)
  await settled.settled()
  expect(existsSync(`${dir}.starts`)).toBe(false)
  await settled.close()
})

test('a store whose process ended several times in a row moves to new files, with all that it held', async () => {
  const dir = join(await tempDir('starts'), 'store')
  const first = await openLevel(dir)
  await first.batch([{ type: 'put', key: 'key', value }], { sync: true })
  await first.close()
  const before = await readdir(dir)
  await writeFile(`${dir}.starts`, String(LIMITS.storage.startsUntilRebuild))
  const next = await openLevel(dir)
  expect(await next.get('key')).toEqual(value)
  expect(await readdir(dir)).not.toEqual(before)
  expect(await readFile(`${dir}.starts`, 'utf8')).toBe('1')
  await next.close()
})

test('a count that makes no sense counts as none', async () => {
  const dir = join(await tempDir('starts'), 'store')
  await writeFile(`${dir}.starts`, 'x'.repeat(1_000))
  const store = await openLevel(dir)
  expect(await readFile(`${dir}.starts`, 'utf8')).toBe('1')
  await store.close()
})
