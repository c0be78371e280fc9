import { execFileSync, spawnSync } from 'node:child_process'
import { appendFile, chmod, link, mkdir, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { importFolder } from '../../storage/content/import-folder.ts'
import { readScanned, scanFolder } from '../../storage/content/scan-folder.ts'
import type { ScannedFile } from '../../storage/content/scan-folder.ts'
import { collect, MemoryBlocks, refusal, tempDir, writeTree } from './support.ts'

const posix = process.platform !== 'win32'
const hasMkfifo = spawnSync('mkfifo', ['--version']).error === undefined

describe('a folder that no package may be is refused by the name of the path', () => {
  test.skipIf(!posix)('symbolic links, to files, to folders and to nowhere', async () => {
    for (const target of ['../../etc/passwd', '..', 'nowhere', 'real.txt']) {
      const folder = await writeTree(await tempDir(), { 'real.txt': 'x' })
      await symlink(target, join(folder, 'link'))
      const error = await refusal(scanFolder(folder))
      expect(error.code).toBe('HOSTILE_PATH')
      expect(error.message).toContain('"link"')
      expect(error.message).toContain('symbolic link')
    }
  })

  test.skipIf(!hasMkfifo)('named pipes, without waiting for somebody to write into them', async () => {
    const folder = await writeTree(await tempDir(), { 'a/b.txt': 'x' })
    execFileSync('mkfifo', [join(folder, 'a', 'pipe')])
    expect((await refusal(scanFolder(folder))).message).toContain('"a/pipe" can\'t be in a package: it is a named pipe')
  })

  test.skipIf(!posix)('sockets', async () => {
    const folder = await tempDir()
    const server = createServer().listen(join(folder, 's'))
    onTestFinished(() => void server.close())
    await new Promise(resolve => server.once('listening', resolve))
    expect((await refusal(scanFolder(folder))).message).toContain('a socket')
  })

  test.skipIf(!posix)('setuid, setgid and sticky files', async () => {
    for (const mode of [0o4755, 0o2755, 0o1644]) {
      const folder = await writeTree(await tempDir(), { 'su.sh': 'x' })
      await chmod(join(folder, 'su.sh'), mode)
      expect((await refusal(scanFolder(folder))).message).toContain('"su.sh"')
    }
  })

  test.skipIf(!posix)('names with control characters, backslashes, or bytes that are not UTF-8', async () => {
    const names = [
      Buffer.from('a\nb'),
      Buffer.from('a\\b'),
      Buffer.from('a\u001b[1mb'),
      Buffer.from([0x61, 0xff, 0x62])
    ]
    for (const name of names) {
      const folder = await tempDir()
      await writeFile(Buffer.concat([Buffer.from(`${folder}/`), name]), 'x')
      const error = await refusal(scanFolder(folder))
      expect(error.code).toBe('HOSTILE_PATH')
      expect(/[\p{Cc}]/u.test(error.message)).toBe(false)
    }
  })

  test.skipIf(process.platform !== 'linux')('twins by case and by Unicode form', async () => {
    for (const [a, b] of [
      ['README.md', 'readme.md'],
      ['caf\u00e9.txt', 'cafe\u0301.txt'],
      ['Src/a', 'src/b']
    ] as const) {
      const folder = await writeTree(await tempDir(), { [a]: '1', [b]: '2' })
      expect((await refusal(scanFolder(folder))).message).toContain('the same file')
    }
  })

  test('too deep, too many, too large, too large together', async () => {
    const deep = await writeTree(await tempDir(), { 'a/b/c/d.txt': 'x' })
    expect((await refusal(scanFolder(deep, { limits: { depth: 3 } }))).code).toBe('LIMIT_EXCEEDED')
    expect((await scanFolder(deep, { limits: { depth: 4 } })).files).toHaveLength(1)
    const many = await writeTree(await tempDir(), { a: '1', b: '22', c: '333', d: null })
    expect((await refusal(scanFolder(many, { limits: { entries: 3 } }))).message).toContain('at most 3 files')
    expect((await refusal(scanFolder(many, { limits: { fileBytes: 2 } }))).message).toContain('"c"')
    expect((await refusal(scanFolder(many, { limits: { packageBytes: 5 } }))).code).toBe('LIMIT_EXCEEDED')
    expect((await scanFolder(many, { limits: { entries: 4, fileBytes: 3, packageBytes: 6 } })).size).toBe(6)
    const clutter = await writeTree(await tempDir(), { 'a/.git': '', 'b/.git': '', 'c/.git': '' })
    expect((await refusal(scanFolder(clutter, { limits: { entries: 5 } }))).code).toBe('LIMIT_EXCEEDED')
    const sparse = await writeTree(await tempDir(), { huge: '' })
    await truncate(join(sparse, 'huge'), LIMITS.content.fileBytes + 1)
    expect((await refusal(scanFolder(sparse))).message).toContain('"huge" has more than 268435456 bytes')
  })

  test('a folder that is not there, or is a file', async () => {
    const folder = await writeTree(await tempDir(), { file: 'x' })
    expect((await refusal(scanFolder(join(folder, 'nope')))).code).toBe('UNKNOWN_FILE')
    expect((await refusal(scanFolder(join(folder, 'file')))).code).toBe('UNKNOWN_FILE')
  })
})

describe('what is not part of a package', () => {
  test('is left out and said: state of tools and folders that call themselves caches', async () => {
    const folder = await writeTree(await tempDir(), {
      'package.toml': 'x',
      '.gitignore': 'kept',
      '.git/config': 'secret',
      '.ggen/packages/x': 'x',
      'web/node_modules/left-pad/index.js': 'x',
      'web/.DS_Store': 'x',
      'target/CACHEDIR.TAG': 'Signature: 8a477f597d28d172789f06886806bc55\n# made by cargo',
      'target/debug/huge': 'x',
      'templates/target/kept.tmpl': 'x'
    })
    const { files, leftOut } = await scanFolder(folder)
    expect(files.map(file => file.path)).toEqual(['.gitignore', 'package.toml', 'templates/target/kept.tmpl'])
    expect(leftOut).toEqual(['.ggen/', '.git/', 'target/', 'web/.DS_Store', 'web/node_modules/'])
  })

  test.skipIf(!posix)('a worktree is left out even where ".git" is a file or a link', async () => {
    const folder = await writeTree(await tempDir(), { '.git': 'gitdir: /elsewhere', 'a/x': 'x' })
    await symlink('/', join(folder, 'a', 'node_modules'))
    expect((await scanFolder(folder)).leftOut).toEqual(['.git', 'a/node_modules'])
  })

  test.skipIf(!posix)('hard links are two files with the same bytes', async () => {
    const folder = await writeTree(await tempDir(), { a: 'same' })
    await link(join(folder, 'a'), join(folder, 'b'))
    const { blocks, files } = await importFolder(folder, new MemoryBlocks())
    expect(files).toBe(2)
    expect(blocks).toHaveLength(2)
  })
})

describe('a file that changes between the scan and the read is refused', () => {
  async function scanOne(folder: string): Promise<ScannedFile> {
    const [file] = (await scanFolder(folder)).files
    if (file === undefined) throw new Error('no file')
    return file
  }
  const attacks: Readonly<Record<string, (path: string) => Promise<void>>> = {
    'it grows': async path => appendFile(path, 'more'),
    'it shrinks': async path => truncate(path, 2),
    'it goes': async path => rm(path),
    'it becomes a link': async path => {
      await rm(path)
      await symlink('/etc/hostname', path)
    },
    'it is replaced by an equal one': async path => {
      await writeFile(`${path}.new`, '0123456789')
      await utimes(`${path}.new`, 1, 1)
      await rename(`${path}.new`, path)
    },
    'a folder above it becomes a link': async path => {
      const folder = join(path, '..')
      await rename(folder, `${folder}.real`)
      await mkdir(`${folder}.other`)
      await writeFile(join(`${folder}.other`, 'f'), '0123456789')
      await symlink(`${folder}.other`, folder)
    }
  }
  test.skipIf(!posix).each(Object.keys(attacks))('%s', async name => {
    const folder = await writeTree(await tempDir(), { 'd/f': '0123456789' })
    await utimes(join(folder, 'd', 'f'), 1, 1)
    const file = await scanOne(folder)
    await attacks[name]?.(join(folder, 'd', 'f'))
    expect((await refusal(collect(readScanned(file, 4)))).code).toBe('FILE_CHANGED')
  })

  test('it grows while it is being read', async () => {
    const folder = await writeTree(await tempDir(), { f: '0123456789' })
    const chunks = readScanned(await scanOne(folder), 4)
    await chunks.next()
    await appendFile(join(folder, 'f'), 'x')
    expect((await refusal(collect(chunks))).code).toBe('FILE_CHANGED')
  })
})

test('an import stops when it is told to, and says why', async () => {
  const folder = await writeTree(await tempDir(), { a: '1', b: '2', c: '3' })
  const stop = new AbortController()
  const reason = new Error('enough')
  const promise = importFolder(folder, new MemoryBlocks(), {
    signal: stop.signal,
    onProgress: ({ files }) => {
      if (files === 2) stop.abort(reason)
    }
  })
  await expect(promise).rejects.toBe(reason)
})
