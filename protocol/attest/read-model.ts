/**
 * What is said about one release, as rules and commands read it.
 *
 *   attestationsOf(release, said, { now, contents }) -> [ {
 *     type            'audit', 'provenance', 'review', … or 'unknown'        (protocol/attest/summary.ts)
 *     predicateType   the URI of the kind of statement
 *     issuer          the key whose word it is
 *     signers         every key whose signature over the statement holds; `issuer` is one of them
 *     by              who brought it into the registry; the same key, but for a statement that is `relayed`
 *     registry        where it was said
 *     roles           what `by` may do in that registry, as of when it was said
 *     subjectMatches  whether it is about exactly these bytes
 *     marks           what speaks against believing it, below
 *     counts          no mark that rules it out: the least that a rule asks
 *     summary         what it says, typed by `type`; null where it can't be read
 *     time            when it was said, in milliseconds since 1970, as `by` says
 *     fact            the id of the fact that holds it
 *   } ]
 *
 * By whom a statement counts, and for what, is for a policy to say. What this says is a matter of the facts and the clock.
 * Everything in `signers` was verified when the fact was admitted.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import type { Authority } from '../authority.ts'
import { toHex } from '../bytes.ts'
import type { VerifiedFact } from '../chains.ts'
import type { ContentId, FactId, RegistryId } from '../cid.ts'
import type { Principal } from '../did.ts'
import { isRegistryError, RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { Role } from '../role.ts'
import { standingRoles } from '../roles.ts'
import type { DigestSubject } from '../subject.ts'
import { foldAttestations, isAttestation } from './fold.ts'
import type { AttestationFact, AttestationFault, AttestationView } from './fold.ts'
import type { ContentSays, IsMeant, Seen } from './first-heard.ts'
import { summarise, typeOf } from './predicates.ts'
import type { KnownType } from './predicates.ts'
import { referredIn } from './referred.ts'
import type { Referred } from './referred.ts'
import { matches } from './release-subjects.ts'
import type { ReleaseBytes } from './release-subjects.ts'
import { isJsonObject, parseStrictJson } from './strict-json.ts'
import type { Summary } from './summary.ts'

/**
 * - `other-bytes`: it is not about this release, or not about it alone under its name
 * - `revoked-key`: a key that signed it has lost its roles, and what it said here is not recognised
 * - `role-not-held`: whoever brought it had no role in the registry, or none that covers it
 * - `set-aside`: it does not count for another reason: made under an authority that is not known, too many of them, or one that
 *   this program cannot fold
 * - `from-the-future`: it says that it was made, or finished, at a time that has not come
 * - `malformed`: its predicate does not have the shape of its type
 * - `unknown-type`: a kind of statement that we have no schema of: shown, never trusted
 * - `not-here`: its predicate is content that was not fetched yet
 * - `duplicate`: the registry holds the same statement of the same issuer already
 * - `retired-key`: its author holds no role any more; what it said until then is recognised
 * - `forked-author`: its author has said two things at one position
 * - `relayed`: somebody else brought it than those who signed it
 */
export type AttestationMark =
  | 'other-bytes'
  | 'revoked-key'
  | 'role-not-held'
  | 'set-aside'
  | 'from-the-future'
  | 'malformed'
  | 'unknown-type'
  | 'not-here'
  | 'duplicate'
  | 'retired-key'
  | 'forked-author'
  | 'relayed'

/** Marks beside which a statement can still count. */
const BEARABLE: readonly AttestationMark[] = ['retired-key', 'forked-author', 'relayed']

export function isBearable(mark: AttestationMark): boolean {
  return BEARABLE.includes(mark)
}

export interface AttestationRecord {
  readonly fact: FactId
  readonly type: KnownType | 'unknown'
  readonly predicateType: string
  readonly issuer: Principal
  readonly signers: readonly Principal[]
  readonly by: Principal
  readonly registry: RegistryId
  readonly roles: readonly Role[]
  readonly subjectMatches: boolean
  readonly marks: readonly AttestationMark[]
  readonly counts: boolean
  readonly summary: Summary | null
  /** Where the predicate is content of its own. */
  readonly content: Referred | null
  readonly time: number
}

/** What one registry holds about one of the digests of a release. */
export interface SaidOf {
  readonly registry: RegistryId
  readonly authority: Authority
  readonly subject: DigestSubject
  readonly set: readonly VerifiedFact[]
  /** What a revocation took out of the set, as far as it is kept: shown, so that people see why it is gone. */
  readonly cut: readonly VerifiedFact[]
}

