import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { parsePolicy, presetPolicy } from '../../protocol/policy/policy.ts'
import { PRESETS } from '../../protocol/policy/presets.ts'
import type { Preset } from '../../protocol/policy/presets.ts'
import { parseToml } from '../../storage/content/read-manifest.ts'
import { codeOf } from '../support/error-code.ts'
import { policyIn, thrownBy } from './support.ts'

const parse = (text: string) => parsePolicy(parseToml(text, 'policy.toml'), 'policy.toml')
const RULE = '[[rule]]\nid = "one"\nrequire = "true"\n'

describe('a policy file', () => {
  test('gives the rules of its preset, without some, and its own', () => {
    const { rules, exceptions } = parse(`version = 1
preset = "standard"
without = ["release-age", "yanked"]
${RULE}message = "no"
action = "warn"
exceptions = [{ package = "acme:lib@1.0.0", who = "ann", until = 2026-12-31, reason = "known" }]
[[exception]]
rule = "malware"
package = "acme:*"
who = "bob"
until = "2027-01-31"
reason = "ours"
`)
    const standard = PRESETS.standard.map(({ id }) => id)
    expect(rules.map(({ id }) => id)).toEqual([
      ...standard.filter(id => id !== 'release-age' && id !== 'yanked'),
      'one'
    ])
    expect(rules.at(-1)).toEqual({ id: 'one', when: undefined, require: 'true', message: 'no', action: 'warn' })
    expect(exceptions).toEqual([
      {
        rule: 'one',
        registry: 'acme',
        name: 'ggen/lib',
        version: '1.0.0',
        until: '2026-12-31',
        who: 'ann',
        reason: 'known'
      },
      {
        rule: 'malware',
        registry: 'acme',
        name: undefined,
        version: undefined,
        until: '2027-01-31',
        who: 'bob',
        reason: 'ours'
      }
    ])
  })

  test('has the digest of what it says, however it is laid out', () => {
    const one = parse(`version = 1\npreset = "open"\n${RULE}`)
    const same = parse(`# a comment\nversion = 1\n\n[[rule]]\nrequire = "true"\nid = "one"\naction = "deny"\n`)
    const other = parse(`version = 1\n${RULE}action = "warn"\n`)
    expect(same.digest).toBe(one.digest)
    expect(other.digest).not.toBe(one.digest)
    expect(one.digest).toMatch(/^[0-9a-f]{64}$/)
  })

  test('of strict says how many auditors it wants, and for how long a registry may be heard of nobody', () => {
    const requireOf = (text: string, id: string) => parse(text).rules.find(rule => rule.id === id)?.require
    const strict = 'version = 1\npreset = "strict"\n'
    expect(requireOf(strict, 'auditors')).toMatch(/>= 2$/)
    expect(requireOf(`${strict}auditors = 3\n`, 'auditors')).toMatch(/>= 3$/)
    expect(requireOf(`${strict}max-staleness = "3d"\n`, 'staleness')).toBe('registry.staleHours < 72')
    expect(parse('version = 1\nmax-staleness = "6h"\n').maxStaleHours).toBe(6)
    expect(parse(strict).maxStaleHours).toBe(24)
  })

  test.each([
    '[[rule]]\nid = "a"\nrequire = "\\uFEFFtrue"',
    '[[rule]]\nid = "a"\nwhen = "\\uFEFFtrue"\nrequire = "true"',
    '[[rule]]\nid = "a"\nrequire = "true"\nmessage = "\\uFEFFno"'
  ])('with a byte order mark in %j is refused, and one before it says nothing', text => {
    expect(codeOf(() => parse(`version = 1\n${text}\n`))).toBe('POLICY_INVALID')
    expect(parse('\ufeffversion = 1\n').digest).toBe(parse('version = 1\n').digest)
  })

  test.each([
    'preset = "strict"\nauditors = 0',
    'preset = "strict"\nauditors = 1.5',
    'preset = "strict"\nauditors = 17',
    'preset = "strict"\nauditors = "2"',
    'auditors = 2',
    'preset = "standard"\nauditors = 2',
    'max-staleness = 24',
    'max-staleness = "0h"',
    'max-staleness = "1w"'
  ])('that says %j of a preset is refused', text => {
    expect(thrownBy(() => parse(`version = 1\n${text}\n`))?.code).toBe('POLICY_INVALID')
  })

  test.each(Object.keys(PRESETS))('every rule of the preset %s means something', preset => {
    expect(policyIn(`version = 1\npreset = "${preset}"\n`).rules).toHaveLength(
      presetPolicy(preset as Preset).rules.length
    )
  })
})

