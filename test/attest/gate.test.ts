import { describe, expect, test } from 'vitest'
import { sign } from '../../attestation/keys.ts'
import { signFact } from '../../attestation/sign-fact.ts'
import { formatDsse, IN_TOTO_TYPE, parseDsse, signedPart } from '../../protocol/attest/envelope.ts'
import { rootSubject, subjectsOf } from '../../protocol/attest/release-subjects.ts'
import type { ReleaseBytes } from '../../protocol/attest/release-subjects.ts'
import { formatStatement } from '../../protocol/attest/statement.ts'
import { toHex } from '../../protocol/bytes.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import type { FactId } from '../../protocol/cid.ts'
import { formatPrincipal } from '../../protocol/did.ts'
import { encodeBody, parseEnvelope } from '../../protocol/fact.ts'
import type { FactBody } from '../../protocol/fact.ts'
import { openDigestRow } from '../../protocol/view-row.ts'
import {
  attestIn,
  AUDIT,
  bytesOf,
  envelopeBy,
  payloadOf,
  rawPayload,
  REVIEW,
  statementAbout
} from '../support/attest.ts'
import { FactWriter, make, person, subject } from '../support/facts.ts'
import type { Made } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'

const [owner, auditor, other, eve] = [person('owner'), person('auditor'), person('other'), person('eve')]

/** A registry with a package of two versions and an auditor. */
function registryWith(nonce = 0): { facts: FactWriter; head: FactId; first: ReleaseBytes; second: ReleaseBytes } {
  const facts = new FactWriter(owner, { nonce: new Uint8Array(16).fill(nonce) })
  const granted = facts.grant(auditor.did, 'auditor')
  const head = facts.grant(other.did, 'auditor', { authPrev: granted.id }).id
  const cited = facts.cite(facts.claim('alpha'))
  const first = bytesOf(facts.release('alpha', '1.0.0', cited))
  const second = bytesOf(facts.release('alpha', '2.0.0', cited))
  return { facts, head, first, second }
}

async function verdictsOf(facts: FactWriter, tried: readonly Pick<Made, 'bytes'>[]): Promise<readonly string[]> {
  const isTried = new Set(tried.map(({ bytes }) => toHex(bytes)))
  const { gate } = await openGate(facts.registry)
  await gate.open(facts.registry)
  await gate.admitMany(
    facts.all.filter(({ bytes }) => !isTried.has(toHex(bytes))).map(({ bytes }) => bytes),
    { peer: 'p' }
  )
  const verdicts = await gate.admitMany(
    tried.map(({ bytes }) => bytes),
    { peer: 'p', registry: facts.registry }
  )
  return verdicts.map(one => ('reason' in one ? `${one.verdict} ${one.reason}` : one.verdict))
}

describe('the gate', () => {
  test('takes what an author of the registry says, about the root or about the archive', async () => {
    const { facts, first } = registryWith()
    const [root, archive] = subjectsOf(first)
    const made = [root, archive].map(about => attestIn(facts, first, { by: auditor, subject: about ?? 'registry' }))
    expect(await verdictsOf(facts, made)).toEqual(['accept', 'accept'])
  })

  test('keeps the row of what is said beside those of packages', async () => {
    const { facts, head, first } = registryWith()
    const made = attestIn(facts, first, { by: auditor, head })
    const { gate, store, view } = await openGate(facts.registry)
    await gate.open(facts.registry)
    await gate.admitMany(
      facts.all.map(({ bytes }) => bytes),
      { peer: 'p' }
    )
    const row = await store.row(facts.registry, rootSubject(first.root))
    expect(openDigestRow(row ?? new Uint8Array())).toMatchObject({
      attestations: [{ fact: made.id, by: auditor.did, keys: [auditor.did], roles: ['auditor'], predicateType: AUDIT }],
      setAside: []
    })
    const names: string[] = []
    for await (const { name } of view.packages(facts.registry)) names.push(name)
    expect(names).toEqual(['ggen/alpha'])
    expect(await view.counts(facts.registry)).toEqual({ packages: 1, releases: 2 })
    expect((await view.search(facts.registry, '')).map(({ name }) => name)).toEqual(['ggen/alpha'])
  })

  test('of a stranger it waits, whoever signed what is inside', async () => {
    const { facts, first } = registryWith()
    const made = attestIn(facts, first, { by: eve, signed: [auditor] })
    expect(await verdictsOf(facts, [made])).toEqual(['pending author-unnamed'])
  })

  test('names nobody: who signed an envelope does not become an author by it', async () => {
    const { facts, first } = registryWith()
    const brought = attestIn(facts, first, { by: auditor, signed: [eve] })
    const own = attestIn(facts, first, { by: eve })
    expect(await verdictsOf(facts, [brought, own])).toEqual(['accept', 'pending author-unnamed'])
  })

  test('a threshold of signatures by one key is one key', async () => {
    const { facts, first } = registryWith()
    const payload = formatStatement(statementAbout(first))
    const part = { payloadType: IN_TOTO_TYPE, payload }
    const once = { keyid: '', sig: sign(auditor.secret, signedPart(part)) }
    const twice = formatDsse({ ...part, signatures: [once, { ...once, keyid: auditor.did }] })
    const both = formatDsse({ ...part, signatures: [once, { keyid: '', sig: sign(other.secret, signedPart(part)) }] })
    const made = [twice, both].map(envelope =>
      attestIn(facts, first, { by: auditor, signed: [auditor, other], envelope })
    )
    expect(await verdictsOf(facts, made)).toEqual(['reject bad-signature', 'pending predecessor-missing'])
  })
})

