import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseSecret } from '../../attestation/keys.ts'
import { sealKeys } from '../../node/key-ring.ts'
import { restoreHome } from '../../node/restore.ts'
import { homePaths, prepareHome } from '../../storage/home.ts'
import { readKey, writeKey } from '../../storage/key-files.ts'
import { everythingOf, only, somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { person } from '../support/facts.ts'
import { tempDir } from '../support/temp-dir.ts'

const SLOW = 120_000

/** Each takes in all that the other knows; returns both digests. */
async function merge(a: Somebody, b: Somebody, registry: string): Promise<readonly string[]> {
  const [ofA, ofB] = await Promise.all([everythingOf(a, registry), everythingOf(b, registry)])
  await a.admit(ofB)
  await b.admit(ofA)
  return Promise.all([a, b].map(async ({ node }) => (await node.call('registryShow', {})).digest))
}

const forksOf = async ({ node }: Somebody) => (await node.call('conflictList', {})).forks
const versionsOf = async ({ node }: Somebody) => (await node.show('alpha')).versions.map(({ version }) => version)

test(
  'same key, two homes, both offline, then merged: no fork',
  async () => {
    const laptop = await somebody()
    const home = await tempDir('desktop')
    const { keys } = await prepareHome(home)
    await writeKey(keys, 'default', parseSecret(await readKey(homePaths(laptop.node.home).keys, 'default')))
    const { id } = await laptop.node.call('registryCreate', { name: 'mine' })
    await laptop.publish({ name: 'alpha' })
    const desktop = await somebody(home)
    expect(desktop.key).toBe(laptop.key)
    await desktop.follow(id, await everythingOf(laptop, id))

    await laptop.publish({ name: 'alpha', version: '1.1.0' })
    await laptop.node.call('roleGrant', { to: person('eve').did, role: 'member' })
    await desktop.publish({ name: 'alpha', version: '1.2.0' })
    await desktop.node.call('roleGrant', { to: person('bob').did, role: 'member' })
    const [ours, theirs] = await merge(laptop, desktop, id)
    expect(theirs).toBe(ours)
    expect(await forksOf(laptop)).toEqual([])
    expect(await versionsOf(desktop)).toEqual(['1.2.0', '1.1.0', '1.0.0'])
    const { roles, setAside } = await laptop.node.call('registryShow', {})
    expect(setAside).toEqual({})
    expect(roles.filter(({ role }) => role === 'member')).toHaveLength(2)
    await Promise.all([laptop, desktop].map(({ node }) => node.stop()))
  },
  SLOW
)

test(
  'backup restored and used: no fork, or a mark healed by resolve',
  async () => {
    const original = await somebody()
    const { id } = await original.node.call('registryCreate', { name: 'mine' })
    await original.publish({ name: 'alpha' })

    // A backup of the program's own begins a chain of its own.
    const [backup, passphrase] = [original.file(), 'a passphrase']
    const keys = await sealKeys(original.node.home, passphrase)
    await original.node.call('backup', { file: backup, blocks: false, keys })
    const restoredHome = join(await tempDir('restored'), 'home')
    const { signal } = new AbortController()
    await restoreHome(restoredHome, backup, { passphrase: async () => passphrase, signal, onProgress: () => {} })
    const restored = await somebody(restoredHome)
    await original.publish({ name: 'alpha', version: '1.1.0' })
    await restored.publish({ name: 'alpha', version: '1.2.0' })
    const [ours, theirs] = await merge(original, restored, id)
    expect(restored.key).toBe(original.key)
    expect(theirs).toBe(ours)
    expect(await forksOf(original)).toEqual([])

    // A copy of the folder, made behind its back, does not know that it is one: both write at one place.
    await original.node.stop()
    const copyHome = join(await tempDir('copy'), 'home')
    await cp(original.node.home, copyHome, { recursive: true })
    const [first, second] = [await somebody(original.node.home), await somebody(copyHome)]
    const one = await first.publish({ name: 'alpha', version: '2.0.0' })
    const two = await second.publish({ name: 'alpha', version: '2.1.0' })
    expect(new Set(await merge(first, second, id)).size).toBe(1)
    const forks = await forksOf(first)
    expect(forks.map(({ facts }) => facts)).toEqual([[one.fact, two.fact].toSorted()])
    // Marked, and still served: nobody who uses the package is cut off by what its author did to himself.
    const marked = (await first.node.show('alpha')).versions.find(({ version }) => version === '2.0.0')
    expect(marked).toMatchObject({ state: 'ok', contents: [{ marks: ['forked-author'] }] })

    const settled = only(await first.node.call('resolveFork', { fork: two.fact, keep: one.fact }))
    expect(settled.counts).toBe(true)
    expect(new Set(await merge(first, second, id)).size).toBe(1)
    expect(await forksOf(second)).toEqual([])
    expect(await versionsOf(second)).toEqual(['2.0.0', '1.2.0', '1.1.0', '1.0.0'])
    // And both go on, each in a chain of its own.
    await first.publish({ name: 'alpha', version: '3.0.0' })
    await second.publish({ name: 'alpha', version: '3.1.0' })
    expect(new Set(await merge(first, second, id)).size).toBe(1)
    expect(await forksOf(first)).toEqual([])
    expect((await versionsOf(first)).slice(0, 2)).toEqual(['3.1.0', '3.0.0'])
    await Promise.all([first, second, restored].map(({ node }) => node.stop()))
  },
  SLOW
)

test(
  'a copied data directory that forked who may do what waits for its resolve, and a new chain settles it',
  async () => {
    const original = await somebody()
    const { id } = await original.node.call('registryCreate', { name: 'mine' })
    await original.node.call('roleGrant', { to: person('carl').did, role: 'member' })
    await original.node.stop()
    const copyHome = join(await tempDir('copy'), 'home')
    await cp(original.node.home, copyHome, { recursive: true })
    const [first, second] = [await somebody(original.node.home), await somebody(copyHome)]
    const one = only(await first.node.call('roleGrant', { to: person('eve').did, role: 'member' }))
    const two = only(await second.node.call('roleGrant', { to: person('bob').did, role: 'member' }))
    expect(new Set(await merge(first, second, id)).size).toBe(1)
    expect((await first.node.call('registryShow', {})).setAside).toEqual({ 'forked-author': 2 })
    expect(only(await second.node.call('resolveFork', { fork: one.fact, keep: two.fact })).counts).toBe(true)
    expect(new Set(await merge(first, second, id)).size).toBe(1)
    const { roles, setAside } = await first.node.call('registryShow', {})
    expect(setAside).toEqual({ resolved: 1 })
    expect(roles.some(({ key }) => key === person('bob').did)).toBe(true)
    expect(only(await first.node.call('roleGrant', { to: person('eve').did, role: 'member' })).counts).toBe(true)
    await Promise.all([first, second].map(({ node }) => node.stop()))
  },
  SLOW
)
