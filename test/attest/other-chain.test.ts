import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { person } from '../support/facts.ts'
import { only, somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { tempDir } from '../support/temp-dir.ts'

const SLOW = 60_000
let lab: Somebody
afterAll(() => lab.node.stop())

test(
  'who passes what his key found to be bad in another chain or registry is told that it stands, and how to take it back',
  async () => {
    const home = await tempDir('home')
    lab = await somebody(home)
    await lab.node.call('registryCreate', { name: 'acme' })
    await lab.publish({ name: 'alpha' })
    const { id: audits } = await lab.node.call('registryCreate', { name: 'audits', alias: 'audits' })
    await lab.node.call('registryCreate', { name: 'other', alias: 'other' })
    await lab.node.call('trustAdd', { what: lab.key, purpose: 'audits' })
    const say = (failed: boolean, registry = 'audits') =>
      lab.node.call('audit', { reference: 'acme:alpha', criteria: ['safe-to-run'], failed, registry })
    const verdict = async () => {
      const { rules } = await lab.node.call('policyExplain', { reference: 'acme:alpha', project: home })
      return rules.find(({ code }) => code === 'audit-failed')?.outcome
    }
    // In one chain a pass takes back what came before it, and there is nothing to say.
    expect((await say(true)).standing).toEqual([])
    expect((await say(false)).standing).toEqual([])
    const failed = await say(true)
    expect((await say(false, 'other')).standing).toEqual([
      { registry: audits, alias: 'audits', fact: failed.fact, isOfThisDirectory: true }
    ])
    // As a data directory that was lost: the key is here and the facts are, the chain is not.
    await lab.node.stop()
    await rm(join(home, 'chain'))
    lab = await somebody(home)
    const passed = await say(false)
    expect(passed.standing).toEqual([
      { registry: audits, alias: 'audits', fact: failed.fact, isOfThisDirectory: false }
    ])
    expect(await verdict()).toBe('deny')
    // Said again, nothing is signed, and it is told all the same.
    expect(await say(false)).toMatchObject({ isNew: false, standing: passed.standing })
    // As the next step says.
    const granted = await lab.node.call('roleGrant', { to: person('next').did, role: 'owner', registry: 'audits' })
    const keep = [passed.fact, only(granted).fact]
    await lab.node.call('roleRevoke', { from: lab.key, registry: 'audits', compromised: true, keep })
    expect(await verdict()).toBe('passed')
  },
  SLOW
)
