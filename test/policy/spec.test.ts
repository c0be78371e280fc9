import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { judgeRelease } from '../../protocol/policy/evaluate.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { fieldsOf, GROUPS } from '../../protocol/policy/schema.ts'
import { schemaReference } from '../support/schema-table.ts'
import { REPOSITORY } from '../support/shared.ts'
import { FACTS, facts, policyIn, ruleOf } from './support.ts'

const spec = await readFile(join(REPOSITORY, 'docs/spec/policy.md'), 'utf8')
const verdict = (policy: ReturnType<typeof policyIn>, given = FACTS) =>
  judgeRelease([policy], given, () => undefined).verdict

describe('the reference of the specification', () => {
  test('is what the schema says: node test/support/schema-table.ts writes it anew', () => {
    expect(spec).toContain(schemaReference().trim())
  })

  test.each(GROUPS.flatMap(group => fieldsOf(group).map(([name, { example }]) => [`${group}.${name}`, example])))(
    'the example of %s is a rule, and holds for a good release',
    (field, example) => {
      expect(verdict(ruleOf(example))).toBe('allow')
      expect(example).toContain(field.split('.')[1])
    }
  )

  test.each([LIMITS.policy.expressionChars, LIMITS.policy.astNodes, LIMITS.policy.rules, LIMITS.policy.exceptions])(
    'the specification names the bound %i',
    bound => {
      expect(spec).toMatch(new RegExp(`\\b${bound.toLocaleString('en-US')}\\b`))
    }
  )
})

describe('a hundred stars, an audit, a verified publisher, MIT or Apache', () => {
  const text = /```toml example\n([^]*?)```/.exec(spec)?.[1] ?? ''

  test('is a rule of four lines', () => {
    expect(text.split('"""')[1]?.split('\n')).toHaveLength(4)
  })

  test.each<readonly [string, Parameters<typeof facts>[0], string]>([
    ['all of it', {}, 'allow'],
    ['99 stars', { reviews: { stars: 99 } }, 'deny'],
    [
      'an audit by somebody who is not followed',
      { attestations: FACTS.attestations.map(a => ({ ...a, followed: false })) },
      'deny'
    ],
    ['an audit that did not pass', { attestations: FACTS.attestations.map(a => ({ ...a, passed: false })) }, 'deny'],
    ['a publisher whom no domain knows', { publisher: { verified: false } }, 'deny'],
    ['Apache alone', { licence: { expression: 'Apache-2.0' } }, 'allow'],
    ['MIT and something else', { licence: { expression: 'MIT AND GPL-3.0-only' } }, 'deny'],
    ['a licence that is none', { licence: { expression: 'MIT-ish', valid: false } }, 'deny']
  ])('%s', (_, changes, expected) => {
    expect(verdict(policyIn(text), facts(changes))).toBe(expected)
  })
})

describe('the word of two who do not depend on each other', () => {
  const text = [...spec.matchAll(/```toml\n([^]*?)```/g)]
    .map(([, rule]) => rule ?? '')
    .find(rule => rule.includes('two-labs'))
  const [audit] = FACTS.attestations
  if (audit === undefined) throw new Error('no audit')
  const by = (issuer: string, registry: string) => ({ ...audit, issuer, registry })
  const said = (...attestations: readonly (typeof audit)[]) =>
    verdict(policyIn(`version = 1\n${text ?? ''}`), { ...FACTS, attestations })

  test('is that of two keys in two registries, and of nobody else', () => {
    expect(said(by('one', 'lab'))).toBe('deny')
    expect(said(by('one', 'lab'), by('two', 'lab'))).toBe('deny')
    expect(said(by('one', 'lab'), by('one', 'other'))).toBe('deny')
    expect(said(by('one', 'lab'), by('two', 'other'))).toBe('allow')
    expect(said(by('one', 'lab'), { ...by('two', 'other'), followed: false })).toBe('deny')
  })
})

test('each policy that the specification shows is one', () => {
  const shown = [...spec.matchAll(/```toml(?: example)?\n([^]*?)```/g)].map(([, text]) => text ?? '')
  expect(shown.length).toBeGreaterThan(3)
  for (const text of shown.slice(1))
    expect(policyIn(text.startsWith('version') ? text : `version = 1\n${text}`).rules.length).toBe(1)
})