test('in whatever order facts arrive, equal sets say the same of a release', async () => {
  const { facts, head, first, second } = registryWith()
  for (const by of [auditor, other]) for (const about of [first, second]) attestIn(facts, about, { by, head })
  // What was said before is recognised of one, and of the other nothing.
  const left = facts.revoke(auditor.did, { authPrev: head })
  facts.revoke(other.did, { authPrev: left.id, heads: [] })
  attestIn(facts, first, { by: auditor, head, said: { predicateType: REVIEW, predicate: { score: 1 } } })
  const orders = [facts.all, facts.all.toReversed(), facts.all.toSorted((a, b) => (a.id < b.id ? -1 : 1))]
  const seen = await Promise.all(
    orders.map(async order => {
      const opened = await openGate(facts.registry)
      const { gate, view } = opened
      await gate.open(facts.registry)
      for (const { bytes } of order) await gate.admit(bytes, { peer: 'p' })
      const said = await view.said(facts.registry, rootSubject(first.root))
      return [await opened.digest(), (await opened.ids()).length, said?.attestations.map(({ by }) => by)]
    })
  )
  expect(seen[1]).toEqual(seen[0])
  expect(seen[2]).toEqual(seen[0])
  expect(seen[0]?.[2]).toEqual([auditor.did])
})

describe('refused for its bytes, whoever brings it', () => {
  const { facts, first, second } = registryWith()
  const about = rootSubject(first.root)
  const head = facts.genesis.id
  const good = envelopeBy(auditor, statementAbout(first))
  const dsse = parseDsse(good)
  /** Of order 4: one signature of it holds for whatever is said. */
  const weak = { ...eve, did: formatPrincipal(new Uint8Array(32)) }
  const raw = (payload: Uint8Array): Made => {
    const body = attestIn(facts, first, { by: auditor, at: { seq: 0, prev: null } }).body
    return make({ ...body, payload }, auditor)
  }
  const envelope = (bytes: Uint8Array): Made => raw(rawPayload(bytes, [auditor], head))
  const signed = (payload: Uint8Array, payloadType = IN_TOTO_TYPE): Uint8Array => {
    const part = { payloadType, payload }
    return formatDsse({ ...part, signatures: [{ keyid: auditor.did, sig: sign(auditor.secret, signedPart(part)) }] })
  }
  const [signature] = dsse.signatures
  const many = (count: number): Uint8Array =>
    formatDsse({
      ...dsse,
      signatures: Array.from({ length: count }, () => signature ?? { keyid: '', sig: new Uint8Array(64) })
    })

  test.each([
    ['a good one is taken', envelope(good), 'accept'],
    ['a statement about other bytes', envelope(envelopeBy(auditor, statementAbout(second))), 'reject malformed'],
    ['a signature by somebody else', raw(rawPayload(good, [other], head)), 'reject bad-signature'],
    ['a second key that did not sign', raw(rawPayload(good, [auditor, other], head)), 'reject bad-signature'],
    ['a key that proves nothing', raw(rawPayload(good, [auditor, weak], head)), 'reject inadmissible-key'],
    ['33 signatures', envelope(many(33)), 'reject malformed'],
    ['17 signatures', envelope(many(17)), 'reject malformed'],
    ['no statement', envelope(signed(new TextEncoder().encode('{}'))), 'reject malformed'],
    ['a statement of another type of payload', envelope(signed(dsse.payload, 'application/json')), 'reject malformed'],
    ['an envelope that is none', envelope(new TextEncoder().encode('{}')), 'reject malformed'],
    ['no keys', raw(encodeCbor({ head: null, envelope: good, keys: [] })), 'reject malformed'],
    ['another field', raw(encodeCbor({ head: null, envelope: good, keys: [auditor.did], x: 1 })), 'reject malformed']
  ] as const)('%s', async (_, made, verdict) => {
    expect(await verdictsOf(facts, [made])).toEqual([verdict])
  })

  test('a subject that is no digest, and facts of other types about one', async () => {
    const { body } = attestIn(facts, first, { by: auditor, at: { seq: 0, prev: null } })
    for (const wrong of ['registry', subject('alpha'), 'sha256/00', `${about}00`, about.toUpperCase()]) {
      const bytes = signFact({ ...body, subject: wrong as FactBody['subject'] }, auditor.secret)
      expect(await verdictsOf(facts, [{ bytes }])).toEqual(['reject malformed'])
    }
    const { body: yank } = facts.yank('alpha', '1.0.0', facts.cite(facts.genesis))
    const bytes = signFact({ ...yank, subject: about, seq: 0, prev: null }, owner.secret)
    expect(await verdictsOf(facts, [{ bytes }])).toEqual(['reject malformed'])
  })

  test('a predicate too large for a fact can not even be written', () => {
    const predicate = { score: 5, text: 'x'.repeat(60_000) }
    const large = envelopeBy(auditor, statementAbout(first, { predicateType: REVIEW, predicate }))
    expect(() =>
      facts.write(auditor, about, { type: 'attestation', value: payloadOf(large, [auditor], head) })
    ).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }))
  })
})

