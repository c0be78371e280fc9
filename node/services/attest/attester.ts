import { verifyEnvelope } from '../../../attestation/verify-envelope.ts'
import { IN_TOTO_TYPE, parseDsse } from '../../../protocol/attest/envelope.ts'
import type { DsseEnvelope } from '../../../protocol/attest/envelope.ts'
import { isAttestation } from '../../../protocol/attest/fold.ts'
import type { AttestationFact } from '../../../protocol/attest/fold.ts'
import { isAbout } from '../../../protocol/attest/payload.ts'
import { predicateTypeFrom, summarise, typeOf } from '../../../protocol/attest/predicates.ts'
import { REFERENCE_TYPE, referencePredicate, referredIn } from '../../../protocol/attest/referred.ts'
import { matches, statementSubjects, subjectsOf } from '../../../protocol/attest/release-subjects.ts'
import { formatStatement, parseStatement } from '../../../protocol/attest/statement.ts'
import type { Statement } from '../../../protocol/attest/statement.ts'
import { isJsonObject, parseStrictJson } from '../../../protocol/attest/strict-json.ts'
import type { JsonObject } from '../../../protocol/attest/strict-json.ts'
import { compareText, equalBytes, toHex } from '../../../protocol/bytes.ts'
import { digestOf } from '../../../protocol/cid.ts'
import type { ContentId, FactId, RegistryId } from '../../../protocol/cid.ts'
import { isPrincipal } from '../../../protocol/did.ts'
import type { Principal } from '../../../protocol/did.ts'
import { isRegistryError, RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { parseLicence } from '../../../protocol/policy/licence.ts'
import { ROLES } from '../../../protocol/role.ts'
import { standingRoles } from '../../../protocol/roles.ts'
import { sha256Of } from '../../../protocol/subject.ts'
import type { DigestSubject } from '../../../protocol/subject.ts'
import type { AuthoredFact, Signer } from '../author.ts'
import { placeOf } from '../authority/place.ts'
import type { PlaceGate } from '../authority/place.ts'
import type { WriterComponents } from '../authority/writer.ts'
import { saying as sayingWith } from '../unsaid.ts'
import type { UnsaidBytes } from '../unsaid.ts'
import type { Release } from './release.ts'

/** A key that says something of bytes beside facts. */
export interface StatementSigner extends Signer {
  /** An envelope around the statement in `payload`. */
  signStatement(payload: Uint8Array): Uint8Array
}

export interface AttesterComponents {
  readonly gate: PlaceGate
  readonly author: Pick<WriterComponents['author'], 'write'>
  readonly signer: (name: string | undefined) => Promise<StatementSigner>
  readonly announce: (registry: RegistryId, fact: AuthoredFact) => void
  readonly now: () => number
  readonly isPrivate: (registry: RegistryId) => boolean
  /** Makes bytes durable content for a statement about a subject in a registry: one raw block, kept. */
  readonly store: (
    by: { readonly registry: RegistryId; readonly subject: DigestSubject },
    bytes: Uint8Array,
    signal: AbortSignal | undefined
  ) => Promise<UnsaidBytes & { readonly cid: ContentId }>
}

/** What is to be said: something of our own, or what somebody else signed. */
export type Saying =
  | { readonly type: string; readonly predicate: Uint8Array }
  | { readonly envelope: Uint8Array; readonly signers: readonly string[] }

export interface AttestOrder {
  readonly release: Release
  /** Where it is said. */
  readonly registry: RegistryId
  readonly key: string | undefined
  readonly saying: Saying
  /** Whoever says it may give up waiting for room on a full disk. */
  readonly signal?: AbortSignal
}

export interface Written {
  readonly fact: FactId
  readonly subject: DigestSubject
  readonly predicateType: string
  readonly signers: readonly Principal[]
  readonly content: ContentId | null
  readonly isNew: boolean
}

/**
 * Says something of a release in a registry. Order: what costs nothing first, then the bytes, then the fact that refers to them.
 * @throws RegistryError NOT_AUTHORIZED | MALFORMED | LIMIT_EXCEEDED | BAD_SIGNATURE | USAGE
 */
export async function attest(components: AttesterComponents, order: AttestOrder): Promise<Written> {
  const { release, registry, key, saying } = order
  assertStaysPrivate(components, order)
  const signer = await components.signer(key)
  await assertMaySpeak(components, registry, signer.principal)
  if ('envelope' in saying) return write(components, order, { signer, made: readForeign(saying, release) })
  return writeOwn(components, { ...order, saying }, signer)
}

/** Writes what is made, unless it stands there already. */
async function write(
  components: AttesterComponents,
  { registry, saying }: AttestOrder,
  { signer, made }: { readonly signer: Signer; readonly made: Made }
): Promise<Written> {
  const { authority, facts } = await placeOf(components.gate, registry, made.subject)
  const own = facts.filter(isAttestation).filter(({ body }) => body.author === signer.principal)
  const isAlike = ({ payload }: AttestationFact): boolean => equalBytes(payload.value.envelope, made.envelope)
  const alike = own.filter(isAlike)
  // What somebody else signed tells nothing of when, so once is enough.
  const against = 'envelope' in saying ? [] : own.filter(fact => !isAlike(fact) && contradicts(fact, made))
  const chain = signer.chain()
  const same = alike.find(said => against.every(other => isSettled(said, other, chain)))
  if (same !== undefined) return { ...made, fact: same.id, isNew: false }
  const { envelope, signers: keys, dsse, statement } = made
  const value = { head: authority.head, envelope, keys, dsse, statement }
  const fact = await components.author.write(registry, made.subject, { type: 'attestation', value }, { signer })
  components.announce(registry, fact)
  return { ...made, fact: fact.id, isNew: true }
}

/**
 * Whether only what was said last of the two is heard: audits with different results, reviews with different scores. An auditor who found
 * something to be good, then bad, and says so again means it. Attack: an accident. A machine that says the same every night, by two
 * criteria or of two kinds, until there are more facts about a digest than count.
 */
function contradicts({ payload }: AttestationFact, { statement }: Made): boolean {
  const [one, other] = [opinionIn(payload.value.statement), opinionIn(statement)]
  if (one === undefined || other === undefined || one.type !== other.type) return false
  return one.says === null || one.says !== other.says
}

interface Opinion {
  readonly type: 'audit' | 'review'
  /** Null where it is content, which is not read for this: it may say anything. */
  readonly says: number | string | null
}

function opinionIn(statement: Statement): Opinion | undefined {
  try {
    const referred = referredIn(statement)
    const type = typeOf(referred?.predicateType ?? statement.predicateType)
    if (type !== 'audit' && type !== 'review') return undefined
    if (referred !== undefined) return { type, says: null }
    const summary = summarise(statement.predicateType, statement.predicate)
    if (summary?.type === 'audit') return { type, says: summary.result }
    return summary?.type === 'review' ? { type, says: summary.score } : undefined
  } catch (error) {
    // What does not fit its schema is not heard.
    if (isRegistryError(error)) return undefined
    throw error
  }
}

/** Whether what was said holds against something else: it came later, as far as that can be known. `chain`: that of what would be said now. */
function isSettled(said: AttestationFact, other: AttestationFact, chain: string): boolean {
  if (said.body.chain === other.body.chain) return said.body.seq > other.body.seq
  // Only what follows in that chain takes it back, and that can be said now.
  return other.body.chain !== chain && said.body.time >= other.body.time
}

/**
 * Attack: an accident. A statement names the package and its digests, so one about a private release must not be said where
 * others read.
 */
function assertStaysPrivate({ isPrivate }: AttesterComponents, { release, registry }: AttestOrder): void {
  if (registry === release.registry || !isPrivate(release.registry)) return
  throw new RegistryError('USAGE', `${release.name} is private: what is said of it stays in its registry`, {
    next: 'leave --registry away'
  })
}

async function assertMaySpeak({ gate, now }: AttesterComponents, registry: RegistryId, key: Principal): Promise<void> {
  const { authority } = await placeOf(gate, registry, 'registry')
  const held = standingRoles(authority, key).filter(({ expires }) => expires === null || expires > now())
  if (held.length > 0) return
  throw new RegistryError('NOT_AUTHORIZED', `this key may say nothing in registry ${authority.genesis.name}`, {
    tried: [`looked for one of the roles ${ROLES.join(', ')} for ${key}`],
    next: 'say it in a registry of your own with --registry ALIAS, or ask an owner of this one for the role auditor'
  })
}

interface Made {
  readonly subject: DigestSubject
  readonly envelope: Uint8Array
  readonly dsse: DsseEnvelope
  readonly statement: Statement
  readonly signers: readonly Principal[]
  readonly predicateType: string
  readonly content: ContentId | null
}

type OwnOrder = AttestOrder & { readonly saying: Extract<Saying, { predicate: unknown }> }

async function writeOwn(components: AttesterComponents, order: OwnOrder, signer: StatementSigner): Promise<Written> {
  const { release, registry } = order
  const { predicate: bytes } = order.saying
  if (bytes.length > LIMITS.attest.predicateBytes)
    throw new RegistryError(
      'LIMIT_EXCEEDED',
      `a predicate has at most ${LIMITS.attest.predicateBytes} bytes, this one ${bytes.length}`
    )
  const predicateType = predicateTypeFrom(order.saying.type)
  const predicate = readPredicate(predicateType, bytes)
  const [subject] = subjectsOf(release)
  if (subject === undefined) throw new RegistryError('INTERNAL', 'a release without digests')
  const common = { subject, signers: [signer.principal], predicateType }
  const subjects = statementSubjects(release)
  const small = signer.signStatement(formatStatement({ subjects, predicateType, predicate }))
  if (small.length <= INLINE_BYTES) return write(components, order, { signer, made: made(small, null) })
  const { cid, ...unsaid } = await components.store({ registry, subject }, bytes, order.signal)
  const large = (): Made => made(signer.signStatement(referring(cid)), cid)
  return sayingWith(unsaid, () => write(components, order, { signer, made: large() }))

  function made(envelope: Uint8Array, content: ContentId | null): Made {
    const dsse = parseDsse(envelope)
    const statement = parseStatement(dsse.payload)
    return { ...common, envelope, dsse, statement, content }
  }

  function referring(cid: ContentId): Uint8Array {
    const referred = { cid, sha256: toHex(digestOf(cid)), size: bytes.length, predicateType }
    const about = referencePredicate(referred, signer.principal)
    return formatStatement({ subjects, predicateType: REFERENCE_TYPE, predicate: about })
  }
}

/** What is left of a fact's body for an envelope, beside the key, the head and the position. */
const INLINE_BYTES = LIMITS.fact.bodyBytes - 2_048

/** @throws RegistryError MALFORMED when it does not fit the schema of its type | INVALID_LICENCE */
function readPredicate(predicateType: string, bytes: Uint8Array): JsonObject {
  try {
    const predicate = parseStrictJson(bytes)
    if (!isJsonObject(predicate)) throw new RegistryError('MALFORMED', 'a predicate is a JSON object')
    const summary = summarise(predicateType, predicate)
    // A list of licences may have grown where others read; who writes one writes what this list has.
    if (summary?.type === 'licence') parseLicence(summary.concluded)
    return predicate
  } catch (cause) {
    if (!isRegistryError(cause) || cause.code !== 'MALFORMED') throw cause
    const next = 'docs/spec/attestation.md section 4 says what each kind holds'
    throw new RegistryError('MALFORMED', `nothing was signed: ${cause.message}`, { cause, next })
  }
}

/** An envelope of somebody else, which says exactly this and is kept byte for byte. */
function readForeign({ envelope, signers: named }: Extract<Saying, { envelope: unknown }>, release: Release): Made {
  const dsse = parseForeign(envelope)
  const signers = whoseHold(dsse, named)
  const statement = parseStatement(dsse.payload)
  const subject = subjectsOf(release).find(one => isAbout(statement, sha256Of(one)))
  if (subject === undefined || !matches(statement, release)) {
    throw new RegistryError('MALFORMED', `the statement is not about ${release.name}@${release.version}`, {
      tried: [
        `it is about ${statement.subjects
          .slice(0, 4)
          .map(({ digests }) => digests.get('sha256') ?? 'no sha256')
          .join(', ')}`,
        `the release is ${subjectsOf(release).map(sha256Of).join(' or ')}`
      ]
    })
  }
  return { subject, envelope, dsse, statement, signers, predicateType: statement.predicateType, content: null }
}

function parseForeign(envelope: Uint8Array): DsseEnvelope {
  try {
    return parseDsse(envelope, LIMITS.attest.envelopeBytes)
  } catch (cause) {
    if (!isRegistryError(cause)) throw cause
    const next =
      'an envelope is JSON with payloadType, payload and signatures; of a Sigstore bundle it is the field dsseEnvelope'
    throw new RegistryError(cause.code, `what was signed elsewhere cannot be said here: ${cause.message}`, {
      cause,
      next
    })
  }
}

/**
 * Keys that have signed an envelope: of those that are named, all must have; where none is, of those that it names itself as did:key.
 * @throws RegistryError BAD_SIGNATURE | USAGE
 */
export function whoseHold(dsse: DsseEnvelope, named: readonly string[]): readonly Principal[] {
  const hinted = dsse.signatures.map(({ keyid }) => keyid).filter(isPrincipal)
  const asked = named.length === 0 ? hinted : named.map(principalFrom)
  const keys = [...new Set(asked)].toSorted(compareText)
  if (keys.length === 0) {
    throw new RegistryError('BAD_SIGNATURE', 'the envelope does not say whose signatures it has', {
      next: 'name the key that signed it: --signer did:key:z6Mk…'
    })
  }
  return verifyEnvelope(dsse, { keys, threshold: keys.length, payloadTypes: [IN_TOTO_TYPE] })
}

function principalFrom(text: string): Principal {
  if (isPrincipal(text)) return text
  throw new RegistryError('USAGE', `${JSON.stringify(text.slice(0, 80))} is not a key`, {
    next: 'a key is written did:key:z6Mk…'
  })
}
