import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { standingLines } from '../../bin/commands/attest.ts'
import { failuresThatStand } from '../../node/standing-audits.ts'
import type { ApiMethods } from '../../node/services/api.ts'
import type { Release } from '../../node/services/attest/release.ts'
import { AUDIT, STAR } from '../support/attest.ts'
import { person } from '../support/facts.ts'
import { only, somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { tempDir } from '../support/temp-dir.ts'

const SLOW = 60_000
type Said = ApiMethods['attest']['result']

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
    const lines = (said: Said) => said.standing.flatMap(one => standingLines(said, one)).join('\n')
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
    expect(lines(passed)).toContain(`--keep ${passed.fact} FACT`)
    await lab.node.call('registryCreate', { name: 'third', alias: 'third' })
    const elsewhere = await say(false, 'third')
    expect(elsewhere.standing).toEqual(passed.standing)
    expect(lines(elsewhere)).toContain('--compromised --keep FACT')
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

test('what was signed is told though nothing can be read beside it, and a star asks for nothing', async () => {
  let asked = 0
  const warned: string[] = []
  const failing = async (): Promise<never> => {
    asked += 1
    throw new Error('the disk is gone')
  }
  const parts = {
    attestations: { said: failing, of: failing },
    registries: { all: [] },
    log: { warn: (_fields: unknown, message: string) => void warned.push(message) }
  } as unknown as Parameters<typeof failuresThatStand>[0]
  const written = { fact: 'bafy' as never, predicateType: STAR }
  expect(await failuresThatStand(parts, {} as Release, written)).toEqual([])
  expect([asked, warned]).toEqual([0, []])
  expect(await failuresThatStand(parts, {} as Release, { ...written, predicateType: AUDIT })).toEqual([])
  expect([asked, warned.length]).toEqual([1, 1])
})