// threats.md A1.9: valid statements, played again where they were not made for.
describe('replayed', () => {
  const { facts, first, second } = registryWith()
  const elsewhere = registryWith(1)
  const made = Array.from({ length: 8 }, (_, i) =>
    attestIn(facts, i % 2 === 0 ? first : second, {
      by: i % 3 === 0 ? other : auditor,
      said: { predicateType: REVIEW, predicate: { score: (i % 5) + 1 } }
    })
  )
  const moved = ({ bytes, body }: Made, change: Record<string, unknown>): Pick<Made, 'bytes'> => {
    const { signature } = parseEnvelope(bytes)
    return { bytes: encodeCbor({ body: encodeBody({ ...body, ...change }), sig: signature }) }
  }
  const places: readonly (readonly [string, (made: Made) => Record<string, unknown>])[] = [
    [
      'about another package',
      ({ body }) => ({ subject: rootSubject(body.subject === rootSubject(first.root) ? second.root : first.root) })
    ],
    ['in another registry', () => ({ registry: elsewhere.facts.registry })],
    ['by another author', ({ body }) => ({ author: body.author === auditor.did ? other.did : auditor.did })],
    ['at another position', ({ body, id }) => ({ seq: body.seq + 1, prev: id })],
    ['in another chain', () => ({ chain: 'a'.repeat(32), seq: 0, prev: null })],
    ['at another time', ({ body }) => ({ time: body.time + 1 })]
  ]

  test.each(places)('%s: none of them is taken', async (_, change) => {
    const target = change(made[0] as Made)['registry'] === undefined ? facts : elsewhere.facts
    const { gate } = await openGate(target.registry)
    await gate.open(target.registry)
    await gate.admitMany(
      target.all.map(({ bytes }) => bytes),
      { peer: 'p' }
    )
    const tried = made.map(one => moved(one, change(one)).bytes)
    const verdicts = await gate.admitMany(tried, { peer: 'p', registry: target.registry })
    expect(verdicts.filter(({ verdict }) => verdict === 'accept')).toEqual([])
    expect(new Set(verdicts.map(({ verdict }) => verdict))).toEqual(new Set(['reject']))
  })

  test('at another level of the format: there is one, and nothing else is read', async () => {
    const tried = made.map(({ bytes, body }) => {
      const { signature } = parseEnvelope(bytes)
      const head = encodeBody(body)
      // `v` is the first key of the body and one byte long.
      const at = head.indexOf(0x61) + 2
      const lower = head.slice()
      lower[at] = 0
      return { bytes: encodeCbor({ body: lower, sig: signature }) }
    })
    expect(new Set(await verdictsOf(facts, tried))).toEqual(new Set(['reject malformed']))
  })

  test('as the signature of another role: an envelope is no fact, and a fact is no envelope', async () => {
    const tried = made.map(one => {
      const { signature } = parseEnvelope(one.bytes)
      // The author's signature over the fact, shown as that over a statement.
      const dsse = parseDsse(envelopeBy(auditor, statementAbout(first)))
      const envelope = formatDsse({ ...dsse, signatures: [{ keyid: one.body.author, sig: signature }] })
      const by = one.body.author === auditor.did ? auditor : other
      const body = { ...one.body, seq: 0, prev: null, subject: rootSubject(first.root) }
      return make({ ...body, payload: rawPayload(envelope, [by], facts.genesis.id) }, by)
    })
    expect(new Set(await verdictsOf(facts, tried))).toEqual(new Set(['reject bad-signature']))
  })

  test('an envelope is brought again by anybody, and says who signed it', async () => {
    const envelope = envelopeBy(auditor, statementAbout(elsewhere.first))
    const again = attestIn(elsewhere.facts, elsewhere.first, { by: other, signed: [auditor], envelope })
    expect(await verdictsOf(elsewhere.facts, [again])).toEqual(['accept'])
  })
})
