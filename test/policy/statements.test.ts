import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { predicateTypeFrom } from '../../protocol/attest/predicates.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { attestIn, envelopeBy, statementAbout } from '../support/attest.ts'
import { person } from '../support/facts.ts'
import { REPOSITORY } from '../support/shared.ts'
import { Hearing } from './hearing.ts'

const AUDIT = 'attestations.exists(a, a.type == "audit" && a.followed && a.passed)'

describe('an audit', () => {
  test('counts from when its author is followed, by his registry or by his key', async () => {
    const at = await Hearing.of(['1.0.0'])
    await at.require(AUDIT)
    const lab = await at.speaker('lab')
    await at.audits(lab, '1.0.0')
    expect(await at.allows()).toBe(false)
    // Whose reviews are followed is no auditor by that.
    await at.follows(lab, 'reviews')
    expect(await at.allows()).toBe(false)
    await at.follows(lab)
    expect(await at.allows()).toBe(true)
    await at.trust.remove('audits', lab.registry)
    expect(await at.allows()).toBe(false)
    await at.follows(lab.root)
    expect(await at.allows()).toBe(true)
  })

  test('that failed passes nothing, and what a follower said before it passes no longer', async () => {
    const at = await Hearing.of(['1.0.0'])
    await at.require(AUDIT)
    const lab = await at.speaker('lab')
    await at.follows(lab)
    await at.audits(lab, '1.0.0')
    expect(await at.allows()).toBe(true)
    await at.audits(lab, '1.0.0', { result: 'fail' })
    expect(await at.allows()).toBe(false)
    await at.audits(lab, '1.0.0', { criteria: ['safe-to-deploy'] })
    expect(await at.allows()).toBe(true)
  })

  test('of one follower that failed refuses by the presets what another one passed', async () => {
    const at = await Hearing.of(['1.0.0'])
    const [lab, other] = [await at.speaker('lab'), await at.speaker('other')]
    await at.follows(lab)
    await at.follows(other)
    await at.audits(lab, '1.0.0')
    expect(await at.allows()).toBe(true)
    await at.audits(other, '1.0.0', { result: 'fail' })
    const { rules } = await at.judged()
    expect(rules.filter(({ outcome }) => outcome === 'deny').map(({ code }) => code)).toEqual(['audit-failed'])
  })
})

test('an audit that failed is heard over all that its author says before', async () => {
  const at = await Hearing.of(['1.0.0'])
  const lab = await at.speaker('lab')
  await at.follows(lab)
  const bytes = await at.bytes('1.0.0')
  const predicateType = predicateTypeFrom('review')
  for (let i = 0; i < LIMITS.policy.listed; i++)
    attestIn(at.acme, bytes, { said: { predicateType, predicate: { score: 5, text: `good, ${i}` } } })
  await at.here.read(at.acme)
  // After all of them, by the word of who says it.
  await at.audits(lab, '1.0.0', { result: 'fail', at: { time: 1_700_000_500_000 } })
  const { rules, facts } = await at.judged()
  expect(facts.attestations).toHaveLength(LIMITS.policy.listed + 1)
  expect(rules.filter(({ outcome }) => outcome === 'deny').map(({ code }) => code)).toEqual(['audit-failed'])
})

test('a scan that found something is heard over all that its author says before', async () => {
  const at = await Hearing.of(['1.0.0'])
  const lab = await at.speaker('lab')
  await at.follows(lab)
  await at.require('!attestations.exists(a, a.type == "vulnerabilities" && a.followed && !a.passed)')
  const bytes = await at.bytes('1.0.0')
  const predicateType = predicateTypeFrom('benchmark')
  for (let i = 0; i < LIMITS.policy.listed; i++)
    attestIn(lab, bytes, { said: { predicateType, predicate: { suite: `s${i}`, results: [] } } })
  const found = { scanner: { uri: 'https://scan.test', result: [{ id: 'CVE-2026-1', severity: [] }] } }
  await at.says(lab, '1.0.0', ['vulnerabilities', found], { at: { time: 1_700_000_500_000 } })
  expect((await at.judged()).facts.attestations).toHaveLength(LIMITS.policy.listed + 1)
  expect(await at.allows()).toBe(false)
})

