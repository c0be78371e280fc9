import { afterAll, beforeAll, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { person } from '../support/facts.ts'
import { everythingOf, somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { refusal } from '../support/project.ts'
import { tempDir } from '../support/temp-dir.ts'

const eve = person('eve')

let ann: Somebody

beforeAll(async () => {
  ann = await somebody()
  await ann.node.call('registryCreate', { name: 'acme' })
  await ann.node.call('registryCreate', { name: 'lab', admission: 'open', roots: [eve.did], threshold: 1 })
})

afterAll(() => ann.node.stop())

test('a registry is shown with its owners, its rules and what counts in it', async () => {
  const shown = await ann.node.call('registryShow', { registry: 'lab' })
  expect(shown).toMatchObject({
    name: 'lab',
    alias: 'lab',
    isDefault: false,
    admission: 'open',
    visibility: 'public',
    owners: [ann.key, eve.did].toSorted(),
    threshold: 1,
    facts: 1,
    setAside: {},
    forks: { open: [], settled: 0 },
    conflicts: 0
  })
  expect(shown.roles.map(({ role }) => role)).toEqual(['owner', 'owner', 'recovery'])
  const digest = (await ann.node.registries.list()).find(({ alias }) => alias === 'lab')?.digest
  expect(shown.digest).toBe(digest)
})

test.each([
  ['a name that is none', { name: 'Not A Name' }, 'INVALID_NAME'],
  ['an admission that there is not', { name: 'x', admission: 'free' }, 'USAGE'],
  ['a root that is no key', { name: 'x', roots: ['eve'] }, 'USAGE'],
  ['more who must sign than there are', { name: 'x', roots: [eve.did], threshold: 3 }, 'USAGE'],
  ['nobody who must sign', { name: 'x', threshold: 0 }, 'USAGE'],
  ['a name that is taken here', { name: 'acme' }, 'ALREADY_EXISTS'],
  [
    'more roots than a genesis names',
    { name: 'x', roots: Array.from({ length: LIMITS.fact.keysPerList }, (_, i) => person(`root ${i}`).did) },
    'LIMIT_EXCEEDED'
  ]
])('a registry with %s is not made', async (_, params, code) => {
  expect((await refusal(ann.node.call('registryCreate', params))).code).toBe(code)
  expect(await ann.node.registries.list()).toHaveLength(2)
})

test('every command that takes a reference means the registry of its alias', async () => {
  const { node } = ann
  await ann.publish({ name: 'same', description: 'of acme' })
  await ann.publish({ name: 'same', description: 'of the lab' }, { registry: 'lab' })
  await ann.publish({ name: 'same', version: '2.0.0' }, { registry: 'lab' })
  const acme = await node.show('same')
  const lab = await node.show('lab:ggen/same')
  expect([acme.alias, lab.alias]).toEqual(['acme', 'lab'])
  expect(lab.versions.map(({ version }) => version)).toEqual(['2.0.0', '1.0.0'])

  const project = await tempDir('project')
  const { installed } = await node.call('install', { project, references: ['lab:ggen/same@^1.0.0'] })
  expect(installed).toMatchObject([{ version: '1.0.0', cid: lab.versions[1]?.contents[0]?.cid }])

  await node.yank('lab:same@2.0.0')
  expect((await node.show('lab:same')).versions[0]?.state).toBe('yanked')
  expect((await node.unyank('lab:ggen/same@2.0.0')).yanked).toBe(false)

  await node.call('roleGrant', { package: 'lab:same', to: eve.did, role: 'maintainer' })
  expect((await node.call('roleList', { package: 'lab:same' })).roles).toMatchObject([{}, { role: 'maintainer' }])
  expect((await node.call('roleList', { package: 'same', registry: 'lab' })).roles).toHaveLength(2)
  expect((await node.call('roleList', { package: 'same' })).roles).toHaveLength(1)
  expect((await refusal(node.call('roleList', { package: 'lab:same', registry: 'acme' }))).code).toBe('USAGE')
  expect((await refusal(node.call('resolve', { reference: 'lab:same@1.0.0', keep: 'x' }))).code).toBe('USAGE')
  const { written } = await node.call('transfer', { package: 'lab:same', to: eve.did })
  expect(written.every(({ registry }) => registry === lab.registry)).toBe(true)
  expect((await node.show('same')).owners).toEqual([ann.key])
  for (const call of ['conflictList', 'registryShow'] as const)
    expect((await node.call(call, { registry: 'lab' })).alias).toBe('lab')
  expect((await node.search('same', { registry: 'lab' })).map(({ name }) => name)).toEqual(['ggen/same'])
  for (const reference of ['none:same', 'none:same@1.0.0'])
    expect((await refusal(node.show(reference))).code).toBe('UNKNOWN_REGISTRY')
})

test('the default registry goes only when another takes its place', async () => {
  const { node } = ann
  const refused = await refusal(node.call('registryRemove', { registry: 'acme', purge: false }))
  expect(refused).toMatchObject({ code: 'USAGE', next: 'ggen-node registry remove acme --default lab' })
  expect(
    (await refusal(node.call('registryRemove', { registry: 'acme', newDefault: 'acme', purge: false }))).code
  ).toBe('USAGE')
  expect((await refusal(node.call('registryRemove', { registry: 'none', purge: false }))).code).toBe('UNKNOWN_REGISTRY')
  const everything = await everythingOf(ann, (await node.call('registryShow', {})).registry)
  const before = await node.call('registryShow', { registry: 'acme' })
  expect(await node.call('registryRemove', { registry: 'acme', newDefault: 'lab', purge: false })).toEqual({
    id: before.registry,
    alias: 'acme',
    purged: false,
    newDefault: 'lab'
  })
  expect(await node.registries.list()).toMatchObject([{ alias: 'lab', isDefault: true }])
  // What it said is still there: followed again, it is as it was.
  await node.registries.add(before.registry, { alias: 'acme' })
  expect((await node.call('registryShow', { registry: 'acme' })).digest).toBe(before.digest)

  await node.call('registryRemove', { registry: 'acme', purge: true })
  await node.registries.add(before.registry, { alias: 'acme' })
  expect((await node.registries.list()).find(({ alias }) => alias === 'acme')).toMatchObject({ facts: 0, packages: 0 })
  await ann.admit(everything)
  expect((await node.call('registryShow', { registry: 'acme' })).digest).toBe(before.digest)
})

test('what was removed stays so after a restart, and the last one may go', async () => {
  const home = await tempDir('home')
  const first = await somebody(home)
  await first.node.call('registryCreate', { name: 'one' })
  await first.node.call('registryCreate', { name: 'two' })
  await first.node.call('registryRemove', { registry: 'one', newDefault: 'two', purge: true })
  await first.node.stop()
  const second = await somebody(home)
  expect(await second.node.registries.list()).toMatchObject([{ alias: 'two', isDefault: true }])
  await second.node.call('registryRemove', { registry: 'two', purge: false })
  expect(await second.node.registries.list()).toEqual([])
  expect((await refusal(second.node.call('registryShow', {}))).code).toBe('NO_REGISTRY')
  await second.node.stop()
})
