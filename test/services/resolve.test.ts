import { expect, test } from 'vitest'
import { resolveTree } from '../../node/services/resolve.ts'
import type { Resolution } from '../../node/services/resolve.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { PackageView } from '../../protocol/fold.ts'
import type { Dependency } from '../../protocol/manifest.ts'
import { parseGgenName } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { pickVersion } from '../../protocol/resolve.ts'
import { parseSemver, SEMVER_ORDERING } from '../../protocol/version.ts'
import { codeOf } from '../support/error-code.ts'
import { contentIdOf, FactWriter, person, subject } from '../support/facts.ts'

const facts = new FactWriter(person('root'))
const registry: RegistryId = facts.registry

/** `{ app: { '1.0.0': ['lib ^1.0.0', 'tool * external', 'extra * optional'] } }`; `!` before a version: yanked, `=`: in conflict. */
type Shelf = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>

function dependencyOf(text: string): Dependency {
  const [name = '', range = '*', flag] = text.split(' ')
  const kind = flag === 'external' ? 'external' : 'ggen'
  return { name, range: range.replaceAll('_', ' '), kind, ...(flag === 'optional' ? { optional: true as const } : {}) }
}

function viewOf(name: string, versions: Shelf[string]): PackageView {
  const entries = Object.entries(versions).map(([marked, dependencies]) => {
    const version = parseSemver(marked.replace(/^[!=]/, ''))
    const manifest = { kind: 'package' as const, name: parseGgenName(name), version, executables: [] }
    const content = (salt: string) => ({
      manifest: { ...manifest, dependencies: dependencies.map(dependencyOf) },
      root: contentIdOf(`${name} ${version} ${salt}`),
      size: 1,
      digests: { sha256: new Uint8Array(32), sha512: new Uint8Array(64), archiveBytes: 1 },
      fact: facts.genesis.id,
      by: facts.root.did,
      time: 0,
      marks: []
    })
    const yanks = marked.startsWith('!') ? [{ fact: facts.genesis.id, by: facts.root.did, reason: 'leaks keys' }] : []
    return { version, contents: marked.startsWith('=') ? [content('a'), content('b')] : [content('a')], yanks }
  })
  const sorted = entries.toSorted((a, b) => SEMVER_ORDERING.compare(b.version, a.version))
  return { name: subject(name), claim: null, versions: sorted, setAside: [], forks: [] }
}

function resolve(shelf: Shelf, name: string, range?: string): Promise<Resolution> {
  const find = async (_: RegistryId, wanted: PackageName): Promise<PackageView | undefined> => {
    const versions = shelf[wanted.slice('ggen/'.length)]
    return versions === undefined ? undefined : viewOf(wanted.slice('ggen/'.length), versions)
  }
  const orThrow = async (id: RegistryId, wanted: PackageName): Promise<PackageView> => {
    const view = await find(id, wanted)
    if (view === undefined) throw new RegistryError('UNKNOWN_PACKAGE', `no package ${wanted}`)
    return view
  }
  return resolveTree({ find, package: orThrow }, registry, { name: subject(name), range })
}

const names = ({ picks }: Resolution): readonly string[] =>
  picks.map(({ name, version }) => `${name.slice(5)}@${version}`)

async function failure(promise: Promise<unknown>): Promise<RegistryError> {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause
  )
  if (!(error instanceof RegistryError)) throw new Error('it was resolved')
  return error
}

const pick = (versions: Shelf[string], range?: string): string =>
  pickVersion(viewOf('a', versions), [{ range, by: 'you' }]).version

test('without a range the highest stable version is meant', () => {
  expect(pick({ '1.2.0': [], '1.10.0': [], '2.0.0-rc.1': [] })).toBe('1.10.0')
})

test('a pre-release is picked only where the range names one', () => {
  const versions = { '1.0.0': [], '2.0.0-rc.1': [], '2.0.0-rc.2': [] }
  expect(pick(versions, '>=1.0.0')).toBe('1.0.0')
  expect(pick(versions, '>=2.0.0-rc.1')).toBe('2.0.0-rc.2')
  expect(pick(versions, '2.0.0-rc.1')).toBe('2.0.0-rc.1')
  expect(codeOf(() => pick({ '1.0.0-rc.1': [] }))).toBe('UNKNOWN_VERSION')
})

test('a yanked version is passed over, and named as the reason when nothing else fits', () => {
  expect(pick({ '1.0.0': [], '!1.1.0': [] })).toBe('1.0.0')
  expect(() => pick({ '1.0.0': [], '!1.1.0': [] }, '^1.1.0')).toThrow('a@1.1.0 was yanked: leaks keys')
})

test('a version in conflict is not served, and refused where it alone fits', () => {
  expect(pick({ '1.0.0': [], '=1.1.0': [] })).toBe('1.0.0')
  expect(codeOf(() => pick({ '=1.1.0': [] }))).toBe('VERSION_CONFLICT')
})

test('a text that is no range is refused', () => {
  expect(codeOf(() => pick({ '1.0.0': [] }, 'newest'))).toBe('INVALID_VERSION')
})

