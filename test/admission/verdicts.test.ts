import { expect, test } from 'vitest'
import { fromHex } from '../../protocol/bytes.ts'
import type { Admission } from '../../protocol/admission.ts'
import { formatPrincipal } from '../../protocol/did.ts'
import { encodeBody, encodeEnvelope, parseEnvelope } from '../../protocol/fact.ts'
import type { FactBody } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { encodePayload } from '../../protocol/payload.ts'
import { parseScope } from '../../protocol/role.ts'
import { cpuMsOf } from '../support/cpu-time.ts'
import { FactWriter, make, person, subject } from '../support/facts.ts'
import type { Made } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'

const [root, ann, eve] = [person('root'), person('ann'), person('eve')]

const word = (admission: Admission | undefined): string =>
  admission === undefined || admission.verdict === 'accept' ? 'accept' : `${admission.verdict} ${admission.reason}`

async function words(node: TestGate, ...facts: readonly { readonly bytes: Uint8Array }[]): Promise<readonly string[]> {
  const bytes = facts.map(fact => fact.bytes)
  return (await node.gate.admitMany(bytes, { peer: 'p' })).map(word)
}

/** A gate that holds a genesis and the claim of `alpha`. */
async function started(): Promise<{ facts: FactWriter; claim: Made; node: TestGate }> {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha', { keys: [root.did, ann.did] })
  const node = await openGate(facts.registry)
  expect(await words(node, facts.genesis, claim)).toEqual(['accept', 'accept'])
  return { facts, claim, node }
}

/** A fact whose body was changed after it was signed. */
function tampered({ bytes, body }: Made, changes: Partial<FactBody>): { readonly bytes: Uint8Array } {
  return { bytes: encodeEnvelope(encodeBody({ ...body, ...changes }), parseEnvelope(bytes).signature) }
}

test('a fact of 10 MB is refused by its size alone', async () => {
  const { node } = await started()
  const bytes = new Uint8Array(10 * 1024 * 1024)
  expect(await cpuMsOf(async () => expect(await words(node, { bytes })).toEqual(['reject too-large']))).toBeLessThan(
    100
  )
})

test('bytes that are no fact are refused as malformed', async () => {
  const { node, claim } = await started()
  const bad = [new Uint8Array(0), Uint8Array.of(1, 2, 3), claim.bytes.subarray(1), claim.bytes.subarray(0, -1)]
  expect(await words(node, ...bad.map(bytes => ({ bytes })))).toEqual(bad.map(() => 'reject malformed'))
})

test('a payload of the wrong shape is refused as malformed, after its signature', async () => {
  const { node, claim } = await started()
  const body = { ...claim.body, subject: subject('beta'), payload: Uint8Array.of(0xa0) }
  const signed = make(body, root)
  expect(await words(node, signed)).toEqual(['reject malformed'])
  expect(await words(node, tampered(signed, { time: 1 }))).toEqual(['reject bad-signature'])
})

test('a fact with a bad signature is refused, whichever bit of it was changed', async () => {
  const { facts, claim, node } = await started()
  const release = facts.release('alpha', '1.0.0', facts.cite(claim))
  const { bodyBytes, signature } = parseEnvelope(release.bytes)
  const verdicts = new Set<string>()
  for (let bit = 0; bit < 64 * 8; bit += 3) {
    const changed = signature.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
    verdicts.add((await words(node, { bytes: encodeEnvelope(bodyBytes, changed) })).join())
  }
  expect(verdicts).toEqual(new Set(['reject bad-signature']))
  for (let at = 0; at < bodyBytes.length; at += 2) {
    const changed = bodyBytes.map((byte, i) => (i === at ? byte ^ 1 : byte))
    const [verdict] = await words(node, { bytes: encodeEnvelope(changed, signature) })
    // Some changes make another author, registry or shape of it: whatever it is, it does not come in.
    expect(verdict).toMatch(/^(?:reject (?:bad-signature|malformed)|pending author-unnamed|ignore unknown-registry)$/)
  }
  expect(await words(node, release)).toEqual(['accept'])
})

