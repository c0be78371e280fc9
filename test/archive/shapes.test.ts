import { readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { TreeWriter } from '../../node/archive/tree-writer.ts'
import { TarReader } from '../../protocol/foreign/tar-reader.ts'
import type { Frame } from '../../protocol/foreign/frames.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { pax, rawTar } from '../support/raw-tar.ts'
import type { RawEntry } from '../support/raw-tar.ts'
import { tempDir } from '../support/temp-dir.ts'

/** Reads and writes as the two processes do, in one: `chunkBytes` at a time. */
async function unpack(archive: Uint8Array, chunkBytes = archive.length, limits = LIMITS.foreign): Promise<string> {
  const root = join(await tempDir('archive'), 'root')
  const frames: Exclude<Frame, { type: 'end' | 'listed' | 'refused' }>[] = []
  const reader = new TarReader(
    {
      entry: ({ kind, path, size, executable }) =>
        frames.push(kind === 'file' ? { type: 'file', path, size, executable } : { type: 'directory', path }),
      bytes: bytes => frames.push({ type: 'bytes', bytes: bytes.slice() })
    },
    limits
  )
  const read = (): void => {
    for (let at = 0; at < archive.length; at += chunkBytes) reader.write(archive.subarray(at, at + chunkBytes))
    reader.end()
  }
  const refused = reasonOf(read)
  const tree = new TreeWriter(root)
  try {
    await tree.take({ type: 'directory', path: 'below' })
    for (const frame of frames) await tree.take(frame)
    if (refused !== undefined) throw refused
    await tree.end()
  } finally {
    await tree.close()
  }
  return root
}

/** What reading throws, to be thrown when what came before it is written. */
function reasonOf(read: () => void): Error | undefined {
  try {
    read()
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
  return undefined
}

const file: RawEntry = { name: 'a.txt', body: 'a' }

/** The 15 shapes of threats.md A5.1, then what two programs read in two ways. */
const REFUSED: readonly (readonly [string, readonly RawEntry[], string])[] = [
  ['an absolute path', [{ name: '/etc/passwd', body: 'x' }], 'HOSTILE_PATH'],
  ['a relative path', [{ name: '../x', body: 'x' }], 'HOSTILE_PATH'],
  ['a relative path further in', [{ name: 'a/../../x', body: 'x' }], 'HOSTILE_PATH'],
  ['a folder with a relative path', [{ name: '../d', type: '5' }], 'HOSTILE_PATH'],
  ['a folder with an absolute path', [{ name: '/d', type: '5' }], 'HOSTILE_PATH'],
  [
    'a file in the place of a folder',
    [
      { name: 'a', type: '5' },
      { ...file, name: 'a' }
    ],
    'HOSTILE_PATH'
  ],
  ['a symbolic link', [{ name: 'l', type: '2', link: '/etc/passwd' }], 'HOSTILE_PATH'],
  [
    'a link to a folder, and a file through it',
    [
      { name: 'd', type: '2', link: '/tmp' },
      { name: 'd/x', body: 'x' }
    ],
    'HOSTILE_PATH'
  ],
  [
    'a relative link to a folder',
    [
      { name: 'd', type: '2', link: '..' },
      { name: 'd/x', body: 'x' }
    ],
    'HOSTILE_PATH'
  ],
  ['a hard link to an absolute path', [{ name: 'h', type: '1', link: '/etc/passwd' }], 'HOSTILE_PATH'],
  [
    'a chain of hard links',
    [file, { name: 'h', type: '1', link: 'a.txt' }, { name: 'i', type: '1', link: 'h' }],
    'HOSTILE_PATH'
  ],
  ['a setuid bit', [{ name: 'su', body: 'x', mode: 0o4755 }], 'HOSTILE_PATH'],
  ['a named pipe', [{ name: 'p', type: '6' }], 'HOSTILE_PATH'],
  ['a character device', [{ name: 'null', type: '3' }], 'HOSTILE_PATH'],
  ['an entry that is there twice', [file, { ...file, body: 'b' }], 'HOSTILE_PATH'],
  ['two names that differ in case', [file, { name: 'A.txt', body: 'b' }], 'HOSTILE_PATH'],
  [
    'two names that differ in normalisation',
    [
      { name: '\u00e9', body: 'a' },
      { name: 'e\u0301', body: 'b' }
    ],
    'HOSTILE_PATH'
  ],
  ['a Windows path', [{ name: 'C:\\x', body: 'x' }], 'HOSTILE_PATH'],
  ['a control character', [{ name: 'a\u0007', body: 'x' }], 'HOSTILE_PATH'],
  ['a name of .git', [{ name: '.git/config', body: 'x' }], 'HOSTILE_PATH'],
  ['a name that is not UTF-8', [{ name: Uint8Array.of(0x61, 0xff), body: 'x' }], 'HOSTILE_PATH'],
  ['a name of 256 bytes', [pax([['path', 'x'.repeat(256)]]), file], 'LIMIT_EXCEEDED'],
  ['33 levels', [{ name: `${'d/'.repeat(33)}x`, body: 'x' }], 'LIMIT_EXCEEDED'],
  ['a file as a folder', [file, { name: 'a.txt/b', body: 'b' }], 'HOSTILE_PATH'],
  ['the same path spelled twice', [file, { name: './a.txt', body: 'b' }], 'HOSTILE_PATH'],
  ['a way out in a pax record', [pax([['path', '../x']]), file], 'HOSTILE_PATH'],
  [
    'a way out in a long name',
    [{ name: '././@LongLink', type: 'L', body: '../x\0', magic: 'ustar  \0' }, file],
    'HOSTILE_PATH'
  ],
  ['a path for all entries', [pax([['path', 'b.txt']], 'g'), file], 'MALFORMED'],
  [
    'a path that is said twice',
    [
      pax([
        ['path', 'b'],
        ['path', 'c']
      ]),
      file
    ],
    'MALFORMED'
  ],
  ['a long name and a pax path', [{ name: 'L', type: 'L', body: 'b\0' }, pax([['path', 'c']]), file], 'MALFORMED'],
  ['two sizes', [pax([['size', '0']]), file], 'MALFORMED'],
  ['a sparse file', [pax([['GNU.sparse.size', '99']]), file], 'MALFORMED'],
  ['another size in a record of star', [pax([['SCHILY.realsize', '99']]), file], 'MALFORMED'],
  ['holes', [pax([['SUN.holesdata', ' 0 1']]), file], 'MALFORMED'],
  ['a pax path that is empty', [pax([['path', '']]), file], 'MALFORMED'],
  ['a long name that is empty', [{ name: 'L', type: 'L', body: '\0' }, file], 'MALFORMED'],
  [
    'something said of all between what is said of one and that',
    [pax([['path', 'b']]), pax([['comment', 'c']], 'g'), file],
    'MALFORMED'
  ],
  ['a prefix in the form of GNU tar', [{ ...file, prefix: 'elsewhere', magic: 'ustar  \0' }], 'MALFORMED'],
  ['times of star behind a prefix', [{ ...file, over: [[476, '00000000001 ']] }], 'MALFORMED'],
  ['an owner that is no number', [{ ...file, over: [[108, 'nobody']] }], 'MALFORMED'],
  ['a time that is no number', [{ ...file, over: [[136, 'yesterday']] }], 'MALFORMED'],
  ['a number that is too large', [{ ...file, over: [[108, Uint8Array.of(0x80, 0xff)]] }], 'MALFORMED'],
  ['no name of its own, which a pax record gives it', [pax([['path', 'b']]), { ...file, name: '' }], 'MALFORMED'],
  ['a file that leads somewhere', [{ ...file, link: 'b' }], 'MALFORMED'],
  ['a file with the name of a folder', [pax([['path', 'b']]), { ...file, name: 'a/' }], 'MALFORMED'],
  ['a link in a pax record', [pax([['linkpath', '/etc']]), file], 'MALFORMED'],
  ['a pax record with a wrong length', [{ name: 'p', type: 'x', body: '99 path=b\n' }, file], 'MALFORMED'],
  ['a pax header of 1 MB', [{ name: 'p', type: 'x', body: Buffer.alloc(1_000_000) }, file], 'LIMIT_EXCEEDED'],
  ['a header for an entry that does not come', [pax([['path', 'b']])], 'MALFORMED'],
  ['a folder with bytes', [{ name: 'd/', type: '5', body: 'x' }], 'MALFORMED'],
  ['a checksum that is wrong', [{ ...file, badChecksum: true }], 'MALFORMED'],
  ['the form of 1979', [{ ...file, magic: '' }], 'MALFORMED'],
  ['a kind that nobody knows', [{ ...file, type: 'Z' }], 'HOSTILE_PATH'],
  ['a file of 257 MiB', [{ ...file, size: 257 * 1024 * 1024 }], 'LIMIT_EXCEEDED']
]

describe('an archive of others', () => {
  test.each(REFUSED)('with %s is refused', async (_, entries, code) => {
    expect(await codeOfAsync(() => unpack(rawTar(entries)))).toBe(code)
  })

  test('with something behind its end, or none, is refused', async () => {
    for (const end of [512, 1024, 2048]) {
      // With an end of its own, so that whoever reads on finds nothing amiss.
      const more = Buffer.concat([rawTar([file], { end }), rawTar([{ name: 'b' }])])
      expect(await codeOfAsync(() => unpack(more))).toBe('MALFORMED')
    }
    expect(await codeOfAsync(() => unpack(rawTar([file], { end: 0 })))).toBe('MALFORMED')
    expect(await codeOfAsync(() => unpack(rawTar([file]).subarray(0, 512)))).toBe('MALFORMED')
    expect(await codeOfAsync(() => unpack(new Uint8Array(0)))).toBe('MALFORMED')
  })

  test('with more entries, larger files or more bytes than a package may have is refused', async () => {
    const three = ['a', 'b', 'c'].map(name => ({ name, body: 'x'.repeat(10) }))
    for (const limit of [{ entries: 2 }, { fileBytes: 9 }, { packageBytes: 29 }]) {
      const tree = new TreeWriter(await tempDir('archive'), { ...LIMITS.content, ...limit })
      const take = async (): Promise<void> => {
        for (const { name: path, body } of three) {
          await tree.take({ type: 'file', path, size: body.length, executable: false })
          await tree.take({ type: 'bytes', bytes: Buffer.from(body) })
        }
      }
      expect(await codeOfAsync(take)).toBe('LIMIT_EXCEEDED')
      await tree.close()
    }
  })

  test('is written over nothing that is there, and through no link', async () => {
    const [root, elsewhere] = [await tempDir('archive'), await tempDir('elsewhere')]
    await writeFile(join(elsewhere, 'kept'), 'kept')
    await symlink(join(elsewhere, 'kept'), join(root, 'a'))
    await symlink(join(elsewhere, 'made'), join(root, 'b'))
    for (const path of ['a', 'b']) {
      const tree = new TreeWriter(root)
      await expect(tree.take({ type: 'file', path, size: 0, executable: false })).rejects.toThrow(/EEXIST/)
    }
    expect(await readFile(join(elsewhere, 'kept'), 'utf8')).toBe('kept')
    expect(await readdir(elsewhere)).toEqual(['kept'])
  })

  test('with more headers than entries need is refused', async () => {
    const many = rawTar(Array.from({ length: 9 }, (_, i) => pax([['comment', String(i)]], 'g')))
    expect(await codeOfAsync(() => unpack(many, many.length, { ...LIMITS.foreign, headers: 8 as never }))).toBe(
      'LIMIT_EXCEEDED'
    )
  })

  test('of files and folders comes out, however its bytes are cut', async () => {
    const entries: RawEntry[] = [
      pax([['comment', '0123456789abcdef']], 'g'),
      { name: './', type: '5' },
      { name: './bin', type: '5' },
      // An owner beyond seven octal digits, as GNU tar writes it.
      { name: './bin/run', body: 'run', mode: 0o755, over: [[108, Uint8Array.of(0x80, 0, 0, 0, 4, 0x2c, 0x1d, 0x80)]] },
      pax([
        ['path', `deep/${'ü'.repeat(90)}`],
        ['mtime', '1.5']
      ]),
      { name: 'deep/short', body: 'x'.repeat(700) },
      { name: 'file', prefix: 'in/front', body: '' }
    ]
    for (const chunkBytes of [1, 511, 512, 65_536]) {
      const root = await unpack(rawTar(entries, { end: 10_240 }), chunkBytes)
      const found = await readdir(root, { recursive: true })
      expect(found.toSorted()).toEqual(
        ['bin', 'bin/run', 'deep', `deep/${'ü'.repeat(90)}`, 'in', 'in/front', 'in/front/file', 'below'].toSorted()
      )
      expect(await readFile(join(root, 'deep', 'ü'.repeat(90)), 'utf8')).toBe('x'.repeat(700))
      expect((await stat(join(root, 'bin/run'))).mode & 0o111).not.toBe(0)
      expect((await stat(join(root, 'in/front/file'))).mode & 0o7111).toBe(0)
    }
  })
})
