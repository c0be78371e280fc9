import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { heeding, LEAST } from '../../node/services/attest/heeded.ts'
import { AttestationReader } from '../../node/services/attest/reader.ts'
import { namedIn, namedOver } from '../../node/services/policy/named.ts'
import type { LoadedPolicy } from '../../node/services/policy/judge.ts'
import { parsePolicyText, PROJECT_POLICY } from '../../node/policy-files.ts'
import { referencePredicate, REFERENCE_TYPE } from '../../protocol/attest/referred.ts'
import { digestOf } from '../../protocol/cid.ts'
import { foldAttestations } from '../../protocol/attest/fold.ts'
import { rootSubject } from '../../protocol/attest/release-subjects.ts'
import type { ReleaseBytes } from '../../protocol/attest/release-subjects.ts'
import { toHex } from '../../protocol/bytes.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { encodeDigestRow } from '../../protocol/view-row.ts'
import { attestIn, AUDIT, AUDITED, bytesOf, envelopeBy, STAR, statementAbout } from '../support/attest.ts'
import { contentIdOf, FactWriter, person } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { authorityOf, toVerified } from '../support/fold.ts'
import { tempDir } from '../support/temp-dir.ts'
import { Hearing } from './hearing.ts'

const SLOW = 60_000
const { perAuthor, perRow, shown } = LIMITS.attestations
const [root, lab, eve] = [person('root'), person('lab'), person('eve')]
const FAILED = { said: { predicateType: AUDIT, predicate: { ...AUDITED, result: 'fail' } } }

const HEARD = '!attestations.exists(a, a.type == "audit" && a.followed && "failed" in a.marks)'

/** A policy of the registry that judged releases are in, about them. */
async function publishesNaming(at: Hearing, ...given: readonly string[]) {
  const rules = given.length > 0 ? given : [`registry.id == "${at.acme.registry}"`]
  const text = `version = 1\n${rules.map((rule, i) => `[[rule]]\nid = "mine${i === 0 ? '' : i}"\nrequire = '${rule}'\n`).join('')}`
  const value = { authPrev: at.acme.genesis.id, head: null, text }
  return { head: at.acme.write(at.acme.root, 'registry', { type: 'policy', value }).id }
}

/** More auditors of a registry than a rule looks at pass the release, later than anybody else speaks. */
async function outshout(at: Hearing, spammer: FactWriter): Promise<void> {
  const release = await at.bytes('1.0.0')
  for (let i = 0; i <= LIMITS.policy.listed; i++) {
    const by = person(`shill ${i}`)
    const head = spammer.grant(by.did, 'auditor', { authPrev: spammer.genesis.id }).id
    attestIn(spammer, release, { by, head, at: { time: 1_700_000_900_000 } })
  }
  await at.here.read(spammer)
}

async function nodeNaming(at: Hearing) {
  await at.require(HEARD, `registry.id == "${at.acme.registry}"`)
  return { code: 'r0' }
}

async function projectNaming(at: Hearing) {
  const project = await tempDir('project')
  const text = `version = 1\n[[rule]]\nid = "mine"\nrequire = 'registry.id == "${at.acme.registry}"'\n`
  await mkdir(join(project, '.ggen'))
  await writeFile(join(project, PROJECT_POLICY), text)
  return { project }
}

interface Said {
  readonly facts: FactWriter
  readonly release: ReleaseBytes
  /** What `lab`, an auditor, found, and no other statement has a higher id. */
  readonly failed: Made
  readonly labs: Made
}

/** A registry with an auditor, and a release of which he says that it is bad, under an id that sorts behind `beyond`. */
function registry(beyond = ''): Said {
  const facts = new FactWriter(root)
  const labs = facts.grant(lab.did, 'auditor')
  const release = bytesOf(facts.release('alpha', '1.0.0', facts.cite(facts.claim('alpha'))))
  let failed = attestIn(facts, release, { by: lab, head: labs.id, ...FAILED })
  for (let i = 0; failed.id <= beyond; i++) {
    facts.all.pop()
    const predicate = { ...AUDITED, result: 'fail', notes: `${i}` }
    const at = { seq: 0, prev: null }
    failed = attestIn(facts, release, { by: lab, head: labs.id, said: { predicateType: AUDIT, predicate }, at })
  }
  return { facts, release, failed, labs }
}

