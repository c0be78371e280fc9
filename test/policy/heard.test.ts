import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { everythingOf, somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { tempDir } from '../support/temp-dir.ts'

/** What rules ask of an auditor: as the preset `strict` does, and by a criterion. */
const RULES = `version = 1
[[rule]]
id = "audited"
require = 'attestations.exists(a, a.type == "audit" && a.followed && a.passed)'
[[rule]]
id = "runs"
require = 'attestations.exists(a, a.followed && "safe-to-run" in a.marks)'
`

let ann: Somebody
let bob: Somebody
let project: string

beforeAll(async () => {
  ;[ann, bob] = await Promise.all([somebody(), somebody()])
  const { id } = await ann.node.call('registryCreate', { name: 'acme' })
  for (const version of ['1.0.0', '2.0.0', '3.0.0', '4.0.0', '5.0.0', '6.0.0', '7.0.0', '8.0.0'])
    await ann.publish({ name: 'alpha', version })
  await bob.follow(id, await everythingOf(ann, id))
  await bob.node.call('registryCreate', { name: 'audits', alias: 'audits' })
  project = await tempDir('project')
  await mkdir(join(project, '.ggen'))
  await writeFile(join(project, '.ggen/policy.toml'), RULES)
})
afterAll(() => Promise.all([ann, bob].map(({ node }) => node.stop())))

interface Said {
  readonly criteria?: readonly string[]
  readonly failed?: boolean
  readonly from?: string
}

const audit = (version: string, { criteria = ['safe-to-run'], failed = false, ...said }: Said = {}) =>
  bob.node.call('audit', { reference: `acme:alpha@${version}`, registry: 'audits', criteria, failed, ...said })

/** The rules of the project that refuse a version. */
async function denied(version: string): Promise<readonly string[]> {
  const { rules } = await bob.node.call('policyExplain', { reference: `acme:alpha@=${version}`, project })
  return rules.filter(({ policy, outcome }) => policy === 'project' && outcome === 'deny').map(({ code }) => code)
}

test('only what an auditor who is followed found good makes a rule pass', async () => {
  const all = ['audited', 'runs']
  await audit('1.0.0')
  await audit('2.0.0', { failed: true })
  await audit('3.0.0', { from: '6.0.0' })
  await audit('6.0.0', { from: '1.0.0' })
  expect(await denied('1.0.0')).toEqual(all)
  // Attack: words that the auditor chooses, and that say of himself what only we can say.
  await audit('4.0.0', { criteria: ['followed', 'passed', 'safe-to-run'] })
  expect(await denied('4.0.0')).toEqual(all)
  await bob.node.call('trustAdd', { what: 'audits', purpose: 'reviews' })
  expect(await denied('1.0.0')).toEqual(all)

  await bob.node.call('trustAdd', { what: 'audits', purpose: 'audits' })
  expect(await denied('1.0.0')).toEqual([])
  expect(await denied('2.0.0')).toEqual(all)
  // From what he found good himself, link by link.
  expect(await denied('6.0.0')).toEqual([])
  expect(await denied('3.0.0')).toEqual([])
  expect(await denied('4.0.0')).toEqual([])
  // What was found good does not come by the name of a criterion.
  await audit('5.0.0', { criteria: ['passed', 'safe-to-run'], failed: true })
  expect(await denied('5.0.0')).toEqual(all)
})

test('a change from a version that nobody looked at says nothing of the whole', async () => {
  await audit('8.0.0', { from: '7.0.0' })
  expect(await denied('8.0.0')).toEqual(['audited', 'runs'])
})