test.each([-1, 1])(
  'an audit that failed is heard over every scan of another follower that found something (%i)',
  async when => {
    const at = await Hearing.of(['1.0.0'])
    const [lab, bot] = [await at.speaker('lab'), await at.speaker('bot')]
    await at.follows(lab)
    await at.follows(bot)
    const bytes = await at.bytes('1.0.0')
    const predicateType = predicateTypeFrom('vulnerabilities')
    for (let i = 0; i < LIMITS.policy.listed; i++) {
      const result = [{ id: `CVE-2026-${i + 1}`, severity: [] }]
      const said = { predicateType, predicate: { scanner: { uri: 'https://scan.test', result } } }
      attestIn(bot, bytes, { said, at: { time: 1_700_000_400_000 + i } })
    }
    await at.here.read(bot)
    await at.audits(lab, '1.0.0', { result: 'fail', at: { time: 1_700_000_400_000 + when * 300_000 } })
    const { rules } = await at.judged()
    expect(rules.filter(({ outcome }) => outcome === 'deny').map(({ code }) => code)).toEqual(['audit-failed'])
  }
)

test.each([-1, 1])('what one follower found is heard beside all that another one found (%i)', async when => {
  const at = await Hearing.of(['1.0.0'])
  const [lab, bot] = [await at.speaker('lab'), await at.speaker('bot')]
  await at.follows(lab)
  await at.follows(bot)
  await at.require(`!attestations.exists(a, a.issuer == "${lab.root.did}" && !a.passed)`)
  const bytes = await at.bytes('1.0.0')
  const predicateType = predicateTypeFrom('vulnerabilities')
  const found = (id: string) => ({ scanner: { uri: 'https://scan.test', result: [{ id, severity: [] }] } })
  for (let i = 0; i < LIMITS.policy.listed; i++) {
    attestIn(bot, bytes, {
      said: { predicateType, predicate: found(`CVE-2026-${i + 1}`) },
      at: { time: 1_700_000_400_000 + i }
    })
  }
  await at.here.read(bot)
  expect(await at.allows()).toBe(true)
  const time = 1_700_000_400_000 + when * 300_000
  await at.says(lab, '1.0.0', ['vulnerabilities', found('CVE-2026-9000')], { at: { time } })
  expect(await at.allows()).toBe(false)
})

test('malware is heard over all that else is known against a version', async () => {
  const harmless = Array.from({ length: LIMITS.policy.listed }, (_, i) => {
    return { id: `OSV-${i}`, severity: 'low', malware: false, fixed: '' }
  })
  const advisories = async () => [...harmless, { id: 'MAL-1', severity: 'unknown', malware: true, fixed: '' }]
  const at = await Hearing.of(['1.0.0'], { advisories })
  expect(await at.allows()).toBe(false)
})