function rowOf({ facts, release }: Said, all: readonly Made[] = facts.all) {
  const subject = rootSubject(release.root)
  const about = all.filter(({ body }) => body.subject === subject).map(toVerified)
  return foldAttestations(subject, authorityOf(facts), about)
}

/** Of one statement, signed once and brought so often. */
function spam({ facts, release }: Said, by: Person, count: number, head = facts.genesis.id): readonly Made[] {
  const envelope = envelopeBy(by, statementAbout(release, { predicateType: STAR, predicate: { star: true } }))
  return Array.from({ length: count }, (_, i) =>
    attestIn(facts, release, { by, head, envelope, at: { time: 1_700_000_000_000 + i } })
  )
}

describe('what speaks against a release', () => {
  test('is heard, whatever an author says so often that its id is beyond what a row holds', () => {
    const at = registry('bafyreiht')
    const eves = at.facts.grant(eve.did, 'publisher')
    spam(at, eve, perRow + 10, eves.id)
    const { attestations, setAside } = rowOf(at)
    expect(attestations.map(({ fact }) => fact)).toContain(at.failed.id)
    expect(attestations.filter(({ by }) => by === eve.did)).toHaveLength(perAuthor)
    expect(new Set(setAside.map(({ reason }) => reason))).toEqual(new Set(['too-many-attestations']))
  })

  test(
    'is heard, however many are let in and say something each',
    () => {
      const at = registry('bafyreiht')
      const envelope = envelopeBy(root, statementAbout(at.release, { predicateType: STAR, predicate: { star: true } }))
      for (let i = 0; i < perRow + 100; i++) {
        const member = person(`member ${i}`)
        const head = at.facts.grant(member.did, 'member', { authPrev: at.facts.genesis.id }).id
        attestIn(at.facts, at.release, { by: member, signed: [root], envelope, head })
      }
      const { attestations } = rowOf(at)
      expect(attestations).toHaveLength(perRow)
      expect(attestations.map(({ fact }) => fact)).toContain(at.failed.id)
    },
    SLOW
  )

  test('is heard, whatever a thief of its author’s key says afterwards, in chains that sort before that of the author', () => {
    const at = registry()
    for (let i = 0; i < 20; i++) {
      const thief = { ...lab, chain: i.toString(16).padStart(32, '0') }
      spam(at, thief, 20, at.labs.id)
    }
    const { attestations } = rowOf(at)
    expect(attestations.map(({ fact }) => fact)).toContain(at.failed.id)
    expect(attestations).toHaveLength(perAuthor)
  })

  test('and what is heard beside it, is the same in any order', () => {
    const at = registry()
    const eves = at.facts.grant(eve.did, 'publisher')
    spam(at, eve, perAuthor + 20, eves.id)
    spam(at, root, 20)
    const about = at.facts.all.filter(({ body }) => body.subject === rootSubject(at.release.root))
    const wanted = toHex(encodeDigestRow(rowOf(at)))
    fc.assert(
      fc.property(fc.shuffledSubarray(about, { minLength: about.length }), order => {
        expect(toHex(encodeDigestRow(rowOf(at, order)))).toBe(wanted)
      }),
      { numRuns: 10 }
    )
  })

  test(
    'is among what one look answers with, whatever is said in registries that were followed before',
    async () => {
      const [early, late] = [registry(), registry()]
      spam(early, root, shown + 10)
      const subject = rootSubject(early.release.root)
      const known = ({ facts }: Said, only: readonly Made[]) => ({
        authority: authorityOf(facts),
        known: async () => ({ set: only.filter(({ body }) => body.subject === subject).map(toVerified), cut: [] })
      })
      const states = [known(early, early.facts.all), known(late, [late.failed])]
      const registries = { ids: ['early', 'late'] as never }
      const state = (id: string) => states[id === 'early' ? 0 : 1]
      const reader = new AttestationReader({
        registries,
        gate: { state },
        now: () => 1_800_000_000_000,
        contentHere: async () => undefined
      })
      const heard = await reader.of(early.release, heeding([lab.did]))
      expect(heard).toHaveLength(shown)
      expect(heard.some(({ registry: where, fact }) => where === ('late' as never) && fact === late.failed.id)).toBe(
        true
      )
      const beside = await reader.of(early.release, heeding([lab.did], new Map([['early', 7]])))
      expect(beside.map(({ registry: where }) => where)).toContain('late')
      // What counts and was found to be bad is not pushed out either where nobody is named.
      expect((await reader.of(early.release)).map(({ registry: where }) => where)).toContain('late')
    },
    SLOW
  )

  test(
    'is seen by a rule that names who says it, whatever others say who are not followed either',
    async () => {
      const at = await Hearing.of(['1.0.0'])
      const other = await at.speaker('lab')
      const spammer = await at.speaker('eve')
      await at.audits(other, '1.0.0', { result: 'fail', at: { time: 1_700_000_000_001 } })
      await at.require(`!attestations.exists(a, a.issuer == "${other.root.did}" && "failed" in a.marks)`)
      expect(await at.denied()).toEqual(['r0'])
      await outshout(at, spammer)
      expect(await at.denied()).toEqual(['r0'])
      await at.require(`attestations.filter(a, a.registry == "${other.registry}").all(a, !("failed" in a.marks))`)
      expect(await at.denied()).toEqual(['r0'])
    },
    SLOW
  )

  test(
    'is seen by a rule of the node that names who says it, whatever those say who are followed for reviews',
    async () => {
      const at = await Hearing.of(['1.0.0'])
      const [other, critics] = [await at.speaker('lab'), await at.speaker('critics')]
      await at.follows(critics, 'reviews')
      await at.audits(other, '1.0.0', { result: 'fail', at: { time: 1_700_000_000_001 } })
      await at.require(`!attestations.exists(a, a.issuer == "${other.root.did}" && "failed" in a.marks)`)
      expect(await at.denied()).toEqual(['r0'])
      const release = await at.bytes('1.0.0')
      for (let i = 0; i <= LIMITS.policy.listed; i++) {
        const by = person(`critic ${i}`)
        const head = critics.grant(by.did, 'member', { authPrev: critics.genesis.id }).id
        attestIn(critics, release, { by, head, said: { predicateType: STAR, predicate: { star: true } } })
      }
      await at.here.read(critics)
      expect(await at.denied()).toEqual(['r0'])
    },
    SLOW
  )

  test(
    'is seen by a rule of a registry about its own releases that names who says it, whatever others say who are not followed',
    async () => {
      const at = await Hearing.of(['1.0.0'])
      const [other, spammer] = [await at.speaker('lab'), await at.speaker('eve')]
      await at.audits(other, '1.0.0', { result: 'fail', at: { time: 1_700_000_000_001 } })
      await publishesNaming(at, `!attestations.exists(a, a.issuer == "${other.root.did}" && "failed" in a.marks)`)
      await at.here.read(at.acme)
      expect(await at.denied()).toEqual(['mine'])
      await outshout(at, spammer)
      expect(await at.denied()).toEqual(['mine'])
    },
    SLOW
  )

  test(
    'is heard of those who are followed, and what they say else, whatever keys say that a registry names in its own policy',
    async () => {
      const at = await Hearing.of(['1.0.0'])
      const followed = await at.speaker('lab')
      await at.follows(followed)
      await at.follows(followed, 'reviews')
      await at.audits(followed, '1.0.0', { result: 'fail', at: { time: 1_700_000_000_001 } })
      await at.says(followed, '1.0.0', ['star', { star: true }], { at: { time: 1_700_000_000_002 } })
      await at.require(HEARD, '!attestations.exists(a, a.type == "star" && a.followed)')
      const shills = Array.from({ length: LIMITS.policy.listed + 1 }, (_, i) => person(`shill ${i}`))
      const rules = [0, 22, 44].map(from => {
        const some = shills.slice(from, from + 22).map(({ did }) => `"${did}"`)
        return `publisher.key in [${some.join(', ')}] || true`
      })
      const { head } = await publishesNaming(at, ...rules)
      expect(await at.denied()).toEqual(expect.arrayContaining(['r0', 'r1']))
      const release = await at.bytes('1.0.0')
      for (const by of shills) {
        const held = at.acme.grant(by.did, 'member', { authPrev: head }).id
        attestIn(at.acme, release, { by, head: held, ...FAILED, at: { time: 1_700_000_900_000 } })
      }
      await at.here.read(at.acme)
      expect(await at.denied()).toEqual(expect.arrayContaining(['r0', 'r1']))
    },
    SLOW
  )

  test.each([
    ['a policy of its own that names the registry', (at: Hearing) => publishesNaming(at)],
    ['the policy of the node that names the registry', nodeNaming],
    ['a policy of the project that names it', projectNaming]
  ])(
    'is heard of those who are followed, whomever a registry lets in that says the same, with %s',
    async (_name, naming) => {
      const at = await Hearing.of(['1.0.0'])
      const followed = await at.speaker('lab')
      await at.follows(followed)
      await at.audits(followed, '1.0.0', { result: 'fail', at: { time: 1_700_000_000_001 } })
      const { head, code, project } = {
        head: at.acme.genesis.id,
        code: 'audit-failed',
        project: undefined,
        ...(await naming(at))
      }
      expect(await at.denied('1.0.0', project)).toEqual([code])
      const release = await at.bytes('1.0.0')
      for (let i = 0; i <= LIMITS.policy.listed; i++) {
        const by = person(`shill ${i}`)
        const held = at.acme.grant(by.did, 'member', { authPrev: head }).id
        attestIn(at.acme, release, { by, head: held, ...FAILED, at: { time: 1_700_000_900_000 } })
      }
      await at.here.read(at.acme)
      expect(await at.denied('1.0.0', project)).toEqual([code])
    },
    SLOW
  )
})

