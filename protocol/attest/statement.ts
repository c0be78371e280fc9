import { utf8 } from '../bytes.ts'
import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { isJsonObject, parseStrictJson } from './strict-json.ts'
import type { JsonObject } from './strict-json.ts'

export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1'

export interface StatementSubject {
  /** How the author calls it. Says nothing: two readers agree on what is meant by the digests alone. */
  readonly name: string | undefined
  /** By algorithm; at least one. */
  readonly digests: ReadonlyMap<string, string>
}

/**
 * An in-toto Statement v1 (in-toto/attestation, spec/v1/statement.md): what somebody says (`predicate`, of `predicateType`) of
 * artefacts that are named by their digests. What is in the predicate is read by `predicates.ts`.
 */
export interface Statement {
  readonly subjects: readonly StatementSubject[]
  readonly predicateType: string
  readonly predicate: JsonObject
}

/** @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function parseStatement(payload: Uint8Array): Statement {
  const raw = parseStrictJson(payload)
  if (!isJsonObject(raw) || raw['_type'] !== STATEMENT_TYPE) throw malformed(`_type: not ${STATEMENT_TYPE}`)
  const { subject, predicateType, predicate = {} } = raw
  if (!Array.isArray(subject) || subject.length === 0) throw malformed('subject')
  if (subject.length > LIMITS.attest.subjects)
    throw new RegistryError('LIMIT_EXCEEDED', `a statement has at most ${LIMITS.attest.subjects} subjects`)
  if (!isJsonObject(predicate)) throw malformed('predicate')
  return { subjects: subject.map(parseStatementSubject), predicateType: parsePredicateType(predicateType), predicate }
}

const TYPE_URI = /^[a-z][a-z0-9+.-]*:[\x21-\x7e]+$/i

/** The URI of a type of predicate. @throws RegistryError MALFORMED */
export function parsePredicateType(raw: unknown): string {
  const isGood = typeof raw === 'string' && raw.length <= LIMITS.attest.predicateTypeChars && TYPE_URI.test(raw)
  if (!isGood) throw malformed('predicateType')
  return raw
}

function parseStatementSubject(raw: unknown): StatementSubject {
  if (!isJsonObject(raw)) throw malformed('subject')
  const { name, digest } = raw
  if (name !== undefined && (typeof name !== 'string' || name.length > LIMITS.attest.nameChars)) throw malformed('name')
  if (!isJsonObject(digest)) throw malformed('digest')
  const digests = Object.entries(digest)
  // Attack: a subject without a digest is about whatever its reader takes it for.
  if (digests.length === 0 || digests.length > LIMITS.attest.digestsPerSubject) throw malformed('digest')
  for (const [algorithm, value] of digests) if (!isDigest(algorithm, value)) throw malformed('digest')
  return { name, digests: new Map(digests as [string, string][]) }
}

const HEX_CHARS: Readonly<Record<string, number>> = { sha256: 64, sha512: 128 }

/** One spelling where we compare: lower-case hexadecimal of the length that the algorithm has. */
function isDigest(algorithm: string, value: unknown): boolean {
  if (typeof value !== 'string' || value === '' || value.length > LIMITS.attest.digestChars) return false
  const chars = HEX_CHARS[algorithm]
  return chars === undefined || (value.length === chars && /^[0-9a-f]+$/.test(value))
}

/** The bytes of a statement as we write it. */
export function formatStatement({ subjects, predicateType, predicate }: Statement): Uint8Array {
  return utf8(
    JSON.stringify({
      _type: STATEMENT_TYPE,
      subject: subjects.map(({ name, digests }) => ({
        ...(name === undefined ? {} : { name }),
        digest: Object.fromEntries(digests)
      })),
      predicateType,
      predicate
    })
  )
}

function malformed(what: string): RegistryError {
  return new RegistryError('MALFORMED', `an in-toto statement does not have its shape: ${what}`)
}
