import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createKey } from '../../node/key-ring.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import type { FactBody } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { encodePayload, parsePayload } from '../../protocol/payload.ts'
import type { Release } from '../../protocol/payload.ts'
import { parseSemver } from '../../protocol/version.ts'
import { contentIdOf, make } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { everythingOf, factsIn, fileWith, somebody, stolenFrom } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { lockOf, refusal, textIn } from '../support/project.ts'
import { tempDir } from '../support/temp-dir.ts'

const SLOW = 120_000

let owner: Somebody
let registry: RegistryId

/** Everything a thief can sign with the key of a publisher, against one release that is out. */
async function rob(thief: Person, fact: string): Promise<readonly Made[]> {
  const honest = (await factsIn(await everythingOf(owner, registry))).find(({ id }) => id === fact)
  if (honest === undefined) throw new Error('the release is not here')
  const { body } = honest
  const payload = parsePayload(body)
  if (payload.type !== 'release') throw new Error('not a release')
  const { authority, version } = payload.value
  const release = (at: string, content: string): Uint8Array => {
    const manifest = { ...payload.value.manifest, version: parseSemver(at) }
    const value: Release = { ...payload.value, version: parseSemver(at), manifest, root: contentIdOf(content) }
    return encodePayload({ type: 'release', value })
  }
  const first: FactBody = { ...body, seq: 0, prev: null }
  // The lowest chains there are, so that the honest one is beyond those that count.
  const flood = Array.from({ length: LIMITS.fact.chainsPerAuthorAndSubject * 2 }, (_, i) => {
    const chain = i.toString(16).padStart(32, '0')
    return make({ ...first, chain, payload: release(`50.${i}.0`, `flood ${i}`) }, thief)
  })
  const yank = encodePayload({ type: 'yank', value: { version, reason: 'gone', authority } })
  const chain = 'f'.repeat(32)
  const other = make({ ...first, chain, payload: release(version, 'something else') }, thief)
  return [
    ...flood,
    // Another body at the honest place, with other content under the honest version.
    make({ ...body, payload: release(version, 'the twin') }, thief),
    other,
    make({ ...first, chain, seq: 1, prev: other.id, type: 'yank', payload: yank }, thief),
    make({ ...first, chain: '0'.repeat(31).concat('e'), type: 'yank', payload: yank }, thief)
  ]
}

interface Locked {
  readonly project: string
  readonly fact: string
  readonly key: string
  readonly thief: Person
}

/** A release by a publisher's key that a project has locked, and a thief who has got the key since. */
async function robbed(name: string): Promise<Locked> {
  const { key } = await createKey(owner.node.home, name)
  await owner.node.call('roleGrant', { to: key, role: 'publisher' })
  await owner.publish({ name, version: '0.9.0' })
  const { fact } = await owner.publish({ name, files: { 'src/one.txt': 'the true one\n' } }, { key: name })
  const project = await tempDir('project')
  await owner.node.call('install', { project, references: [`${name}@=1.0.0`], sync: true })
  const thief = { ...(await stolenFrom(owner, name)), did: key }
  const made = await rob(thief, fact)
  const verdicts = await owner.admit(await fileWith(owner, made))
  expect(new Set(verdicts)).toEqual(new Set(['accept']))
  return { project, fact, key, thief }
}

/** Installs from the lockfile alone into an empty folder beside it. */
async function installLocked({ project }: Locked): Promise<readonly string[]> {
  await rm(`${project}/.ggen/packages`, { recursive: true })
  const before = await textIn(project, '.ggen/packs.lock')
  const { installed, warnings } = await owner.node.call('install', {
    project,
    references: [],
    frozen: true,
    offline: true,
    sync: true
  })
  expect(installed).toHaveLength(1)
  expect(await textIn(project, '.ggen/packs.lock')).toBe(before)
  const [id] = Object.keys((await lockOf(project)).packs)
  expect(await textIn(project, `.ggen/packages/${id ?? ''}/src/one.txt`)).toBe('the true one\n')
  return warnings.map(({ code }) => code)
}

beforeAll(async () => {
  owner = await somebody()
  registry = (await owner.node.call('registryCreate', { name: 'acme' })).id
}, SLOW)

