import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { signException } from '../../attestation/sign-exception.ts'
import { addException } from '../../node/policy-files.ts'
import { exempt } from '../../node/policy-work.ts'
import { foldAuthority } from '../../protocol/authority.ts'
import { verified } from '../../node/services/registry-state.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { everythingOf, only, somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { refusal } from '../support/project.ts'
import { tempDir } from '../support/temp-dir.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { Hearing } from './hearing.ts'

const [owner, second, third, eve] = [person('owner'), person('second'), person('third'), person('eve')]

function publishes(
  facts: FactWriter,
  text: string,
  { by = owner, authPrev = facts.genesis.id }: Publishing = {}
): Made {
  return facts.write(by, 'registry', { type: 'policy', value: { authPrev, head: null, text } })
}

interface Publishing {
  readonly by?: Person
  readonly authPrev?: Made['id']
}

/** The texts in force, whatever the order in which the facts came. */
function inForce(facts: FactWriter, all: readonly Made[] = facts.all): readonly string[] {
  const read = all.filter(({ body }) => body.subject === 'registry').map(({ bytes }) => verified(parseEnvelope(bytes)))
  const [there, back] = [read, read.toReversed()].map(some => foldAuthority(facts.registry, some)?.policies)
  expect(back).toEqual(there)
  return (there ?? []).map(({ text }) => text)
}

describe('the policy of a registry that is in force', () => {
  test('is the newest, in whatever order they come', () => {
    const facts = new FactWriter(owner)
    const first = publishes(facts, 'first')
    publishes(facts, 'second', { authPrev: first.id })
    expect(inForce(facts)).toEqual(['second'])
  })

  test('is none that a key without the say signed, or too few', () => {
    const facts = new FactWriter(owner)
    publishes(facts, 'by nobody', { by: eve })
    const curator = facts.grant(third.did, 'curator')
    publishes(facts, 'by a curator', { by: third, authPrev: curator.id })
    const two = facts.grant(second.did, 'owner', { threshold: 2, authPrev: curator.id })
    const asked = publishes(facts, 'by two', { authPrev: two.id })
    // Attack: under a head from before, when one was enough.
    publishes(facts, 'by one, as if it were before', { authPrev: curator.id })
    expect(inForce(facts)).toEqual([])
    facts.cosign(second, asked, two.id)
    expect(inForce(facts)).toEqual(['by two'])
  })

  test('are both of two that were made at the same time, until one is made in the knowledge of both', () => {
    const facts = new FactWriter(owner)
    const other = facts.grant(second.did, 'owner')
    const [a] = [
      publishes(facts, 'a', { authPrev: other.id }),
      publishes(facts, 'b', { by: second, authPrev: other.id })
    ]
    expect([...inForce(facts)].toSorted()).toEqual(['a', 'b'])
    publishes(facts, 'c', { authPrev: a.id })
    expect([...inForce(facts)].toSorted()).toEqual(['b', 'c'])
  })

  test('is the one before, when that of a stolen key is taken back', () => {
    const facts = new FactWriter(owner)
    const first = publishes(facts, 'first')
    const other = facts.grant(second.did, 'owner', { authPrev: first.id })
    publishes(facts, '', { by: second, authPrev: other.id })
    expect(inForce(facts)).toEqual([''])
    facts.revoke(second.did, { authPrev: other.id, heads: [] })
    expect(inForce(facts)).toEqual(['first'])
  })
})

