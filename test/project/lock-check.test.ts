import { expect, test } from 'vitest'
import { factIdOf } from '../../protocol/cid.ts'
import type { FactId } from '../../protocol/cid.ts'
import type { PackageView } from '../../protocol/fold.ts'
import type { ContentView } from '../../protocol/fold-versions.ts'
import { packageNameOf } from '../../protocol/package-name.ts'
import type { ReleaseContent } from '../../protocol/payload.ts'
import { parseSemver } from '../../protocol/version.ts'
import { checkLock } from '../../node/services/project/lock-check.ts'
import type { CheckedLock, StatedRelease } from '../../node/services/project/lock-check.ts'
import { EMPTY_LOCK } from '../../node/services/project/lock-format.ts'
import type { LockedPack } from '../../node/services/project/lock-format.ts'
import { contentIdOf, person } from '../support/facts.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { registryNamed } from '../support/swarm-node.ts'

const REGISTRY = registryNamed('main')
const NAME = packageNameOf('ggen', 'lib')
const AUTHOR = person('author').did
const factNamed = (text: string): FactId => factIdOf(new TextEncoder().encode(text))

/** A release whose bytes, digest and fact follow from one word. */
function content(word: string, more: Partial<ContentView> = {}): ContentView {
  const manifest = { kind: 'package', name: 'lib', version: '1.0.0', dependencies: [], executables: [] } as unknown
  const digests = { sha256: new Uint8Array(32).fill(word.length), sha512: new Uint8Array(64), archiveBytes: 1 }
  const base = { manifest: manifest as ReleaseContent['manifest'], root: contentIdOf(word), size: 1, digests }
  return { ...base, fact: factNamed(word), by: AUTHOR, time: 1, marks: [], ...more }
}

const LOCKED: LockedPack = {
  id: 'lib',
  name: NAME,
  version: parseSemver('1.0.0'),
  registry: REGISTRY,
  alias: 'main',
  cid: contentIdOf('one'),
  sha256: new Uint8Array(32).fill(3),
  author: AUTHOR,
  fact: factNamed('one'),
  installedAt: '',
  dependencies: [],
  extra: {}
}

interface Registry {
  readonly contents: readonly ContentView[]
  readonly yanks?: readonly string[]
  /** Facts of the set that the view does not name. */
  readonly aside?: readonly ContentView[]
  /** Whether their authors ever held a role for it. */
  readonly wasAllowed?: boolean
}

function check(
  { contents, yanks = [], aside = [], wasAllowed = true }: Registry,
  locked: Partial<LockedPack> = {}
): Promise<CheckedLock> {
  const standing = yanks.map(reason => ({ fact: factNamed('yank'), by: AUTHOR, reason }))
  const versions = contents.length === 0 ? [] : [{ version: LOCKED.version, contents, yanks: standing }]
  const view: PackageView = { name: NAME, claim: null, versions, document: null, setAside: [], forks: [] }
  const stated = new Map(
    [...contents, ...aside].map((one): readonly [FactId, StatedRelease] => {
      return [one.fact, { name: NAME, version: LOCKED.version, by: one.by, content: one, wasAllowed }]
    })
  )
  const packs = new Map([['lib', { ...LOCKED, ...locked }]])
  return checkLock(
    { ...EMPTY_LOCK, packs },
    {
      find: async (_, name) => (name === NAME ? view : undefined),
      release: async (_, { fact }) => stated.get(fact),
      registries: () => [{ id: REGISTRY, alias: 'main' }]
    }
  )
}

const warningsOf = async (checked: Promise<CheckedLock>) => (await checked).warnings.map(({ code }) => code)

test('an entry that a counted release backs has its content, without a word', async () => {
  const checked = await check({ contents: [content('one')] })
  expect(checked.releases.get('lib')?.root).toBe(LOCKED.cid)
  expect(checked.warnings).toEqual([])
})

test('a yanked version installs through the lockfile, with its reason', async () => {
  const { warnings } = await check({ contents: [content('one')], yanks: ['', 'leaks keys'] })
  expect(warnings).toEqual([{ code: 'yanked', id: 'lib', text: 'lib@1.0.0 was yanked: leaks keys' }])
})

test('a version in conflict installs the content that the lockfile names, with a warning', async () => {
  const contents = [content('one'), content('other')]
  expect(await warningsOf(check({ contents }))).toEqual(['conflict'])
  const own = { cid: contentIdOf('other'), fact: factNamed('other'), sha256: new Uint8Array(32).fill(5) }
  expect((await check({ contents }, own)).releases.get('lib')?.root).toBe(contentIdOf('other'))
})

test('a version of a forked author installs with a warning', async () => {
  expect(await warningsOf(check({ contents: [content('one', { marks: ['forked-author'] })] }))).toEqual([
    'forked-author'
  ])
})

test('a release by a key that was never allowed to publish it is not installed, whoever hands out the lockfile', async () => {
  const checked = check({ contents: [], aside: [content('one')], wasAllowed: false })
  await expect(checked).rejects.toMatchObject({ code: 'LOCKFILE_INVALID' })
})

test('a release that counted once installs with a warning', async () => {
  expect(await warningsOf(check({ contents: [], aside: [content('one')] }))).toEqual(['withdrawn'])
  expect(await warningsOf(check({ contents: [content('other')], aside: [content('one')] }))).toEqual(['withdrawn'])
})

test('the second of two facts that say the same is as good as the first', async () => {
  const second = content('one', { fact: factNamed('second') })
  expect(await warningsOf(check({ contents: [content('one')], aside: [second] }, { fact: second.fact }))).toEqual([])
})

test.each<[string, Partial<LockedPack>]>([
  ['another content', { cid: contentIdOf('evil') }],
  ['another digest', { sha256: new Uint8Array(32).fill(9) }],
  ['another author', { author: person('mallory').did }],
  ['another version', { version: parseSemver('1.0.1') }],
  ['another package', { name: packageNameOf('ggen', 'other') }],
  ['a fact that nobody has', { fact: factNamed('evil') }]
])('an entry with %s is refused', async (_, locked) => {
  const registry = { contents: [content('one')] }
  expect(await codeOfAsync(() => check(registry, locked))).toBe('LOCKFILE_INVALID')
  expect(await codeOfAsync(() => check({ contents: [], aside: registry.contents }, locked))).toBe('LOCKFILE_INVALID')
})

test('both content ids are named when they differ', async () => {
  const error = await check({ contents: [content('one')] }, { cid: contentIdOf('evil') }).catch((e: unknown) => e)
  expect(String(error)).toContain(contentIdOf('evil'))
  expect(String(error)).toContain(contentIdOf('one'))
})

test('a registry that is not followed is named, with how to follow it', async () => {
  const registry = registryNamed('elsewhere')
  const error = await check({ contents: [] }, { registry, alias: 'far' }).catch((e: unknown) => e)
  expect(error).toMatchObject({
    code: 'UNKNOWN_REGISTRY',
    next: `ggen-node registry add ${registry}@ADDRESS --alias far`
  })
})