describe('what never passes', () => {
  test('an audit by an auditor who is not followed', async () => {
    const at = await Hearing.of(['1.0.0'])
    await at.require(AUDIT)
    await at.follows(await at.speaker('lab'))
    await at.audits(await at.speaker('eve'), '1.0.0')
    expect(await at.allows()).toBe(false)
  })

  test('an audit about other bytes', async () => {
    const at = await Hearing.of(['1.0.0', '2.0.0'])
    await at.require(AUDIT)
    const lab = await at.speaker('lab')
    await at.follows(lab)
    await at.audits(lab, '2.0.0')
    expect(await at.allows('2.0.0')).toBe(true)
    expect(await at.allows('1.0.0')).toBe(false)
  })

  test('an audit by a key that was revoked', async () => {
    const at = await Hearing.of(['1.0.0'])
    await at.require(AUDIT)
    const lab = await at.speaker('lab')
    await at.follows(lab)
    const auditor = person('auditor')
    const head = lab.grant(auditor.did, 'auditor').id
    await at.audits(lab, '1.0.0', { by: auditor, head })
    expect(await at.allows()).toBe(true)
    lab.revoke(auditor.did, { authPrev: head, heads: [] })
    await at.here.read(lab)
    expect(await at.allows()).toBe(false)
  })

  test('an audit from the future, until it has come', async () => {
    const at = await Hearing.of(['1.0.0'])
    await at.require(AUDIT)
    const lab = await at.speaker('lab')
    await at.follows(lab)
    await at.audits(lab, '1.0.0', { at: { time: at.here.now + 60 * 60 * 1000 } })
    expect(await at.allows()).toBe(false)
    at.here.now += 60 * 60 * 1000
    expect(await at.allows()).toBe(true)
  })

  test('two statements of one key where two keys are asked for', async () => {
    const at = await Hearing.of(['1.0.0'])
    await at.require('issuers(attestations.filter(a, a.type == "audit" && a.followed && a.passed)) >= 2')
    const [lab, twin] = [await at.speaker('lab'), await at.speaker('twin')]
    await at.follows(lab)
    await at.follows(twin)
    await at.audits(lab, '1.0.0')
    await at.audits(lab, '1.0.0', { criteria: ['safe-to-deploy'] })
    // The same key in another registry, too: it brings its own envelope to where it has no say of its own.
    const envelope = envelopeBy(lab.root, statementAbout(await at.bytes('1.0.0')))
    await at.says(twin, '1.0.0', ['audit', {}], { envelope, signed: [lab.root], by: twin.root })
    expect(await at.allows()).toBe(false)
    await at.audits(twin, '1.0.0')
    expect(await at.allows()).toBe(true)
  })
})

describe('a licence', () => {
  const MIT = 'licence.anyOf(["MIT"])'

  test('is what a follower found, and not what the manifest says', async () => {
    const at = await Hearing.of(['1.0.0'])
    await at.require(MIT)
    expect(await at.allows()).toBe(false)
    const lab = await at.speaker('lab')
    await at.says(lab, '1.0.0', ['licence', { concluded: 'MIT' }])
    expect(await at.allows()).toBe(false)
    await at.follows(lab)
    expect(await at.allows()).toBe(true)
    // Somebody else who is followed finds more: that has to be satisfied too.
    const other = await at.speaker('other')
    await at.follows(other)
    await at.says(other, '1.0.0', ['licence', { concluded: 'MIT AND GPL-3.0-only' }])
    expect(await at.allows()).toBe(false)
    expect((await at.judged()).facts.licence.concluded).toBe('(MIT) AND (MIT AND GPL-3.0-only)')
  })

  test('that is no expression is satisfied by nothing', async () => {
    const at = await Hearing.of(['1.0.0'])
    await at.require(MIT)
    const lab = await at.speaker('lab')
    await at.follows(lab)
    await at.says(lab, '1.0.0', ['licence', { concluded: 'MIT' }])
    const other = await at.speaker('other')
    await at.follows(other)
    await at.says(other, '1.0.0', ['licence', { concluded: 'MIT) OR (MIT' }])
    expect((await at.judged()).facts.licence.valid).toBe(false)
    expect(await at.allows()).toBe(false)
  })
})

test('an SBOM counts by the registry of the release, or by whoever is followed', async () => {
  const at = await Hearing.of(['1.0.0'])
  await writeFile(join(at.home, 'policy.toml'), 'version = 1\npreset = "strict"\n')
  const denied = async () =>
    (await at.judged()).rules.some(({ code, outcome }) => code === 'sbom' && outcome === 'deny')
  const document = { bomFormat: 'CycloneDX', specVersion: '1.6', components: [] }
  const eve = await at.speaker('eve')
  await at.says(eve, '1.0.0', ['cyclonedx', document])
  expect(await denied()).toBe(true)
  await at.says(at.acme, '1.0.0', ['cyclonedx', document])
  expect(await denied()).toBe(false)
})