describe('what means nothing', () => {
  test.each([
    ['an unknown field', `version = 1\nrules = []\n`, 'perhaps you meant rule'],
    ['an unknown field of a rule', `version = 1\n${RULE}requires = "true"\n`, 'perhaps you meant require'],
    ['an unknown field of an exception', `version = 1\n${RULE}exceptions = [{ pkg = "x" }]\n`, 'known: package'],
    ['no version', RULE, 'version = 1'],
    ['a version that is not known', `version = 2\n${RULE}`, 'version = 1'],
    ['a preset that is none', 'version = 1\npreset = "lax"\n', 'open, standard, strict'],
    ['without a rule that is none', 'version = 1\npreset = "standard"\nwithout = ["x"]\n', 'known: withdrawn'],
    ['an action that is none', `version = 1\n${RULE}action = "allow"\n`, 'policy.md'],
    ['two rules of one id', `version = 1\n${RULE}${RULE}`, 'policy.md'],
    [
      'a rule of the preset’s id',
      `version = 1\npreset = "standard"\n${RULE.replace('one', 'malware')}`,
      'without = ["malware"]'
    ],
    ['an id that nobody can type', `version = 1\n${RULE.replace('one', 'One two')}`, 'policy.md'],
    ['a rule without a requirement', 'version = 1\n[[rule]]\nid = "one"\n', 'policy.md'],
    ['a message that turns the reading direction', `version = 1\n${RULE}message = "a\\u202eb"\n`, 'policy.md'],
    ['an exception from no rule', `version = 1\n${exception('two')}`, 'policy.md'],
    ['an exception of no registry', `version = 1\n${RULE}${exception('one', 'package = "lib"')}`, 'ALIAS:lib'],
    ['an exception of a range', `version = 1\n${RULE}${exception('one', 'package = "acme:lib@^1"')}`, 'policy.md'],
    ['an exception to no day', `version = 1\n${RULE}${exception('one', 'until = "2026-02-30"')}`, '2026-12-31'],
    [
      'an exception that ends within a day',
      `version = 1\n${RULE}${exception('one', 'until = 2026-12-31T10:00:00')}`,
      '2026-12-31'
    ],
    ['an exception without end', `version = 1\n${RULE}${exception('one', 'until = "never"')}`, '2026-12-31'],
    ['an exception that nobody answers for', `version = 1\n${RULE}${exception('one', 'who = ""')}`, 'policy.md'],
    ['a key that is none', `version = 1\nexception-keys = ["ann"]\n`, 'key show']
  ])('%s refuses the whole policy', (_, text, next) => {
    const error = thrownBy(() => parse(text))
    expect(error).toMatchObject({ code: 'POLICY_INVALID' })
    expect(`${error?.message} ${error?.next}`).toContain(next)
  })

  test('more rules than a policy may have', () => {
    const rules = Array.from({ length: LIMITS.policy.rules + 1 }, (_, i) => RULE.replace('one', `r${i}`))
    expect(thrownBy(() => parse(`version = 1\n${rules.join('')}`))).toMatchObject({ code: 'POLICY_INVALID' })
  })
})

function exception(rule: string, ...changes: readonly string[]): string {
  const lines = ['package = "acme:lib"', 'who = "ann"', 'until = 2026-12-31', 'reason = "known"']
  const kept = lines.filter(line => !changes.some(change => change.split(' ')[0] === line.split(' ')[0]))
  return `[[exception]]\nrule = "${rule}"\n${[...kept, ...changes].join('\n')}\n`
}
