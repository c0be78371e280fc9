import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { RegistryId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { packageNameOf } from '../../protocol/package-name.ts'
import { parseSemver } from '../../protocol/version.ts'
import { EMPTY_LOCK, formatLock, packId, parseLock } from '../../node/services/project/lock-format.ts'
import type { Lock, LockedPack } from '../../node/services/project/lock-format.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { person, contentIdOf } from '../support/facts.ts'
import { registryNamed } from '../support/swarm-node.ts'
import { factIdOf } from '../../protocol/cid.ts'

const MAIN = registryNamed('main')
const OTHER = registryNamed('other')

function pack(name: string, registry: RegistryId = MAIN, more: Partial<LockedPack> = {}): LockedPack {
  const full = packageNameOf('ggen', name)
  return {
    id: packId(full, registry, registry === MAIN),
    name: full,
    version: parseSemver('1.2.3'),
    registry,
    alias: registry === MAIN ? 'main' : 'other',
    cid: contentIdOf(name),
    sha256: new Uint8Array(32).fill(name.length),
    author: person('author').did,
    fact: factIdOf(new TextEncoder().encode(name)),
    installedAt: '2026-01-01T00:00:00.000Z',
    dependencies: [],
    extra: {},
    ...more
  }
}

const lockOf = (...packs: readonly LockedPack[]): Lock => ({
  ...EMPTY_LOCK,
  updatedAt: '2026-01-01T00:00:00.000Z',
  ggenVersion: '0.1.0',
  packs: new Map(packs.map(one => [one.id, one]))
})

const refusal = (text: string): RegistryError => {
  try {
    parseLock(text)
  } catch (error) {
    if (error instanceof RegistryError) return error
    throw error
  }
  throw new Error('it was read')
}

type Json = Record<string, unknown> & { packs: Record<string, Record<string, unknown>> }

/** A valid lock of two packages, changed. */
const edited = (change: (json: Json) => unknown): string => {
  const json = JSON.parse(formatLock(lockOf(pack('b', MAIN, { dependencies: ['a'] }), pack('a')))) as Json
  change(json)
  return JSON.stringify(json)
}
const inA = (field: string, value: unknown) =>
  edited(({ packs }) => Object.assign(packs['a'] ?? {}, { [field]: value }))

describe('a lock', () => {
  test('is written with sorted keys, whatever the order of its packages', () => {
    const text = formatLock(lockOf(pack('b'), pack('a')))
    expect(formatLock(lockOf(pack('a'), pack('b')))).toBe(text)
    const top = Object.keys(JSON.parse(text) as Json)
    expect(top).toEqual(['ggen_version', 'lock_format', 'packs', 'updated_at'])
    expect(Object.keys((JSON.parse(text) as Json).packs['a'] ?? {})).toEqual([
      'alias',
      'author',
      'cid',
      'dependencies',
      'fact',
      'installed_at',
      'integrity',
      'name',
      'registry',
      'source',
      'version'
    ])
  })

  test('has what the ggen tool reads', () => {
    const { packs } = JSON.parse(formatLock(lockOf(pack('a')))) as Json
    expect(packs['a']).toMatchObject({
      version: '1.2.3',
      source: { type: 'Registry', url: `ggen:${MAIN}` },
      integrity: 'sha256-AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=',
      installed_at: '2026-01-01T00:00:00.000Z',
      dependencies: []
    })
  })

  test('names the registry in the id of a package of another one', () => {
    expect([...lockOf(pack('a', OTHER)).packs.keys()]).toEqual([`${OTHER}:ggen/a`])
  })

  // As JSON has it: its text knows no -0.
  const json = fc.jsonValue({ maxDepth: 4 }).map(value => JSON.parse(JSON.stringify(value)) as unknown)
  const key = fc
    .string()
    .filter(text => !['packs', 'updated_at', 'ggen_version', 'lock_format', 'overrides'].includes(text))
  const name = fc.stringMatching(/^[a-z][a-z0-9]{0,12}$/)
  const locks = fc
    .record({
      names: fc.uniqueArray(fc.tuple(name, fc.constantFrom(MAIN, OTHER)), {
        selector: ([n, r]) => n + r,
        maxLength: 6
      }),
      extra: fc.dictionary(key, json),
      own: fc.dictionary(fc.stringMatching(/^x_[a-z]+$/), json),
      overrides: fc.dictionary(name, fc.constantFrom('*', '^1.0.0'))
    })
    .map(({ names, extra, own, overrides }): Lock => {
      const packs = names.map(([n, registry], i) =>
        pack(n, registry, { extra: own, ...(i % 2 === 0 ? { requested: '^1' } : {}) })
      )
      const ids = packs.map(({ id }) => id).toSorted()
      const linked = packs.map(one => ({ ...one, dependencies: ids }))
      return { ...lockOf(...linked), extra, overrides: new Map(Object.entries(overrides)) }
    })

  test('comes back byte for byte, unknown fields and all', () => {
    fc.assert(
      fc.property(locks, lock => {
        const text = formatLock(lock)
        expect(formatLock(parseLock(text))).toBe(text)
      })
    )
  })

  test('says the same after a round trip', () => {
    fc.assert(
      fc.property(locks, lock => {
        expect(parseLock(formatLock(lock))).toEqual(lock)
      })
    )
  })
})

describe('hostile JSON', () => {
  test.each<[string, string, string]>([
    ['no JSON', '{"packs":', 'not JSON'],
    ['a list', '[]', 'not a JSON object'],
    ['null', 'null', 'not a JSON object'],
    ['no packs', '{"updated_at":"","ggen_version":""}', 'no object "packs"'],
    ['packs that are a list', '{"packs":[],"updated_at":"","ggen_version":""}', 'no object "packs"'],
    ['packs of the prototype', '{"__proto__":{"packs":{}},"updated_at":"","ggen_version":""}', 'no object "packs"'],
    ['a format of text', edited(json => (json['lock_format'] = '1')), 'format "1"'],
    ['a future format', edited(json => (json['lock_format'] = 2)), 'format 2'],
    ['an entry that is no object', edited(({ packs }) => Object.assign(packs, { a: 7 })), 'no object "a"'],
    ['a number for a version', inA('version', 1), 'no text "version"'],
    ['a version in another spelling', inA('version', 'v1.2.3'), 'not a version'],
    ['a content id that is none', inA('cid', 'bafy'), 'entry "a"'],
    ['a fact that is none', inA('fact', '../../etc'), 'entry "a"'],
    ['an author that is none', inA('author', 'did:web:me'), 'entry "a"'],
    ['a registry that is none', inA('registry', 'main'), 'entry "a"'],
    ['the registry of another id', inA('registry', OTHER), 'registries'],
    ['the name of another id', inA('name', 'ggen/b'), 'it is ggen/b'],
    ['a name that leads elsewhere', inA('name', 'ggen/../x'), 'not a package name'],
    ['an alias that moves the cursor', inA('alias', '\u001b[2J'), 'control characters'],
    ['a digest with lax base64', inA('integrity', 'sha256-AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQF='), 'integrity'],
    ['a short digest', inA('integrity', 'sha256-AQE='), 'integrity'],
    ['another digest', inA('integrity', 'sha512-AQE='), 'integrity'],
    ['dependencies that are a text', inA('dependencies', 'b'), 'not a list'],
    ['dependencies of numbers', inA('dependencies', [1]), 'not a list'],
    ['a dependency that is not locked', inA('dependencies', ['ghost']), '"ghost", which is not in it'],
    ['requested as a number', inA('requested', 1), 'no text "requested"'],
    ['a text without end', inA('requested', 'x'.repeat(LIMITS.names.referenceChars + 1)), 'too long'],
    ['overrides that are a list', edited(json => (json['overrides'] = [])), 'no object "overrides"'],
    [
      'deep nesting',
      edited(json => (json['x'] = 1)).replace('"x":1', `"x":${'['.repeat(5_000)}${']'.repeat(5_000)}`),
      'nested'
    ],
    [
      'too many packages',
      edited(
        json =>
          (json.packs = Object.fromEntries(
            Array.from({ length: LIMITS.install.packages + 1 }, (_, i) => [`p${i}`, {}])
          ))
      ),
      'more than'
    ]
  ])('%s is refused, with what to do', (_, text, says) => {
    const error = refusal(text)
    expect(error.code).toBe('LOCKFILE_INVALID')
    expect(error.message).toContain(says)
    expect(error.next).not.toBe('')
    expect(error.message).not.toMatch(/\p{Cc}/u)
  })

  test('anything that is read can be written again', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), fc.json(), (a, b) => {
        const text = edited(json =>
          Object.assign(json, { more: JSON.parse(a) as unknown }, { x: JSON.parse(b) as unknown })
        )
        expect(parseLock(formatLock(parseLock(text)))).toEqual(parseLock(text))
      })
    )
  })

  test.each(['<<<<<<< HEAD', '||||||| base', '=======', '>>>>>>> theirs'])('a line %s is seen as a merge', marker => {
    const [first = '', ...rest] = formatLock(lockOf(pack('a'))).split('\n')
    expect(refusal([first, marker, ...rest].join('\n'))).toMatchObject({
      message: expect.stringContaining('merge conflict markers, the first in line 2') as unknown,
      next: expect.stringContaining('git checkout --ours') as unknown
    })
  })

  test('a text that looks like a marker is none', () => {
    expect(parseLock(edited(json => (json['note'] = '<<<<<<< not a merge'))).extra['note']).toBe('<<<<<<< not a merge')
  })
})
