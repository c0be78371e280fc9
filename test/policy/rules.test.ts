import { describe, expect, test } from 'vitest'
import { contextOf, Engine } from '../../protocol/policy/engine.ts'
import { judgeRelease } from '../../protocol/policy/evaluate.ts'
import type { CompiledPolicy, FindExcuse } from '../../protocol/policy/evaluate.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { ReleaseFacts } from '../../protocol/policy/schema.ts'
import { FACTS, facts, policyIn, ruleOf, thrownBy } from './support.ts'

const nobody: FindExcuse = () => undefined
const judge = (policy: CompiledPolicy, given: ReleaseFacts = FACTS, excuse = nobody) =>
  judgeRelease([policy], given, excuse)

describe('a rule', () => {
  test('that holds passes, one that does not denies, and says what it read', () => {
    const policy = ruleOf('age.hours >= 24 && attestations.exists(a, a.type == "audit" && a.passed)')
    expect(judge(policy)).toMatchObject({ verdict: 'allow', rules: [{ code: 'one', outcome: 'passed' }] })
    const young = judge(policy, facts({ age: { hours: 3, basis: 'first-seen' } }))
    expect(young).toMatchObject({ verdict: 'deny', rules: [{ code: 'one', policy: 'test', outcome: 'deny' }] })
    expect(young.rules[0]?.facts).toEqual([
      { name: 'age.hours', value: '3' },
      { name: 'attestations', value: '2: audit passed, provenance passed' }
    ])
  })

  test('applies only where it says', () => {
    const policy = ruleOf('false', 'when = "release.own"')
    expect(judge(policy)).toMatchObject({ verdict: 'allow', rules: [{ outcome: 'skipped' }] })
    expect(judge(policy, facts({ release: { own: true } }))).toMatchObject({ verdict: 'deny' })
  })

  test.each([
    ['warn', 'warn'],
    ['audit', 'allow']
  ])('of action %s lets the release pass with the verdict %s', (action, verdict) => {
    expect(judge(ruleOf('false', `action = "${action}"`))).toMatchObject({ verdict, rules: [{ outcome: action }] })
  })

  test('that can not be evaluated denies, whatever its action is', () => {
    const policy = ruleOf('attestations[7].passed', 'action = "warn"')
    expect(judge(policy)).toMatchObject({
      verdict: 'deny',
      rules: [{ outcome: 'deny', error: expect.stringContaining('index') as string }]
    })
    const where = ruleOf('true', 'when = "1 / (reviews.stars - 120) == 1"\naction = "audit"')
    expect(judge(where)).toMatchObject({ verdict: 'deny' })
  })

  test('is not applied while somebody answers for it, and is again after that', () => {
    const excuse = { until: '2026-12-31', who: 'ann', reason: 'known', signed: true }
    const policy = ruleOf('false')
    expect(judge(policy, FACTS, () => ({ ...excuse, holds: true }))).toMatchObject({
      verdict: 'allow',
      rules: [{ outcome: 'excepted', exception: { who: 'ann' } }]
    })
    expect(judge(policy, FACTS, () => ({ ...excuse, holds: false }))).toMatchObject({
      verdict: 'deny',
      rules: [{ outcome: 'deny', exception: { holds: false } }]
    })
  })

  test('counts keys, not statements', () => {
    const policy = ruleOf('issuers(attestations.filter(a, a.type == "audit" && a.passed)) >= 2')
    const [audit] = FACTS.attestations
    if (audit === undefined) throw new Error('no audit')
    expect(judge(policy, { ...FACTS, attestations: [audit, { ...audit, summary: 'again' }] }).verdict).toBe('deny')
    const other = { ...audit, issuer: 'did:key:z6MkOther' }
    expect(judge(policy, { ...FACTS, attestations: [audit, other] }).verdict).toBe('allow')
  })

  test('sees no more of a list than the bound', () => {
    const [audit] = FACTS.attestations
    if (audit === undefined) throw new Error('no audit')
    const many = Array.from({ length: LIMITS.policy.listed + 5 }, () => audit)
    const policy = ruleOf(`attestations.size() == ${LIMITS.policy.listed}`)
    expect(judge(policy, { ...FACTS, attestations: many }).verdict).toBe('allow')
  })

  test('of one policy is not made weaker by another policy', () => {
    expect(judgeRelease([ruleOf('false'), policyIn('version = 1\npreset = "open"\n')], FACTS, nobody).verdict).toBe(
      'deny'
    )
  })
})

/** A list as long as one may be written, all but. */
const digits = `[${Array.from({ length: 120 }, (_, i) => i % 10).join(',')}]`

