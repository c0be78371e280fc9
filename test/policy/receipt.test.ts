import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateSecret } from '../../attestation/keys.ts'
import { signException } from '../../attestation/sign-exception.ts'
import { signReceipt } from '../../attestation/sign-receipt.ts'
import { diffReceipts, verifyReceipt } from '../../attestation/verify-receipt.ts'
import { diffReceiptFiles, verifyReceiptFile } from '../../node/receipt-files.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { policyDigest } from '../../protocol/policy/policy.ts'
import { formatReceipt, parseReceipt } from '../../protocol/policy/receipt.ts'
import type { Receipt, ReceiptPackage } from '../../protocol/policy/receipt.ts'
import { codeOf, codeOfAsync } from '../support/error-code.ts'
import { projectNode } from '../support/project.ts'
import type { ProjectNode } from '../support/project.ts'
import { person } from '../support/facts.ts'
import { tempDir } from '../support/temp-dir.ts'

let acme: ProjectNode
let project: string
let file: string
let receipt: Receipt

beforeAll(async () => {
  acme = await projectNode()
  project = await tempDir('project')
  const result = await acme.install(project, ['app'])
  if (result.receipt === null) throw new Error('there is no receipt')
  file = join(project, result.receipt)
  receipt = await verifyReceiptFile(file)
})

afterAll(() => acme.node.stop())

