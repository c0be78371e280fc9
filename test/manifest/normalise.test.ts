import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeCbor, encodeCbor } from '../../protocol/cbor.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseManifestRecord, toManifestRecord } from '../../protocol/manifest.ts'
import type { Dependency } from '../../protocol/manifest.ts'
import { normaliseRange } from '../../protocol/manifest-range.ts'
import { normaliseManifest } from '../../protocol/normalise-manifest.ts'
import type { NormalisedManifest } from '../../protocol/normalise-manifest.ts'
import { parseToml } from '../../storage/content/read-manifest.ts'

function normalise(body: string, head = 'name = "demo"\nversion = "1.0.0"'): NormalisedManifest {
  return normaliseManifest(parseToml(`[package]\n${head}\n${body}`, 'package.toml'), 'package')
}

function dependencies(body: string): readonly Dependency[] {
  return normalise(body).manifest.dependencies
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (isRegistryError(error)) return error.code
    throw error
  }
  return 'accepted'
}

describe('names and versions', () => {
  test.each([
    ['demo', '', 'demo', 0],
    ['Demo-Pack', '', 'demo-pack', 1],
    ['My Cool Pack', 'id = "io.example.cool"', 'io.example.cool', 1],
    ['My Cool Pack', '', 'my-cool-pack', 1],
    ['My Cool Pack', 'id = "Not OK!"', 'my-cool-pack', 1],
    ['snake_case', '', 'snake_case', 0]
  ])('%s %s is %s', (name, id, expected, notes) => {
    const found = normalise('', `name = ${JSON.stringify(name)}\n${id}\nversion = "1.0.0"`)
    expect(found.manifest.name).toBe(expected)
    expect(found.notes).toHaveLength(notes)
  })

  test.each(['', '  ', '日本', '../x', 'con', 'a--b', 'x'.repeat(300)])(
    '%j is no name and nothing is made of it',
    name => {
      expect(codeOf(() => normalise('', `name = ${JSON.stringify(name)}\nversion = "1.0.0"`))).toBe('INVALID_NAME')
    }
  )

  test.each([
    ['0.1', '0.1.0'],
    ['2', '2.0.0'],
    ['v1.2.3', '1.2.3'],
    ['1.2.3+build.5', '1.2.3'],
    ['1.2.3-rc.1', '1.2.3-rc.1'],
    ['26.7.20', '26.7.20']
  ])('version %s is %s', (version, expected) => {
    const { manifest, notes } = normalise('', `name = "demo"\nversion = "${version}"`)
    expect(manifest.version).toBe(expected)
    expect(notes).toHaveLength(version === expected ? 0 : 1)
  })

  test.each(['"26.07.20"', '"1.2.3.4"', '"latest"', '""', '1.0', '1', '"1.2.3-"', '"99999999999999999999.0.0"'])(
    'version %s is refused',
    version => {
      expect(codeOf(() => normalise('', `name = "demo"\nversion = ${version}`))).toBe('INVALID_VERSION')
    }
  )
})

describe('ranges have one spelling', () => {
  test.each([
    ['1.0.0', '^1.0.0'],
    ['0.1', '^0.1.0'],
    ['1', '^1.0.0'],
    ['=1.0.0', '=1.0.0'],
    ['^1.2', '^1.2'],
    ['>=1.0, <2.0', '>=1.0 <2.0'],
    ['  >=0.4.0  ', '>=0.4.0'],
    ['*', '*']
  ])('%s is %s', (from, to) => {
    expect(normaliseRange(from)).toBe(to)
  })

  test.each(['latest', 'whatever', '', 'not a range', '>=', 'x'.repeat(300)])('%j is none', text => {
    expect(normaliseRange(text)).toBeUndefined()
  })

  test('of which the normaliser makes the same one again', () => {
    const part = fc.constantFrom(
      '1',
      '1.2',
      '1.2.3',
      '0.0.1-rc.1',
      '>=',
      '<',
      '^',
      '~',
      '=',
      '||',
      ' - ',
      ' ',
      ',',
      '*',
      'x',
      'v'
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), parts => {
        const once = normaliseRange(parts.join(''))
        if (once !== undefined) expect(normaliseRange(once)).toBe(once)
      }),
      { numRuns: 3_000 }
    )
  })
})

