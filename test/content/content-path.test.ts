import { describe, expect, test } from 'vitest'
import { checkContentPath, PathSet, showPath } from '../../protocol/content-path.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'

const HOSTILE = [
  ['empty', ''],
  ['absolute', '/etc/passwd'],
  ['ends with a slash', 'a/'],
  ['empty segment', 'a//b'],
  ['dot', './a'],
  ['dot dot', 'a/../b'],
  ['only dot dot', '..'],
  ['backslash', 'a\\b'],
  ['drive letter', 'C:/a'],
  ['drive-relative', 'c:a'],
  ['alternate data stream', 'a.txt:evil'],
  ['UNC', '\\\\host\\share'],
  ['nul', 'a\0b'],
  ['newline', 'a\nb'],
  ['escape', 'a\u001b[2Jb'],
  ['C1 control', 'a\u0085b'],
  ['delete', 'a\u007fb'],
  ['right-to-left override', 'a\u202egpj.exe'],
  ['zero-width joiner', '.g\u200dit/config'],
  ['line separator', 'a\u2028b'],
  ['lone surrogate', 'a\ud800'],
  ['trailing dot', 'a./b'],
  ['trailing space', 'a '],
  ['Windows device', 'con'],
  ['Windows device with extension', 'src/NUL.txt'],
  ['Windows device with superscript', 'com¹'],
  ['git', '.git/config'],
  ['git in another case', 'a/.GIT/hooks/post-checkout'],
  ['git by its short name', 'git~1/config'],
  ['our own state', '.ggen/packages'],
  ['glob', 'a*']
] as const

describe('paths of a package', () => {
  test.each(HOSTILE)('refuses: %s', (_, path) => {
    expect(() => checkContentPath(path)).toThrow(expect.objectContaining({ code: 'HOSTILE_PATH' }))
  })

  test.each([
    'package.toml',
    'templates/{{name}}.rs.tmpl',
    'src/[id]/page (1).tsx',
    '.gitignore',
    '.github/workflows/ci.yml',
    'console/commit.txt',
    'docs/日本語/説明.md',
    'emoji-🎉.md',
    'a b/c d',
    'x'.repeat(255),
    Array.from({ length: 32 }, () => 'd').join('/')
  ])('takes %s', path => {
    expect(() => checkContentPath(path)).not.toThrow()
  })

  test.each([
    ['256 bytes in a name', 'x'.repeat(256)],
    ['256 bytes in 86 characters', '日'.repeat(86)],
    ['more than 1,024 bytes', Array.from({ length: 6 }, () => 'x'.repeat(200)).join('/')],
    ['33 levels', Array.from({ length: 33 }, () => 'd').join('/')]
  ])('counts bytes and levels: %s', (_, path) => {
    expect(() => checkContentPath(path)).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }))
  })

  test('shows a hostile path without its power over a terminal', () => {
    const shown = showPath(`a\u001b[31m\u202e${'x'.repeat(500)}`)
    expect(shown).toContain(String.raw`a\u{1b}[31m\u{202e}`)
    expect(shown.length).toBeLessThan(200)
    expect(/[\p{Cc}\p{Cf}]/u.test(shown)).toBe(false)
  })
})

describe('twins', () => {
  const twins: readonly (readonly [string, string, string])[] = [
    ['case', 'README.md', 'readme.md'],
    ['case of a parent folder', 'Src/a.rs', 'src/b.rs'],
    ['NFC and NFD', 'caf\u00e9', 'cafe\u0301'],
    ['NFC and NFD of a parent folder', 'caf\u00e9/a', 'cafe\u0301/b'],
    ['sharp s', 'stra\u00dfe', 'STRASSE'],
    ['long s', '\u017frc/a', 'src/b'],
    ['Kelvin sign', '\u212aeys', 'keys'],
    ['final sigma', '\u03bf\u03c2', '\u03bf\u03c3']
  ]
  test.each(twins)('refuses two spellings of one file: %s', (_, a, b) => {
    const paths = new PathSet()
    paths.add(a, 'file')
    expect(() => paths.add(b, 'file')).toThrow(expect.objectContaining({ code: 'HOSTILE_PATH' }))
  })

  test('refuses one path twice, and a file that is a folder too', () => {
    const paths = new PathSet()
    paths.add('a/b', 'file')
    expect(() => paths.add('a/b', 'file')).toThrow('twice')
    expect(() => paths.add('a', 'file')).toThrow('both a file and a folder')
    expect(() => paths.add('a/b/c', 'file')).toThrow('both a file and a folder')
    paths.add('a', 'directory')
    expect(() => paths.add('a', 'directory')).toThrow('twice')
  })

  test('counts files and folders, implied ones too', () => {
    const paths = new PathSet({ ...LIMITS.content, entries: 3 })
    paths.add('a/b/c', 'file')
    expect(paths.size).toBe(3)
    expect(() => paths.add('d', 'file')).toThrow(RegistryError)
  })
})