describe('a rule', () => {
  test.each([
    ['that is not boolean', 'reviews.stars', 'gives int'],
    ['whose type nobody knows', 'dyn(true)', 'calls dyn'],
    ['that reads a field which is not there', 'age.hourz > 1', 'hourz'],
    ['that reads a group which is not there', 'log.size > 1', 'log'],
    ['that compares what can not be compared', 'age.hours > "24"', 'overload'],
    ['that is no expression', 'age.hours >', ''],
    ['with a pattern that could take for ever', 'release.name.matches("(a+)+$")', 'calls matches'],
    ['that walks lists three deep', walks(3), 'deep'],
    ['that makes a list of lists, eight times as long each time', `[attestations]${grown(8)}.size() > 1`, 'lists'],
    ['that makes a text longer each time', `["a"]${grown(8)}.exists(x, x.contains("b"))`, 'no numbers'],
    ['that joins lists', `(attestations + attestations).exists(a, a.passed)`, 'no numbers'],
    ['that nests lists to compare them', '[1].map(x, [x, x]).map(x, [x, x]) == [[[1]]]', 'list of lists'],
    ['that walks over the lists of each entry of a list', 'attestations.map(a, a.marks).size() == 1', 'list of lists'],
    ['that makes a map', '{"a": 1}["a"] == 1', 'a map'],
    ['that takes many steps', many('attestations.exists(a, attestations.exists(b, a.marks == b.marks))'), 'steps'],
    [
      'that takes many steps in a function',
      many('attestations.all(a, a.marks.all(b, issuers(attestations) > 0))'),
      'steps'
    ],
    ['that is too deep', `${'('.repeat(60)}true${')'.repeat(60)}`.replaceAll('(', '!('), ''],
    ['with too many nodes', Array.from({ length: 300 }, () => 'true').join('&&'), ''],
    ['with a licence that is none', 'licence.anyOf(["MIT", "Apache2"])', 'no SPDX'],
    ['with several licences in one', 'licence.anyOf(["MIT OR ISC"])', 'several licences']
  ])('%s is refused when the file is read', (_, text, says) => {
    const error = thrownBy(() => ruleOf(text))
    expect(error).toMatchObject({ code: 'POLICY_INVALID' })
    expect(error?.message).toContain(says)
    expect(error?.message).toContain('rule one')
  })

  test('a walk within a walk is none of these', () => {
    expect(judge(ruleOf(walks(2))).verdict).toBe('allow')
  })

  test('adds numbers, wherever they come from', () => {
    expect(judge(ruleOf('attestations.exists(a, a.marks.size() + 1 >= 1 && age.hours + 24 > 24)')).verdict).toBe(
      'allow'
    )
    expect(judge(ruleOf('[1, 2].map(x, x + age.hours).exists(x, x > 2)')).verdict).toBe('allow')
  })

  test('of many that each take few steps takes too many', () => {
    const rule = (i: number): string => `[[rule]]\nid = "r${i}"\nrequire = '${many(walks(2), 20)}'\n`
    const rules = (count: number): string => `version = 1\n${Array.from({ length: count }, (_, i) => rule(i)).join('')}`
    expect(policyIn(rules(2)).rules).toHaveLength(2)
    expect(thrownBy(() => policyIn(rules(40)))).toMatchObject({ code: 'POLICY_INVALID' })
  })

  /** So many rules of one kind are too many, and some of them are not. */
  test.each<readonly [string, string, number, number]>([
    ['asks about a licence', 'attestations.exists(a, attestations.exists(b, licence.anyOf(["Zlib"])))', 5, 8],
    ['searches texts', 'attestations.exists(a, a.marks.exists(m, m.contains("mmmmx")))', 3, 4],
    ['measures texts', 'attestations.exists(a, attestations.exists(b, b.summary.size() < 1))', 3, 4],
    ['compares starts', 'attestations.exists(a, a.marks.exists(m, m.startsWith(a.summary)))', 10, 16],
    [
      'hides how long its lists are',
      `${digits}.filter(x, true).exists(a, ${digits}.map(x, x).exists(b, a == b))`,
      20,
      30
    ],
    [
      'asks for two laboratories',
      'attestations.exists(a, a.type == "audit" && a.followed && a.passed && attestations.exists(b, b.type == "audit" && b.followed && b.passed && b.issuer != a.issuer && b.registry != a.registry))',
      30,
      40
    ]
  ])('that %s is counted by what it costs', (_, require, few, many) => {
    const rule = (i: number): string => `[[rule]]\nid = "r${i}"\nrequire = '${require}'\n`
    const rules = (count: number): string => `version = 1\n${Array.from({ length: count }, (_, i) => rule(i)).join('')}`
    expect(policyIn(rules(few)).rules).toHaveLength(few)
    expect(thrownBy(() => policyIn(rules(many)))?.message).toContain('steps')
  })

  test('reads the licence of a release once, however often it asks', () => {
    const condition = new Engine().condition('licence.anyOf(["MIT"])', 'here')
    const context = contextOf(FACTS)
    expect(condition.evaluate(context)).toBe(true)
    Object.assign(Object(context['licence']), { expression: 'ISC' })
    expect(condition.evaluate(context)).toBe(true)
    expect(condition.evaluate(contextOf(facts({ licence: { expression: 'ISC' } })))).toBe(false)
  })
})