afterAll(() => owner.node.stop())

describe("a thief with a publisher key can't make an old release uninstallable from a lockfile", () => {
  test(
    'before anybody has noticed, with a warning',
    async () => {
      const locked = await robbed('alpha')
      expect((await refusal(owner.node.install('alpha@=1.0.0', { project: await tempDir('new') }))).code).toMatch(
        /VERSION_CONFLICT|UNKNOWN_VERSION/
      )
      expect((await installLocked(locked)).length).toBeGreaterThan(0)
    },
    SLOW
  )

  test(
    'after a revocation that keeps the honest release; the owner settles what the thief signed at its place',
    async () => {
      const locked = await robbed('beta')
      const { key, fact } = locked
      await owner.node.call('roleRevoke', { from: key, compromised: true, keep: [fact] })
      await installLocked(locked)
      expect((await owner.node.show('beta')).versions.map(({ version }) => version)).toEqual(['1.0.0', '0.9.0'])
      await owner.node.call('resolve', { reference: 'beta@1.0.0', keep: fact })
      expect(await installLocked(locked)).toEqual([])
      const { installed } = await owner.node.install('beta@=1.0.0', { project: await tempDir('new') })
      expect(installed).toMatchObject([{ version: '1.0.0' }])
    },
    SLOW
  )

  test(
    'after a revocation that keeps nothing, though the release is in no set any more',
    async () => {
      const locked = await robbed('gamma')
      await owner.node.call('roleRevoke', { from: locked.key, compromised: true, keep: [] })
      expect((await owner.node.show('gamma')).versions.map(({ version }) => version)).toEqual(['0.9.0'])
      expect(await installLocked(locked)).toEqual(['withdrawn'])
    },
    SLOW
  )

  test(
    'after a routine revocation, which keeps all that the thief said so far',
    async () => {
      const locked = await robbed('delta')
      await owner.node.call('roleRevoke', { from: locked.key, compromised: false, keep: [] })
      expect((await installLocked(locked)).length).toBeGreaterThan(0)
    },
    SLOW
  )
})

test(
  'a version pushed far up is bounded: the key is revoked, another takes its place, and the next version is the newest',
  async () => {
    const locked = await robbed('epsilon')
    const { body } = (await factsIn(await everythingOf(owner, registry))).find(({ id }) => id === locked.fact) ?? {}
    if (body === undefined) throw new Error('the release is not here')
    const payload = parsePayload(body)
    if (payload.type !== 'release') throw new Error('not a release')
    const version = parseSemver('99999.0.0')
    const value: Release = { ...payload.value, version, manifest: { ...payload.value.manifest, version } }
    const at = { ...body, chain: '0'.repeat(32), payload: encodePayload({ type: 'release', value }) }
    const far = (seq: number): Made => make({ ...at, seq, prev: body.prev ?? (locked.fact as never) }, locked.thief)
    // No position that the honest chain could not reach by itself: what has no predecessor waits outside the set.
    expect(() => far(LIMITS.fact.seq + 1)).toThrow()
    expect(await owner.admit(await fileWith(owner, [far(LIMITS.fact.seq)]))).toEqual(['reject wrong-position'])
    expect(
      await owner.admit(
        await fileWith(owner, [make({ ...at, chain: 'e'.repeat(32), seq: 0, prev: null }, locked.thief)])
      )
    ).toEqual(['accept'])

    const fresh = await createKey(owner.node.home, 'epsilon-2')
    await owner.node.call('roleRevoke', { from: locked.key, compromised: true, keep: [locked.fact] })
    await owner.node.call('roleGrant', { to: fresh.key, role: 'publisher' })
    await owner.publish({ name: 'epsilon', version: '1.1.0' }, { key: 'epsilon-2' })
    const { versions } = await owner.node.show('epsilon')
    expect(versions.map(entry => entry.version)).toEqual(['1.1.0', '1.0.0', '0.9.0'])
    const { installed } = await owner.node.install('epsilon', { project: await tempDir('new') })
    expect(installed).toMatchObject([{ version: '1.1.0' }])
  },
  SLOW
)
