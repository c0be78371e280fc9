import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { signException } from '../../attestation/sign-exception.ts'
import { signReceipt } from '../../attestation/sign-receipt.ts'
import { AttestationReader } from '../../node/services/attest/reader.ts'
import { composeStatements } from '../../node/statements.ts'
import { writeKey } from '../../storage/key-files.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { TrustRecords } from '../../storage/trust-records.ts'
import { composePolicy } from '../../node/policy.ts'
import { addException, readExceptions } from '../../node/policy-files.ts'
import type { Candidate } from '../../node/services/policy/candidate.ts'
import { assertAllowed } from '../../node/services/policy/refusal.ts'
import type { ShownBinding } from '../../node/services/publisher/publishers.ts'
import type { Principal } from '../../protocol/did.ts'
import type { Judgement } from '../../node/services/policy/judge.ts'
import type { PolicyParts } from '../../node/services/policy/parts.ts'
import { fromLocalError, toLocalError } from '../../node/http/local-protocol.ts'
import type { LocalError } from '../../node/http/local-protocol.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { SignedException } from '../../protocol/policy/exception.ts'
import type { Receipt } from '../../protocol/policy/receipt.ts'
import { parseSemver } from '../../protocol/version.ts'
import { Federation, publish, release } from '../support/federation.ts'
import type { FactWriter } from '../support/facts.ts'
import { person, subject } from '../support/facts.ts'
import type { Made } from '../support/facts.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { tempDir } from '../support/temp-dir.ts'

const HOUR = 60 * 60 * 1000
const signal = new AbortController().signal
const me = person('me')

let here: Federation
let acme: FactWriter
let claim: Made
let home: string
let project: string
let policy: PolicyParts
const domains = new Map<Principal, ShownBinding>()

beforeEach(async () => {
  here = new Federation()
  acme = await here.follow('acme', { kind: 'public', read: false })
  claim = publish(acme, 'lib', { '1.0.0': [] })
  await here.read(acme)
  here.now += 1
  home = await tempDir('home')
  project = await tempDir('project')
  await mkdir(join(project, '.ggen'))
  policy = nodeOf(me)
})

/** A node with that key and this federation's facts. */
function nodeOf({ did: principal, secret }: typeof me): PolicyParts {
  const { facts, gate, precedence, registries, sources, view } = here
  const signer = {
    principal,
    signException: (body: SignedException) => signException(body, secret),
    signReceipt: (receipt: Receipt) => signReceipt(receipt, secret)
  }
  const clock = { now: () => here.now }
  const attestations = new AttestationReader({
    gate,
    registries,
    now: () => here.now,
    contentHere: async () => undefined
  })
  const statements = composeStatements({
    attestations,
    publishers: { domainOf: async key => domains.get(key) },
    registries,
    view,
    trust: new TrustRecords(memoryKeyValue())
  })
  return composePolicy({ clock, facts, gate, precedence, registries, view, sources, home, signer }, statements)
}

async function candidate(version: string, changes: Partial<Candidate> = {}): Promise<Candidate> {
  const view = await here.view.package(acme.registry, subject('lib'))
  const stated = view.versions.find(entry => entry.version === version)
  const content = stated?.contents[0]
  if (stated === undefined || content === undefined) throw new Error(`there is no ${version}`)
  const { root, fact, by } = content
  return {
    registry: acme.registry,
    name: view.name,
    version: stated.version,
    root,
    fact,
    by,
    locked: false,
    content,
    ...changes
  }
}

/** The rules that refuse a version. */
async function denials(version: string, by: PolicyParts = policy): Promise<readonly string[]> {
  const { judged } = await by.judge(project, [await candidate(version)], signal)
  return judged.flatMap(({ rules }) => rules.filter(({ outcome }) => outcome === 'deny').map(({ code }) => code))
}

/** Tells the federation of one more version. */
async function tell(version: string, by = acme.root, head = acme.genesis.id): Promise<void> {
  acme.release('lib', version, { registry: head, package: claim.id }, { by })
  await here.read(acme)
}

