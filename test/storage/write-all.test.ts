import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { writeAllDurably } from '../../storage/durable.ts'
import { tempDir } from '../support/temp-dir.ts'

const whole = (file: string, text: string) => ({ file, text, mode: 0o644 })

test('several files are written as wholes, into one folder or into two', async () => {
  const dir = await tempDir('files')
  await mkdir(join(dir, 'in'))
  await writeFile(join(dir, 'a'), 'old')
  await writeAllDurably([whole(join(dir, 'a'), 'new a'), whole(join(dir, 'b'), 'b'), whole(join(dir, 'in/c'), 'c')])
  const texts = await Promise.all(['a', 'b', 'in/c'].map(name => readFile(join(dir, name), 'utf8')))
  expect(texts).toEqual(['new a', 'b', 'c'])
  expect([...(await readdir(dir)), ...(await readdir(join(dir, 'in')))].toSorted()).toEqual(['a', 'b', 'c', 'in'])
})

test('where one of them finds no room, all are what they were', async () => {
  const dir = await tempDir('files')
  await writeFile(join(dir, 'a'), 'old')
  const files = [whole(join(dir, 'a'), 'new'), whole(join(dir, 'absent/b'), 'b')]
  await expect(writeAllDurably(files)).rejects.toThrow('ENOENT')
  expect(await readFile(join(dir, 'a'), 'utf8')).toBe('old')
  expect(await readdir(dir)).toEqual(['a'])
})

test('they appear in their order: where one can not, those before it are new and those behind it are old', async () => {
  const dir = await tempDir('files')
  for (const name of ['a', 'c']) await writeFile(join(dir, name), 'old')
  await mkdir(join(dir, 'b/full'), { recursive: true })
  await expect(writeAllDurably(['a', 'b', 'c'].map(name => whole(join(dir, name), 'new')))).rejects.toThrow()
  expect(await readFile(join(dir, 'a'), 'utf8')).toBe('new')
  expect(await readFile(join(dir, 'c'), 'utf8')).toBe('old')
  expect((await readdir(dir)).toSorted()).toEqual(['a', 'b', 'c'])
})
