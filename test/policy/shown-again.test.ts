import { describe, expect, test } from 'vitest'
import { predicateTypeFrom } from '../../protocol/attest/predicates.ts'
import { envelopeBy, statementAbout } from '../support/attest.ts'
import { person } from '../support/facts.ts'
import type { FactWriter } from '../support/facts.ts'
import { Hearing } from './hearing.ts'

const AUDIT = 'attestations.exists(a, a.type == "audit" && a.followed && a.passed)'

describe('a statement that somebody else shows again', () => {
  /** An audit that passed, as its author signed it, and what he said since: it failed. */
  const changedMind = async () => {
    const at = await Hearing.of(['1.0.0'])
    const lab = await at.speaker('lab')
    const said = {
      predicateType: predicateTypeFrom('audit'),
      predicate: { criteria: ['safe-to-run'], result: 'pass', kind: 'full' }
    }
    const envelope = envelopeBy(lab.root, statementAbout(await at.bytes('1.0.0'), said))
    await at.audits(lab, '1.0.0', { envelope, signed: [lab.root], at: { time: 1_700_000_100_000 } })
    await at.audits(lab, '1.0.0', { result: 'fail', at: { time: 1_700_000_200_000 } })
    const again = (where: FactWriter) =>
      at.audits(where, '1.0.0', { envelope, signed: [lab.root], by: where.root, at: { time: 1_700_000_300_000 } })
    const denied = async () =>
      (await at.judged()).rules.flatMap(({ code, outcome }) => (outcome === 'deny' ? [code] : []))
    return { at, lab, again, denied }
  }

  test.each(['the registry', 'the key'] as const)(
    'takes nothing back, where %s of its author is followed',
    async whose => {
      const { at, lab, again, denied } = await changedMind()
      await at.follows(whose === 'the key' ? lab.root : lab)
      expect(await denied()).toEqual(['audit-failed'])
      // By whoever published the release, in his own registry, with a time of his own choice.
      await again(at.acme)
      expect(await denied()).toEqual(['audit-failed'])
    }
  )

  test('takes nothing back where both are shown by others, in whatever order', async () => {
    const { at, lab, denied, again } = await changedMind()
    await at.follows(lab.root)
    const eve = await at.speaker('eve')
    await again(eve)
    expect(await denied()).toEqual(['audit-failed'])
  })

  test('is not newer than what its author said himself, when that is good', async () => {
    const { at, lab } = await changedMind()
    await at.require(AUDIT)
    await at.follows(lab.root)
    const said = {
      predicateType: predicateTypeFrom('audit'),
      predicate: { criteria: ['safe-to-run'], result: 'fail', kind: 'full' }
    }
    const failed = envelopeBy(lab.root, statementAbout(await at.bytes('1.0.0'), said))
    await at.audits(lab, '1.0.0', { at: { time: 1_700_000_400_000 } })
    expect(await at.allows()).toBe(true)
    await at.audits(at.acme, '1.0.0', {
      envelope: failed,
      signed: [lab.root],
      by: at.acme.root,
      at: { time: 1_700_000_500_000 }
    })
    expect(await at.allows()).toBe(true)
  })
})

test('what a key says where nobody follows it takes nothing back of what it says where somebody does', async () => {
  const at = await Hearing.of(['1.0.0'])
  const lab = await at.speaker('lab')
  await at.follows(lab)
  const auditor = person('auditor')
  const head = lab.grant(auditor.did, 'auditor').id
  await at.audits(lab, '1.0.0', { by: auditor, head, result: 'fail', at: { time: 1_700_000_200_000 } })
  const denied = async () =>
    (await at.judged()).rules.flatMap(({ code, outcome }) => (outcome === 'deny' ? [code] : []))
  expect(await denied()).toEqual(['audit-failed'])
  // A thief of the key, in a registry of his own.
  const eve = await at.speaker('eve')
  const there = eve.grant(auditor.did, 'auditor').id
  await at.audits(eve, '1.0.0', { by: auditor, head: there, at: { time: 1_700_000_300_000 } })
  expect(await denied()).toEqual(['audit-failed'])
})

describe('a review', () => {
  const predicateType = predicateTypeFrom('review')
  const bad = { score: 1, text: 'bad' }
  const good = { score: 5, text: 'good' }

  test.each([1_700_000_000_500, 1_700_000_003_000])(
    'that somebody else shows again is not the last (%i)',
    async time => {
      const at = await Hearing.of(['1.0.0'])
      const [ann, eve] = [await at.speaker('ann'), await at.speaker('eve')]
      await at.follows(ann, 'reviews')
      await at.says(ann, '1.0.0', ['review', good], { at: { time: 1_700_000_001_000 } })
      await at.says(ann, '1.0.0', ['review', bad], { at: { time: 1_700_000_002_000 } })
      const envelope = envelopeBy(ann.root, statementAbout(await at.bytes('1.0.0'), { predicateType, predicate: good }))
      const average = async () => (await at.judged()).facts.reviews.average
      expect(await average()).toBe(1)
      await at.says(eve, '1.0.0', ['review', good], { envelope, signed: [ann.root], by: eve.root, at: { time } })
      expect(await average()).toBe(1)
    }
  )

  test.each([
    ['ann', 'other'],
    ['other', 'ann']
  ])(
    'of one key in two registries is the one that it wrote last, whichever was followed first (%s)',
    async (...order) => {
      const at = await Hearing.of(['1.0.0'])
      const places = new Map<string, FactWriter>()
      for (const alias of order) places.set(alias, await at.speaker(alias))
      const [ann, other] = [places.get('ann'), places.get('other')]
      if (ann === undefined || other === undefined) throw new Error('not there')
      const head = other.grant(ann.root.did, 'member').id
      await at.says(other, '1.0.0', ['review', good], { by: ann.root, head, at: { time: 1_700_000_001_000 } })
      await at.says(ann, '1.0.0', ['review', bad], { at: { time: 1_700_000_002_000 } })
      expect((await at.judged()).facts.reviews.average).toBe(1)
      // Where somebody listens to her, she is heard over what her key says elsewhere.
      await at.follows(other, 'reviews')
      expect((await at.judged()).facts.reviews.average).toBe(5)
    }
  )
})