describe('age', () => {
  test('what was there at the first look may be installed, what comes later is a day old first', async () => {
    expect(await denials('1.0.0')).toEqual([])
    await tell('1.1.0')
    expect(await denials('1.1.0')).toEqual(['release-age'])
    here.now += 23 * HOUR
    expect(await denials('1.1.0')).toEqual(['release-age'])
    here.now += HOUR
    expect(await denials('1.1.0')).toEqual([])
  })

  test('the first look ends by itself, also when a peer never comes to an end', async () => {
    const slow = await here.follow('slow', { kind: 'public', read: false })
    const name = publish(slow, 'tool', {})
    const bytes = (facts: readonly Made[]) => facts.map(made => made.bytes)
    const source = { peer: 'slow', registry: slow.registry }
    await here.gate.admitMany(bytes(slow.all), source)
    here.now += LIMITS.policy.firstLookMs + 1
    const late = release(slow, { name: 'tool', version: '1.0.0', claim: name.id })
    await here.gate.admitMany(bytes([late]), source)
    const view = await here.view.package(slow.registry, subject('tool'))
    const content = view.versions[0]?.contents[0]
    if (content === undefined) throw new Error('nothing came')
    const { root, fact, by } = content
    const young = {
      registry: slow.registry,
      name: view.name,
      version: parseSemver('1.0.0'),
      root,
      fact,
      by,
      locked: false,
      content
    }
    const { judged } = await policy.judge(undefined, [young], signal)
    expect(judged[0]?.facts.age).toEqual({ hours: 0, seenHours: 0, observers: 0, basis: 'first-seen' })
    expect(judged[0]?.verdict).toBe('deny')
  })

  test('a clock that is set back makes nothing older, and what is ours need not wait', async () => {
    await tell('1.1.0')
    here.now -= 48 * HOUR
    expect(await denials('1.1.0')).toEqual(['release-age'])
    expect(await denials('1.1.0', nodeOf(acme.root))).toEqual([])
  })

  test('who owns a registry waits for what others publish there, and not for what he signed by another key of his', async () => {
    const guest = person('guest')
    const { id: head } = acme.grant(guest.did, 'publisher')
    await tell('1.1.0', guest, head)
    const owner = nodeOf(acme.root)
    expect(await denials('1.1.0', owner)).toEqual(['trust-downgrade', 'release-age'])
    await mkdir(join(home, 'keys'), { recursive: true })
    // Attack: a key that others of this machine could have read is nobody's.
    await writeKey(join(home, 'keys'), 'laptop', guest.secret)
    await chmod(join(home, 'keys/laptop.pem'), 0o644)
    expect(await denials('1.1.0', owner)).toEqual(['trust-downgrade', 'release-age'])
    await chmod(join(home, 'keys/laptop.pem'), 0o600)
    expect(await denials('1.1.0', owner)).toEqual([])
  })
})

describe('a new key beside an old one', () => {
  test('is noticed for a month, however many versions it publishes', async () => {
    const thief = person('thief')
    const { id: head } = acme.grant(thief.did, 'publisher')
    await tell('1.1.0', thief, head)
    await tell('1.2.0', thief, head)
    here.now += 25 * HOUR
    expect(await denials('1.1.0')).toEqual(['trust-downgrade'])
    expect(await denials('1.2.0')).toEqual(['trust-downgrade'])
    here.now += LIMITS.policy.oldKeyMs
    expect(await denials('1.1.0')).toEqual([])
  })
})

