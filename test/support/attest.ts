import { createHash } from 'node:crypto'
import { signStatement } from '../../attestation/verify-envelope.ts'
import { parseDsse } from '../../protocol/attest/envelope.ts'
import { attestationRecord } from '../../protocol/attest/payload.ts'
import { rootSubject, statementSubjects } from '../../protocol/attest/release-subjects.ts'
import type { ReleaseBytes } from '../../protocol/attest/release-subjects.ts'
import { formatStatement, parseStatement } from '../../protocol/attest/statement.ts'
import type { Statement } from '../../protocol/attest/statement.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import type { FactId } from '../../protocol/cid.ts'
import type { FactBody, Subject } from '../../protocol/fact.ts'
import { parsePayload } from '../../protocol/payload.ts'
import type { Attestation } from '../../protocol/attest/payload.ts'
import type { FactWriter, Made, Person } from './facts.ts'

export const AUDIT = 'urn:ggen:attestation:audit:1'
export const STAR = 'urn:ggen:attestation:star:1'
export const REVIEW = 'urn:ggen:attestation:review:1'
export const AUDITED = { criteria: ['safe-to-run'], result: 'pass', kind: 'full' }

/** The release that a fact made of a writer holds. */
export function bytesOf({ body }: Made): ReleaseBytes {
  const payload = parsePayload(body)
  if (payload.type !== 'release' || body.subject === 'registry') throw new Error('not a release')
  const { version, root } = payload.value
  // The facts of a writer stand for no bytes, and say the same of the root and of the archive.
  const digests = {
    sha256: new Uint8Array(createHash('sha256').update(`archive ${root}`).digest()),
    sha512: new Uint8Array(createHash('sha512').update(`archive ${root}`).digest())
  }
  return { name: body.subject as ReleaseBytes['name'], version, root, digests }
}

export function statementAbout(release: ReleaseBytes, said: Partial<Statement> = {}): Statement {
  return { subjects: statementSubjects(release), predicateType: AUDIT, predicate: AUDITED, ...said }
}

export function envelopeBy({ secret }: Person, statement: Statement): Uint8Array {
  return signStatement(formatStatement(statement), secret)
}

/** The payload of a fact, as a gate would read it. */
export function payloadOf(envelope: Uint8Array, keys: readonly Person[], head: FactId): Attestation {
  const dsse = parseDsse(envelope)
  const signers = keys.map(({ did }) => did).toSorted()
  return { head, envelope, keys: signers, dsse, statement: parseStatement(dsse.payload) }
}

export interface AttestOptions {
  readonly by?: Person
  /** Who signs the envelope; `by` without it. */
  readonly signed?: readonly Person[]
  readonly said?: Partial<Statement>
  readonly envelope?: Uint8Array
  readonly head?: FactId
  readonly subject?: Subject
  readonly at?: Partial<FactBody>
}

/** A fact about a release. */
export function attestIn(facts: FactWriter, release: ReleaseBytes, options: AttestOptions = {}): Made {
  const { by = facts.root, said, head = facts.genesis.id, subject = rootSubject(release.root), at } = options
  const signed = options.signed ?? [by]
  const [first] = signed
  if (first === undefined) throw new Error('nobody signs')
  const envelope = options.envelope ?? envelopeBy(first, statementAbout(release, said))
  return facts.write(by, subject, { type: 'attestation', value: payloadOf(envelope, signed, head) }, at)
}

/** A payload whose envelope need not parse. */
export function rawPayload(envelope: Uint8Array, keys: readonly Person[], head: FactId): Uint8Array {
  return encodeCbor(attestationRecord({ head, envelope, keys: keys.map(({ did }) => did).toSorted() }))
}