export interface ReadOptions {
  /** Milliseconds since 1970. */
  readonly now: number
  /** Predicates that are content, by their CID; their digests are checked here. */
  readonly contents?: ReadonlyMap<ContentId, Uint8Array>
}

/** Everything that is said about a release, by registry as given, then by fact id. Pure. */
export function attestationsOf(
  release: ReleaseBytes,
  said: readonly SaidOf[],
  options: ReadOptions
): readonly AttestationRecord[] {
  // Attack: statements about other bytes, or from the future, in the place of those that could count.
  const latest = options.now + LIMITS.clockSkewMs
  const records = said.flatMap(one => {
    const standing = standingIn(one.authority, options.now)
    const isMeant: IsMeant = fact =>
      fact.body.time <= latest &&
      matches(fact.payload.value.statement, release) &&
      !isByRevoked({ fact, authority: one.authority, standing })
    const seen: Seen = { isMeant, contentSays: fact => contentSays({ fact, options }) }
    const { attestations, setAside } = foldAttestations(one.subject, one.authority, one.set, seen)
    const views = new Map(attestations.map(view => [view.fact, view]))
    const faults = new Map(setAside.map(({ fact, reason }) => [fact, reason]))
    const cut = new Set(one.cut.map(({ id }) => id))
    // A row names so many of those that do not count, and no more.
    const faultOf = (id: FactId): AttestationFault | 'cut' =>
      faults.get(id) ?? (cut.has(id) ? 'cut' : 'too-many-attestations')
    return [...one.set, ...one.cut].filter(isAttestation).map(fact => {
      const view = views.get(fact.id)
      const fault = view === undefined ? faultOf(fact.id) : undefined
      return recordOf({ ...one, fact, view, fault, standing, release, options })
    })
  })
  return withDuplicates(records)
}

/** A record, and what is alike in two that say the same. */
interface Saying {
  readonly record: AttestationRecord
  readonly same: string
}

/**
 * Of what one key says twice in a registry, in the same words, what it said last is kept: who found something to be good, then bad, then
 * good has said so. Attack: somebody who shows the first of it again, as if it were said now. What is relayed has no time of its author,
 * so it is kept where there is nothing else. What does not count keeps nothing else from counting.
 */
function withDuplicates(records: readonly Saying[]): readonly AttestationRecord[] {
  const kept = new Map<string, AttestationRecord>()
  for (const { record, same } of records) {
    const known = kept.get(same)
    if (record.counts && (known === undefined || isRather(record, known))) kept.set(same, record)
  }
  return records.map(({ record, same }) => {
    const { marks, fact } = record
    const other = kept.get(same)
    if (other === undefined || other.fact === fact) return record
    return { ...record, marks: [...marks, 'duplicate'], counts: false }
  })
}

function isRather(a: AttestationRecord, b: AttestationRecord): boolean {
  const [isRelayed, wasRelayed] = [a, b].map(({ marks }) => marks.includes('relayed'))
  if (isRelayed !== wasRelayed) return wasRelayed === true
  return a.time === b.time ? a.fact < b.fact : a.time > b.time
}

interface Reading extends Pick<SaidOf, 'registry' | 'authority'> {
  readonly fact: AttestationFact
  readonly view: AttestationView | undefined
  /** Why it does not count; `cut`: it is outside the set. */
  readonly fault: AttestationFault | 'cut' | undefined
  readonly standing: (key: Principal) => boolean
  readonly release: ReleaseBytes
  readonly options: ReadOptions
}

function recordOf(reading: Reading): Saying {
  const { fact, registry, view, release } = reading
  const { body, payload } = fact
  const { keys, statement, dsse } = payload.value
  const { author } = body
  const issuer = keys.includes(author) ? author : (keys[0] ?? author)
  const said = readPredicate(reading)
  const subjectMatches = matches(statement, release)
  const same = `${registry} ${issuer} ${toHex(sha256(dsse.payload))}`
  const marks = new Set<AttestationMark>(said.marks)
  if (!subjectMatches) marks.add('other-bytes')
  for (const mark of standingMarks(reading)) marks.add(mark)
  if (isFromTheFuture(reading, said.summary)) marks.add('from-the-future')
  if (issuer !== author) marks.add('relayed')
  if (view?.marks.includes('forked-author') === true) marks.add('forked-author')
  const sorted = [...marks]
  const counts = sorted.every(isBearable)
  const record: AttestationRecord = {
    fact: fact.id,
    type: said.type,
    predicateType: said.predicateType,
    issuer,
    signers: keys,
    by: author,
    registry,
    roles: view?.roles ?? [],
    subjectMatches,
    marks: sorted,
    counts,
    summary: said.summary,
    content: said.content,
    time: body.time
  }
  return { record, same }
}

