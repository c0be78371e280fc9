import { describe, expect, test } from 'vitest'
import { FactWriter, person, subject } from '../support/facts.ts'
import type { Made } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'

const [root, ann, bob, eve] = [person('root'), person('ann'), person('bob'), person('eve')]
const HOUR = 60 * 60 * 1000

/** Ann releases; bob, a mirror, says once when it came, and is revoked. Whoever has his key says more, in his chain and in one of his own. */
function theft() {
  const facts = new FactWriter(root)
  const mirror = facts.grant(bob.did, 'mirror')
  const claim = facts.claim('alpha', { keys: [ann.did], authPrev: mirror.id })
  const release = facts.release('alpha', '1.0.0', facts.cite(claim, mirror.id), { by: ann })
  const seen = (by: typeof bob, after: number): Made =>
    facts.observation('alpha', [{ release: release.id, time: release.body.time + after }], {
      by,
      head: mirror.id,
      at: { time: release.body.time + 24 * HOUR }
    })
  const own = seen(bob, 2 * HOUR)
  const next = seen(bob, 5 * HOUR)
  const elsewhere = seen({ ...bob, chain: person('thief').chain }, 0)
  const revoke = facts.revoke(bob.did, { authPrev: mirror.id, heads: [own] })
  return { facts, base: [facts.genesis, mirror, claim, release], release, own, next, elsewhere, revoke, seen }
}

async function admit(node: TestGate, ...made: readonly Made[]): Promise<readonly string[]> {
  const verdicts = await node.gate.admitMany(
    made.map(({ bytes }) => bytes),
    { peer: 'p' }
  )
  return verdicts.map(one => ('reason' in one ? `${one.verdict} ${one.reason}` : one.verdict))
}

/** How long after the release each voice in the row says that it came. */
async function heard(node: TestGate, { facts, release }: ReturnType<typeof theft>): Promise<readonly number[]> {
  const { observations } = await node.view.package(facts.registry, subject('alpha'))
  return (observations ?? []).flatMap(({ seen }) => seen.map(({ time }) => time - release.body.time))
}

describe('an observation at the gate', () => {
  test('by a key that was revoked is turned away, in the chain that is recognised as in another', async () => {
    const told = theft()
    const { base, own, next, elsewhere, revoke } = told
    const node = await openGate(told.facts.registry)
    expect(await admit(node, ...base, own, revoke)).toEqual(Array.from({ length: 6 }, () => 'accept'))
    expect(await admit(node, next, elsewhere)).toEqual(['ignore revoked', 'ignore revoked'])
    expect(await node.ids()).toHaveLength(6)
    expect(await heard(node, told)).toEqual([2 * HOUR])
  })

  test('that came before the revocation leaves with it, as far as it is not recognised', async () => {
    const told = theft()
    const { base, own, next, elsewhere, revoke } = told
    const node = await openGate(told.facts.registry)
    await admit(node, ...base, own, next, elsewhere)
    expect(await heard(node, told)).toEqual([5 * HOUR])
    expect(await admit(node, revoke)).toEqual(['accept'])
    const ids = await node.ids()
    expect([own, next, elsewhere].map(({ id }) => ids.includes(id))).toEqual([true, false, false])
    expect(await heard(node, told)).toEqual([2 * HOUR])
    // In whatever order it came, the same set and the same view.
    const later = await openGate(told.facts.registry)
    await admit(later, ...base, revoke, elsewhere, next, own)
    expect(await later.digest()).toBe(await node.digest())
  })

  test('by a stranger waits for somebody who names him, and is in no row', async () => {
    const told = theft()
    const { base, seen } = told
    const node = await openGate(told.facts.registry)
    await admit(node, ...base)
    expect(await admit(node, seen(eve, 0))).toEqual(['pending author-unnamed'])
    expect(await heard(node, told)).toEqual([])
  })
})
