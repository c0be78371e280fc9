import { expect, test } from 'vitest'
import { person } from '../support/facts.ts'
import { everythingOf, only, somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'

const SLOW = 30_000
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
  'a founder takes the registry back from an owner whose key was stolen, with all that was built on it',
  async () => {
    const { ann, bob, registry } = await taken()
    expect(only(await ann.node.call('roleRevoke', { from: bob.key, ...REVOKE })).counts).toBe(true)
    expect(await ownersOf(ann)).toEqual([ann.key])
    await bob.admit(await everythingOf(ann, registry))
    expect(await ownersOf(bob)).toEqual([ann.key])
    expect((await bob.node.call('registryShow', {})).digest).toBe((await ann.node.call('registryShow', {})).digest)
    await Promise.all([ann, bob].map(({ node }) => node.stop()))
  },
  SLOW
)

test(
  'the recovery key brings a registry back when the founder is gone as well',
  async () => {
    const { ann, bob, registry } = await taken()
    const fresh = await somebody()
    const key = 'recovery'
    const given = only(await ann.node.call('roleGrant', { to: fresh.key, role: 'owner', key }))
    expect(given.counts).toBe(true)
    for (const from of [bob.key, eve.did]) await ann.node.call('roleRevoke', { from, ...REVOKE, key })
    const owners = await ownersOf(ann)
    expect(owners).toContain(fresh.key)
    expect(owners).not.toContain(bob.key)
    expect(owners).not.toContain(eve.did)
    await fresh.follow(registry, await everythingOf(ann, registry))
    expect(await ownersOf(fresh)).toEqual(owners)
    await Promise.all([ann, bob, fresh].map(({ node }) => node.stop()))
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