describe('exceptions', () => {
  const about = (changes: Partial<SignedException> = {}): SignedException => ({
    rule: 'release-age',
    registry: acme.registry,
    package: subject('lib'),
    version: null,
    until: new Date(here.now + 48 * HOUR).toISOString().slice(0, 10),
    reason: 'known',
    by: me.did,
    time: here.now,
    ...changes
  })

  beforeEach(() => tell('1.1.0'))

  test('of our own hold until their day is over', async () => {
    await addException(project, signException(about({ until: '2023-11-14' }), me.secret))
    here.now = Date.parse('2023-11-14T23:59:59Z')
    expect(await denials('1.1.0')).toEqual([])
    here.now += 1_000
    expect(await denials('1.1.0')).toEqual(['release-age'])
  })

  test('an expired one excuses nothing, and is named', async () => {
    await addException(project, signException(about({ until: '2023-11-13', time: here.now - 72 * HOUR }), me.secret))
    const judgement = await policy.judge(project, [await candidate('1.1.0')], signal)
    expect(judgement.judged[0]?.verdict).toBe('deny')
    const error = await refusalOf(judgement)
    expect(error).toMatchObject({ code: 'POLICY_DENIED', detail: { refused: 1, rules: 'release-age' } })
    expect(error.tried.join('\n')).toContain('an exception ended on 2023-11-13: known')
  })

  test.each<readonly [string, () => Partial<SignedException>]>([
    ['another package', () => ({ package: subject('other') })],
    ['another version', () => ({ version: '1.0.0' as never })],
    ['another registry', () => ({ registry: 'bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy' as never })],
    ['another rule', () => ({ rule: 'malware' })]
  ])('for %s excuses nothing', async (_, changes) => {
    await addException(project, signException(about(changes()), me.secret))
    expect(await denials('1.1.0')).toEqual(['release-age'])
  })

  test('for the version, or for all of the registry, excuses', async () => {
    await addException(project, signException(about({ version: '1.1.0' as never }), me.secret))
    expect(await denials('1.1.0')).toEqual([])
    await writeFile(join(project, '.ggen/policy-exceptions.json'), '{"version":1,"exceptions":[]}')
    await addException(project, signException(about({ package: null }), me.secret))
    expect(await denials('1.1.0')).toEqual([])
  })

  test('of others hold where the policy names their key, and only from its own rules', async () => {
    const ann = person('ann')
    await addException(project, signException(about({ by: ann.did }), ann.secret))
    expect(await denials('1.1.0')).toEqual(['release-age'])
    await writeFile(join(home, 'policy.toml'), `version = 1\npreset = "standard"\nexception-keys = ["${ann.did}"]\n`)
    expect(await denials('1.1.0')).toEqual([])
    // Attack: a project that names a key whose exceptions would make its own rules of the node's.
    await writeFile(join(home, 'policy.toml'), 'version = 1\npreset = "standard"\n')
    await writeFile(join(project, '.ggen/policy.toml'), `version = 1\nexception-keys = ["${ann.did}"]\n`)
    expect(await denials('1.1.0')).toEqual(['release-age'])
  })

  test('with a field that was changed after it was signed, or somebody else’s signature, excuses nothing', async () => {
    const signed = signException(about({ version: '1.0.0' as never }), me.secret)
    await addException(project, { ...signed, body: { ...signed.body, version: null } })
    expect(await denials('1.1.0')).toEqual(['release-age'])
    await addException(project, signException(about(), person('thief').secret))
    expect(await denials('1.1.0')).toEqual(['release-age'])
  })

  test('that says that it will be signed later excuses nothing before, and no year is longer than a year', async () => {
    const later = here.now + 2 * 366 * 24 * HOUR
    const until = new Date(later + 48 * HOUR).toISOString().slice(0, 10)
    await addException(project, signException(about({ time: later, until }), me.secret))
    expect(await denials('1.1.0')).toEqual(['release-age'])
  })

  test('in the file of the policy hold for the registry that they name', async () => {
    const text = (registry: string, day: string): string =>
      `version = 1\npreset = "standard"\n[[exception]]\nrule = "release-age"\npackage = "${registry}:lib"\nwho = "ann"\nuntil = ${day}\nreason = "known"\n`
    await writeFile(join(home, 'policy.toml'), text('acme', '2023-12-01'))
    expect(await denials('1.1.0')).toEqual([])
    await writeFile(join(home, 'policy.toml'), text(acme.registry, '2023-12-01'))
    expect(await denials('1.1.0')).toEqual([])
    await writeFile(join(home, 'policy.toml'), text('other', '2023-12-01'))
    expect(await denials('1.1.0')).toEqual(['release-age'])
    await writeFile(join(home, 'policy.toml'), text('acme', '2023-11-01'))
    expect(await denials('1.1.0')).toEqual(['release-age'])
  })

  test('one takes the place of another about the same', async () => {
    await addException(project, signException(about({ reason: 'first' }), me.secret))
    await addException(project, signException(about({ reason: 'second' }), me.secret))
    expect((await readExceptions(project)).map(({ body }) => body.reason)).toEqual(['second'])
  })

  test.each([
    ['is not JSON', '{'],
    ['has another version', '{"version":2,"exceptions":[]}'],
    ['has more fields', '{"version":1,"exceptions":[{"rule":"x","more":1}]}'],
    ['holds a list of nothing', '{"version":1,"exceptions":[null]}']
  ])('a file that %s refuses everything', async (_, text) => {
    await writeFile(join(project, '.ggen/policy-exceptions.json'), text)
    expect(await codeOfAsync(async () => denials('1.0.0'))).toBe('POLICY_INVALID')
  })
})

