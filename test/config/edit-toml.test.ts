import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { parse } from 'smol-toml'
import { describe, expect, test } from 'vitest'
import { addToToml, editToml, tomlValue } from '../../node/config-text.ts'
import type { SettingValue } from '../../node/config-schema.ts'

const FILE = `# mirrors of the office
keep = "none"   # for now
log = 'warn'

# the one that everybody is in
[swarm.public]
listen = [
  "/ip4/0.0.0.0/tcp/4917", # the office
  "/ip6/::/tcp/4917"
]
mdns = false

[swarm.office]
mdns = true
`

describe('an edit of one setting', () => {
  test('changes its value and nothing else, comments included', () => {
    expect(editToml(FILE, ['keep'], 'all')).toBe(FILE.replace('"none"', '"all"'))
    expect(editToml(FILE, ['swarm', 'office', 'mdns'], false)).toBe(FILE.replace('mdns = true', 'mdns = false'))
  })

  test('replaces a value of several lines', () => {
    const after = editToml(FILE, ['swarm', 'public', 'listen'], ['/ip4/127.0.0.1/tcp/0'])
    expect(after).toContain('[swarm.public]\nlisten = ["/ip4/127.0.0.1/tcp/0"]\nmdns = false\n')
  })

  test('adds a setting to its table, behind its sisters', () => {
    const after = editToml(FILE, ['swarm', 'public', 'allow_peers'], ['a'])
    expect(after).toBe(FILE.replace('mdns = false\n', 'mdns = false\nallow_peers = ["a"]\n'))
  })

  test('adds a table at the end', () => {
    expect(editToml('keep = "all"', ['swarm', 'public', 'mdns'], true)).toBe(
      'keep = "all"\n\n[swarm.public]\nmdns = true\n'
    )
    expect(editToml('', ['swarm', 'public', 'mdns'], true)).toBe('[swarm.public]\nmdns = true\n')
  })

  test('adds a setting of the node before the first table', () => {
    expect(editToml('# x\n[swarm.public]\n', ['keep'], 'all')).toBe('# x\nkeep = "all"\n\n[swarm.public]\n')
  })

  test('goes on with dotted keys where somebody began with them', () => {
    expect(editToml('swarm.public.mdns = true\n', ['swarm', 'public', 'listen'], [])).toBe(
      'swarm.public.mdns = true\nswarm.public.listen = []\n'
    )
  })

  test('finds quoted keys, and keeps the line ends of the file', () => {
    expect(editToml('"keep" = "none"\r\nlog = "info"\r\n', ['keep'], 'all')).toBe('"keep" = "all"\r\nlog = "info"\r\n')
    expect(editToml('log = "info"\r\n', ['keep'], 'all')).toBe('log = "info"\r\nkeep = "all"\r\n')
  })

  test('removes a setting with its line, and is content when there is none', () => {
    expect(editToml(FILE, ['keep'], undefined)).toBe(FILE.replace('keep = "none"   # for now\n', ''))
    expect(editToml(FILE, ['bogus'], undefined)).toBe(FILE)
  })

  test('of several that are not there is what one after the other gives', () => {
    const texts = [
      FILE,
      '',
      'keep = "all"',
      'swarm.public.mdns = true\n',
      '"keep" = "none"\r\n',
      '[swarm.public]\n# x\n'
    ]
    const added = [
      ['a.b', '1'],
      ['c', ['x', 'y']],
      ['d"', true]
    ] as const
    for (const text of texts) {
      const each = added.reduce((now, [name, value]) => editToml(now, ['swarm', 'public', name], value), text)
      expect(addToToml(text, ['swarm', 'public'], added)).toBe(each)
    }
  })

  test('of several is refused where one of them is there, or only a person can add them', () => {
    expect(
      addToToml(
        FILE,
        ['swarm', 'public'],
        [
          ['new', true],
          ['mdns', true]
        ]
      )
    ).toBeUndefined()
    expect(
      addToToml(
        FILE,
        ['swarm', 'public'],
        [
          ['mdns', true],
          ['new', true]
        ]
      )
    ).toBeUndefined()
    const inline = 'swarm = { public = { mdns = true } }\n'
    expect(
      addToToml(
        inline,
        ['swarm', 'public'],
        [
          ['a', '1'],
          ['b', '2']
        ]
      )
    ).toBeUndefined()
  })

  test('leaves an inline table to a person', () => {
    const text = 'swarm = { public = { mdns = true } }\n'
    expect(() => editToml(text, ['swarm', 'public', 'mdns'], false)).toThrow('only a person')
  })

  test('a file that does not parse is not touched', () => {
    expect(() => editToml('keep = ', ['keep'], 'all')).toThrow(expect.objectContaining({ code: 'INVALID_TOML' }))
  })
})