describe('what is installed of the registry', () => {
  const rule = (require: string, more = ''): string =>
    `version = 1\n${more}[[rule]]\nid = "one"\nrequire = '${require}'\n`

  async function governed(text: string): Promise<Hearing> {
    const at = await Hearing.of(['1.0.0'])
    publishes(at.acme, text, { by: at.acme.root })
    await at.here.read(at.acme)
    return at
  }

  test('a policy that a local file tries to loosen loosens nothing', async () => {
    const at = await governed(rule('false'))
    expect(await at.allows()).toBe(false)
    await writeFile(join(at.home, 'policy.toml'), 'version = 1\npreset = "open"\n')
    expect(await at.allows()).toBe(false)
    const local = 'version = 1\n[[rule]]\nid = "one"\nrequire = "true"\n'
    const written = '[[exception]]\nrule = "one"\npackage = "acme:*"\nwho = "me"\nuntil = 2099-12-31\nreason = "x"\n'
    await writeFile(join(at.home, 'policy.toml'), `${local}${written}`)
    const { verdict, rules } = await at.judged()
    expect(verdict).toBe('deny')
    expect(rules.map(({ policy, outcome }) => `${policy} ${outcome}`)).toEqual(['node passed', 'registry acme deny'])
  })

  test('a local file can tighten it', async () => {
    const at = await governed(rule('true'))
    expect(await at.allows()).toBe(true)
    await at.require('false')
    expect(await at.allows()).toBe(false)
  })

  test('an exception of a key here excuses nothing, one of a key that it names does', async () => {
    const [me, ann] = [person('me'), person('ann')]
    const at = await governed(rule('false', `exception-keys = ["${ann.did}"]\n`))
    const project = await tempDir('project')
    const judged = async () =>
      (await at.policy.judge(project, [await at.candidate('1.0.0')], AbortSignal.timeout(60_000))).judged[0]?.verdict
    const body = {
      rule: 'one',
      registry: at.acme.registry,
      package: subject('lib'),
      version: null,
      until: new Date(at.here.now + 1e9).toISOString().slice(0, 10),
      reason: 'known',
      time: at.here.now
    }
    await addException(project, signException({ ...body, by: me.did }, me.secret))
    expect(await judged()).toBe('deny')
    await addException(project, signException({ ...body, by: ann.did }, ann.secret))
    expect(await judged()).toBe('allow')
  })

  test.each([
    ['of a newer program', 'version = 2\n'],
    ['that is no policy', 'nonsense'],
    ['with a rule that means nothing', rule('release.nonsense')]
  ])('one %s refuses everything of it, and nothing else', async (_, text) => {
    const at = await governed(text)
    expect(await codeOfAsync(() => at.judged())).toBe('POLICY_INVALID')
    const elsewhere = { ...(await at.candidate('1.0.0')), registry: (await at.speaker('other')).registry }
    const { judged } = await at.policy.judge(undefined, [elsewhere], AbortSignal.timeout(60_000))
    expect(judged).toHaveLength(1)
  })

  test('that of a public registry is about its own releases, that of a private one about all if it says so', async () => {
    const at = await Hearing.of(['1.0.0'])
    const stranger = await at.speaker('stranger')
    publishes(stranger, rule('false', 'reach = "all"\n'), { by: stranger.root })
    await at.here.read(stranger)
    expect(await at.allows()).toBe(true)
    const corp = await at.here.follow('corp', { kind: 'private', read: false })
    const own = publishes(corp, rule('false'), { by: corp.root })
    await at.here.read(corp)
    expect(await at.allows()).toBe(true)
    publishes(corp, rule('false', 'reach = "all"\n'), { by: corp.root, authPrev: own.id })
    await at.here.read(corp)
    expect(await at.allows()).toBe(false)
  })

  test('a policy that is too large to be signed is no fact', () => {
    const facts = new FactWriter(owner)
    expect(() => publishes(facts, 'x'.repeat(LIMITS.policy.registryChars))).not.toThrow()
    const { bytes } = publishes(facts, 'x'.repeat(LIMITS.policy.registryChars + 1))
    expect(() => verified(parseEnvelope(bytes))).toThrow(/text/)
  })
})

