import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { auditedBefore } from '../../node/policy-suggest.ts'
import { suggest } from '../../node/services/policy/suggest.ts'
import type { Suggestion } from '../../node/services/policy/methods.ts'
import { Hearing } from './hearing.ts'

const policyOf = (at: Hearing, text: string) => writeFile(join(at.home, 'policy.toml'), `version = 1\n${text}`)

async function suggestion(at: Hearing, version: string): Promise<Suggestion> {
  const judgement = await at.policy.judge(undefined, [await at.candidate(version)], AbortSignal.timeout(60_000))
  return suggest(judgement, {
    audited: (candidate, criteria) => auditedBefore({ policy: at.policy, view: at.here.view }, candidate, criteria),
    changed: async () => 1
  })
}

/** Does what was suggested, and nothing else: audits by so many who are followed, and what `--write` adds to the policy. */
async function apply(at: Hearing, version: string, policy: string): Promise<Suggestion> {
  const said = await suggestion(at, version)
  for (const { auditors, criteria, from } of said.audits)
    for (let i = 0; i < auditors; i++) {
      const auditor = await at.speaker(`auditor${i}`)
      await at.follows(auditor)
      await at.audits(auditor, version, { criteria, ...(from === null ? {} : { from }) })
    }
  const exceptions = said.exemptions.map(
    ({ rule, reference }) =>
      `[[exception]]\nrule = "${rule}"\npackage = "${reference}"\nwho = "ann"\nuntil = "2099-12-31"\nreason = "until it is audited"\n`
  )
  await policyOf(at, `${policy}\n${exceptions.join('')}`)
  return said
}

test.each([
  ['as many auditors as the preset asks for', 'preset = "strict"\nauditors = 2\n', 2],
  ['more of them than three', 'preset = "strict"\nauditors = 5\n', 5]
])('what is suggested makes a release pass: %s', async (_, policy, auditors) => {
  const at = await Hearing.of(['1.0.0'])
  await policyOf(at, policy)
  expect(await at.allows()).toBe(false)
  const { audits, exemptions } = await apply(at, '1.0.0', policy)
  expect(audits).toMatchObject([{ kind: 'full', auditors, rules: ['audit', 'auditors'] }])
  // Everything else that the preset asks for, and nothing that an audit would do.
  expect(exemptions.map(({ rule }) => rule)).toEqual(['staleness', 'publisher', 'sbom', 'licence'])
  expect(await at.allows()).toBe(true)
})

test('no auditor is asked for who would make nothing hold', async () => {
  const at = await Hearing.of(['1.0.0'])
  const policy = '[[rule]]\nid = "one"\nrequire = \'publisher.verified\'\n'
  await policyOf(at, policy)
  expect((await apply(at, '1.0.0', policy)).audits).toEqual([])
  expect(await at.allows()).toBe(true)
})

test('a change is suggested from a version that is good, and from none of which somebody who is followed says that it is bad', async () => {
  const at = await Hearing.of(['1.0.0', '1.1.0', '1.2.0'])
  const policy =
    '[[rule]]\nid = "audited"\nrequire = \'attestations.exists(a, a.type == "audit" && a.followed && a.passed)\'\n'
  await policyOf(at, policy)
  const [lab, other] = [await at.speaker('lab'), await at.speaker('other')]
  await at.follows(lab)
  await at.follows(other)
  await at.audits(lab, '1.1.0')
  expect((await suggestion(at, '1.2.0')).audits).toMatchObject([{ kind: 'delta', from: '1.1.0' }])
  await at.audits(other, '1.1.0', { result: 'fail' })
  expect((await apply(at, '1.2.0', policy)).audits).toMatchObject([{ kind: 'full', from: null }])
  expect(await at.allows('1.2.0')).toBe(true)
})
