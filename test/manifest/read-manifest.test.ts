import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { tomlFault } from '../../protocol/toml-version.ts'
import { parseToml, readManifest } from '../../storage/content/read-manifest.ts'
import { refusal, tempDir, writeTree } from '../content/support.ts'

const MINIMAL = '[package]\nname = "demo"\nversion = "1.0.0"\n'

describe('the manifest of a folder', () => {
  test('is package.toml, or else pack.toml, and both is said', async () => {
    const one = await readManifest(await writeTree(await tempDir(), { 'package.toml': MINIMAL }))
    expect(one).toEqual({
      manifest: { kind: 'package', name: 'demo', version: '1.0.0', dependencies: [], executables: [] },
      notes: [],
      file: 'package.toml'
    })
    const pack = MINIMAL.replace('package', 'pack').replace('demo', 'other')
    const other = await readManifest(await writeTree(await tempDir(), { 'pack.toml': pack }))
    expect(other).toMatchObject({ file: 'pack.toml', manifest: { kind: 'pack', name: 'other' }, notes: [] })
    const both = await readManifest(await writeTree(await tempDir(), { 'package.toml': MINIMAL, 'pack.toml': pack }))
    expect(both).toMatchObject({ file: 'package.toml', manifest: { name: 'demo' }, notes: [{ field: 'pack.toml' }] })
  })

  test('may begin with a byte order mark and end its lines as Windows does', async () => {
    const text = `\ufeff${MINIMAL.replaceAll('\n', '\r\n')}`
    expect((await readManifest(await writeTree(await tempDir(), { 'package.toml': text }))).manifest.name).toBe('demo')
  })

  test('that is missing is looked for one folder down', async () => {
    const none = await refusal(readManifest(await tempDir()))
    expect(none).toMatchObject({ code: 'NO_MANIFEST', next: 'write a package.toml with [package], name and version' })
    const folder = await writeTree(await tempDir(), { 'b/package.toml': MINIMAL, 'a/pack.toml': MINIMAL, 'c/x': 'x' })
    expect((await refusal(readManifest(folder))).next).toContain('"a", "b"')
    expect((await refusal(readManifest(join(folder, 'nowhere')))).code).toBe('UNKNOWN_FILE')
  })

  test('is refused when it is a link, too large, or not UTF-8', async () => {
    const linked = await writeTree(await tempDir(), { 'real.toml': MINIMAL })
    await symlink('real.toml', join(linked, 'package.toml'))
    expect((await refusal(readManifest(linked))).code).toBe('HOSTILE_PATH')
    const large = `${MINIMAL}#${'x'.repeat(LIMITS.manifest.fileBytes)}`
    expect((await refusal(readManifest(await writeTree(await tempDir(), { 'package.toml': large })))).code).toBe(
      'LIMIT_EXCEEDED'
    )
    const latin1 = Buffer.from(`${MINIMAL}description = "caf\u00e9"`, 'latin1')
    expect((await refusal(readManifest(await writeTree(await tempDir(), { 'package.toml': latin1 })))).code).toBe(
      'INVALID_TOML'
    )
  })

  test('says the line and the column of the fault', async () => {
    const folder = await writeTree(await tempDir(), { 'package.toml': '[package]\nname = "demo\n' })
    const error = await refusal(readManifest(folder))
    expect(error.code).toBe('INVALID_TOML')
    expect(error.message).toMatch(/^package\.toml is not valid TOML 1\.0 at line 2, column \d+: [^\n]+$/)
  })

  test('nested too deeply is refused before the stack is', () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{a=', '}']
    ] as const) {
      const deep = (n: number) => `a = ${open.repeat(n)}1${close.repeat(n)}`
      expect(() => parseToml(deep(20), 'f')).not.toThrow()
      expect(() => parseToml(deep(50_000), 'f')).toThrow(expect.objectContaining({ code: 'INVALID_TOML' }))
    }
  })
})

describe('manifests are TOML 1.0, because the tools that read them are', () => {
  test.each([
    ['a line end in an inline table', 'a = {\n b = 1 }', 1, 6],
    ['a comment in an inline table', 'x = 1\na = { b = 1, # why\n c = 2 }', 2, 19],
    ['a last comma in an inline table', 'a = { b = 1, }', 1, 14],
    ['an escape', 'a = "\\e[0m"', 1, 6],
    ['a hexadecimal escape', 'a = """\n\\x41"""', 2, 1],
    ['a time without seconds', 'a = 07:32', 1, 5],
    ['a date-time without seconds', 'a = 1979-05-27T07:32Z', 1, 16]
  ])('%s is newer', (_, text, line, column) => {
    expect(tomlFault(text)).toMatchObject({ line, column })
    expect(() => parseToml(text, 'f')).toThrow(expect.objectContaining({ code: 'INVALID_TOML' }))
  })

  test.each([
    'a = { b = [\n1,\n2,\n] }',
    'a = { b = """\n""" }',
    "a = { b = '''\n},\n''' }",
    'a = "{\\n"\nb = 1',
    'a = "\\\\e"',
    "a = '\\e'",
    'a = """a "quoted" word"""""\nb = 1',
    '# { \na = 1',
    'a = 07:32:00',
    'a = 1979-05-27T07:32:00.5-07:00',
    '[a.b]\nc = [ [1], [2] ]\n[[d]]\ne = {}',
    '"{" = 1\n"07:32" = 2'
  ])('%j is not', text => {
    expect(tomlFault(text)).toBeUndefined()
    expect(() => parseToml(text, 'f')).not.toThrow()
  })
})