describe('a hundred stars, an audit that passed, a verified publisher, MIT or Apache', () => {
  test('by real statements: each of them is missed', async () => {
    const spec = await readFile(join(REPOSITORY, 'docs/spec/policy.md'), 'utf8')
    const text = /```toml example\n([^]*?)```/.exec(spec)?.[1] ?? ''
    let domain: string | undefined
    const at = await Hearing.of(['1.0.0'], { domainOf: async () => domain })
    await writeFile(join(at.home, 'policy.toml'), text)
    const lab = await at.speaker('lab')
    await at.follows(lab)
    const fans = await at.speaker('fans')
    const release = await at.bytes('1.0.0')
    let head = fans.genesis.id
    const star = async (from: number, to: number): Promise<void> => {
      const said = { predicateType: predicateTypeFrom('star'), predicate: {} }
      for (let i = from; i < to; i++) {
        const by = person(`fan ${i}`)
        head = fans.grant(by.did, 'member', { authPrev: head }).id
        attestIn(fans, release, { said, by, head })
      }
      await at.here.read(fans)
    }
    expect(await at.allows()).toBe(false)
    await at.audits(lab, '1.0.0')
    await at.says(lab, '1.0.0', ['licence', { concluded: 'Apache-2.0 OR GPL-3.0-only' }])
    domain = 'acme.example.org'
    await star(0, 99)
    expect((await at.judged()).facts.reviews.stars).toBe(99)
    expect(await at.allows()).toBe(false)
    await star(99, 100)
    expect(await at.allows()).toBe(true)
    domain = undefined
    expect(await at.allows()).toBe(false)
  })
})

describe('deltas', () => {
  const chain = async (...links: readonly (readonly [string, string])[]) => {
    const at = await Hearing.of(['1.0.0', '1.1.0', '1.2.0', '1.3.0'])
    await at.require(AUDIT)
    const lab = await at.speaker('lab')
    await at.follows(lab)
    for (const [from, to] of links) await at.audits(lab, to, { from, criteria: ['safe-to-deploy'] })
    return { at, lab }
  }

  test('lead from an audit in full to what is installed, whoever who is followed made each', async () => {
    const { at } = await chain(['1.0.0', '1.1.0'], ['1.1.0', '1.2.0'])
    expect(await at.allows('1.2.0')).toBe(false)
    const other = await at.speaker('other')
    await at.audits(other, '1.0.0')
    // He who began it is not followed.
    expect(await at.allows('1.2.0')).toBe(false)
    await at.follows(other)
    expect(await at.allows('1.2.0')).toBe(true)
    // What the whole chain says and no more: the first link was fit to be run, and not to be deployed.
    const marks = (await at.judged('1.2.0')).facts.attestations.flatMap(({ marks }) => marks)
    expect(marks).toContain('safe-to-run')
    expect(marks).not.toContain('safe-to-deploy')
  })

  test('in a circle lead nowhere, nor do those with a link missing, or one that failed', async () => {
    const { at, lab } = await chain(['1.1.0', '1.2.0'], ['1.2.0', '1.1.0'], ['1.2.0', '1.3.0'])
    expect(await at.allows('1.2.0')).toBe(false)
    expect(await at.allows('1.3.0')).toBe(false)
    await at.audits(lab, '1.1.0', { criteria: ['safe-to-deploy'] })
    expect(await at.allows('1.3.0')).toBe(true)
    const other = await at.speaker('other')
    await at.follows(other)
    await at.audits(other, '1.2.0', { result: 'fail' })
    expect(await at.allows('1.3.0')).toBe(false)
  })
})