test('a fact replayed under another package is refused', async () => {
  const { facts, claim, node } = await started()
  const release = facts.release('alpha', '1.0.0', facts.cite(claim), { by: ann })
  expect(await words(node, tampered(release, { subject: subject('beta') }))).toEqual(['reject bad-signature'])
})

test('a fact with another position, time, chain or type than was signed is refused', async () => {
  const { facts, claim, node } = await started()
  const first = facts.release('alpha', '1.0.0', facts.cite(claim), { by: ann })
  expect(await words(node, first)).toEqual(['accept'])
  const release = facts.release('alpha', '1.1.0', facts.cite(claim), { by: ann })
  const changes: Partial<FactBody>[] = [
    { seq: 2 },
    { time: 1 },
    { chain: root.chain },
    { type: 'yank' },
    { prev: claim.id }
  ]
  const verdicts = await words(node, ...changes.map(change => tampered(release, change)))
  expect(verdicts).toEqual(changes.map(() => 'reject bad-signature'))
})

test('a fact under the topic of another registry is refused, and costs who brought it there', async () => {
  const { facts, claim, node } = await started()
  const other = new FactWriter(root, { name: 'other' })
  const bytes = facts.release('alpha', '1.0.0', facts.cite(claim)).bytes
  const admission = await node.gate.admit(bytes, { peer: 'p', registry: other.registry })
  expect(word(admission)).toBe('reject wrong-registry')
})

test('a fact of a registry that nobody follows here is ignored', async () => {
  const { node } = await started()
  const other = new FactWriter(root, { name: 'other' })
  expect(await words(node, other.genesis, other.claim('alpha'))).toEqual([
    'ignore unknown-registry',
    'ignore unknown-registry'
  ])
})

test('a fact that claims a wrong chain position is refused', async () => {
  const { facts, claim, node } = await started()
  const cited = facts.cite(claim)
  const first = facts.release('alpha', '1.0.0', cited)
  const ofAnn = facts.release('alpha', '1.1.0', cited, { by: ann })
  const beta = facts.claim('beta')
  expect(await words(node, first, ofAnn, beta)).toEqual(['accept', 'accept', 'accept'])
  const next = facts.release('alpha', '1.2.0', cited).body
  const wrong: Partial<FactBody>[] = [
    { seq: next.seq + 1 },
    { seq: next.seq - 1 },
    { prev: ofAnn.id },
    { prev: beta.id },
    { prev: facts.genesis.id },
    { chain: ann.chain },
    { author: ann.did }
  ]
  for (const change of wrong) {
    const by = change.author === undefined ? root : ann
    expect(await words(node, make({ ...next, ...change }, by)), JSON.stringify(change)).toEqual([
      'reject wrong-position'
    ])
  }
  expect(await words(node, make(next, root))).toEqual(['accept'])
})

const SMALL_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000080',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'
]

test.each(SMALL_ORDER)('a grant to the key %s, which proves nothing, is refused', async hex => {
  const { facts, node } = await started()
  const key = fromHex(hex)
  if (key === undefined) throw new Error('not hex')
  const value = {
    authPrev: facts.genesis.id,
    key: root.did,
    role: 'publisher' as const,
    scope: parseScope('*'),
    head: null,
    threshold: null,
    expires: null
  }
  const did = formatPrincipal(key)
  const payload = encodePayload({ type: 'grant', value: { ...value, key: did } })
  const grant = facts.write(root, 'registry', { type: 'grant', value })
  const verdict = await words(node, make({ ...grant.body, payload }, root))
  // Some of these do not even have the spelling that every did:key of this kind has.
  expect(verdict[0]).toMatch(/^reject (?:inadmissible-key|malformed)$/)
  expect(did.startsWith('did:key:z6Mk')).toBe(verdict[0] === 'reject inadmissible-key')
})

