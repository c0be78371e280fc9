import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { ROLES as OFFERED } from '../../bin/commands/authority-verbs.ts'
import { ROLES } from '../../protocol/role.ts'
import { person } from '../support/facts.ts'
import { everythingOf, factsIn, only, somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { refusal } from '../support/project.ts'

const [carl, dora, eve] = [person('carl'), person('dora'), person('eve')]
const REVOKE = { compromised: false, keep: [] } as const

let ann: Somebody
let bob: Somebody
let registry: string

const rolesOf = async (reference?: string): Promise<readonly string[]> => {
  const { roles } = await ann.node.call('roleList', reference === undefined ? {} : { package: reference })
  const names = new Map<string, string>([
    [ann.key, 'ann'],
    [bob.key, 'bob'],
    [carl.did, 'carl']
  ])
  names.set(dora.did, 'dora').set(eve.did, 'eve')
  return roles.map(({ key, role, scope }) => `${names.get(key) ?? 'recovery key'} ${role} ${scope}`)
}

beforeAll(async () => {
  ann = await somebody()
  bob = await somebody()
  registry = (await ann.node.call('registryCreate', { name: 'acme' })).id
  await ann.publish({ name: 'alpha' })
})

afterAll(async () => {
  await ann.node.stop()
  await bob.node.stop()
})

describe('roles of a registry', () => {
  test('the command line offers the roles that there are', () => {
    expect(OFFERED).toEqual([...ROLES, 'recovery'])
  })

  test('a role is given over a part of the names, and shown', async () => {
    const granted = only(await ann.node.call('roleGrant', { to: carl.did, role: 'publisher', scope: 'ggen/al*' }))
    expect(granted).toMatchObject({ counts: true, missing: 0, type: 'grant', by: ann.key })
    expect(granted.text).toBe(`make ${carl.did} publisher of ggen/al*`)
    expect(await rolesOf()).toEqual(['ann owner *', 'carl publisher ggen/al*', 'recovery key recovery *'])
  })

  test.each([
    ['a role that there is not', { to: carl.did, role: 'king' }, 'USAGE'],
    ['a scope that is none', { to: carl.did, role: 'publisher', scope: 'alpha*' }, 'USAGE'],
    ['a key that is none', { to: 'carl', role: 'publisher' }, 'USAGE'],
    [
      'a key that proves nothing',
      { to: 'did:key:z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP', role: 'member' },
      'INADMISSIBLE_KEY'
    ],
    ['a time that is over', { to: carl.did, role: 'publisher', expires: '2001-01-01' }, 'USAGE'],
    ['a day that there is not', { to: carl.did, role: 'publisher', expires: '2099-02-30' }, 'USAGE'],
    ['a threshold that cannot be met', { to: carl.did, role: 'owner', threshold: 3 }, 'USAGE'],
    ['a threshold for a role that has none', { to: carl.did, role: 'publisher', threshold: 1 }, 'USAGE'],
    ['a package that there is not', { to: carl.did, role: 'publisher', package: 'nothing' }, 'UNKNOWN_PACKAGE'],
    [
      'a version instead of a package',
      { to: carl.did, role: 'publisher', package: 'alpha@1.0.0' },
      'INVALID_REFERENCE'
    ],
    ['a role that packages do not have', { to: carl.did, role: 'curator', package: 'alpha' }, 'USAGE'],
    ['a registry that is not followed', { to: carl.did, role: 'publisher', registry: 'other' }, 'UNKNOWN_REGISTRY'],
    [
      'another registry than the package has',
      { to: carl.did, role: 'publisher', package: 'acme:alpha', registry: 'x' },
      'UNKNOWN_REGISTRY'
    ],
    ['a key that is not here', { to: carl.did, role: 'publisher', key: 'nobody' }, 'KEY_NOT_FOUND'],
    ['the recovery key by an owner', { to: carl.did, role: 'recovery' }, 'NOT_AUTHORIZED']
  ])('refuses %s, and signs nothing', async (_, params, code) => {
    const before = await factsIn(await everythingOf(ann, registry))
    expect((await refusal(ann.node.call('roleGrant', params))).code).toBe(code)
    expect(await factsIn(await everythingOf(ann, registry))).toHaveLength(before.length)
  })

  test('who holds no role is refused before signing, and told who could', async () => {
    await bob.follow(registry, await everythingOf(ann, registry))
    const refused = await refusal(bob.node.call('roleGrant', { to: bob.key, role: 'owner' }))
    expect(refused.code).toBe('NOT_AUTHORIZED')
    expect(refused.next).toContain(ann.key)
    expect(await bob.node.registries.list()).toMatchObject([{ facts: (await ann.node.registries.list())[0]?.facts }])
  })

  test('a role that has expired is marked, and signs nothing more', async () => {
    const out = ann.file()
    await ann.node.call('roleGrant', { to: bob.key, role: 'publisher', expires: '1h', out })
    await bob.admit(out)
    await bob.publish({ name: 'alpha', version: '1.1.0' })
    const later = Date.now() + 2 * 3_600_000
    vi.useFakeTimers({ toFake: ['Date'], now: later })
    try {
      const refused = await refusal(bob.publish({ name: 'alpha', version: '1.2.0' }))
      expect(refused).toMatchObject({ code: 'NOT_AUTHORIZED' })
      expect(refused.message).toContain('expired')
      const { roles } = await ann.node.call('roleList', {})
      expect(roles.find(({ key }) => key === bob.key)).toMatchObject({ role: 'publisher', expired: true })
    } finally {
      vi.useRealTimers()
    }
    // The release stays: whether a role has expired is asked of who signs, and of no fold.
    await ann.admit(await everythingOf(bob, registry))
    expect((await ann.node.show('alpha')).versions.map(({ version }) => version)).toEqual(['1.1.0', '1.0.0'])
  })

  test('a routine revocation leaves what the key has said, and ends what it may say', async () => {
    const revoked = only(await ann.node.call('roleRevoke', { from: bob.key, reason: 'left', ...REVOKE }))
    expect(revoked.counts).toBe(true)
    expect(revoked.text).toContain('up to 1 known positions stays')
    await bob.admit(await everythingOf(ann, registry))
    expect((await refusal(bob.publish({ name: 'alpha', version: '1.3.0' }))).code).toBe('NOT_AUTHORIZED')
    expect((await ann.node.show('alpha')).versions.map(({ version }) => version)).toEqual(['1.1.0', '1.0.0'])
  })

  test('a revocation of a compromised key keeps what is named and nothing else', async () => {
    const carol = await somebody()
    const out = ann.file()
    await ann.node.call('roleGrant', { to: carol.key, role: 'publisher', out })
    await carol.follow(registry, await everythingOf(ann, registry))
    const good = await carol.publish({ name: 'alpha', version: '2.0.0' })
    await carol.publish({ name: 'alpha', version: '2.1.0' })
    await ann.admit(await everythingOf(carol, registry))
    const stranger = await refusal(
      ann.node.call('roleRevoke', { from: carol.key, compromised: true, keep: [registry] })
    )
    expect(stranger.code).toBe('USAGE')
    await ann.node.call('roleRevoke', { from: carol.key, compromised: true, keep: [good.fact] })
    expect((await ann.node.show('alpha')).versions.map(({ version }) => version)).toEqual(['2.0.0', '1.1.0', '1.0.0'])
    await carol.node.stop()
  })

  test('only the recovery key names the next one', async () => {
    const given = only(await ann.node.call('roleGrant', { to: dora.did, role: 'recovery', key: 'recovery' }))
    expect(given.counts).toBe(true)
    expect((await ann.node.call('registryShow', {})).recovery).toBe(dora.did)
    expect((await refusal(ann.node.call('roleGrant', { to: eve.did, role: 'recovery', key: 'recovery' }))).code).toBe(
      'NOT_AUTHORIZED'
    )
  })
})

describe('owners of a package', () => {
  test('an owner is added, more must sign, and one is removed', async () => {
    await ann.publish({ name: 'beta' })
    const about = { package: 'acme:beta' }
    const refused = await refusal(ann.node.call('roleGrant', { ...about, to: bob.key, role: 'owner' }))
    expect(refused.message).toContain('has taken every role')
    const carol = await somebody()
    await ann.node.call('roleGrant', { ...about, to: carol.key, role: 'owner', threshold: 2 })
    expect(await ann.node.call('roleList', about)).toMatchObject({ subject: 'ggen/beta', threshold: 2 })
    await carol.follow(registry, await everythingOf(ann, registry))
    const { awaiting, ...second } = await carol.publish({ name: 'beta', version: '1.1.0' })
    expect(awaiting).toMatchObject({ needed: 2, missing: 1, open: [ann.key], fact: second.fact })
    expect((await ann.node.show('beta')).versions.map(({ version }) => version)).toEqual(['1.0.0'])
    // The owners of the registry stand above the owners of a package: one of them, alone here, may remove the other.
    const removed = only(await ann.node.call('roleRevoke', { ...about, from: carol.key, role: 'owner', ...REVOKE }))
    expect(removed.counts).toBe(true)
    await carol.node.stop()
    expect(await rolesOf('beta')).toEqual(['ann owner ggen/beta'])
  })

  test('the last owner is not removed', async () => {
    for (const about of [{ package: 'beta' }, {}]) {
      const refused = await refusal(ann.node.call('roleRevoke', { ...about, from: ann.key, role: 'owner', ...REVOKE }))
      expect(refused.code).toBe('USAGE')
      expect(refused.message).toContain('last owner')
    }
  })

  test('a package is transferred: the new owner in, the old one out, what he released stays', async () => {
    const { written } = await ann.node.call('transfer', { package: 'beta', to: dora.did })
    expect(written.map(({ type, counts }) => [type, counts])).toEqual([
      ['grant', true],
      ['revoke', true]
    ])
    expect(await rolesOf('beta')).toEqual(['dora owner ggen/beta'])
    expect((await ann.node.show('beta')).versions.map(({ version }) => version)).toContain('1.0.0')
    expect((await refusal(ann.node.call('transfer', { package: 'beta', to: eve.did }))).code).toBe('NOT_AUTHORIZED')
  })
})

describe('a rotation', () => {
  test('gives the new key all that the old one holds, here and in packages, and takes it from the old one', async () => {
    const [old, fresh] = [await somebody(), await somebody()]
    const { id } = await old.node.call('registryCreate', { name: 'mine' })
    await old.publish({ name: 'gamma' })
    await old.node.call('roleGrant', { package: 'gamma', to: eve.did, role: 'maintainer' })
    const { written, skipped } = await old.node.call('roleRotate', { from: old.key, to: fresh.key })
    expect(skipped).toEqual([])
    expect(written.map(({ type, subject, counts }) => [type, subject, counts])).toEqual([
      ['grant', 'ggen/gamma', true],
      ['revoke', 'ggen/gamma', true],
      ['grant', 'registry', true],
      ['revoke', 'registry', true]
    ])
    const show = await old.node.call('registryShow', {})
    expect(show).toMatchObject({ owners: [fresh.key], threshold: 1, setAside: {} })
    expect((await old.node.call('roleList', { package: 'gamma' })).owners).toEqual([fresh.key])
    expect((await old.node.show('gamma')).versions).toHaveLength(1)
    expect((await refusal(old.publish({ name: 'gamma', version: '1.1.0' }))).code).toBe('NOT_AUTHORIZED')
    await fresh.follow(id, await everythingOf(old, id), 'mine')
    expect((await fresh.publish({ name: 'gamma', version: '1.1.0' })).awaiting).toBeNull()
    await old.node.stop()
    await fresh.node.stop()
  })

  test('of a key that holds nothing is refused, and so is one to itself', async () => {
    expect((await refusal(ann.node.call('roleRotate', { from: eve.did, to: dora.did }))).code).toBe('NOT_AUTHORIZED')
    expect((await refusal(ann.node.call('roleRotate', { from: ann.key, to: ann.key }))).code).toBe('USAGE')
  })
})