describe('from a registry to an install', () => {
  let ann: Somebody
  let bob: Somebody
  let id: string
  let project: string
  let files: string
  const RULES =
    'version = 1\n[[rule]]\nid = "audited"\nrequire = \'attestations.exists(a, a.type == "audit" && a.followed && a.passed)\'\n'

  beforeAll(async () => {
    ;[ann, bob] = await Promise.all([somebody(), somebody()])
    ;[project, files] = await Promise.all([tempDir('project'), tempDir('policies')])
    ;({ id } = await ann.node.call('registryCreate', { name: 'acme' }))
    await ann.publish({ name: 'lib', files: { 'a.txt': 'a'.repeat(5_000), 'b.txt': 'b' } })
    await ann.node.call('install', { project, references: ['lib'] })
    await ann.node.call('registryCreate', { name: 'audits', alias: 'audits' })
    await ann.node.call('trustAdd', { what: 'audits', purpose: 'audits' })
  })
  afterAll(() => Promise.all([ann, bob].map(({ node }) => node.stop())))

  test('its owners publish it, everybody who follows is bound by it, and CI with --frozen', async () => {
    const file = join(files, 'policy.toml')
    // As some editors write it: the mark is no part of what is published.
    await writeFile(file, `\ufeff${RULES}`)
    const done = only(await ann.node.call('policyPublish', { registry: 'acme', file }))
    expect(done).toMatchObject({ type: 'policy', counts: true })
    expect(await ann.node.call('policyShow', { registry: 'acme' })).toMatchObject({
      policies: [{ text: RULES, rules: 1, reach: 'registry', fault: null, by: ann.key }]
    })
    const refused = await refusal(ann.node.call('install', { project, references: [], frozen: true }))
    expect(refused).toMatchObject({ code: 'POLICY_DENIED', detail: { rules: 'audited' } })
    await bob.follow(id, await everythingOf(ann, id))
    expect((await bob.node.call('policyShow', { registry: 'acme' })).policies).toMatchObject([{ text: RULES }])
    expect(await refusal(bob.node.call('policyPublish', { registry: 'acme' }))).toMatchObject({
      code: 'NOT_AUTHORIZED'
    })
  })

  test.each([
    ['a rule that gives no boolean', RULES.replace('exists(', 'filter(')],
    ['reach = "all" in a public registry', `version = 1\nreach = "all"\n`],
    ['nothing', ' ']
  ])('%s is not published', async (_, text) => {
    const file = join(files, 'bad.toml')
    await writeFile(file, text)
    expect(await refusal(ann.node.call('policyPublish', { registry: 'acme', file }))).toMatchObject({
      code: 'POLICY_INVALID'
    })
  })

  test('suggest asks for an audit in full, and for the change alone from what was audited; then it passes', async () => {
    const suggested = () => ann.node.call('policySuggest', { project })
    expect(await suggested()).toMatchObject({
      denied: 1,
      exemptions: [],
      audits: [
        { kind: 'full', reference: 'acme:lib@1.0.0', criteria: ['safe-to-run'], auditors: 1, rules: ['audited'] }
      ]
    })
    const [first] = (await suggested()).audits
    const audit = { criteria: ['safe-to-run'], failed: false, registry: 'audits' }
    await ann.node.call('audit', { reference: 'acme:lib@1.0.0', ...audit })
    expect(await suggested()).toMatchObject({ denied: 0, audits: [], bytes: 0 })
    await ann.publish({ name: 'lib', version: '1.1.0', files: { 'a.txt': 'a'.repeat(5_000), 'b.txt': 'bb' } })
    // Nothing is installed before it is audited.
    const other = await tempDir('other')
    const order = { project: other, references: ['lib@1.1.0'] }
    expect(await refusal(ann.node.call('install', order))).toMatchObject({ code: 'POLICY_DENIED' })
    await ann.node.call('policyPublish', { registry: 'acme' })
    await ann.node.call('install', order)
    const file = join(files, 'policy.toml')
    await ann.node.call('policyPublish', { registry: 'acme', file })
    const again = await ann.node.call('policySuggest', { project: other })
    expect(again.audits).toMatchObject([
      { kind: 'delta', from: '1.0.0', isMeasured: true, reference: 'acme:lib@1.1.0' }
    ])
    expect(again.bytes).toBeLessThan(1_000)
    expect(first?.bytes).toBeGreaterThan(5_000)
    await ann.node.call('audit', { reference: 'acme:lib@1.1.0', from: '1.0.0', ...audit })
    expect(await ann.node.call('policySuggest', { project: other })).toMatchObject({ denied: 0 })
  })

  test('what no audit helps is exempted, in the file of the policy that refuses, with its end and its owner', async () => {
    const bare = '[[rule]]\nid = "popular"\nrequire = "reviews.stars > 0"\n'
    await writeFile(join(ann.node.home, 'policy.toml'), `version = 1\n${bare}`)
    const { exemptions } = await ann.node.call('policySuggest', { project })
    expect(exemptions).toMatchObject([{ rule: 'popular', policy: 'node', isLocal: true }])
    const terms = { who: 'ann "the owner"', until: '2098-12-31', reason: 'until it is known' }
    await exempt(
      { home: ann.node.home },
      exemptions.map(({ rule, reference }) => ({ rule, reference, ...terms }))
    )
    expect(await ann.node.call('policyCheck', { project })).toMatchObject({ denied: 0 })
    expect(
      await codeOfAsync(() => exempt({ home: ann.node.home }, [{ rule: 'other', reference: 'acme:lib', ...terms }]))
    ).toBe('POLICY_INVALID')
    expect(await ann.node.call('policyCheck', { project })).toMatchObject({ denied: 0 })
  })
})
