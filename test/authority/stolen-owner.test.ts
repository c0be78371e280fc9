import { expect, test } from 'vitest'
import { person } from '../support/facts.ts'
import { everythingOf, only, somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'

const SLOW = 120_000
const eve = person('eve')
const REVOKE = { compromised: true, keep: [] } as const

/** ann founded the registry and made bob an owner; bob's key, in other hands, makes eve one and removes ann. */
async function taken(): Promise<{ ann: Somebody; bob: Somebody; registry: string }> {
  const [ann, bob] = await Promise.all([somebody(), somebody()])
  const { id: registry } = await ann.node.call('registryCreate', { name: 'acme' })
  const out = ann.file()
  await ann.node.call('roleGrant', { to: bob.key, role: 'owner', out })
  await bob.follow(registry, out)
  await bob.node.call('roleGrant', { to: eve.did, role: 'owner' })
  await bob.node.call('roleRevoke', { from: ann.key, compromised: false, keep: [] })
  await ann.admit(await everythingOf(bob, registry))
  expect(await ownersOf(ann)).toEqual([bob.key, eve.did].toSorted())
  return { ann, bob, registry }
}

const ownersOf = async ({ node }: Somebody) => (await node.call('registryShow', {})).owners

test(
  'the recovery key takes the registry back, with all that was built on what the thief signed, and says what that was',
  async () => {
    const { ann, bob, registry } = await taken()
    const fresh = await somebody()
    const key = 'recovery'
    const revoked = only(await ann.node.call('roleRevoke', { from: bob.key, ...REVOKE, key }))
    expect(revoked.counts).toBe(true)
    expect(revoked.undone.map(({ text }) => text)).toEqual([
      `make ${eve.did} owner of the registry`,
      expect.stringContaining(`take every role of ${ann.key} away`)
    ])
    expect(await ownersOf(ann)).toEqual([ann.key])
    await ann.node.call('roleGrant', { to: fresh.key, role: 'owner' })
    const owners = await ownersOf(ann)
    expect(owners).toEqual([ann.key, fresh.key].toSorted())
    for (const one of [bob, fresh]) {
      if (one === fresh) await one.follow(registry, await everythingOf(ann, registry))
      else await one.admit(await everythingOf(ann, registry))
      expect(await ownersOf(one)).toEqual(owners)
    }
    await Promise.all([ann, bob, fresh].map(({ node }) => node.stop()))
  },
  SLOW
)

test(
  'a founder takes the registry back from an owner whose key was stolen, with all that was built on it',
  async () => {
    const { ann, bob, registry } = await taken()
    expect(only(await ann.node.call('roleRevoke', { from: bob.key, ...REVOKE })).counts).toBe(true)
    expect(await ownersOf(ann)).toEqual([ann.key])
    await bob.admit(await everythingOf(ann, registry))
    expect(await ownersOf(bob)).toEqual([ann.key])
  },
  SLOW
)

test('what an owner is asked to sign says what it does, with the key, the role and the number', async () => {
  const ann = await somebody()
  await ann.node.call('registryCreate', { name: 'acme' })
  const words = async (params: Record<string, unknown>): Promise<string> =>
    only(await ann.node.call('roleGrant', { to: eve.did, role: 'owner', ...params })).text
  expect(await words({ threshold: 2 })).toBe(`make ${eve.did} owner of the registry; from then on 2 owners must sign`)
  expect(await words({ role: 'member', scope: 'ggen/a*', expires: '2099-01-31' })).toBe(
    `make ${eve.did} member of ggen/a* until 2099-01-31 00:00`
  )
  await ann.node.stop()
})

test(
  'a rotation among two owners who both must sign leaves neither of them alone to decide',
  async () => {
    const [ann, bob, fresh] = await Promise.all([somebody(), somebody(), somebody()])
    const { id } = await ann.node.call('registryCreate', { name: 'acme', roots: [bob.key], threshold: 2 })
    await bob.follow(id, await everythingOf(ann, id))
    const out = bob.file()
    const { written } = await bob.node.call('roleRotate', { from: bob.key, to: fresh.key, out })
    expect(written.map(({ type, counts, missing }) => [type, counts, missing])).toEqual([
      ['grant', false, 1],
      ['revoke', false, 1]
    ])
    const { signed } = await ann.node.call('sign', { file: out, dryRun: false })
    expect(signed.map(({ type, counts }) => [type, counts])).toEqual([
      ['grant', true],
      ['revoke', true]
    ])
    expect(await ownersOf(ann)).toEqual([ann.key, fresh.key].toSorted())
    for (const call of [
      ann.node.call('roleRevoke', { from: fresh.key, compromised: false, keep: [] }),
      ann.node.call('roleRevoke', { from: eve.did, compromised: false, keep: [] }),
      ann.node.call('roleGrant', { to: eve.did, role: 'owner', threshold: 1 })
    ]) {
      expect(only(await call)).toMatchObject({ counts: false, needed: 2, missing: 1 })
    }
    await Promise.all([ann, bob, fresh].map(({ node }) => node.stop()))
  },
  SLOW
)