describe('what an entry is follows from its shape', () => {
  test('ggen, in each of the forms a person may choose', () => {
    const b = [{ name: 'b', range: '^1.0.0', kind: 'ggen' }]
    expect(dependencies('dependencies = ["b@1.0.0"]')).toEqual(b)
    expect(dependencies('dependencies = ["b = \\"1.0\\""]')).toEqual(b)
    expect(dependencies('dependencies = ["ggen/b@^1.0.0"]')).toEqual(b)
    expect(dependencies('dependencies = { b = "1.0.0" }')).toEqual(b)
    expect(dependencies('[package.dependencies]\nB = "1.0.0"')).toEqual(b)
    expect(dependencies('[dependencies]\nb = { version = "1.0.0" }')).toEqual(b)
    expect(dependencies('[[dependencies]]\nname = "b"\nversion = "1.0.0"')).toEqual(b)
    expect(dependencies('[dependencies]\nrequired = { b = "1.0.0" }')).toEqual(b)
  })

  test('optional, as a list or as a key', () => {
    const b = [{ name: 'b', range: '*', kind: 'ggen', optional: true }]
    expect(dependencies('[dependencies]\noptional = ["b"]')).toEqual(b)
    expect(dependencies('[dependencies]\nb = { optional = true }')).toEqual(b)
    expect(dependencies('[dependencies]\nrequired = ["b"]\noptional = ["b"]')).toEqual([
      { name: 'b', range: '*', kind: 'ggen' }
    ])
  })

  test('a crate, where the file or the table is one that Cargo reads', () => {
    const serde = { name: 'serde', range: '1.0', kind: 'external', ecosystem: 'cargo' }
    expect(dependencies('[lib]\nname = "x"\n[dependencies]\nserde = "1.0"')).toEqual([serde])
    expect(dependencies('[[bin]]\nname = "x"\n[dependencies]\nserde = "1.0"')).toEqual([serde])
    const table = '[dependencies]\nserde = "1.0"\ntokio = { version = "1", features = ["full"] }\n'
    expect(dependencies(table)[0]).toEqual(serde)
    // The author's own word wins over the shape.
    expect(dependencies(`${table}b = { version = "1.0.0", ecosystem = "ggen" }`)[0]).toEqual({
      name: 'b',
      range: '^1.0.0',
      kind: 'ggen'
    })
  })

  test('another ecosystem, by its own name', () => {
    expect(dependencies('dependencies = ["npm/@scope/left-pad@~1.3", "cargo/serde"]')).toEqual([
      { name: '@scope/left-pad', range: '~1.3', kind: 'external', ecosystem: 'npm' },
      { name: 'serde', range: '*', kind: 'external', ecosystem: 'cargo' }
    ])
    expect(dependencies('[dependencies]\nrequests = { version = ">=2", ecosystem = "pypi" }')).toEqual([
      { name: 'requests', range: '>=2', kind: 'external', ecosystem: 'pypi' }
    ])
  })

  test('a path or a development tool is none, and that is said', () => {
    const { manifest, notes } = normalise(
      'dependencies = ["ontology/a.ttl", "main.ttl"]\n[dev-dependencies]\nx = "1"'.replace('[dev-dep', '[test_dep')
    )
    expect(manifest.dependencies).toEqual([])
    expect(notes.map(note => note.field)).toEqual([
      'test_dependencies',
      'package.dependencies[0]',
      'package.dependencies[1]'
    ])
  })

  test.each([
    ['a garbage range', 'dependencies = { b = "whatever" }'],
    ['a garbage name', 'dependencies = ["B & C"]'],
    ['a number', 'dependencies = [1]'],
    ['text instead of a list', 'dependencies = "b"'],
    ['itself', 'dependencies = ["demo"]'],
    ['two ranges for one name', 'dependencies = ["b@1", "b@2"]'],
    ['an unknown ecosystem', '[dependencies]\nb = { version = "1", ecosystem = "brew" }'],
    ['optional that is no boolean', '[dependencies]\nb = { version = "1", optional = "yes" }'],
    ['a name in another registry', 'dependencies = ["acme:b"]']
  ])('what cannot be understood is refused by its field: %s', (_, body) => {
    expect(codeOf(() => normalise(body))).toBe('INVALID_MANIFEST')
  })

  test('more than the limit of them', () => {
    const list = Array.from({ length: LIMITS.manifest.dependencies + 1 }, (_, i) => `"d${i}"`).join(', ')
    expect(codeOf(() => normalise(`dependencies = [${list}]`))).toBe('LIMIT_EXCEEDED')
  })
})