// What a person may have written: values in every spelling, tables, comments that look like settings.
const name = fc.constantFrom('keep', 'log', 'mdns', 'listen', 'a.b', 'x y', '__proto__', 'toString', 'ключ', 'a"b')
const leaf = fc.oneof(
  fc.boolean().map(String),
  fc.integer({ min: -1000, max: 1000 }).map(String),
  fc.string({ unit: 'grapheme', maxLength: 12 }).map(text => tomlValue(text)),
  fc.constantFrom("'lit # eral'", '"""one\n[two]\nkeep = 3 # \\"""""', "'''a\n'b'\n'''", '1979-05-27', '1.5e3', '[ ]'),
  fc.constantFrom('[1, # [x]\n 2,\n]', '{ a = 1, "b]" = "}" }', '[["a"], [\'#\']]', '[{ a = "[" }]')
)
const comment = fc.constantFrom('', '', ' # keep = "no"', '\t# [swarm.public]', '  ')
const keyText = (key: string): string => (/^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key))
const pair = fc.tuple(name, fc.option(name), leaf, comment).map(([key, inner, value, tail]) => {
  const path = inner === null ? keyText(key) : `${keyText(key)} . ${keyText(inner)}`
  return `${path} = ${value}${tail}`
})
const line = fc.oneof(
  { weight: 5, arbitrary: pair },
  { weight: 1, arbitrary: fc.constantFrom('', '# listen = []', '   ', '#') },
  { weight: 2, arbitrary: fc.tuple(name, name).map(([a, b]) => `[${keyText(a)}.${keyText(b)}]`) },
  { weight: 1, arbitrary: name.map(key => `[[ ${keyText(key)} ]]  # more`) }
)
const document = fc
  .tuple(fc.array(line, { maxLength: 12 }), fc.constantFrom('\n', '\r\n'), fc.constantFrom('', '\n'))
  .map(([lines, end, last]) => `${lines.join(end)}${last}`)
  .filter(text => read(text) !== undefined)
const value = fc.oneof<fc.Arbitrary<SettingValue>[]>(
  fc.boolean(),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.array(fc.string({ unit: 'grapheme', maxLength: 8 }), { maxLength: 3 })
)
const path = fc.oneof(
  name.map(key => [key]),
  fc.tuple(name, name).map(keys => [...keys]),
  fc.tuple(fc.constant('swarm'), fc.constantFrom('public', 'office'), name).map(keys => [...keys])
)

describe('for any file', () => {
  test('an edit that is made changes that one setting, and every line that is not about it stays', () => {
    let made = 0
    fc.assert(
      fc.property(document, path, fc.option(value, { nil: undefined }), (text, at, to) => {
        const after = attempt(text, at, to)
        if (after === undefined) return
        made += 1
        const [before, then] = [flatten(read(text)), flatten(read(after))]
        const own = JSON.stringify(at)
        const others = (all: ReadonlyMap<string, unknown>) =>
          new Map([...all].filter(([key]) => !key.startsWith(own.slice(0, -1))))
        // Tables on the way to the setting may appear; no value may.
        expect(others(then)).toEqual(others(before))
        if (to === undefined) expect(then.has(own)).toBe(false)
        else expect(then.get(own)).toEqual(typeof to === 'object' ? [...to] : to.valueOf())
        const kept = text.split(/\r?\n/).filter(each => /^\s*#/.test(each)).length
        expect(after.split(/\r?\n/).filter(each => /^\s*#/.test(each)).length).toBe(kept)
      }),
      { numRuns: 3_000 }
    )
    // An editor that refuses everything would pass the rest.
    expect(made).toBeGreaterThan(1_500)
  })

  test('an edit and its opposite give the same settings again', () => {
    fc.assert(
      fc.property(document, value, (text, to) => {
        const at = ['swarm', 'new', 'setting']
        const there = attempt(text, at, to)
        if (there === undefined) return
        const back = editToml(there, at, undefined)
        const gone = flatten(read(back))
        expect(isDeepStrictEqual(gone, flatten(read(text)))).toBe(true)
      }),
      { numRuns: 500 }
    )
  })
})

function attempt(text: string, at: readonly string[], to: SettingValue | undefined): string | undefined {
  try {
    return editToml(text, at, to)
  } catch {
    return undefined
  }
}

function read(text: string): Record<string, unknown> | undefined {
  try {
    return parse(text)
  } catch {
    return undefined
  }
}

/** Values by their paths; tables themselves are not values. */
function flatten(
  table: unknown,
  path: readonly string[] = [],
  into = new Map<string, unknown>()
): Map<string, unknown> {
  for (const [key, entry] of Object.entries(Object(table) as Record<string, unknown>)) {
    const at = [...path, key]
    const isTable = typeof entry === 'object' && entry !== null && Object.getPrototypeOf(entry) === null
    if (isTable) flatten(entry, at, into)
    else into.set(JSON.stringify(at), entry)
  }
  return into
}
