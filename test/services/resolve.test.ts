import { expect, test } from 'vitest'
import { resolveTree, resolveWishes } from '../../node/services/resolve.ts'
import type { Resolution } from '../../node/services/resolve.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { PackageView } from '../../protocol/fold.ts'
import type { Dependency } from '../../protocol/manifest.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseGgenName } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { parseSemver, SEMVER_ORDERING } from '../../protocol/version.ts'
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
  return { name: subject(name), claim: null, versions: sorted, document: null, setAside: [], forks: [] }
}

const finderIn = (shelf: Shelf) => ({
  find: async (_: RegistryId, wanted: PackageName): Promise<PackageView | undefined> => {
    const versions = shelf[wanted.slice('ggen/'.length)]
    return versions === undefined ? undefined : viewOf(wanted.slice('ggen/'.length), versions)
  },
  near: async (): Promise<readonly string[]> => ['apple', 'apply']
})

function resolve(shelf: Shelf, name: string, range?: string): Promise<Resolution> {
  return resolveTree(finderIn(shelf), registry, { name: subject(name), range })
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

const pick = async (versions: Shelf[string], range?: string): Promise<string | undefined> =>
  (await resolve({ a: versions }, 'a', range)).picks[0]?.version

test('without a range the highest stable version is meant', async () => {
  expect(await pick({ '1.2.0': [], '1.10.0': [], '2.0.0-rc.1': [] })).toBe('1.10.0')
})

test('a package whose versions are all pre-releases is installed only by naming one', async () => {
  expect(await pick({ '1.0.0-rc.1': [] }, '1.0.0-rc.1')).toBe('1.0.0-rc.1')
  const error = await failure(pick({ '1.0.0-rc.1': [] }))
  expect([error.code, error.next]).toEqual(['UNKNOWN_VERSION', 'try a@1.0.0-rc.1'])
})

test('a yanked version is passed over, and named as the reason when nothing else fits', async () => {
  expect(await pick({ '1.0.0': [], '!1.1.0': [] })).toBe('1.0.0')
  const error = await failure(pick({ '1.0.0': [], '!1.1.0': [] }, '^1.1.0'))
  expect([error.code, error.message]).toEqual(['UNKNOWN_VERSION', 'you want a ^1.1.0 (a 1.1.0 was yanked: leaks keys)'])
  expect(error.tried).toEqual(['a has 1.1.0 (yanked: leaks keys), 1.0.0'])
  expect(error.next).toBe('try a@1.0.0')
})

test('a yanked version is installed from a lockfile that has just that one', async () => {
  const request = {
    wishes: [{ name: subject('a'), range: '^1.1.0', by: 'you' }],
    locked: new Map([[subject('a'), { version: parseSemver('1.1.0') }]])
  }
  const { picks } = await resolveWishes(finderIn({ a: { '1.0.0': [], '!1.1.0': [] } }), registry, request)
  expect(picks.map(({ version, content }) => [version, content.root])).toEqual([['1.1.0', contentIdOf('a 1.1.0 a')]])
})

test('a version in conflict is not served, and refused with its contents where it alone fits', async () => {
  expect(await pick({ '1.0.0': [], '=1.1.0': [] })).toBe('1.0.0')
  const error = await failure(pick({ '=1.1.0': [] }))
  expect(error.code).toBe('VERSION_CONFLICT')
  expect(error.tried).toEqual([
    'a has 1.1.0 (in conflict)',
    `a 1.1.0 is ${contentIdOf('a 1.1.0 a')} signed by ${facts.root.did}`,
    `a 1.1.0 is ${contentIdOf('a 1.1.0 b')} signed by ${facts.root.did}`
  ])
})

test('a text that is no range is refused', async () => {
  expect((await failure(pick({ '1.0.0': [] }, 'newest'))).code).toBe('INVALID_VERSION')
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

test('a missing dependency is named with who needs it, and with what comes near', async () => {
  const shelf = { app: { '1.0.0': ['lib *'] }, lib: { '1.0.0': ['ghost ^3.0.0'] } }
  const error = await failure(resolve(shelf, 'app'))
  expect(error.code).toBe('MISSING_DEPENDENCY')
  expect(error.message).toBe('lib 1.0.0 needs ghost ^3.0.0 (the registry has no package ghost)')
  expect(error.tried).toEqual([
    '1. because app 1.0.0 needs lib and lib 1.0.0 needs ghost ^3.0.0 (the registry has no package ghost), app 1.0.0 cannot be used',
    '2. and because you want app, there is no solution'
  ])
  expect(error.next).toContain('apple or apply')
})

test('a dependency that exists in no version that fits is a missing one', async () => {
  const error = await failure(resolve({ app: { '1.0.0': ['lib ^2.0.0'] }, lib: { '1.0.0': [] } }, 'app'))
  expect([error.code, error.message]).toEqual([
    'MISSING_DEPENDENCY',
    'app 1.0.0 needs lib ^2.0.0 (no version of lib fits)'
  ])
  expect(error.tried).toEqual(['you want app', 'lib has 1.0.0'])
})

test('wishes that cannot be met together are refused with the derivation', async () => {
  const shelf = {
    app: { '1.0.0': ['a *', 'b *'] },
    a: { '1.0.0': ['lib ^1.0.0'] },
    b: { '1.0.0': ['lib ^2.0.0'] },
    lib: { '1.0.0': [], '2.0.0': [] }
  }
  const error = await failure(resolve(shelf, 'app'))
  expect(error.code).toBe('UNSOLVABLE')
  expect(error.tried).toEqual([
    '1. because a 1.0.0 needs lib ^1.0.0 and b 1.0.0 needs lib ^2.0.0, a 1.0.0 and b 1.0.0 cannot be used together',
    '2. and because app 1.0.0 needs a, app 1.0.0 and b 1.0.0 cannot be used together',
    '3. and because app 1.0.0 needs b and you want app, there is no solution',
    'lib has 2.0.0, 1.0.0'
  ])
  expect(error.next).toBe('ask for other versions of what needs lib, or override lib in the project file')
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
    { name: 'cargo', range: '*', why: 'external', by: 'app@1.0.0' },
    {
      name: 'extra',
      range: '^1.0.0',
      why: 'optional',
      by: 'app@1.0.0',
      reason: 'app@1.0.0 wants extra ^1.0.0 (the registry has no package extra)'
    }
  ])
})

test('a package that nobody published is unknown, and what comes near is named', async () => {
  const error = await failure(resolve({}, 'app'))
  expect([error.code, error.next]).toEqual(['UNKNOWN_PACKAGE', 'perhaps you meant apple or apply'])
})

test('an install of more packages than the limit is refused', async () => {
  const { packages } = LIMITS.install
  const chain = Array.from({ length: packages }, (_, i) => [`p${i}`, { '1.0.0': [`p${i + 1} *`] }] as const)
  const shelf: Shelf = { ...Object.fromEntries<Shelf[string]>(chain), [`p${packages}`]: { '1.0.0': [] } }
  expect((await failure(resolve(shelf, 'p0'))).code).toBe('LIMIT_EXCEEDED')
})

test('a signal that is aborted stops a resolution', async () => {
  const signal = AbortSignal.abort(new Error('enough'))
  const wishes = [{ name: subject('app'), range: '*', by: 'you' }]
  await expect(resolveWishes(finderIn({ app: { '1.0.0': [] } }), registry, { wishes, signal })).rejects.toThrow(
    'enough'
  )
})