describe('text', () => {
  test('is cut only with a note, never inside a character, and kept as written otherwise', () => {
    const { manifest, notes } = normalise(
      `description = "${'🎉'.repeat(3_000)}"\nlicense = "MIT OR Apache-2.0"\ncategory = "AI-Tools"`
    )
    expect(manifest.description?.length).toBeLessThanOrEqual(LIMITS.manifest.descriptionChars)
    expect(manifest.description?.isWellFormed()).toBe(true)
    expect(manifest.license).toBe('MIT OR Apache-2.0')
    expect(manifest.category).toBe('ai-tools')
    expect(notes.map(note => note.field)).toEqual(['description', 'category'])
  })

  test('is NFC without controls and without bidi overrides', () => {
    const { manifest } = normalise('description = "cafe\\u0301 \\u001b[31mred \\u202Eevil\\nnext"')
    expect(manifest.description).toBe('café [31mred evil\nnext')
  })

  test('links lead to the web or nowhere', () => {
    const { manifest, notes } = normalise('homepage = "javascript:alert(1)"\nrepository = "https://example.org/x"')
    expect(manifest.homepage).toBeUndefined()
    expect(manifest.repository).toBe('https://example.org/x')
    expect(notes[0]?.field).toBe('homepage')
  })

  test('authors and keywords are gathered from where people write them', () => {
    const { manifest } = normalise(
      'author = "A"\nauthors = ["B", {name = "C", email = "c@example.org"}]\ntags = ["x", "x", "y"]'
    )
    expect(manifest.authors).toEqual(['A', 'B', 'C <c@example.org>'])
    expect(manifest.keywords).toEqual(['x', 'y'])
  })

  test('executables are paths in the package', () => {
    expect(normalise('executables = ["./b.sh", "a/run"]').manifest.executables).toEqual(['a/run', 'b.sh'])
    expect(codeOf(() => normalise('executables = ["../../bin/sh"]'))).toBe('HOSTILE_PATH')
    expect(codeOf(() => normalise('executables = "run"'))).toBe('INVALID_MANIFEST')
  })
})

