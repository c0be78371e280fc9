import {
  endsOwnership,
  grantedKey,
  isCourtGrant,
  isOwnerGrant,
  isPriority,
  isRecoveryGrant,
  thresholdOf
} from './authority-change.ts'
import { isAtOrBelow, isBelow } from './authority-tree.ts'
import type { AuthorityTree, TreeNode } from './authority-tree.ts'
import { compareText } from './bytes.ts'
import type { Chains, VerifiedFact } from './chains.ts'
import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import { isWithin } from './heads.ts'

/** Why a change of who may do what does not count. */
export type ChangeFault =
  'forked-author' | 'resolved' | 'revoked' | 'role-not-held' | 'threshold-not-met' | 'unknown-authority'

/** One key that signed a change, and the fact in which it did. */
export interface Signature {
  readonly key: Principal
  readonly via: VerifiedFact
}

/** A change that counts. */
export interface Counted {
  readonly node: TreeNode
  /** The recovery key signed it. */
  readonly byRecovery: boolean
  /** So many owners must sign what is built on it, unless there are fewer. */
  readonly threshold: number
}

export interface FoldInput {
  readonly tree: AuthorityTree
  /** All facts of the subject: cosignatures are found here. */
  readonly facts: readonly VerifiedFact[]
  readonly chains: Chains
  readonly owners: readonly Principal[]
  readonly threshold: number
  /** The key that outranks the owners; a package has none of its own. */
  readonly recovery: Principal | undefined
  /** What a `resolve` that keeps one fact over another decides against. Nothing when they do not exclude each other. */
  readonly decides: (keep: FactId, over: FactId) => readonly FactId[]
  /** About a package: those above its owners have signed. */
  readonly outranks?: (signatures: readonly Signature[], node: TreeNode) => boolean
}

export interface FoldResult {
  readonly root: FactId
  readonly counted: ReadonlyMap<FactId, Counted>
  /** Cosignatures without which something that counts might not. */
  readonly cosigned: ReadonlySet<FactId>
  readonly setAside: readonly { readonly fact: FactId; readonly reason: ChangeFault }[]
  /** What a `resolve` has decided against, and what its author wrote after it in the same chain. */
  readonly away: ReadonlySet<FactId>
  readonly recovery: Principal | undefined
}

/**
 * Decides which changes of one subject count. Pure, and the same whatever the order of arrival.
 *
 * Changes are taken in one by one, each tested against those taken in before. First those that take away or settle
 * (revocations, resolutions, higher thresholds), each with the whole way down to it, those of the recovery key first, then
 * those of the key that was named earlier; then all others by depth and id.
 *
 * Invariants:
 * 1. What is taken in stays: a later one never turns an earlier one out.
 * 2. What is not taken in leaves no trace, so the result over all facts is the result over those that count.
 * 3. A change is tested by the keys that may sign it, counted once each, never by what its author claims.
 * 4. A revocation ends what its key says where the revocation is known, and beyond the recognised positions everywhere.
 */
export function foldChanges(input: FoldInput): FoldResult {
  return new Fold(input).run()
}

interface Court {
  readonly ownerGrants: Map<Principal, TreeNode[]>
  readonly ownerRevokes: Map<Principal, TreeNode[]>
  threshold: number
  owners: number
  recovery: Principal | undefined
}

class Fold {
  readonly #input: FoldInput
  readonly #cosigns: ReadonlyMap<FactId, readonly VerifiedFact[]>
  readonly #counted = new Map<FactId, Counted>()
  readonly #cosigned = new Set<FactId>()
  readonly #away = new Set<FactId>()
  readonly #court: Court
  readonly #children: ReadonlyMap<FactId, readonly TreeNode[]>
  /** Not taken in, their parents are; deepest and highest id first. */
  #ready: TreeNode[] = []
  #failed: TreeNode[] = []