describe('what earlier versions had', () => {
  const PROVENANCE = {
    buildDefinition: { buildType: 'https://example.org/build', externalParameters: {} },
    runDetails: { builder: { id: 'https://example.org/builder' } }
  }
  const downgrades = async (at: Hearing, version: string) => (await at.judged(version)).facts.marks.downgrades

  test('a provenance is missed in the next version, if the registry or a follower said it', async () => {
    const at = await Hearing.of(['1.0.0', '1.1.0'])
    const eve = await at.speaker('eve')
    await at.says(eve, '1.0.0', ['provenance', PROVENANCE])
    expect(await downgrades(at, '1.1.0')).toEqual([])
    await at.says(at.acme, '1.0.0', ['provenance', PROVENANCE])
    expect(await downgrades(at, '1.1.0')).toEqual(['no-provenance'])
    expect(await downgrades(at, '1.0.0')).toEqual([])
    const { rules } = await at.judged('1.1.0')
    expect(rules.find(({ outcome }) => outcome === 'deny')?.code).toBe('trust-downgrade')
    await at.says(at.acme, '1.1.0', ['provenance', PROVENANCE])
    expect(await at.allows('1.1.0')).toBe(true)
  })

  test('a second signer is missed, whichever of two keys is left, and what one key signs is one signer', async () => {
    const at = await Hearing.of(['1.0.0', '1.1.0'])
    const builder = person('builder')
    const head = at.acme.grant(builder.did, 'auditor').id
    await at.here.read(at.acme)
    await at.says(at.acme, '1.0.0', ['provenance', PROVENANCE], { by: builder, head })
    await at.says(at.acme, '1.1.0', ['provenance', PROVENANCE])
    expect(await downgrades(at, '1.1.0')).toEqual(['fewer-signers'])
    expect(await at.allows('1.1.0')).toBe(false)
    const eve = await at.speaker('eve')
    await at.says(eve, '1.1.0', ['provenance', PROVENANCE])
    expect(await downgrades(at, '1.1.0')).toEqual(['fewer-signers'])
    await at.says(at.acme, '1.1.0', ['provenance', PROVENANCE], { by: builder, head })
    expect(await downgrades(at, '1.1.0')).toEqual([])
  })

  test('a verified publisher is missed where another key signed', async () => {
    const thief = person('thief')
    const at = await Hearing.of(['1.0.0'], {
      domainOf: async key => (key === thief.did ? undefined : 'acme.example.org')
    })
    const head = at.acme.grant(thief.did, 'publisher').id
    const [claim] = at.acme.all.filter(({ body }) => body.type === 'claim')
    if (claim === undefined) throw new Error('no claim')
    at.acme.release('lib', '1.1.0', { registry: head, package: claim.id }, { by: thief })
    await at.here.read(at.acme)
    expect(await downgrades(at, '1.1.0')).toEqual(['new-key', 'unverified-publisher'])
  })
})

test('a registry that nobody was compared with for a day is refused by strict, and the clock does not help', async () => {
  const at = await Hearing.of(['1.0.0'])
  await writeFile(join(at.home, 'policy.toml'), 'version = 1\npreset = "strict"\n')
  const stale = async () => {
    const { facts, rules } = await at.judged()
    const isDenied = rules.some(({ code, outcome }) => code === 'staleness' && outcome === 'deny')
    return [facts.registry.staleHours, isDenied]
  }
  expect(await stale()).toEqual([240, true])
  await at.here.read(at.acme)
  expect(await stale()).toEqual([0, false])
  at.here.now += 25 * 60 * 60 * 1000
  expect(await stale()).toEqual([25, true])
  at.here.now -= 50 * 60 * 60 * 1000
  expect(await stale()).toEqual([876_000, true])
  // A clock that is set right by a moment is none that was wrong.
  await at.here.read(at.acme)
  at.here.now -= LIMITS.clockSkewMs
  expect(await stale()).toEqual([0, false])
  at.here.now -= 1
  expect(await stale()).toEqual([876_000, true])
})