describe('the record that is signed', () => {
  const good = toManifestRecord(normalise('dependencies = ["b", "c@1"]\ntitle = "T"').manifest)
  test.each([
    ['an unknown key', { extra: 1 }],
    ['no name', { name: undefined }],
    ['an unknown kind', { kind: 'bundle' }],
    ['an untrimmed title', { title: ' T' }],
    ['a title that is not NFC', { title: 'cafe\u0301' }],
    ['a title of undefined', { title: undefined }],
    ['an empty list that should be absent', { authors: [] }],
    ['a keyword twice', { keywords: ['a', 'a'] }],
    ['a javascript link', { homepage: 'javascript:x' }],
    [
      'unsorted dependencies',
      {
        dependencies: [
          { name: 'c', range: '*', kind: 'ggen' },
          { name: 'b', range: '*', kind: 'ggen' }
        ]
      }
    ],
    [
      'one dependency twice',
      {
        dependencies: [
          { name: 'b', range: '*', kind: 'ggen' },
          { name: 'b', range: '^1.0.0', kind: 'ggen' }
        ]
      }
    ],
    ['a bare range', { dependencies: [{ name: 'b', range: '1.0.0', kind: 'ggen' }] }],
    ['optional false', { dependencies: [{ name: 'b', range: '*', kind: 'ggen', optional: false }] }],
    [
      'a ggen dependency with an ecosystem',
      { dependencies: [{ name: 'b', range: '*', kind: 'ggen', ecosystem: 'npm' }] }
    ],
    ['an external one in ggen', { dependencies: [{ name: 'b', range: '*', kind: 'external', ecosystem: 'ggen' }] }],
    ['an external name with a line end', { dependencies: [{ name: 'b\nc', range: '*', kind: 'external' }] }],
    ['itself as dependency', { dependencies: [{ name: 'demo', range: '*', kind: 'ggen' }] }],
    ['unsorted executables', { executables: ['b', 'a'] }],
    ['an executable outside', { executables: ['../a'] }],
    ['a version with build metadata', { version: '1.0.0+1' }],
    ['a name in upper case', { name: 'Demo' }],
    ['dependencies that are no list', { dependencies: {} }]
  ])('has one spelling: %s is refused', (_, change) => {
    expect(parseManifestRecord(good).name).toBe('demo')
    expect(codeOf(() => parseManifestRecord({ ...good, ...change }))).not.toBe('accepted')
  })

  test.each([null, 1, 'x', [], new Uint8Array(3), new Map()])('is a map, not %j', value => {
    expect(codeOf(() => parseManifestRecord(value))).not.toBe('accepted')
  })
})

describe('whatever is in the file', () => {
  const key = fc.oneof(
    fc.constantFrom(
      'package',
      'name',
      'id',
      'version',
      'dependencies',
      'required',
      'optional',
      'features',
      'rust',
      'ecosystem'
    ),
    fc.constantFrom(
      'keywords',
      'tags',
      'authors',
      'author',
      'description',
      'executables',
      'category',
      'homepage',
      'lib',
      'title'
    ),
    fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', ''),
    fc.string({ maxLength: 12, unit: 'binary' })
  )
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom('1.0.0', 'demo', '*', 'npm/x', 'a/b', '0.1', '../x')
  )
  const { value } = fc.letrec(tie => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      text,
      fc.double(),
      fc.boolean(),
      fc.constant(new Date(0)),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: false })
    )
  }))

  test('the answer is a valid record or a refusal with a code, never a crash and never a changed prototype', () => {
    let accepted = 0
    fc.assert(
      fc.property(
        fc.dictionary(key, value, { maxKeys: 6 }),
        fc.dictionary(key, value),
        fc.boolean(),
        (rest, section, named) => {
          const head = named ? { name: 'demo', version: '1.0' } : {}
          const toml = { ...rest, package: { ...section, ...head } }
          try {
            const { manifest, notes } = normaliseManifest(toml, 'package')
            accepted += 1
            expect(notes.length).toBeLessThanOrEqual(LIMITS.manifest.notes)
            const record = toManifestRecord(manifest)
            expect(parseManifestRecord(decodeCbor(encodeCbor(record), 8))).toEqual(manifest)
          } catch (error) {
            if (!isRegistryError(error)) throw error
            expect(error.message).not.toMatch(/[\p{Cc}]/u)
          }
          expect(Object.prototype).not.toHaveProperty('polluted')
        }
      ),
      // A control character that JSON leaves as it is.
      { numRuns: 4_000, examples: [[{}, { dependencies: { constructor: '\u007f' } }, true]] }
    )
    expect(accepted).toBeGreaterThan(300)
  })

  test('"__proto__" is a key like any other', () => {
    const { manifest } = normalise('[package.__proto__]\npolluted = true\n[__proto__]\npolluted = true')
    expect(manifest.name).toBe('demo')
    expect({}).not.toHaveProperty('polluted')
    expect(codeOf(() => normaliseManifest(parseToml('[__proto__]\nname = "x"', 'package.toml'), 'package'))).toBe(
      'INVALID_MANIFEST'
    )
  })
})