  constructor(input: FoldInput) {
    this.#input = input
    const { tree, facts } = input
    this.#cosigns = cosignsOf(facts)
    this.#children = Map.groupBy([...tree.nodes.values()].filter(isChild), node => node.parent.fact.id)
    this.#court = {
      ownerGrants: new Map(input.owners.map(key => [key, [tree.root]])),
      ownerRevokes: new Map(),
      threshold: input.threshold,
      owners: input.owners.length,
      recovery: input.recovery
    }
  }

  run(): FoldResult {
    const { tree, recovery, threshold } = this.#input
    const able = this.#able()
    const hopeful = [...tree.nodes.values()].filter(isChild).filter(node => this.#mayEver(node, able))
    const priority = this.#byPrecedence(
      hopeful.filter(({ fact }) => isPriority(fact)),
      able
    )
    this.#counted.set(tree.root.fact.id, { node: tree.root, byRecovery: false, threshold })
    this.#queue(this.#childrenOf(tree.root))
    do this.#tryAll(priority)
    while (this.#acceptNext())
    const aside = [...tree.nodes.values()]
      .filter(({ fact }) => !this.#counted.has(fact.id))
      .map(node => ({ fact: node.fact.id, reason: this.#fault(node) ?? 'role-not-held' }))
    const orphans = tree.orphans.map(({ id }) => ({ fact: id, reason: 'unknown-authority' as const }))
    return {
      root: tree.root.fact.id,
      counted: this.#counted,
      cosigned: this.#cosigned,
      setAside: [...aside, ...orphans],
      away: this.#away,
      recovery: recovery === undefined ? undefined : this.#court.recovery
    }
  }

  /** Keys that some grant could make an owner, whether it counts or not: all others are not worth a trial. */
  #able(): ReadonlySet<Principal> {
    const able = new Set(this.#input.owners)
    if (this.#input.recovery !== undefined) able.add(this.#input.recovery)
    const grants = [...this.#input.tree.nodes.values()].filter(({ fact }) => isCourtGrant(fact))
    for (let before = -1; before !== able.size;) {
      before = able.size
      for (const node of grants) if (this.#mayEver(node, able)) able.add(grantedKey(node.fact))
    }
    return able
  }

  #mayEver(node: TreeNode, able: ReadonlySet<Principal>): boolean {
    const signatures = this.#signatures(node.fact)
    return signatures.some(({ key }) => able.has(key)) || this.#input.outranks?.(signatures, node) === true
  }

  /** Precedence is read off the change and the way down to it alone, so that no other change can alter it. */
  #byPrecedence(nodes: readonly TreeNode[], able: ReadonlySet<Principal>): readonly TreeNode[] {
    const { recovery, tree } = this.#input
    const recoveryKeys = new Set(recovery === undefined ? [] : [recovery])
    for (const { fact } of tree.nodes.values()) {
      if (fact.payload.type === 'grant' && fact.payload.value.role === 'recovery')
        recoveryKeys.add(fact.payload.value.key)
    }
    const ranked = nodes.map(node => {
      const signatures = this.#signatures(node.fact)
      const isHighest =
        signatures.some(({ key }) => recoveryKeys.has(key)) || this.#input.outranks?.(signatures, node) === true
      return { node, rank: isHighest ? -1 : this.#namedAt(node, able) }
    })
    return ranked.toSorted((a, b) => a.rank - b.rank || byId(a.node, b.node)).map(({ node }) => node)
  }

  /** How early on the way down to it the author of a change was made an owner. */
  #namedAt({ fact, parent }: TreeNode, able: ReadonlySet<Principal>): number {
    const { author } = fact.body
    if (this.#input.owners.includes(author)) return 0
    let earliest = Number.MAX_SAFE_INTEGER
    if (!able.has(author)) return earliest
    for (let at = parent; at !== undefined; at = at.parent) {
      if (isCourtGrant(at.fact) && grantedKey(at.fact) === author) earliest = at.depth
    }
    return earliest
  }

  /** Takes in every change of priority that can be, the foremost first, until none is left that can. */
  #tryAll(priority: readonly TreeNode[]): void {
    for (let again = true; again;) {
      again = false
      for (const node of priority) {
        if (this.#counted.has(node.fact.id) || !this.#attempt(node)) continue
        again = true
        break
      }
    }
  }

  /** Takes in a change with the whole way down to it, or nothing. */
  #attempt(node: TreeNode): boolean {
    const path: TreeNode[] = []
    let isHopeless = !this.#isSigned(node)
    for (let at: TreeNode | undefined = node; at !== undefined && !this.#counted.has(at.fact.id); at = at.parent) {
      path.push(at)
      // Only a grant on the way can let in a signer whom nothing so far lets in.
      if (isCourtGrant(at.fact)) isHopeless = false
    }
    if (isHopeless) return false
    const undo: (() => void)[] = []
    for (const at of path.toReversed()) {
      if (this.#fault(at) !== undefined) {
        for (const back of undo.toReversed()) back()
        return false
      }
      undo.push(this.#take(at))
    }
    this.#queue([...path.flatMap(at => this.#childrenOf(at)), ...this.#takeFailed()])
    return true
  }

  /** Takes in others by depth and id, until one changes who decides; false when nothing more can be taken in. */
  #acceptNext(): boolean {
    for (let node = this.#ready.pop(); node !== undefined; node = this.#ready.pop()) {
      if (this.#counted.has(node.fact.id)) continue
      if (this.#fault(node) !== undefined) {
        this.#failed.push(node)
        continue
      }
      this.#take(node)
      this.#queue(this.#childrenOf(node))
      if (!isCourtGrant(node.fact) && !isPriority(node.fact)) continue
      this.#queue(this.#takeFailed())
      return true
    }
    return false
  }

  #childrenOf(node: TreeNode): readonly TreeNode[] {
    return this.#children.get(node.fact.id) ?? []
  }

  #queue(nodes: readonly TreeNode[]): void {
    const more = nodes.filter(({ fact }) => !this.#counted.has(fact.id))
    if (more.length > 0) this.#ready = [...this.#ready, ...more].toSorted(lastFirst)
  }

  #takeFailed(): readonly TreeNode[] {
    const failed = this.#failed
    this.#failed = []
    return failed
  }

  #fault(node: TreeNode): ChangeFault | undefined {
    const { fact, parent } = node
    if (parent === undefined || !this.#counted.has(parent.fact.id)) return 'unknown-authority'
    if (this.#away.has(fact.id)) return 'resolved'
    // Which of two changes at one position its author meant is not ours to choose.
    if (this.#input.chains.openForkBefore(fact, this.#away) !== undefined) return 'forked-author'
    if (this.#byRecovery(fact)) return undefined
    if (isRecoveryGrant(fact)) return 'role-not-held'
    const signatures = this.#signatures(fact)
    if (this.#input.outranks?.(signatures, node) === true) return undefined
    const signers = new Set(signatures.filter(by => this.#ownerSays(by, node)).map(({ key }) => key))
    if (signers.size === 0) return this.#court.ownerRevokes.has(fact.body.author) ? 'revoked' : 'role-not-held'
    return signers.size < this.#required(parent) ? 'threshold-not-met' : undefined
  }

  /** Cheaper than `#fault`, and never says no where that would say yes after changes on the way were taken in. */
  #isSigned(node: TreeNode): boolean {
    const signatures = this.#signatures(node.fact)
    if (this.#byRecovery(node.fact) || this.#input.outranks?.(signatures, node) === true) return true
    return signatures.some(by => this.#ownerSays(by, node))
  }

  #byRecovery(fact: VerifiedFact): boolean {
    const { recovery } = this.#court
    return recovery !== undefined && this.#signatures(fact).some(({ key }) => key === recovery)
  }

  /** Attack: a change made under an old head, when fewer had to sign. So the number of that head and today's both hold. */
  #required(parent: TreeNode): number {
    const then = this.#counted.get(parent.fact.id)?.threshold ?? 1
    return Math.max(1, Math.min(Math.max(then, this.#court.threshold), this.#court.owners))
  }

  #ownerSays({ key, via }: Signature, node: TreeNode): boolean {
    const grants = this.#court.ownerGrants.get(key) ?? []
    const revokes = this.#court.ownerRevokes.get(key) ?? []
    return grants.some(
      grant =>
        !isAtOrBelow(grant, node) &&
        revokes.every(revoke => (isBelow(grant, revoke) && isBelow(node, grant)) || isRecognised(revoke, node, via))
    )
  }

  #signatures(fact: VerifiedFact): readonly Signature[] {
    const cosigns = this.#cosigns.get(fact.id) ?? []
    return [fact, ...cosigns].map(via => ({ key: via.body.author, via }))
  }

  /** Takes a change in; what it returns takes it out again. */
  #take(node: TreeNode): () => void {
    const { fact, parent } = node
    const court = { ...this.#court }
    const above = parent === undefined ? undefined : this.#counted.get(parent.fact.id)
    const threshold = thresholdOf(fact) ?? above?.threshold ?? this.#input.threshold
    const counting = (this.#cosigns.get(fact.id) ?? []).filter(via => this.#isCounting(via, node)).map(({ id }) => id)
    this.#counted.set(fact.id, { node, byRecovery: this.#byRecovery(fact), threshold })
    for (const id of counting) this.#cosigned.add(id)
    const undo = this.#apply(node)
    return () => {
      undo()
      for (const id of counting) this.#cosigned.delete(id)
      this.#counted.delete(fact.id)
      Object.assign(this.#court, court)
    }
  }

  #isCounting(via: VerifiedFact, node: TreeNode): boolean {
    const by = { key: via.body.author, via }
    return by.key === this.#court.recovery || this.#ownerSays(by, node) || this.#input.outranks?.([by], node) === true
  }

  #apply(node: TreeNode): () => void {
    const { payload } = node.fact
    const { ownerGrants, ownerRevokes } = this.#court
    if (payload.type === 'resolve') return this.#settle(payload.value.keep, payload.value.over)
    const threshold = thresholdOf(node.fact)
    if (threshold !== undefined) this.#court.threshold = threshold
    if (isRecoveryGrant(node.fact)) this.#court.recovery = grantedKey(node.fact)
    if (!isOwnerGrant(node.fact) && !endsOwnership(node.fact)) return () => {}
    const undo =
      payload.type === 'revoke'
        ? append(ownerRevokes, payload.value.key, node)
        : append(ownerGrants, grantedKey(node.fact), node)
    this.#court.owners = this.#countOwners()
    return undo
  }

  #settle(keep: FactId, over: readonly FactId[]): () => void {
    const against = over.flatMap(id => this.#input.decides(keep, id))
    const added = [...new Set(against)].filter(id => !this.#away.has(id))
    for (const id of added) this.#away.add(id)
    return () => {
      for (const id of added) this.#away.delete(id)
    }
  }

  #countOwners(): number {
    const { ownerGrants, ownerRevokes } = this.#court
    let count = 0
    for (const [key, grants] of ownerGrants) {
      const revokes = ownerRevokes.get(key) ?? []
      if (grants.some(grant => revokes.every(revoke => isBelow(grant, revoke)))) count += 1
    }
    return count
  }
}

/** A revocation leaves alone what was not made in its knowledge and lies within the positions that it recognises. */
function isRecognised(revoke: TreeNode, node: TreeNode, via: VerifiedFact): boolean {
  const { payload } = revoke.fact
  return payload.type === 'revoke' && !isBelow(node, revoke) && isWithin(payload.value.heads, via.body)
}

function cosignsOf(facts: readonly VerifiedFact[]): ReadonlyMap<FactId, readonly VerifiedFact[]> {
  const cosigns = new Map<FactId, VerifiedFact[]>()
  for (const fact of facts) {
    if (fact.payload.type !== 'cosign') continue
    const known = cosigns.get(fact.payload.value.fact)
    if (known === undefined) cosigns.set(fact.payload.value.fact, [fact])
    else known.push(fact)
  }
  return cosigns
}

function isChild(node: TreeNode): node is TreeNode & { readonly parent: TreeNode } {
  return node.parent !== undefined
}

function append(lists: Map<Principal, TreeNode[]>, key: Principal, node: TreeNode): () => void {
  const before = lists.get(key)
  lists.set(key, [...(before ?? []), node])
  return () => {
    if (before === undefined) lists.delete(key)
    else lists.set(key, before)
  }
}

function byId(a: TreeNode, b: TreeNode): number {
  return compareText(a.fact.id, b.fact.id)
}

function lastFirst(a: TreeNode, b: TreeNode): number {
  return b.depth - a.depth || byId(b, a)
}