/** Whether another key that signed it was revoked and holds nothing any more. */
function isByRevoked({ fact, authority, standing }: Pick<Reading, 'authority' | 'fact' | 'standing'>): boolean {
  const others = fact.payload.value.keys.filter(key => key !== fact.body.author)
  return others.some(key => authority.revokedKeys.has(key) && !standing(key))
}

/** What an audit that is content says, where it was read: it weighs like one in the statement. */
function contentSays({ fact, options }: Pick<Reading, 'fact' | 'options'>): ContentSays {
  const { summary, marks } = readPredicate({ fact, options })
  if (marks.includes('not-here')) return 'unread'
  return summary?.type === 'audit' && summary.result === 'fail' ? 'fail' : 'other'
}

function standingMarks(reading: Reading): readonly AttestationMark[] {
  const { fact, fault, authority, standing } = reading
  const { author } = fact.body
  if (fault === 'cut' || isByRevoked(reading)) return ['revoked-key']
  switch (fault) {
    case undefined:
      return standing(author) ? [] : ['retired-key']
    case 'role-not-held':
      return [authority.revokes.some(({ key }) => key === author) ? 'revoked-key' : 'role-not-held']
    case 'unknown-authority':
    case 'too-many-attestations':
    case 'too-many-chains':
    case 'unfoldable':
      return ['set-aside']
  }
}

/** Which keys hold a role that has not expired. Asked of each key once. */
function standingIn(authority: Authority, now: number): (key: Principal) => boolean {
  const known = new Map<Principal, boolean>()
  return key => {
    const found =
      known.get(key) ?? standingRoles(authority, key).some(({ expires }) => expires === null || expires > now)
    known.set(key, found)
    return found
  }
}

interface Predicate {
  readonly type: KnownType | 'unknown'
  readonly predicateType: string
  readonly summary: Summary | null
  readonly content: Referred | null
  readonly marks: readonly AttestationMark[]
}

function readPredicate({ fact, options }: Pick<Reading, 'fact' | 'options'>): Predicate {
  const { statement } = fact.payload.value
  let { predicateType, predicate } = statement
  let content: Referred | null = null
  try {
    content = referredIn(statement) ?? null
    if (content !== null) {
      predicateType = content.predicateType
      const bytes = options.contents?.get(content.cid)
      if (bytes === undefined) {
        const type = typeOf(predicateType) ?? 'unknown'
        return { type, predicateType, summary: null, content, marks: ['not-here'] }
      }
      predicate = readContent(content, bytes)
    }
    const summary = summarise(predicateType, predicate)
    if (summary === undefined)
      return { type: 'unknown', predicateType, summary: null, content, marks: ['unknown-type'] }
    return { type: summary.type, predicateType, summary, content, marks: [] }
  } catch (error) {
    if (!isRegistryError(error)) throw error
    return { type: typeOf(predicateType) ?? 'unknown', predicateType, summary: null, content, marks: ['malformed'] }
  }
}

/** The predicate in bytes that came from anywhere. @throws RegistryError MALFORMED | CORRUPT_BLOCK | LIMIT_EXCEEDED */
export function readContent({ sha256: expected }: Referred, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  // Attack: endless data. Then what was signed is compared with what came.
  if (bytes.length > LIMITS.attest.predicateBytes) throw new RegistryError('LIMIT_EXCEEDED', 'a predicate is too large')
  if (toHex(sha256(bytes)) !== expected)
    throw new RegistryError('CORRUPT_BLOCK', 'a predicate is not the one that was signed')
  const value = parseStrictJson(bytes)
  if (!isJsonObject(value)) throw new RegistryError('MALFORMED', 'a predicate is a JSON object')
  return value
}

/** Attack: a statement dated ahead outlives every one that is made until then. */
function isFromTheFuture({ fact, options }: Reading, summary: Summary | null): boolean {
  const latest = options.now + LIMITS.clockSkewMs
  return [fact.body.time, ...timesIn(summary)].some(time => time > latest)
}

function timesIn(summary: Summary | null): readonly number[] {
  switch (summary?.type) {
    case 'provenance':
      return [summary.finished ?? 0]
    case 'vulnerabilities':
      return [summary.finished ?? 0, summary.databaseTime ?? 0]
    case 'verification':
      return [summary.verified ?? 0]
    case 'audit':
    case 'benchmark':
    case 'domain':
    case 'licence':
    case 'reproducible':
    case 'review':
    case 'sbom':
    case 'source':
    case 'star':
    case 'test':
    case undefined:
      return []
  }
}