describe('a look at more statements than are shown', () => {
  test(
    'reads them once for each of those who are heeded, and again when one comes, or what one refers to',
    async () => {
      const at = registry()
      spam(at, root, shown + 10)
      const cid = contentIdOf('{}')
      const referred = { cid, sha256: toHex(digestOf(cid)), size: 2, predicateType: AUDIT }
      const said = { predicateType: REFERENCE_TYPE, predicate: referencePredicate(referred, root.did) }
      attestIn(at.facts, at.release, { said })
      const subject = rootSubject(at.release.root)
      const listed = () => ({
        set: at.facts.all.filter(({ body }) => body.subject === subject).map(toVerified),
        cut: []
      })
      const [authority, here] = [authorityOf(at.facts), new Map<string, Uint8Array>()]
      let known = listed()
      const reader = new AttestationReader({
        registries: { ids: ['here'] as never },
        gate: { state: () => ({ authority, known: async () => known }) },
        now: () => 1_800_000_000_000,
        contentHere: async (_registry, wanted) => here.get(wanted)
      })
      const first = await reader.of(at.release)
      expect(await reader.of(at.release)).toBe(first)
      const heard = await reader.of(at.release, heeding([lab.did]))
      expect(heard).not.toBe(first)
      expect(await reader.of(at.release, heeding([lab.did]))).toBe(heard)
      expect(await reader.of(at.release)).toBe(first)
      here.set(cid, new Uint8Array(2))
      const second = await reader.of(at.release)
      expect(second).not.toBe(first)
      expect(await reader.of(at.release)).toBe(second)
      known = listed()
      expect(await reader.of(at.release)).not.toBe(second)
    },
    SLOW
  )
})