describe('a policy of the project', () => {
  test('that would loosen the one of the node loosens nothing, and one that tightens it does', async () => {
    await tell('1.1.0')
    await writeFile(join(project, '.ggen/policy.toml'), 'version = 1\npreset = "open"\n')
    expect(await denials('1.1.0')).toEqual(['release-age'])
    await writeFile(join(home, 'policy.toml'), 'version = 1\npreset = "open"\n')
    expect(await denials('1.1.0')).toEqual([])
    await writeFile(join(project, '.ggen/policy.toml'), 'version = 1\npreset = "standard"\n')
    expect(await denials('1.1.0')).toEqual(['release-age'])
  })

  test('that can not be read is not one that is not there', async () => {
    await writeFile(join(project, '.ggen/policy.toml'), 'version = 1\n[[rule]]\nid = "x"\nrequire = "reviews.stars"\n')
    expect(await codeOfAsync(async () => denials('1.0.0'))).toBe('POLICY_INVALID')
    await writeFile(join(project, '.ggen/policy.toml'), 'version =')
    expect(await codeOfAsync(async () => denials('1.0.0'))).toBe('POLICY_INVALID')
    const linked = await tempDir('linked')
    await mkdir(join(linked, '.ggen'))
    await symlink('/dev/zero', join(linked, '.ggen/policy.toml'))
    const judged = policy.judge(linked, [await candidate('1.0.0')], signal)
    expect(await codeOfAsync(() => judged)).toBe('POLICY_INVALID')
  })
})

describe('a refusal', () => {
  test('names each package once for what they have in common, and says how long to wait', async () => {
    await tell('1.1.0')
    await tell('1.2.0')
    here.now += 20 * HOUR
    const both = [await candidate('1.1.0'), await candidate('1.2.0')]
    const error = await refusalOf(await policy.judge(project, both, signal))
    expect(error.tried).toEqual([
      'acme:lib@1.1.0, acme:lib@1.2.0: release-age (standard): the release is known for less than 24 hours: most attacks are found within a day',
      '  it read: registry.private is false; release.own is false; age.basis is first-seen; age.hours is 20',
      expect.stringMatching(
        /^ {2}forward: take acme:lib@1\.0\.0, which passes; or wait until 2023-11-15 \d\d:\d\d UTC \(4 h\); or --allow release-age acme:lib@1\.1\.0 --until 2023-11-22 --reason WHY, and so for each$/
      )
    ])
  })

  test('tells programs of each package, rule by rule, also where people read of the first alone', async () => {
    const many = Array.from({ length: LIMITS.policy.named + 5 }, (_, i) => `1.1.${i}`)
    for (const version of many) await tell(version)
    await tell('2.0.0', person('thief'), acme.grant(person('thief').did, 'publisher').id)
    const candidates = await Promise.all([...many, '2.0.0'].map(version => candidate(version)))
    const error = await refusalOf(await policy.judge(project, candidates, signal))
    // As it crosses the socket to the command.
    const { tried, verdicts } = fromLocalError(JSON.parse(JSON.stringify(toLocalError(error))) as LocalError)
    expect(tried.at(-1)).toBe('and 7 more')
    expect(verdicts).toHaveLength(many.length + 1)
    expect(verdicts[0]).toMatchObject({
      reference: 'acme:lib@1.1.0',
      registry: acme.registry,
      name: 'ggen/lib',
      version: '1.1.0',
      verdict: 'deny',
      rules: [
        {
          code: 'release-age',
          policy: 'standard',
          outcome: 'deny',
          facts: expect.arrayContaining([{ name: 'age.hours', value: '0' }]) as object,
          forward: expect.stringMatching(
            /^wait until .* \(24 h\); or ggen-node install --allow release-age acme:lib@1\.1\.0 /
          ) as string
        }
      ]
    })
    expect(verdicts.at(-1)).toMatchObject({
      reference: 'acme:lib@2.0.0',
      rules: [{ code: 'trust-downgrade' }, { code: 'release-age' }]
    })
  })
})

async function refusalOf(judgement: Judgement): Promise<RegistryError> {
  try {
    await assertAllowed(judgement, here.now)
  } catch (error) {
    if (error instanceof RegistryError) return error
    throw error
  }
  throw new Error('nothing was refused')
}
