import { performance } from 'node:perf_hooks'
import { describe, expect, test } from 'vitest'
import { openGate } from '../support/gate.ts'
import { attestIn, bytesOf, REVIEW } from '../support/attest.ts'
import { rootSubject } from '../../protocol/attest/release-subjects.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { encodeBody, parseEnvelope } from '../../protocol/fact.ts'
import type { FactBody } from '../../protocol/fact.ts'
import { FactWriter, person } from '../support/facts.ts'
import { mutate } from './mutations.ts'

test('of 100,000 mutated envelopes none is accepted, none crashes, and none takes long', () => {
  const { refused, same, accepted, slowestMs } = mutate(100_000, 'many envelopes', () => performance.now())
  expect(accepted).toBe(0)
  expect(refused + same).toBe(100_000)
  expect(slowestMs).toBeLessThan(1_000)
})

// threats.md A1.9.
describe('1,000 statements, replayed', () => {
  const [owner, auditor, other] = [person('owner'), person('auditor'), person('other')]
  const registryWith = (nonce: number) => {
    const facts = new FactWriter(owner, { nonce: new Uint8Array(16).fill(nonce) })
    const granted = facts.grant(auditor.did, 'auditor')
    facts.grant(other.did, 'auditor', { authPrev: granted.id })
    const cited = facts.cite(facts.claim('alpha'))
    return { facts, releases: ['1.0.0', '2.0.0'].map(version => bytesOf(facts.release('alpha', version, cited))) }
  }
  const [here, there] = [registryWith(0), registryWith(1)]
  const made = Array.from({ length: 1_000 }, (_, i) => {
    const release = here.releases[i % 2]
    if (release === undefined) throw new Error('no release')
    const predicate = { score: (i % 5) + 1, text: `${i}` }
    return attestIn(here.facts, release, {
      by: i % 3 === 0 ? other : auditor,
      said: { predicateType: REVIEW, predicate }
    })
  })
  const [first, second] = here.releases.map(({ root }) => rootSubject(root))
  const places: readonly (readonly [string, (body: FactBody, at: number) => Record<string, unknown>])[] = [
    ['about another package', body => ({ subject: body.subject === first ? second : first })],
    ['in another registry', () => ({ registry: there.facts.registry })],
    ['under another key', body => ({ author: body.author === auditor.did ? other.did : auditor.did })],
    ['at another position', (_, at) => ({ seq: at + 1, prev: made[at]?.id })],
    ['at a lower level of the format', () => ({ v: 0 })]
  ]

  test.each(places)('%s: 0 of 1,000 are taken', async (place, change) => {
    const { facts } = place.includes('registry') ? there : here
    const { gate } = await openGate(facts.registry)
    await gate.open(facts.registry)
    await gate.admitMany(
      facts.all.map(({ bytes }) => bytes),
      { peer: 'p' }
    )
    const tried = made.map(({ bytes, body }, at) => {
      const { signature } = parseEnvelope(bytes)
      return encodeCbor({ body: encodeBody({ ...body, ...change(body, at) }), sig: signature })
    })
    const verdicts = await gate.admitMany(tried, { peer: 'p', registry: facts.registry })
    expect(verdicts.filter(({ verdict }) => verdict !== 'reject')).toEqual([])
    expect(verdicts).toHaveLength(1_000)
  })
})
