import { sha256 } from '@noble/hashes/sha2.js'
import type { Authority } from '../authority.ts'
import { mightiestFirst, placeBy } from '../blame-order.ts'
import { compareText, toHex } from '../bytes.ts'
import { encodeCbor } from '../cbor.ts'
import { boundForks, boundSetAside, readChains } from '../chains.ts'
import type { ShownFork, VerifiedFact } from '../chains.ts'
import type { ContentId, FactId } from '../cid.ts'
import type { Principal } from '../did.ts'
import { isRegistryError } from '../errors.ts'
import { foldApart } from '../fold-apart.ts'
import { ROLES } from '../role.ts'
import type { Role } from '../role.ts'
import { roleSince } from '../roles.ts'
import type { DigestSubject } from '../subject.ts'
import { firstHeard, isFinding } from './first-heard.ts'
import type { Heard, Seen } from './first-heard.ts'
import { referredIn } from './referred.ts'
import type { Attestation } from './payload.ts'

/** Why an attestation that is in the set does not count. */
export type AttestationFault =
  'unknown-authority' | 'role-not-held' | 'too-many-chains' | 'too-many-attestations' | 'unfoldable'

export interface AttestationView {
  readonly fact: FactId
  readonly by: Principal
  readonly time: number
  /** Roles that its author held for it, in the order of `ROLES`. By which of them it counts is a matter of policy. */
  readonly roles: readonly Role[]
  readonly keys: readonly Principal[]
  readonly predicateType: string
  /** sha2-256 of the envelope in hexadecimal: one that was brought twice is one. */
  readonly envelope: string
  /** The predicate, where it is content of its own: kept with the packages of a registry that is kept. */
  readonly content: { readonly cid: ContentId; readonly size: number } | null
  readonly marks: readonly 'forked-author'[]
}

/** What all facts of a registry about one digest add up to: its row in the view. */
export interface DigestView {
  readonly subject: DigestSubject
  /** By fact id. */
  readonly attestations: readonly AttestationView[]
  readonly setAside: readonly {
    readonly fact: FactId
    readonly type: 'attestation'
    readonly reason: AttestationFault
  }[]
  readonly forks: readonly ShownFork[]
}

/** A fact that is known to be an attestation. */
export type AttestationFact = VerifiedFact & {
  readonly payload: { readonly type: 'attestation'; readonly value: Attestation }
}

/**
 * Folds what a registry says about one digest. Pure; equal facts give an equal view, whatever the order of arrival. `seen`: of whoever
 * reads about one release and needs no row.
 */
export function foldAttestations(
  subject: DigestSubject,
  authority: Authority,
  facts: readonly VerifiedFact[],
  seen?: Seen
): DigestView {
  const { head } = authority
  const place = (key: Principal): number | undefined =>
    placeBy(BY_MIGHT, role => roleSince(authority, { key, on: subject, head, roles: [role] }))
  const { made, unfoldable } = foldApart(facts, mightiestFirst(place), some => {
    const view = foldAll(authority, some, { subject, seen })
    // What cannot be written down cannot be folded either.
    encodeDigestRow(view)
    return view
  })
  if (unfoldable.length === 0) return made
  const aside = unfoldable.map(({ fact, reason }) => ({ fact, type: 'attestation' as const, reason }))
  return { ...made, setAside: boundSetAside([...made.setAside, ...aside]) }
}

/** Who looks before who publishes. */
const BY_MIGHT: readonly Role[] = ['owner', 'curator', 'auditor', 'maintainer', 'publisher', 'mirror', 'member']

/** Every row is encoded to see that it can be, and then to be kept. */
const encoded = new WeakMap<DigestView, Uint8Array>()

/** The row of what is said about a digest, as every node must compute it. */
export function encodeDigestRow(view: DigestView): Uint8Array {
  const known = encoded.get(view)
  if (known !== undefined) return known
  const row = encodeCbor(view)
  encoded.set(view, row)
  return row
}

interface Folding {
  readonly subject: DigestSubject
  readonly seen: Seen | undefined
}

function foldAll(authority: Authority, facts: readonly VerifiedFact[], { subject, seen }: Folding): DigestView {
  const chains = readChains(facts)
  const setAside: DigestView['setAside'][number][] = []
  const aside = ({ id }: VerifiedFact, reason: AttestationFault): void => {
    setAside.push({ fact: id, type: 'attestation', reason })
  }
  const said: (Heard & { readonly fact: AttestationFact })[] = []
  for (const fact of facts.filter(isAttestation)) {
    // Attack: a thief of an auditor's key begins chains that sort before the one in which the auditor said what he found.
    const isExcess = chains.isExcess(fact) && !isFinding(fact)
    const role = roleOf(authority, fact)
    if (isExcess) aside(fact, 'too-many-chains')
    else if (typeof role === 'string') aside(fact, role)
    else said.push({ fact, ...role })
  }
  // Attack: rows without end, which no store would take and which would so keep the facts beside them out.
  const heard = firstHeard(said, seen)
  const found: AttestationView[] = []
  for (const { fact, roles } of said.toSorted((a, b) => compareText(a.fact.id, b.fact.id))) {
    const isForked = chains.isForked(fact.body.author) || authority.isForked(fact.body.author)
    if (heard.has(fact.id)) found.push(viewOf(fact, roles, isForked))
    else aside(fact, 'too-many-attestations')
  }
  return { subject, attestations: found, setAside: boundSetAside(setAside), forks: boundForks(chains.forks) }
}

/** By which roles its author may say it, or why he may not. */
function roleOf(
  authority: Authority,
  fact: AttestationFact
): Pick<Heard, 'roles' | 'since'> | Extract<AttestationFault, 'role-not-held' | 'unknown-authority'> {
  const { author, subject: on } = fact.body
  const { head } = fact.payload.value
  if (!authority.order.has(head)) return 'unknown-authority'
  const held = ROLES.flatMap(role => {
    const since = roleSince(authority, { key: author, on, head, fact, roles: [role] })
    return since === undefined ? [] : [{ role, since }]
  })
  if (held.length === 0) return 'role-not-held'
  return { roles: held.map(({ role }) => role), since: Math.min(...held.map(({ since }) => since)) }
}

function viewOf({ id, body, payload }: AttestationFact, roles: readonly Role[], isForked: boolean): AttestationView {
  const { keys, statement, envelope } = payload.value
  return {
    fact: id,
    by: body.author,
    time: body.time,
    roles,
    keys,
    predicateType: statement.predicateType,
    envelope: toHex(sha256(envelope)),
    content: contentOf(payload.value),
    marks: isForked ? ['forked-author'] : []
  }
}

/** The predicate of a statement, where it is content of its own. */
export function contentOf({ statement }: Pick<Attestation, 'statement'>): AttestationView['content'] {
  try {
    const referred = referredIn(statement)
    return referred === undefined ? null : { cid: referred.cid, size: referred.size }
  } catch (error) {
    // What is wrong in a predicate is told where it is read.
    if (isRegistryError(error)) return null
    throw error
  }
}

export function isAttestation(fact: VerifiedFact): fact is AttestationFact {
  return fact.payload.type === 'attestation'
}
