import { hash } from 'node:crypto'
import { generateSecret, principalOf } from '../attestation/keys.ts'
import { signStatement, verifyEnvelope } from '../attestation/verify-envelope.ts'
import { IN_TOTO_TYPE, parseDsse } from '../protocol/attest/envelope.ts'
import { predicateTypeFrom, summarise } from '../protocol/attest/predicates.ts'
import { formatStatement, parseStatement } from '../protocol/attest/statement.ts'
import { above, MIN_RUNS, medianMs, type Figure } from './report.ts'

const ENVELOPES = 3_000
const KEYS = 32

/**
 * Envelopes read, their signature checked, and what is in them understood, per second on one thread: an audit of 1 KiB each, all
 * different, by 32 keys whose admission was paid for before.
 */
export async function dsse(): Promise<Figure> {
  const secrets = Array.from({ length: KEYS }, (_, i) => generateSecret(hash('sha256', `auditor ${i}`, 'buffer')))
  const keys = secrets.map(principalOf)
  const predicateType = predicateTypeFrom('audit')
  const envelopes = Array.from({ length: ENVELOPES }, (_, i) => {
    const digest = i.toString(16).padStart(64, '0')
    const notes = `looked at every file of ${digest}. `.repeat(4)
    const payload = formatStatement({
      subjects: [{ name: `pkg:ggen/package-${i}@1.0.0`, digests: new Map([['sha256', digest]]) }],
      predicateType,
      predicate: { criteria: ['safe-to-run', 'safe-to-deploy'], result: 'pass', kind: 'full', notes }
    })
    const at = i % KEYS
    const [secret, key] = [secrets[at], keys[at]]
    if (secret === undefined || key === undefined) throw new Error('no key')
    return { bytes: signStatement(payload, secret), key }
  })
  const read = async (): Promise<void> => {
    for (const { bytes, key } of envelopes) {
      const envelope = parseDsse(bytes)
      verifyEnvelope(envelope, { keys: [key], threshold: 1, payloadTypes: [IN_TOTO_TYPE] })
      const { predicate } = parseStatement(envelope.payload)
      if (summarise(predicateType, predicate)?.type !== 'audit') throw new Error('an envelope was not understood')
    }
  }
  await read()
  const ms = await medianMs(MIN_RUNS, read)
  const bytes = envelopes.reduce((sum, one) => sum + one.bytes.length, 0)
  const input = `${ENVELOPES} envelopes of ${Math.round(bytes / ENVELOPES)} bytes by ${KEYS} keys`
  return above({ bench: 'policy/dsse', value: (ENVELOPES / ms) * 1000, unit: 'envelopes/s', input }, 3_000)
}
