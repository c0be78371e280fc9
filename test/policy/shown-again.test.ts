import { describe, expect, test } from 'vitest'
import { predicateTypeFrom } from '../../protocol/attest/predicates.ts'
import { envelopeBy, statementAbout } from '../support/attest.ts'
import { person } from '../support/facts.ts'
import type { FactWriter } from '../support/facts.ts'
import { Hearing } from './hearing.ts'

const AUDIT = 'attestations.exists(a, a.type == "audit" && a.followed && a.passed)'

/** By a key that is followed. */
async function passedOnce({
  time = (): number => 1_700_000_100_000
}: { readonly time?: (at: Hearing) => number } = {}) {
  const at = await Hearing.of(['1.0.0'])
  const lab = await at.speaker('lab')
  await at.follows(lab.root)
  await at.audits(lab, '1.0.0', { at: { time: time(at) } })
  return { at, lab, denied: () => at.denied() }
}

describe('a statement that somebody else shows again', () => {
  /** An audit that passed, as its author signed it, and what he said since: it failed. */
  const changedMind = async () => {
    const at = await Hearing.of(['1.0.0'])
    const lab = await at.speaker('lab')
    const passed = await at.envelope(lab, 'pass')
    await at.audits(lab, '1.0.0', { ...passed, at: { time: 1_700_000_100_000 } })
    await at.audits(lab, '1.0.0', { result: 'fail', at: { time: 1_700_000_200_000 } })
    const again = (where: FactWriter) =>
      at.audits(where, '1.0.0', { ...passed, by: where.root, at: { time: 1_700_000_300_000 } })
    return { at, lab, again, denied: () => at.denied() }
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

  test('that its author never brought himself, and that failed, may be newer than all that he did bring', async () => {
    const { at, lab, denied } = await passedOnce()
    const failed = await at.envelope(lab, 'fail')
    await at.audits(at.acme, '1.0.0', { ...failed, by: at.acme.root, at: { time: 1_700_000_050_000 } })
    expect(await denied()).toEqual(['audit-failed'])
    // That he passes it once more tells nothing of which of the two he signed first.
    await at.audits(lab, '1.0.0', { criteria: ['safe-to-deploy'], at: { time: 1_700_000_200_000 } })
    expect(await denied()).toEqual(['audit-failed'])
    // Until he owns to it and takes it back.
    await at.audits(lab, '1.0.0', { ...failed, at: { time: 1_700_000_300_000 } })
    expect(await denied()).toEqual(['audit-failed'])
    await at.audits(lab, '1.0.0', { at: { time: 1_700_000_400_000 } })
    expect(await denied()).toEqual([])
    // In another registry, too, and however late: it is the same that he took back.
    const eve = await at.speaker('eve')
    await at.audits(eve, '1.0.0', { ...failed, by: eve.root, at: { time: 1_700_000_500_000 } })
    expect(await denied()).toEqual([])
    // In other words it is another.
    const other = await at.envelope(lab, 'fail', ['safe-to-deploy'])
    await at.audits(eve, '1.0.0', { ...other, by: eve.root, at: { time: 1_700_000_050_000 } })
    expect(await denied()).toEqual(['audit-failed'])
  })

  test('that passed is older than anything that its author brought himself', async () => {
    const at = await Hearing.of(['1.0.0'])
    const lab = await at.speaker('lab')
    await at.follows(lab.root)
    await at.require(AUDIT)
    const passed = await at.envelope(lab, 'pass', ['safe-to-deploy'])
    await at.audits(at.acme, '1.0.0', { ...passed, by: at.acme.root, at: { time: 1_700_000_900_000 } })
    expect(await at.allows()).toBe(true)
    await at.audits(lab, '1.0.0', { result: 'fail', at: { time: 1_700_000_100_000 } })
    expect(await at.allows()).toBe(false)
  })
})

describe('of one key that found something to be good and bad', () => {
  const DAY = 24 * 60 * 60 * 1000

  test('the order is that of its chain, whatever its clock said', async () => {
    const { at, lab, denied } = await passedOnce({ time: at => at.here.now + DAY })
    await at.audits(lab, '1.0.0', { result: 'fail', at: { time: at.here.now } })
    expect(await denied()).toEqual(['audit-failed'])
    at.here.now += 2 * DAY
    expect(await denied()).toEqual(['audit-failed'])
    await at.audits(lab, '1.0.0', { at: { time: at.here.now - 2 * DAY } })
    expect(await denied()).toEqual([])
    // The same words, dated before all of them.
    await at.audits(lab, '1.0.0', { result: 'fail', at: { time: at.here.now - 3 * DAY } })
    expect(await denied()).toEqual(['audit-failed'])
  })

  test('what is said between does not hide the order', async () => {
    const { at, lab, denied } = await passedOnce()
    await at.audits(lab, '1.0.0', { result: 'fail' })
    await at.says(lab, '1.0.0', ['star', { star: true }])
    expect(await denied()).toEqual(['audit-failed'])
    await at.audits(lab, '1.0.0')
    expect(await denied()).toEqual([])
  })

  test('in two registries, or two chains of one, the bad is heard until it is taken back where it was said', async () => {
    const { at, lab, denied } = await passedOnce()
    const other = await at.speaker('other')
    const head = other.grant(lab.root.did, 'auditor').id
    await at.audits(other, '1.0.0', { by: lab.root, head, result: 'fail', at: { time: 1_700_000_050_000 } })
    expect(await denied()).toEqual(['audit-failed'])
    await at.audits(other, '1.0.0', { by: lab.root, head, at: { time: 1_700_000_060_000 } })
    expect(await denied()).toEqual([])
    // Another computer with the same key.
    const there = { ...lab.root, chain: 'a'.repeat(32) }
    await at.audits(lab, '1.0.0', { by: there, result: 'fail', at: { time: 1_700_000_050_000 } })
    await at.audits(lab, '1.0.0', { at: { time: 1_700_000_400_000 } })
    expect(await denied()).toEqual(['audit-failed'])
    await at.audits(lab, '1.0.0', { by: there, at: { time: 1_700_000_500_000 } })
    expect(await denied()).toEqual([])
  })
})

test('what a key says where nobody follows it takes nothing back of what it says where somebody does', async () => {
  const at = await Hearing.of(['1.0.0'])
  const lab = await at.speaker('lab')
  await at.follows(lab)
  const auditor = person('auditor')
  const head = lab.grant(auditor.did, 'auditor').id
  await at.audits(lab, '1.0.0', { by: auditor, head, result: 'fail', at: { time: 1_700_000_200_000 } })
  const denied = () => at.denied()
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