describe('whom policies name', () => {
  const policyOf = (...rules: readonly string[]): LoadedPolicy['policy'] =>
    parsePolicyText(
      `version = 1\n${rules.map((one, i) => `[[rule]]\nid = "r${i}"\nrequire = '${one}'\n`).join('')}`,
      'p'
    )
  const [key, id] = [lab.did, registry().facts.registry]
  const rules = policyOf(`publisher.key == "${key}"`, `registry.id == "${id}"`)
  const [node, project, organisation] = [
    { name: 'node', policy: rules, isLocal: true },
    { name: 'project', policy: rules, isLocal: true },
    { name: 'registry all', policy: rules, isLocal: false }
  ]

  test('is heeded after those who are followed, a key before a registry, by the node before a project and an organisation', () => {
    const weights = [node, project, organisation].map(one => namedIn([one]))
    const sorted = weights.flatMap(named => [named.get(key) ?? 0, named.get(id) ?? 0])
    expect(sorted).toEqual(sorted.toSorted((a, b) => b - a))
    expect(new Set(sorted).size).toBe(6)
    expect(Math.min(...sorted)).toBeGreaterThan(0)
    expect(heeding([id], namedIn([node])).get(id)).toBeGreaterThan(Math.max(...sorted))
    expect(namedIn([organisation, node, project])).toEqual(namedIn([node]))
  })

  test('is no registry by what one says about its own releases, and a key after all others, for these alone', () => {
    const own = { ...organisation, registry: id }
    expect(namedIn([own])).toEqual(new Map([[key, LEAST]]))
    expect(namedIn([organisation]).get(id)).toBeGreaterThan(LEAST)
    expect(namedOver([own])(id).get(key)).toBe(LEAST)
    expect(namedOver([own])('another' as typeof id)).toEqual(new Map())
  })
})
