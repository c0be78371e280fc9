import { execFile, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { archiveBytes, archiveHeader, canonicalArchive } from '../../protocol/archive.ts'
import type { ArchiveFile } from '../../protocol/archive.ts'
import { compareText } from '../../protocol/bytes.ts'
import { importFolder } from '../../storage/content/import-folder.ts'
import { collect, MemoryBlocks, refusal, tempDir, writeTree } from './support.ts'

const run = promisify(execFile)
const gnuTar = spawnSync('tar', ['--version']).stdout?.toString().includes('GNU tar') ?? false

function fileOf(path: string, content: string): ArchiveFile {
  const bytes = Buffer.from(content)
  return { path, size: bytes.length, content: [bytes] }
}

async function bytesOf(files: readonly ArchiveFile[]): Promise<Buffer> {
  return Buffer.concat(await collect(canonicalArchive(files)))
}

const LONG = {
  exactly100: 'a'.repeat(100),
  splits: `${'p'.repeat(120)}/${'n'.repeat(90)}`,
  prefixOf155: `${'p'.repeat(155)}/${'n'.repeat(100)}`,
  tooLongToSplit: `${'p'.repeat(156)}/${'n'.repeat(100)}`,
  noSlash: 'n'.repeat(101),
  notAscii: 'docs/説明.md',
  deep: Array.from({ length: 16 }, (_, i) => `level-${i}-${'x'.repeat(40)}`).join('/')
}

describe('the canonical archive', () => {
  test('has the same bytes wherever it is made', async () => {
    const bytes = await bytesOf([fileOf('README.md', '# hello\n'), fileOf('src/a.txt', 'a')])
    expect(bytes.length).toBe(3072)
    // Fixed for good: a change here changes the digests of every published release.
    expect(createHash('sha256').update(bytes).digest('hex')).toMatchInlineSnapshot(
      `"b68ba600a3ea057bdd2a7a1e643cb28ba058058db3c14f090953ba3cd8c6482e"`
    )
    expect(bytes.subarray(0, 9).toString()).toBe('README.md')
    expect(bytes.subarray(100, 156).toString()).toBe(
      '0000644\0' + '0000000\0' + '0000000\0' + '00000000010\0' + '00000000000\0' + bytes.subarray(148, 156).toString()
    )
    expect(bytes.subarray(257, 265).toString()).toBe('ustar\x0000')
  })

  test('writes a pax header only for a path that does not fit ustar', () => {
    const blocks = Object.fromEntries(Object.entries(LONG).map(([k, path]) => [k, archiveHeader(path, 1).length / 512]))
    expect(blocks).toEqual({
      exactly100: 1,
      splits: 1,
      prefixOf155: 1,
      tooLongToSplit: 3,
      noSlash: 3,
      notAscii: 3,
      deep: 4
    })
  })

  test('refuses files out of order, twice, or of another size than announced', async () => {
    expect((await refusal(bytesOf([fileOf('b', ''), fileOf('a', '')]))).code).toBe('MALFORMED')
    expect((await refusal(bytesOf([fileOf('a', ''), fileOf('a', '')]))).code).toBe('MALFORMED')
    expect((await refusal(bytesOf([{ path: 'a', size: 2, content: [Buffer.from('abc')] }]))).code).toBe('MALFORMED')
    expect((await refusal(bytesOf([{ path: 'a', size: 4, content: [Buffer.from('abc')] }]))).code).toBe('MALFORMED')
  })

  test('knows its length without being made', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(fc.constantFrom(...Object.values(LONG)), fc.string()), { selector: ([path]) => path }),
        async entries => {
          const files = entries
            .map(([path, text]) => fileOf(path, text))
            .toSorted((a, b) => compareText(a.path, b.path))
          expect(archiveBytes(files)).toBe((await bytesOf(files)).length)
        }
      )
    )
  })

  test('is what an import digests', async () => {
    const folder = await writeTree(await tempDir(), {
      'b/c.txt': 'c',
      'b-d.txt': 'd',
      'b.txt': 'b',
      '!run.sh': '#!/bin/sh\n'
    })
    const { digests } = await importFolder(folder, new MemoryBlocks())
    // Byte order of whole paths: "-" and "." sort before "/".
    const files = [
      fileOf('b-d.txt', 'd'),
      fileOf('b.txt', 'b'),
      fileOf('b/c.txt', 'c'),
      fileOf('run.sh', '#!/bin/sh\n')
    ]
    const bytes = await bytesOf(files)
    expect(Buffer.from(digests.sha256)).toEqual(createHash('sha256').update(bytes).digest())
    expect(Buffer.from(digests.sha512)).toEqual(createHash('sha512').update(bytes).digest())
    expect(digests.archiveBytes).toBe(bytes.length)
  })
})

describe.skipIf(!gnuTar)('GNU tar', () => {
  test('lists and extracts it, long and non-ASCII paths included', async () => {
    const folder = await tempDir()
    const paths = Object.values(LONG).toSorted(compareText)
    await writeFile(join(folder, 'a.tar'), await bytesOf(paths.map(path => fileOf(path, `content of ${path}`))))
    await mkdir(join(folder, 'out'))
    const { stdout } = await run('tar', ['-tvf', 'a.tar', '--numeric-owner', '--quoting-style=literal'], {
      cwd: folder,
      env: { ...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC' }
    })
    const lines = stdout.trim().split('\n')
    expect(lines.map(line => line.replace(/^.* 00:00 /, ''))).toEqual(paths)
    expect(lines.every(line => /^-rw-r--r-- 0\/0 +\d+ 1970-01-01 00:00 /.test(line))).toBe(true)
    await run('tar', ['-xf', '../a.tar'], { cwd: join(folder, 'out') })
    for (const path of paths) {
      expect(await readFile(join(folder, 'out', path), 'utf8')).toBe(`content of ${path}`)
    }
  })
})
