import { isAtOrBelow, growTree } from '../../../protocol/authority-tree.ts'
import type { TreeNode } from '../../../protocol/authority-tree.ts'
import { compareText } from '../../../protocol/bytes.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { Subject } from '../../../protocol/fact.ts'
import { headsOf, isWithin } from '../../../protocol/heads.ts'
import type { Heads } from '../../../protocol/heads.ts'
import { ECOSYSTEMS } from '../../../protocol/package-name.ts'
import { covers, DIGESTS, parseRevokedScope, placeIn, WHOLE } from '../../../protocol/role.ts'
import type { Scope } from '../../../protocol/role.ts'
import { asideReason } from './place.ts'
import type { Place } from './place.ts'

/** A fact by its place, as heads need it. */
export type Position = Pick<VerifiedFact['body'], 'chain' | 'subject' | 'seq'>

/**
 * The head that a revocation changes: the last one that was not made in the knowledge of a change that the revocation
 * does not recognise. What counts below the head that it cites would count for ever, the thief's own changes with it.
 */
export function headForRevoke(place: Place, key: Principal, heads: Heads): FactId {
  const inOrder = countedNodes(place)
  const stolen = inOrder.filter(
    ({ fact, parent }) => parent !== undefined && fact.body.author === key && !isWithin(heads, fact.body)
  )
  const clean = inOrder.filter(node => stolen.every(theirs => !isAtOrBelow(node, theirs)))
  const last = clean.at(-1)
  if (last === undefined) throw new RegistryError('INTERNAL', 'the authority of the subject has no root')
  return last.fact.id
}

/** The changes of a place that count, root first, in the order that all nodes agree on. */
export function countedNodes(place: Place): readonly TreeNode[] {
  const { subject, authority, facts, view } = place
  if (subject === 'registry') return [...authority.counted.values()].map(({ node }) => node).toSorted(inOrder)
  const root = facts.find(({ id }) => id === view?.claim?.fact)
  if (root === undefined) return []
  const aside = new Set((view?.setAside ?? []).map(({ fact }) => fact))
  return [...growTree(root, facts).nodes.values()].filter(({ fact }) => !aside.has(fact.id)).toSorted(inOrder)
}

function inOrder(a: TreeNode, b: TreeNode): number {
  return a.depth - b.depth || compareText(a.fact.id, b.fact.id)
}

/** One revocation: what it covers, and what it recognises there. */
export interface Part {
  readonly scope: Scope
  readonly heads: Heads
}

/**
 * The positions of a key as they fit into facts: as a whole, or over parts that together cover all that the scope does, its
 * place too. Attack: parts that are all names and not what a role stands by would leave a member in who signed much.
 *
 * Places come last: a role stands until they are written, so whoever was interrupted before can say it all again.
 * @throws RegistryError LIMIT_EXCEEDED when even single names have too many, or a whole that can't be divided has
 */
export function partsOf(scope: Scope, positions: readonly Position[], isOwner: boolean): readonly Part[] {
  const open: Scope[] = [scope]
  const parts: Part[] = []
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const covering = at
    const inside = positions.filter(({ subject }) => covers(covering, subject))
    if (fits(inside)) {
      parts.push({ scope: at, heads: headsOf(inside) })
    } else {
      // An owner owns the whole or nothing: over a part, its role in the registry's own facts would go on.
      const narrower = at === WHOLE && isOwner ? [] : narrowed(at)
      if (narrower.length === 0) throw tooMany()
      open.push(...narrower)
    }
    if (parts.length + open.length > LIMITS.authoring.revokes) throw tooMany()
  }
  return parts.toSorted((a, b) => rankOf(a) - rankOf(b) || compareText(a.scope, b.scope))
}

/** Places after all else, what stands for more names after what stands for fewer, and the registry itself at the end. */
function rankOf({ scope }: Part): number {
  if (scope.endsWith('*')) return -LIMITS.fact.bodyBytes
  return scope === placeIn(WHOLE) ? 0 : -scope.length
}

/** Whether one revocation can recognise all of the positions. */
export function fits(positions: readonly Position[]): boolean {
  return itemsOf(positions) <= MAX_ITEMS && bytesOf(positions) <= MAX_BYTES
}

/** Heads of items and bytes that are left for positions in one payload: three items and at most 8 bytes beside a name. */
const MAX_ITEMS = LIMITS.fact.cborItems - 256
const MAX_BYTES = LIMITS.fact.bodyBytes - 4_096

function itemsOf(positions: readonly Position[]): number {
  return distinct(positions).length * 3 + new Set(positions.map(({ chain }) => chain)).size * 3
}

function bytesOf(positions: readonly Position[]): number {
  const names = distinct(positions).reduce((sum, { subject }) => sum + subject.length + 8, 0)
  return names + new Set(positions.map(({ chain }) => chain)).size * 24
}

function distinct(positions: readonly Position[]): readonly Position[] {
  return [...new Map(positions.map(at => [`${at.chain} ${at.subject}`, at])).values()]
}

const FOLLOWING = 'abcdefghijklmnopqrstuvwxyz0123456789@._/-'.split('')
const DIGITS = '0123456789abcdef'.split('')

/** Scopes that together cover what one covers, each thing once. */
function narrowed(scope: Scope): readonly Scope[] {
  if (!scope.endsWith('*')) return []
  const prefix = scope.slice(0, -1)
  const longer =
    scope === WHOLE
      ? [...ECOSYSTEMS, DIGESTS].map(space => `${space}/*`)
      : (prefix.startsWith(`${DIGESTS}/`) ? DIGITS : FOLLOWING).map(char => `${prefix}${char}*`)
  return [...longer, placeIn(scope)].map(parseRevokedScope)
}

function tooMany(): RegistryError {
  return new RegistryError('LIMIT_EXCEEDED', 'this key has signed at more places than revocations can name', {
    next: 'expel or role revoke with --compromised: then nothing that it signed stays, but for what role revoke is told to --keep'
  })
}

/** Whether a fact that is here counts. */
export function doesCount(place: Place, id: FactId): boolean {
  return place.facts.some(fact => fact.id === id) && asideReason(place, id) === undefined
}

/** The positions of facts of a key that a scope covers. */
export function positionsIn(facts: readonly VerifiedFact[], scope: Scope, about: Subject): readonly Position[] {
  const covered = facts.filter(({ body }) => body.registry !== null)
  return covered
    .map(({ body }) => body)
    .filter(({ subject }) => (about === 'registry' ? covers(scope, subject) : subject === about))
}