/** As often as an expression may be long. */
function many(text: string, times = 16): string {
  return Array.from({ length: times }, () => text).join(' || ')
}

function grown(times: number): string {
  return '.map(x, (((x + x) + (x + x)) + ((x + x) + (x + x))))'.repeat(times)
}

function walks(depth: number): string {
  const inner = depth === 1 ? 'a1.passed' : walks(depth - 1)
  return `attestations.exists(a${depth}, ${inner})`
}

describe('the presets', () => {
  const standard = policyIn('version = 1\npreset = "standard"\n')
  const strict = policyIn('version = 1\npreset = "strict"\n')
  const denials = (policy: CompiledPolicy, given: ReleaseFacts) =>
    judge(policy, given)
      .rules.filter(({ outcome }) => outcome === 'deny')
      .map(({ code }) => code)

  test.each<readonly [string, Parameters<typeof facts>[0], readonly string[]]>([
    ['nothing wrong', {}, []],
    ['does not count', { marks: { counts: false } }, ['withdrawn']],
    ['a conflict', { marks: { conflict: true } }, ['conflict']],
    ['a conflict over what is locked', { marks: { conflict: true }, release: { locked: true } }, []],
    [
      'quarantine, locked or not',
      { quarantine: { active: true, reason: '' }, release: { locked: true } },
      ['quarantine']
    ],
    ['malware', { advisories: [{ id: 'X', severity: 'critical', malware: true, fixed: '' }] }, ['malware']],
    ['a new key', { marks: { downgrades: ['new-key'] } }, ['trust-downgrade']],
    ['an hour old', { age: { hours: 1, basis: 'first-seen' } }, ['release-age']],
    ['an hour old and ours', { age: { hours: 1, basis: 'first-seen' }, release: { own: true } }, []],
    ['an hour old among members', { age: { hours: 1, basis: 'first-seen' }, registry: { private: true } }, []],
    ['there at the first look', { age: { hours: 0, basis: 'first-look' } }, []],
    ['a forked author and a yank', { marks: { forkedAuthor: true, yanked: true } }, []]
  ])('standard: %s', (_, changes, expected) => {
    expect(denials(standard, facts(changes))).toEqual(expected)
  })

  test('standard warns of a forked author', () => {
    expect(judge(standard, facts({ marks: { forkedAuthor: true } })).verdict).toBe('warn')
  })

  test('strict wants an audit, two auditors, a domain, a licence, an SBOM and a week', () => {
    const sbom = { ...FACTS.attestations[0], type: 'sbom', followed: false } as ReleaseFacts['attestations'][number]
    const second = { ...FACTS.attestations[0], issuer: 'did:key:z6MkSecond' } as typeof sbom
    const good = facts({ attestations: [...FACTS.attestations, second, sbom] })
    expect(denials(strict, good)).toEqual([])
    expect(denials(strict, facts({ attestations: [...FACTS.attestations, second] }))).toEqual(['sbom'])
    expect(denials(strict, facts({ attestations: [...FACTS.attestations, sbom] }))).toEqual(['auditors'])
    // Attack: one auditor who speaks twice.
    const twice = [...FACTS.attestations, { ...second, issuer: 'did:key:z6MkAuditor' }, sbom]
    expect(denials(strict, facts({ attestations: twice }))).toEqual(['auditors'])
    expect(denials(strict, { ...good, publisher: { ...good.publisher, verified: false } })).toEqual(['publisher'])
    expect(denials(strict, { ...good, licence: { expression: 'GPL-3.0-only', concluded: '', valid: true } })).toEqual([
      'licence'
    ])
    expect(denials(strict, { ...good, age: { ...good.age, hours: 100, seenHours: 100, basis: 'observed' } })).toEqual([
      'release-age'
    ])
    expect(
      denials(strict, { ...good, marks: { ...good.marks, conflict: true }, release: { ...good.release, locked: true } })
    ).toEqual(['conflict'])
    const unfollowed = good.attestations.map(one => ({ ...one, followed: false }))
    expect(denials(strict, { ...good, attestations: unfollowed })).toEqual(['audit', 'auditors'])
  })
})
