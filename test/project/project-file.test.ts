import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse } from 'smol-toml'
import { RegistryError } from '../../protocol/errors.ts'
import {
  GGEN_TABLES,
  NEW_PROJECT,
  OWN_TABLES,
  editProjectFile,
  hasPacks,
  parseProjectFile
} from '../../node/project-file.ts'
import type { ProjectTables } from '../../node/project-file.ts'

const refusal = (text: string, tables: ProjectTables = OWN_TABLES): RegistryError => {
  try {
    parseProjectFile(text, tables)
  } catch (error) {
    if (error instanceof RegistryError) return error
    throw error
  }
  throw new Error('it was read')
}

describe('a project file', () => {
  test('holds wishes and overrides, with registry and ecosystem where they are not the usual ones', () => {
    const text = '[packages]\nrust-service = "^1.0.0"\n"acme:ggen/tool" = "*"\n\n[overrides]\nbase = "=2.0.0"\n'
    expect(parseProjectFile(text, OWN_TABLES)).toEqual({
      wants: [
        { key: 'rust-service', alias: undefined, name: 'ggen/rust-service', range: '^1.0.0' },
        { key: 'acme:ggen/tool', alias: 'acme', name: 'ggen/tool', range: '*' }
      ],
      overrides: [{ key: 'base', alias: undefined, name: 'ggen/base', range: '=2.0.0' }]
    })
  })

  test('may be empty', () => {
    expect(parseProjectFile('', OWN_TABLES)).toEqual({ wants: [], overrides: [] })
    expect(parseProjectFile(NEW_PROJECT, OWN_TABLES)).toEqual({ wants: [], overrides: [] })
  })

  test.each<[string, string, string]>([
    ['text that is not TOML', '[packages]\na = \n', '.ggen/project.toml line 2: it is not TOML'],
    ['a table that is mistyped', '[packages]\n\n[override]\na = "1"\n', 'line 3: "override" means nothing here'],
    ['a key at the top', 'name = "x"\n', 'line 1: "name" means nothing here'],
    ['packages that are a list', 'packages = ["a"]\n', 'line 1: packages must be a table'],
    ['a wish without a range', '[packages]\na = "*"\nb = true\n', 'line 3: "b" wants a range in quotes'],
    ['a wish that is a table', '[packages]\na = { version = "1" }\n', 'line 2: "a" wants a range in quotes'],
    ['a range that is none', '[packages]\na = "newest"\n', 'line 2: "a": "newest" is not a version range'],
    ['a name that is none', '[packages]\n"Bad Name" = "*"\n', 'line 2: "Bad Name"'],
    ['a range in the key', '[packages]\n"a@1" = "*"\n', 'the range belongs behind the "="'],
    [
      'one package under two names',
      '[packages]\na = "*"\n"ggen/a" = "*"\n',
      'line 3: "ggen/a" is the same package as "a"'
    ]
  ])('with %s is refused with its line', (_, text, says) => {
    const error = refusal(text)
    expect(error.code).toBe('PROJECT_INVALID')
    expect(error.message).toContain(says)
  })

  test('with a mistyped table says which was meant', () => {
    expect(refusal('[package]\na = "*"\n').next).toBe('perhaps you meant [packages]')
  })
})

describe('[packs] of a ggen.toml', () => {
  const text = '[project]\nname = "x"\n\n[packs]\nlib = "^1"\n\n[packs.overrides]\nbase = "*"\n\n[other]\nx = [1, 2]\n'

  test('is read, and the other tables are none of our business', () => {
    const { wants, overrides } = parseProjectFile(text, GGEN_TABLES)
    expect([wants.map(({ key }) => key), overrides.map(({ key }) => key)]).toEqual([['lib'], ['base']])
    expect([hasPacks(text), hasPacks('[project]\n'), hasPacks('packs = ["a"]\n')]).toEqual([true, false, false])
  })

  test('may want a package that is called overrides', () => {
    const { wants, overrides } = parseProjectFile('[packs]\noverrides = "^1.0.0"\n', GGEN_TABLES)
    expect([wants.map(({ key }) => key), overrides]).toEqual([['overrides'], []])
  })
})

describe('an edit', () => {
  const text = `# what we need
[packages]
lib = "^1.0.0"   # keep below 2
"acme:tool" = '*'

[overrides] # for now
base = "=2.0.0"
`

  test.each<[string, string, string | undefined, string]>([
    ['changes a range and keeps the comment behind it', 'lib', '^2.0.0', text.replace('"^1.0.0"', '"^2.0.0"')],
    ['adds a wish behind the others', 'new', '*', text.replace("= '*'\n", '= \'*\'\nnew = "*"\n')],
    ['takes a wish away with its line', 'acme:tool', undefined, text.replace('"acme:tool" = \'*\'\n', '')],
    ['of what is not there changes nothing', 'ghost', undefined, text]
  ])('%s', (_, key, range, expected) => {
    expect(editProjectFile(text, OWN_TABLES, [{ key, range }])).toBe(expected)
  })

  test('of several wishes at once changes those and no other, whatever the file looks like', () => {
    const key = fc.constantFrom('a', 'b', 'acme:c', 'ggen/d', 'e.f')
    const wishes = fc.dictionary(key, fc.constantFrom('*', '^1.0.0', '>=1 <2'))
    fc.assert(
      fc.property(wishes, wishes, fc.boolean(), (before, changes, crlf) => {
        const lines = [
          '# top',
          '[packages] # table',
          ...Object.entries(before).map(([k, v]) => `"${k}" = '${v}' # ${k}`)
        ]
        const file = [...lines, '', '[overrides]', 'x = "*"', ''].join(crlf ? '\r\n' : '\n')
        const after = editProjectFile(
          file,
          OWN_TABLES,
          Object.entries(changes).map(([k, range]) => ({ key: k, range }))
        )
        expect(parse(after)).toEqual({ packages: { ...before, ...changes }, overrides: { x: '*' } })
        expect(after).toContain('# top')
        for (const k of Object.keys(before)) expect(after).toContain(`# ${k}`)
      })
    )
  })
})
