import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseDocumentFile, readDocumentFile } from '../../node/document-file.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { tempDir } from '../support/temp-dir.ts'

const codeOf = (parse: () => unknown): string => {
  try {
    parse()
  } catch (error) {
    if (isRegistryError(error)) return error.code
    throw error
  }
  return 'none'
}

const codeOfFile = (path: string): Promise<string> =>
  readDocumentFile(path).then(
    () => 'none',
    (error: unknown) => (isRegistryError(error) ? error.code : 'unknown')
  )

describe('a file of edits', () => {
  test('states the whole of each field that it names, and nothing of the others', () => {
    const text = `title = "T"
description = ""
keywords = ["web", "two words"]
categories = []
[links]
homepage = "https://a.org"
[tags]
next = "2.0.0-rc.1"
[deprecated]
"<2" = "use 2.x"
[maintainers]
"did:key:z6Mk" = "Ann"
`
    expect(parseDocumentFile(text, 'meta.toml')).toEqual([
      { field: 'title', entries: [{ path: ['title'], value: 'T' }] },
      { field: 'description', entries: [] },
      {
        field: 'keywords',
        entries: [
          { path: ['keywords', 'web'], value: true },
          { path: ['keywords', 'two words'], value: true }
        ]
      },
      { field: 'categories', entries: [] },
      { field: 'links', entries: [{ path: ['links', 'homepage'], value: 'https://a.org' }] },
      { field: 'tags', entries: [{ path: ['tags', 'next'], value: '2.0.0-rc.1' }] },
      { field: 'deprecated', entries: [{ path: ['deprecated', '<2'], value: 'use 2.x' }] },
      { field: 'maintainers', entries: [{ path: ['maintainers', 'did:key:z6Mk'], value: 'Ann' }] }
    ])
  })

  test.each([
    ['names a field that there is not', 'titel = "T"'],
    ['names a field that every object has', 'constructor = "T"'],
    ['names a field that would be a prototype', '[__proto__]\nx = "y"'],
    ['names no field', '# nothing'],
    ['has a number for a title', 'title = 1'],
    ['has a text for keywords', 'keywords = "web"'],
    ['has a number among keywords', 'keywords = ["web", 1]'],
    ['says a keyword twice', 'keywords = ["web", "web"]'],
    ['has a list for links', 'links = ["https://a.org"]'],
    ['has a table in links', '[links.home]\npage = "https://a.org"'],
    ['has a date for tags', 'tags = 2026-01-01'],
    ['has a date for a tag', '[tags]\nnext = 2026-01-01']
  ])('that %s is refused', (_, text) => {
    expect(codeOf(() => parseDocumentFile(text, 'meta.toml'))).toBe('INVALID_EDIT')
  })

  test('an entry named __proto__ is an entry like any other', () => {
    const [links] = parseDocumentFile('[links]\n__proto__ = "https://a.org"', 'meta.toml')
    expect(links?.entries).toEqual([{ path: ['links', '__proto__'], value: 'https://a.org' }])
  })

  test('that is not TOML is refused with the place', () => {
    expect(() => parseDocumentFile('title = "T', 'meta.toml')).toThrow(/^meta\.toml is not valid TOML 1\.0 at line 1/)
    expect(codeOf(() => parseDocumentFile(`a = ${'['.repeat(5_000)}`, 'meta.toml'))).toBe('INVALID_TOML')
  })

  test('is read up to its limit, and only where there is one', async () => {
    const folder = await tempDir('meta')
    const file = join(folder, 'meta.toml')
    const most = LIMITS.document.fileBytes
    await writeFile(file, `title = "T"\n#${'x'.repeat(most - 13)}`)
    expect(await readDocumentFile(file)).toHaveLength(1)
    await writeFile(file, `title = "T"\n#${'x'.repeat(most - 12)}`)
    expect(await codeOfFile(file)).toBe('LIMIT_EXCEEDED')
    await writeFile(file, Buffer.from([0xff, 0xfe]))
    expect(await codeOfFile(file)).toBe('INVALID_TOML')
    await mkdir(join(folder, 'folder'))
    expect(await codeOfFile(join(folder, 'folder'))).toBe('UNKNOWN_FILE')
    expect(await codeOfFile(join(folder, 'none'))).toBe('UNKNOWN_FILE')
  })
})
