import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createKey } from '../../node/key-ring.ts'
import { everythingOf, somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { refusal } from '../support/project.ts'
import { tempDir } from '../support/temp-dir.ts'

let ann: Somebody
let acme: string
let watcher: string
let project: string

beforeAll(async () => {
  ann = await somebody()
  project = await tempDir('project')
  acme = (await ann.node.call('registryCreate', { name: 'acme' })).id
  for (const version of ['1.0.0', '1.1.0']) await ann.publish({ name: 'beta', version })
  watcher = (await createKey(ann.node.home, 'watcher')).key
})
afterAll(() => ann.node.stop())

describe('observe', () => {
  test('by a key without the role is refused before it is signed', async () => {
    const refused = await refusal(ann.node.call('observe', { what: 'acme:beta', key: 'watcher' }))
    expect(refused).toMatchObject({ code: 'NOT_AUTHORIZED' })
  })

  test('tells of all releases of a package in one fact, once', async () => {
    await ann.node.call('roleGrant', { registry: 'acme', to: watcher, role: 'mirror' })
    const first = await ann.node.call('observe', { what: 'acme:', key: 'watcher' })
    expect(first).toMatchObject({ registry: acme, counts: { told: 2, same: 0 }, more: false })
    expect(first.facts).toHaveLength(1)
    const again = await ann.node.call('observe', { what: 'acme:beta', key: 'watcher' })
    expect(again).toMatchObject({ facts: [], counts: { told: 0, same: 2 } })
    const { observations } = await ann.node.call('show', { reference: 'acme:beta' })
    expect(observations.map(({ seen }) => seen.map(({ by }) => by))).toEqual([[watcher], [watcher]])
  })

  test('of one version tells of that one, and a key that signed it is no witness', async () => {
    await ann.publish({ name: 'beta', version: '1.2.0' })
    await ann.publish({ name: 'beta', version: '2.0.0' })
    await ann.node.call('roleGrant', { registry: 'acme', to: ann.key, role: 'curator' })
    const own = await ann.node.call('observe', { what: 'acme:beta@^1.0.0' })
    expect(own).toMatchObject({ facts: [], counts: { told: 0, own: 3 } })
    const told = await ann.node.call('observe', { what: 'acme:beta@^2.0.0', key: 'watcher' })
    expect(told.releases).toMatchObject([{ version: '2.0.0', state: 'told' }])
  })

  test('is what a node that saw nothing come learns the age from', async () => {
    const bob = await somebody()
    try {
      await bob.follow(acme, await everythingOf(ann, acme))
      const age = async (reference: string) => (await bob.node.call('policyExplain', { reference, project })).rules
      const seen = (await age('acme:beta@1.0.0')).find(({ code }) => code === 'release-age')
      const unseen = (await age('acme:beta@1.2.0')).find(({ code }) => code === 'release-age')
      expect([seen?.outcome, unseen?.outcome]).toEqual(['deny', 'passed'])
    } finally {
      await bob.node.stop()
    }
  })
})