test('a fact by an author whom nobody named waits, and comes in with the grant that names him', async () => {
  const { facts, claim } = await started()
  const late: string[] = []
  const node = await openGate(facts.registry, undefined, {
    onDecided: (admission, source) => late.push(`${word(admission)} ${source}`)
  })
  const release = facts.release('alpha', '1.0.0', facts.cite(claim), { by: eve })
  expect(await words(node, facts.genesis, claim, release)).toEqual(['accept', 'accept', 'pending author-unnamed'])
  expect(await words(node, release)).toEqual(['pending author-unnamed'])
  expect(node.gate.pendingCount(facts.registry)).toBe(1)
  expect(await words(node, facts.grant(eve.did, 'publisher'))).toEqual(['accept'])
  expect(late).toEqual(['accept p'])
  expect(await words(node, release)).toEqual(['ignore seen'])
  expect(node.gate.pendingCount(facts.registry)).toBe(0)
})

test('a forged fact that waits is decided against whoever sent it, and the true one still comes in', async () => {
  const { facts, claim } = await started()
  const late: string[] = []
  const node = await openGate(facts.registry, undefined, {
    onDecided: (admission, source) => late.push(`${word(admission)} ${source}`)
  })
  await words(node, facts.genesis, claim)
  const release = facts.release('alpha', '1.0.0', facts.cite(claim), { by: eve })
  const { bodyBytes } = parseEnvelope(release.bytes)
  await node.gate.admit(encodeEnvelope(bodyBytes, new Uint8Array(64)), { peer: 'liar' })
  await node.gate.admit(release.bytes, { peer: 'honest' })
  await words(node, facts.grant(eve.did, 'publisher'))
  expect(late.toSorted()).toEqual(['accept honest', 'reject bad-signature liar'])
})

test('a fact before its predecessor waits, and a whole chain comes in backwards', async () => {
  const { facts, claim, node } = await started()
  const chain = Array.from({ length: 20 }, (_, i) => facts.release('alpha', `1.0.${i}`, facts.cite(claim), { by: ann }))
  const [first, ...rest] = chain
  if (first === undefined) throw new Error('no chain')
  const waiting = await words(node, ...rest.toReversed())
  expect(new Set(waiting)).toEqual(new Set(['pending predecessor-missing']))
  expect(await words(node, first)).toEqual(['accept'])
  expect((await node.ids()).length).toBe(2 + chain.length)
})

test('a peer that asks too much is ignored without loss, and its fact is taken later', async () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha')
  let isAllowed = true
  const node = await openGate(facts.registry, undefined, { mayAsk: () => isAllowed })
  await words(node, facts.genesis)
  isAllowed = false
  expect(await words(node, claim, facts.genesis)).toEqual(['ignore over-rate', 'ignore seen'])
  expect(word(await node.gate.admit(claim.bytes, { peer: 'self' }))).toBe('accept')
})

test('the same fact twice in one batch is accepted once', async () => {
  const { facts, claim, node } = await started()
  const release = facts.release('alpha', '1.0.0', facts.cite(claim))
  expect(await words(node, release, release)).toEqual(['accept', 'ignore seen'])
})

test('facts of registries that strangers make up leave nothing behind in the gate', async () => {
  const { node, facts } = await started()
  for (let i = 0; i < 50; i++)
    await words(node, new FactWriter(root, { nonce: new Uint8Array(16).fill(i + 1) }).genesis)
  expect(node.gate.registries).toEqual([facts.registry])
})

test('more batches than may wait are put off, except our own', async () => {
  const { facts, claim, node } = await started()
  const others = Array.from({ length: LIMITS.admission.queuedBatches + 5 }, () => {
    return node.gate.admit(facts.release('alpha', '1.0.0', facts.cite(claim)).bytes, { peer: 'p' })
  })
  const own = node.gate.admit(facts.claim('beta').bytes, { peer: 'self' })
  const verdicts = (await Promise.all(others)).map(word)
  expect(verdicts.filter(verdict => verdict === 'ignore over-rate')).toHaveLength(5)
  expect(word(await own)).toBe('accept')
})