describe('a receipt', () => {
  test('says what was installed, by which policy and rules, and verifies with nothing but its file', () => {
    expect(receipt.packages.map(({ name, version }) => `${name}@${version}`).toSorted()).toEqual([
      'ggen/app@1.0.0',
      'ggen/base@1.1.0',
      'ggen/lib@1.0.0'
    ])
    expect(receipt.policies).toMatchObject([
      { name: 'standard', digest: expect.stringMatching(/^[0-9a-f]{64}$/) as string }
    ])
    for (const { verdict, rules, from } of receipt.packages) {
      expect(verdict).toBe('allow')
      expect(rules).toContainEqual({ policy: 'standard', code: 'release-age', outcome: 'skipped', exception: null })
      expect(from).toEqual([])
    }
  })

  test('is written by every install that places something, and by no other', async () => {
    expect((await acme.install(project)).receipt).toBeNull()
    expect((await acme.install(project, ['single'], { dryRun: true })).receipt).toBeNull()
    expect((await acme.remove(project, ['app'])).receipt).toBeNull()
    expect((await acme.install(project, ['single'])).receipt).toMatch(/^\.ggen\/receipts\//)
  })

  test('is not written where a link leads, and nothing is installed there', async () => {
    const [linked, elsewhere] = [await tempDir('project'), await tempDir('elsewhere')]
    await mkdir(join(linked, '.ggen'))
    await symlink(elsewhere, join(linked, '.ggen/receipts'))
    expect(await codeOfAsync(() => acme.install(linked, ['single']))).toBe('HOSTILE_PATH')
    expect(await readdir(elsewhere)).toEqual([])
    expect(await readdir(join(linked, '.ggen'))).toEqual(['receipts'])
  })

  test('is one of so many that a project keeps', async () => {
    const many = await tempDir('project')
    for (let i = 0; i < LIMITS.policy.receipts + 2; i++) {
      await acme.install(many, [`base@${i % 2 === 0 ? '=1.0.0' : '=1.1.0'}`])
    }
    expect(await readdir(join(many, '.ggen/receipts'))).toHaveLength(LIMITS.policy.receipts)
  })

  test('with one byte changed is not verified', async () => {
    const text = await readFile(file, 'utf8')
    const { payload } = JSON.parse(text) as { payload: string }
    const changed = Buffer.from(payload, 'base64').toString().replace('"verdict":"allow"', '"verdict":"warn"')
    const bad = join(await tempDir('receipt'), 'bad.json')
    await writeFile(bad, text.replace(payload, Buffer.from(changed).toString('base64')))
    expect(await codeOfAsync(() => verifyReceiptFile(bad))).toBe('BAD_SIGNATURE')
  })

  // Attack: a node that signs what is not so.
  const { secret, did: by } = person('liar')
  test.each<readonly [string, (honest: Receipt) => Partial<Receipt>]>([
    [
      'other bytes under the name of a release',
      ({ packages }) => changed(packages, (first, second) => ({ ...first, root: second.root }))
    ],
    ['another author', ({ packages }) => changed(packages, first => ({ ...first, author: by }))],
    [
      'the facts of another release',
      ({ packages }) => changed(packages, (first, second) => ({ ...first, facts: second.facts }))
    ],
    [
      'a verdict that the rules do not give',
      ({ packages }) =>
        changed(packages, first => ({ ...first, facts: { ...first.facts, quarantine: { active: true, reason: '' } } }))
    ],
    [
      'a rule that was left out',
      ({ packages }) => changed(packages, first => ({ ...first, rules: first.rules.slice(1) }))
    ],
    [
      'two policies of one name, of which one takes exceptions that the other does not',
      ({ policies, packages }) => ({
        policies: [...policies, ...policies],
        packages: packages.map(one => ({ ...one, rules: [...one.rules, ...one.rules] }))
      })
    ],
    ['one package twice', ({ packages }) => ({ packages: [...packages, ...packages.slice(0, 1)] })],
    [
      'a file of that machine that is a policy of a registry',
      ({ policies, packages: [first] }) => ({
        policies: policies.map(policy => ({ ...policy, registry: first?.registry ?? null }))
      })
    ],
    [
      'rules beside the digest of others',
      ({ policies }) => ({
        policies: policies.map(policy => ({
          ...policy,
          rules: policy.rules.map(rule => ({ ...rule, message: 'other' }))
        }))
      })
    ]
  ])('that a liar signed with %s is refused', (_, change) => {
    expect(codeOf(() => verifyReceipt(signReceipt({ ...receipt, by }, secret)))).toBe('none')
    expect(codeOf(() => verifyReceipt(signReceipt({ ...receipt, by, ...change(receipt) }, secret)))).toBe('MALFORMED')
  })

  test.each<readonly [string, (facts: ReceiptPackage['facts']) => Partial<ReceiptPackage['facts']>]>([
    ['another registry', ({ registry }) => ({ registry: { ...registry, id: 'bafyother' } })],
    ['another publisher', ({ publisher }) => ({ publisher: { ...publisher, key: by } })],
    ['another licence', ({ licence }) => ({ licence: { ...licence, expression: 'BSD-3-Clause' } })],
    ['another size', ({ release }) => ({ release: { ...release, bytes: release.bytes + 1 } })]
  ])('that a liar signed with facts of %s than its author stated is refused', (_, change) => {
    const packages = changed(receipt.packages, first => ({
      ...first,
      facts: { ...first.facts, ...change(first.facts) }
    }))
    expect(codeOf(() => verifyReceipt(signReceipt({ ...receipt, by, ...packages }, secret)))).toBe('MALFORMED')
  })

  test('that a liar signed without a signed release is refused', () => {
    const packages = changed(receipt.packages, first => ({ ...first, statement: null }))
    expect(codeOf(() => verifyReceipt(signReceipt({ ...receipt, by, ...packages }, secret)))).toBe('MALFORMED')
  })

  test('under the signature of another key is refused', () => {
    const other = generateSecret(new Uint8Array(32).fill(7))
    expect(codeOf(() => verifyReceipt(signReceipt(receipt, other)))).toBe('BAD_SIGNATURE')
  })

  test.each([
    '',
    '{}',
    '[]',
    '{"payloadType":"x"}',
    '{"payloadType":"application/vnd.ggen.receipt+json","payload":"e30=","signatures":[{"sig":""}]}'
  ])('that is %j cannot be read', text => {
    expect(codeOf(() => parseReceipt(text))).toBe('MALFORMED')
  })

  test('comes out of its text as it went in', async () => {
    const text = await readFile(file, 'utf8')
    expect(formatReceipt(parseReceipt(text))).toBe(text)
  })
})

/** The packages with the first one changed. */
function changed(
  packages: readonly ReceiptPackage[],
  change: (first: ReceiptPackage, second: ReceiptPackage) => ReceiptPackage
): Partial<Receipt> {
  const [first, second, ...others] = packages
  if (first === undefined || second === undefined) throw new Error('there are too few packages')
  return { packages: [change(first, second), second, ...others] }
}

describe('a receipt of what somebody answers for', () => {
  const RULE = '[[rule]]\nid = "small"\nrequire = "release.bytes < 1"\n'
  const DAY_MS = 24 * 60 * 60 * 1000
  const soon = new Date(Date.now() + 7 * DAY_MS).toISOString().slice(0, 10)
  const { secret } = person('liar')

  /** What an install leaves where every package has an exception. */
  async function excused(policy: string, more: object): Promise<Receipt> {
    const folder = await tempDir('project')
    await mkdir(join(folder, '.ggen'))
    await writeFile(join(folder, '.ggen/policy.toml'), `version = 1\n${policy}`)
    return verifyReceiptFile(join(folder, (await acme.install(folder, ['single'], more)).receipt ?? ''))
  }
  const signed = () => excused(RULE, { allow: ['small', 'acme:*'], until: soon, reason: 'ours' })
  const codeFor = (receipt: Receipt): string => codeOf(() => verifyReceipt(signReceipt(receipt, secret)))
  const excuseIn = (receipt: Receipt, change: object): Pick<Receipt, 'packages'> => ({
    packages: receipt.packages.map(one => ({
      ...one,
      rules: one.rules.map(rule =>
        rule.exception === null ? rule : { ...rule, exception: { ...rule.exception, ...change } }
      )
    }))
  })

  test('holds the exception itself, by whom and for what it was signed', async () => {
    const receipt = await signed()
    expect(receipt.exceptions.map(({ body }) => [body.rule, body.by])).toEqual([['small', receipt.by]])
    expect(receipt.packages[0]?.rules).toContainEqual(expect.objectContaining({ code: 'small', outcome: 'excepted' }))
  })

  test('is refused without it, with one that was changed, that ended, or that its policy takes from nobody', async () => {
    const receipt = await signed()
    const by = person('liar').did
    const named = {
      ...receipt,
      policies: receipt.policies.map(one => {
        const policy = { ...one, exceptionKeys: [receipt.by] }
        return { ...policy, digest: policyDigest(policy) }
      })
    }
    expect(codeFor({ ...named, by })).toBe('none')
    expect(codeFor({ ...receipt, by })).toBe('MALFORMED')
    expect(codeFor({ ...named, by, exceptions: [] })).toBe('MALFORMED')
    expect(codeFor({ ...named, by, time: receipt.time + 30 * 24 * 60 * 60 * 1000 })).toBe('MALFORMED')
    expect(codeFor({ ...named, by, ...excuseIn(receipt, { reason: 'theirs' }) })).toBe('MALFORMED')
    const forged = receipt.exceptions.map(({ body, signature }) => ({ body: { ...body, reason: 'theirs' }, signature }))
    expect(codeFor({ ...named, by, exceptions: forged, ...excuseIn(receipt, { reason: 'theirs' }) })).toBe('MALFORMED')
  })

  test('is told from one that nobody answers for', async () => {
    const [receipt, none] = [await signed(), await excused('', {})]
    const { exceptions } = diffReceipts(receipt, none)
    const [entry] = receipt.exceptions
    expect(exceptions).toEqual({
      a: [
        {
          registry: entry?.body.registry,
          name: 'ggen/single',
          version: '1.0.0',
          policy: 'project',
          rule: 'small',
          until: soon,
          who: receipt.by,
          reason: 'ours'
        }
      ],
      b: []
    })
    expect(diffReceipts(none, receipt).exceptions).toEqual({ a: [], b: exceptions.a })
    expect(diffReceipts(receipt, receipt).exceptions).toEqual({ a: [], b: [] })
  })

  test('of one that stands in the policy holds by the policy, and not without it', async () => {
    const entry = `[[exception]]\nrule = "small"\npackage = "acme:single"\nwho = "ann"\nuntil = ${soon}\nreason = "ours"\n`
    const receipt = await excused(RULE + entry, {})
    const by = person('liar').did
    expect(codeFor({ ...receipt, by })).toBe('none')
    expect(codeFor({ ...receipt, by, ...excuseIn(receipt, { who: 'eve' }) })).toBe('MALFORMED')
    expect(codeFor({ ...receipt, by, ...excuseIn(receipt, { reason: 'theirs' }) })).toBe('MALFORMED')
    const later = new Date(Date.parse(soon) + DAY_MS).toISOString().slice(0, 10)
    expect(codeFor({ ...receipt, by, ...excuseIn(receipt, { until: later }) })).toBe('MALFORMED')
    expect(codeFor({ ...receipt, by, time: Date.parse(soon) + DAY_MS - 1 })).toBe('none')
    expect(codeFor({ ...receipt, by, time: Date.parse(soon) + DAY_MS })).toBe('MALFORMED')
    // Attack: one that is about something else.
    for (const change of [{ rule: 'large' }, { registry: 'other' }, { name: 'ggen/base' }, { version: '2.0.0' }]) {
      const policies = receipt.policies.map(one => {
        const exceptions = one.exceptions.map(each => ({ ...each, ...change }) as typeof each)
        return { ...one, exceptions, digest: policyDigest({ ...one, exceptions }) }
      })
      expect(codeFor({ ...receipt, by, policies })).toBe('MALFORMED')
    }
  })

  test('is refused with a signed exception that is about something else, or that was not signed yet', async () => {
    const receipt = await signed()
    const liar = person('liar')
    const [first] = receipt.exceptions
    if (first === undefined) throw new Error('nobody answers for it')
    const withBody = (change: object): string => {
      const exceptions = [signException({ ...first.body, by: liar.did, ...change }, liar.secret)]
      return codeFor({ ...receipt, by: liar.did, exceptions, ...excuseIn(receipt, { who: liar.did }) })
    }
    expect(withBody({})).toBe('none')
    for (const change of [
      { rule: 'large' },
      { registry: first.body.registry.replace(/.{4}$/, 'aaaa') },
      { package: 'ggen/base' },
      { package: 'ggen/single', version: '9.0.0' },
      { time: receipt.time + DAY_MS }
    ]) {
      expect(withBody(change)).toBe('MALFORMED')
    }
  })

  test('is refused when its policy denies, whoever installed all the same', () => {
    const rule = { id: 'no', when: undefined, require: 'false', message: 'never', action: 'deny' } as const
    const lying = lie(rule, { verdict: 'deny', outcome: 'deny' })
    expect(codeFor(lying)).toBe('POLICY_DENIED')
    expect(codeFor(lie(rule, { verdict: 'allow', outcome: 'deny' }))).toBe('MALFORMED')
    expect(codeFor(lie(rule, { verdict: 'allow', outcome: 'passed' }))).toBe('MALFORMED')
    // A rule of no policy, which somebody may take for one that held.
    const rules = (one: ReceiptPackage) => [
      ...one.rules,
      { policy: 'strict', code: 'audit', outcome: 'passed' as const, exception: null }
    ]
    const packages = receipt.packages.map(one => ({ ...one, rules: rules(one) }))
    expect(codeFor({ ...receipt, by: person('liar').did, packages })).toBe('MALFORMED')
  })

  /** One rule more in its policy, and what is said of it. */
  function lie(
    rule: Receipt['policies'][number]['rules'][number],
    { verdict, outcome }: { verdict: ReceiptPackage['verdict']; outcome: 'deny' | 'passed' }
  ): Receipt {
    const policies = receipt.policies.map(one => {
      const rules = [...one.rules, rule]
      return { ...one, rules, digest: policyDigest({ ...one, rules }) }
    })
    const packages = receipt.packages.map(one => ({
      ...one,
      verdict,
      rules: [...one.rules, { policy: 'standard', code: rule.id, outcome, exception: null }]
    }))
    return { ...receipt, by: person('liar').did, policies, packages }
  }
})

test('two receipts tell what two machines do not have alike', async () => {
  const [one, two] = [await tempDir('project'), await tempDir('project')]
  const pathOf = async (folder: string, names: readonly string[]) => {
    return join(folder, (await acme.install(folder, names)).receipt ?? '')
  }
  const a = await pathOf(one, ['base@=1.0.0', 'single'])
  const b = await pathOf(two, ['base@=1.1.0', 'lib'])
  expect(await diffReceiptFiles(a, a)).toMatchObject({
    onlyInA: [],
    onlyInB: [],
    different: [],
    policies: { a: [], b: [] },
    exceptions: { a: [], b: [] }
  })
  expect(await diffReceiptFiles(a, b)).toMatchObject({
    onlyInA: [{ name: 'ggen/single' }],
    onlyInB: [{ name: 'ggen/lib' }],
    different: [{ a: { version: '1.0.0' }, b: { version: '1.1.0' } }]
  })
})