test('dependencies come before what depends on them, each once', async () => {
  const diamond = {
    app: { '1.0.0': ['left *', 'right *'] },
    left: { '1.0.0': ['base ^1.0.0'] },
    right: { '1.0.0': ['base *'] },
    base: { '1.0.0': [], '1.4.0': [], '2.0.0': [] }
  }
  expect(names(await resolve(diamond, 'app'))).toEqual(['base@1.4.0', 'left@1.0.0', 'right@1.0.0', 'app@1.0.0'])
})

test('a wish that comes late in the walk binds what was picked early', async () => {
  const shelf = {
    app: { '1.0.0': ['base *', 'zeta *'] },
    base: { '1.0.0': [], '2.0.0': [] },
    zeta: { '1.0.0': ['base ^1.0.0'] }
  }
  expect(names(await resolve(shelf, 'app'))).toEqual(['base@1.0.0', 'zeta@1.0.0', 'app@1.0.0'])
})

test('what a version asked for that is no longer picked binds nobody', async () => {
  const shelf = {
    app: { '1.0.0': ['base *', 'deep *', 'zeta *'] },
    base: { '1.0.0': ['deep ^1.0.0'], '2.0.0': ['deep ^2.0.0'] },
    deep: { '1.0.0': [], '2.0.0': [] },
    zeta: { '1.0.0': ['base ^1.0.0'] }
  }
  expect(names(await resolve(shelf, 'app'))).toEqual(['deep@1.0.0', 'base@1.0.0', 'zeta@1.0.0', 'app@1.0.0'])
})

test('a dependency that is missing only from a version no longer picked is no failure', async () => {
  const shelf = {
    app: { '1.0.0': ['base *', 'zeta *'] },
    base: { '1.0.0': [], '2.0.0': ['ghost *'] },
    zeta: { '1.0.0': ['base ^1.0.0'] }
  }
  expect(names(await resolve(shelf, 'app'))).toEqual(['base@1.0.0', 'zeta@1.0.0', 'app@1.0.0'])
})

test('wishes that go in circles end', async () => {
  // base 2 brings in zeta, which allows only base 1, which does not bring in zeta.
  const shelf = {
    app: { '1.0.0': ['base *'] },
    base: { '1.0.0': [], '2.0.0': ['zeta *'] },
    zeta: { '1.0.0': ['base ^1.0.0'] }
  }
  expect(names(await resolve(shelf, 'app'))).toEqual(['base@1.0.0', 'app@1.0.0'])
})

test('packages that depend on each other are installed once each', async () => {
  const shelf = { app: { '1.0.0': ['lib *'] }, lib: { '1.0.0': ['app *'] } }
  expect(names(await resolve(shelf, 'app'))).toEqual(['lib@1.0.0', 'app@1.0.0'])
})

test('a missing dependency is named, with the way that led to it', async () => {
  const shelf = { app: { '1.0.0': ['lib *'] }, lib: { '1.0.0': ['ghost ^3.0.0'] } }
  const error = await failure(resolve(shelf, 'app'))
  expect(error.code).toBe('MISSING_DEPENDENCY')
  expect(error.message).toBe('lib@1.0.0 needs ghost ^3.0.0, and the registry has no package ghost')
  expect(error.tried).toEqual(['wanted by way of app@1.0.0'])
})

test('a dependency that exists in no version that fits is a missing one', async () => {
  const error = await failure(resolve({ app: { '1.0.0': ['lib ^2.0.0'] }, lib: { '1.0.0': [] } }, 'app'))
  expect([error.code, error.message]).toEqual([
    'MISSING_DEPENDENCY',
    'app@1.0.0 needs lib ^2.0.0: no version of lib fits'
  ])
})

test('wishes that cannot be met together are refused, and all who made them are named', async () => {
  const shelf = {
    app: { '1.0.0': ['a *', 'b *'] },
    a: { '1.0.0': ['lib ^1.0.0'] },
    b: { '1.0.0': ['lib ^2.0.0'] },
    lib: { '1.0.0': [], '2.0.0': [] }
  }
  const error = await failure(resolve(shelf, 'app'))
  expect(error.code).toBe('MISSING_DEPENDENCY')
  expect(error.tried.join()).toContain('a@1.0.0 wants ^1.0.0')
  expect(error.tried.join()).toContain('b@1.0.0 wants ^2.0.0')
})

test('a dependency in conflict is a conflict and not a missing version', async () => {
  expect((await failure(resolve({ app: { '1.0.0': ['lib *'] }, lib: { '=1.0.0': [] } }, 'app'))).code).toBe(
    'VERSION_CONFLICT'
  )
})

test('an optional dependency that is missing and an external one are listed and not installed', async () => {
  const { picks, left } = await resolve({ app: { '1.0.0': ['cargo * external', 'extra ^1.0.0 optional'] } }, 'app')
  expect(picks).toHaveLength(1)
  expect(left).toEqual([
    { name: 'cargo', range: '*', why: 'external' },
    { name: 'extra', range: '^1.0.0', why: 'optional' }
  ])
})

test('a package that nobody published is unknown', async () => {
  expect((await failure(resolve({}, 'app'))).code).toBe('UNKNOWN_PACKAGE')
})

test('an install of more packages than the limit is refused', async () => {
  const chain = Array.from({ length: 110 }, (_, i) => [`p${i}`, { '1.0.0': [`p${i + 1} *`] }])
  expect((await failure(resolve({ ...Object.fromEntries(chain), p110: { '1.0.0': [] } }, 'p0'))).code).toBe(
    'LIMIT_EXCEEDED'
  )
})
