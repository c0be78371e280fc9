import { sha256 } from '@noble/hashes/sha2.js'
import type { Authority } from '../authority.ts'
import { compareText, toHex } from '../bytes.ts'
import { encodeCbor } from '../cbor.ts'
import { boundSetAside, readChains } from '../chains.ts'
import type { Chains, VerifiedFact } from '../chains.ts'
import type { FactId } from '../cid.ts'
import type { Subject } from '../fact.ts'
import { isMatterOfFacts } from '../fold-apart.ts'
import type { Typed } from '../fold-versions.ts'
import { CATALOGUE_ROLES, EDITING_ROLES, PUBLISHING_ROLES } from '../role.ts'
import type { Role } from '../role.ts'
import { roleSince } from '../roles.ts'
import type { Roles } from '../roles.ts'
import type { MetadataFact } from './document.ts'

/** Why an edit that is in the set does not count. */
export type EditFault =
  | 'claim-not-counted'
  | 'forked-author'
  | 'resolved'
  | 'role-not-held'
  | 'too-many-chains'
  | 'unfoldable'
  | 'unknown-authority'

/** What a row of the view says of a document: enough to see that a stored one is of other facts. */
export interface DocumentMark {
  readonly counted: number
  /** `fingerprintOf` the facts, 64 hex characters. */
  readonly made: string
}

/** The edits of one subject, those that count and those that do not. */
export interface Edits {
  readonly facts: readonly MetadataFact[]
  readonly setAside: readonly { readonly fact: FactId; readonly reason: EditFault }[]
}

const NO_EDITS: Edits = { facts: [], setAside: [] }

interface Level {
  readonly roles: Roles | undefined
  readonly head: (fact: Typed<'metadata'>) => FactId
  readonly may: readonly Role[]
}

/** What deciding about the edits of one subject rests on. */
interface Ground {
  readonly subject: Subject
  readonly facts: readonly VerifiedFact[]
  readonly chains: Chains
  readonly authority: Authority
  /** Who may edit, on either level. */
  readonly levels: readonly Level[]
  readonly away: ReadonlySet<FactId>
}

/** The edits of a package. `roles`: undefined while nobody was given its name. */
export function editsOfPackage(
  subject: Subject,
  authority: Authority,
  {
    facts,
    chains,
    roles
  }: { readonly facts: readonly VerifiedFact[]; readonly chains: Chains; readonly roles: Roles | undefined }
): Edits {
  if (!facts.some(isEdit)) return NO_EDITS
  const levels: readonly Level[] = [
    { roles, head: ({ payload }) => payload.value.authority.package, may: PUBLISHING_ROLES },
    { roles: authority, head: ({ payload }) => payload.value.authority.registry, may: EDITING_ROLES }
  ]
  return editsOf({ subject, facts, chains, authority, levels, away: roles?.away ?? new Set() })
}

/** The edits of a registry's own document, its catalogue. */
export function editsOfCatalogue(authority: Authority, facts: readonly VerifiedFact[]): Edits {
  if (!facts.some(isEdit)) return NO_EDITS
  const levels: readonly Level[] = [
    { roles: authority, head: ({ payload }) => payload.value.authority.registry, may: CATALOGUE_ROLES }
  ]
  return editsOf({ subject: 'registry', facts, chains: readChains(facts), authority, levels, away: authority.away })
}

/** The catalogue as it goes into the row of the registry; null while nobody edited it. */
export function catalogueMark(
  authority: Authority,
  facts: readonly VerifiedFact[]
): (DocumentMark & Pick<Edits, 'setAside'>) | null {
  const edits = editsOfCatalogue(authority, facts)
  const mark = markOf(edits)
  return mark === null ? null : { ...mark, setAside: boundSetAside(edits.setAside) }
}

/** Null: nobody ever edited it. */
export function markOf({ facts }: Edits): DocumentMark | null {
  if (facts.length === 0) return null
  return { counted: facts.filter(({ counts }) => counts).length, made: fingerprintOf(facts) }
}

/** What equal facts, equally counted, have equal. */
export function fingerprintOf(facts: readonly Pick<MetadataFact, 'id' | 'counts'>[]): string {
  const sorted = facts.toSorted((a, b) => compareText(a.id, b.id))
  return toHex(sha256(encodeCbor(sorted.map(({ id, counts }) => [id, counts]))))
}

export function isEdit(fact: VerifiedFact): fact is Typed<'metadata'> {
  return fact.payload.type === 'metadata'
}

function editsOf(ground: Ground): Edits {
  const facts: MetadataFact[] = []
  const setAside: { readonly fact: FactId; readonly reason: EditFault }[] = []
  for (const fact of ground.facts) {
    if (!isEdit(fact)) continue
    const reason = faultOrThrown(ground, fact)
    if (reason !== undefined) setAside.push({ fact: fact.id, reason })
    facts.push(toMetadataFact(fact, reason === undefined))
  }
  return { facts, setAside }
}

/** A fault of this program that one edit finds costs that edit, in the catalogue too (`fold-apart.ts`). */
function faultOrThrown(ground: Ground, fact: Typed<'metadata'>): EditFault | undefined {
  try {
    return faultOf(ground, fact)
  } catch (error) {
    if (isMatterOfFacts(error)) return 'unfoldable'
    throw error
  }
}

function toMetadataFact({ id, body, payload }: Typed<'metadata'>, counts: boolean): MetadataFact {
  const { epoch, after, edits, change: whole } = payload.value
  // What a document is made of crosses to a worker: what the edits say already stays behind.
  const change = whole === null ? null : { hash: whole.hash, actor: whole.actor, deps: whole.deps }
  return { id, author: body.author, chain: body.chain, seq: body.seq, counts, epoch, after, edits, change }
}

/**
 * Words are changed by one key, however many must sign a release: no security decision reads them. What stands at an open
 * fork of its chain or behind it waits: two contents of one position would be two changes of one actor, and documents
 * that saw one of them first could never be merged with those that saw the other (threats F4).
 */
function faultOf({ subject, authority, chains, levels, away }: Ground, fact: Typed<'metadata'>): EditFault | undefined {
  if (chains.isExcess(fact)) return 'too-many-chains'
  if (!authority.order.has(fact.payload.value.authority.registry)) return 'unknown-authority'
  for (const { roles, head } of levels) if (roles?.order.has(head(fact)) !== true) return 'claim-not-counted'
  if (away.has(fact.id)) return 'resolved'
  if (chains.openForkBefore(fact, away) !== undefined) return 'forked-author'
  const isRollover = fact.payload.value.change === null
  const isHeld = levels.some(({ roles, head, may }) => {
    const use = { key: fact.body.author, roles: isRollover ? OWNERS : may, on: subject, head: head(fact), fact }
    return roles !== undefined && roleSince(roles, use) !== undefined
  })
  return isHeld ? undefined : 'role-not-held'
}

const OWNERS: readonly Role[] = ['owner']
