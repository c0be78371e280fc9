import { sign } from '../../attestation/keys.ts'
import { verifyEnvelope } from '../../attestation/verify-envelope.ts'
import { formatDsse, IN_TOTO_TYPE, parseDsse, signedPart } from '../../protocol/attest/envelope.ts'
import { parseStatement } from '../../protocol/attest/statement.ts'
import { equalBytes, utf8 } from '../../protocol/bytes.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { person } from '../support/facts.ts'
import { Rng } from '../simulation/rng.ts'

const [ann, bob] = [person('ann'), person('bob')]

const SUBJECT = { name: 'pkg:ggen/alpha@1.0.0', digest: { sha256: 'a1'.repeat(32) } }
const STATEMENT = {
  _type: 'https://in-toto.io/Statement/v1',
  subject: [SUBJECT],
  predicateType: 'urn:ggen:attestation:audit:1',
  predicate: { criteria: ['safe-to-run'], result: 'fail', kind: 'full', notes: 'it opens a port' }
}
const PART = { payloadType: IN_TOTO_TYPE, payload: utf8(JSON.stringify(STATEMENT)) }

/** Two envelopes that are good: with hints and without. */
const GOOD = [
  formatDsse({
    ...PART,
    signatures: [ann, bob].map(({ did, secret }) => ({ keyid: did, sig: sign(secret, signedPart(PART)) }))
  }),
  formatDsse({ ...PART, signatures: [{ keyid: '', sig: sign(ann.secret, signedPart(PART)) }] })
]
const TRUSTS = [
  { keys: [ann.did, bob.did], threshold: 2, payloadTypes: [IN_TOTO_TYPE] },
  { keys: [ann.did], threshold: 1, payloadTypes: [IN_TOTO_TYPE] }
]

/** Pieces that turn one meaning into another where they land well. */
const PIECES = [
  '"',
  '\\',
  '{',
  '}',
  ',',
  'pass',
  '"payload":""',
  '\\u0000',
  '=',
  '-',
  '_',
  'AAAA',
  '"keyid":null',
  '[]',
  '\ud800'
]

export interface Outcome {
  /** Refused with one of our own errors. */
  refused: number
  /** Nothing that is signed was changed: white space, a hint, another spelling of the same base64. */
  same: number
  /** What must never be: something else than was signed. */
  accepted: number
  /** The longest that one took, in milliseconds. */
  slowestMs: number
}

/** Changes good envelopes at random and reads what comes of it. Anything thrown that is not ours goes on. */
export function mutate(count: number, seed: string, now: () => number): Outcome {
  const rng = new Rng(seed)
  const outcome: Outcome = { refused: 0, same: 0, accepted: 0, slowestMs: 0 }
  for (let i = 0; i < count; i++) {
    const which = rng.int(GOOD.length)
    const [good, trust] = [GOOD[which], TRUSTS[which]]
    if (good === undefined || trust === undefined) throw new Error('no envelope')
    let bytes = good
    for (let changes = rng.int(3); changes >= 0; changes--) bytes = changed(bytes, rng)
    const started = now()
    outcome[verdict(bytes, trust)] += 1
    outcome.slowestMs = Math.max(outcome.slowestMs, now() - started)
  }
  return outcome
}

function verdict(bytes: Uint8Array, trust: (typeof TRUSTS)[number]): 'refused' | 'same' | 'accepted' {
  try {
    const envelope = parseDsse(bytes)
    verifyEnvelope(envelope, trust)
    parseStatement(envelope.payload)
    return equalBytes(envelope.payload, PART.payload) && envelope.payloadType === PART.payloadType ? 'same' : 'accepted'
  } catch (error) {
    if (isRegistryError(error)) return 'refused'
    throw error
  }
}

function changed(bytes: Uint8Array, rng: Rng): Uint8Array {
  const at = rng.int(bytes.length + 1)
  const end = Math.min(bytes.length, at + 1 + rng.int(40))
  const [before, part, after] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)]
  switch (rng.int(7)) {
    case 0: {
      // One bit.
      const copy = bytes.slice()
      copy[at % Math.max(1, bytes.length)] = (copy[at % Math.max(1, bytes.length)] ?? 0) ^ (1 << rng.int(8))
      return copy
    }
    case 1:
      return Buffer.concat([before, after])
    case 2:
      return Buffer.concat([before, part, part, after])
    case 3:
      return before
    case 4:
      return Buffer.concat([before, utf8(PIECES[rng.int(PIECES.length)] ?? ''), after])
    case 5:
      return Buffer.concat([after, before, part])
    default:
      return inside(bytes, rng)
  }
}

/** Changes what is inside, so that the envelope stays one: the payload, a signature, or whose it is said to be. */
function inside(bytes: Uint8Array, rng: Rng): Uint8Array {
  let envelope
  try {
    envelope = parseDsse(bytes)
  } catch {
    return bytes.subarray(0, bytes.length >> 1)
  }
  const { payload, payloadType, signatures } = envelope
  const [first] = signatures
  if (first === undefined) return bytes
  const other = payload.slice()
  const at = rng.int(Math.max(1, other.length))
  other[at] = (other[at] ?? 0) ^ (1 << rng.int(8))
  const sig = first.sig.slice()
  const bit = rng.int(sig.length)
  sig[bit] = (sig[bit] ?? 0) ^ (1 << rng.int(8))
  switch (rng.int(5)) {
    case 0:
      return formatDsse({ payloadType, payload: other, signatures })
    case 1:
      return formatDsse({ payloadType, payload, signatures: [{ ...first, sig }, ...signatures.slice(1)] })
    case 2:
      // One key twice, for two.
      return formatDsse({ payloadType, payload: other, signatures: [first, first] })
    case 3:
      return formatDsse({ payloadType: `${payloadType} `, payload, signatures })
    default:
      return formatDsse({ payloadType, payload: other.subarray(0, at), signatures })
  }
}
