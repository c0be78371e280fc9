import { isRecoveryGrant, thresholdOf } from './authority-change.ts'
import { Court } from './authority-court.ts'
import type { Signature } from './authority-court.ts'
import { Failures } from './authority-failures.ts'
import { byPrecedence } from './authority-precedence.ts'
import type { Ranked } from './authority-precedence.ts'
import type { AuthorityTree, TreeNode } from './authority-tree.ts'
import { compareText } from './bytes.ts'
import type { Chains, VerifiedFact } from './chains.ts'
import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import { Heap } from './heap.ts'

/** Why a change of who may do what does not count. */
export type ChangeFault =
  'forked-author' | 'resolved' | 'revoked' | 'role-not-held' | 'threshold-not-met' | 'unknown-authority'

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
  readonly decides: (keep: FactId, over: FactId, away: ReadonlySet<FactId>) => readonly FactId[]
  /** About a package: those above its owners have signed. */
  readonly outranks?: (signatures: readonly Signature[], node: TreeNode) => boolean
}

export interface FoldResult {
  readonly root: FactId
  readonly counted: ReadonlyMap<FactId, Counted>
  /** Cosignatures under what counts that counted for it. */
  readonly cosigned: ReadonlySet<FactId>
  /** What the decision rests on: without one of these it might be another. */
  readonly rests: ReadonlySet<FactId>
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
 * 4. What a decision rests on (what counts, just enough of its signatures, a fork that held something up, what a resolution
 *    compared) is told, so that no revocation throws it out and leaves the rest to decide otherwise.
 * 5. A revocation ends what its key says where the revocation is known, and beyond the recognised positions everywhere.
 */
export function foldChanges(input: FoldInput): FoldResult {
  return new Fold(input).run()
}

/** A change that was taken in: how it is taken out again, and what letting it in rested on. */
interface Taken {
  readonly undo: () => void
  readonly rests: readonly FactId[]
}

/** Faults that facts beside the change and the way to it may cause. */
const HELD_UP: ReadonlySet<ChangeFault> = new Set(['forked-author', 'resolved'])

class Fold {
  readonly #input: FoldInput
  readonly #cosigns: ReadonlyMap<FactId, readonly VerifiedFact[]>
  readonly #signed = new Map<FactId, readonly Signature[]>()
  readonly #signers = new Map<FactId, readonly Principal[]>()
  readonly #outranking = new Map<FactId, boolean>()
  readonly #counted = new Map<FactId, Counted>()
  readonly #cosigned = new Set<FactId>()
  readonly #rests = new Set<FactId>()
  readonly #away = new Set<FactId>()
  readonly #court: Court
  readonly #children: ReadonlyMap<FactId, readonly TreeNode[]>
  /** Not taken in, their parents are. */
  readonly #ready = new Heap(byDepth)
  readonly #failures = new Failures()

  constructor(input: FoldInput) {
    this.#input = input
    const { tree, facts, owners, threshold, recovery } = input
    this.#cosigns = cosignsOf(facts)
    this.#children = Map.groupBy([...tree.nodes.values()].filter(isChild), node => node.parent.fact.id)
    this.#court = new Court({ root: tree.root, owners, threshold, recovery })
  }

  run(): FoldResult {
    const { tree, owners, recovery, threshold } = this.#input
    const priority = byPrecedence({
      tree,
      owners,
      recovery,
      signatures: ({ fact }) => this.#signatures(fact),
      outranks: node => this.#outranks(node)
    })
    this.#counted.set(tree.root.fact.id, { node: tree.root, byRecovery: false, threshold })
    this.#queue(this.#childrenOf(tree.root))
    let left = priority
    do left = this.#tryAll(left)
    while (this.#acceptNext())
    const aside = [...tree.nodes.values()]
      .filter(({ fact }) => !this.#counted.has(fact.id))
      .map(node => ({ fact: node.fact.id, reason: this.#fault(node) ?? 'role-not-held' }))
    const orphans = tree.orphans.map(({ id }) => ({ fact: id, reason: 'unknown-authority' as const }))
    return {
      root: tree.root.fact.id,
      counted: this.#counted,
      cosigned: this.#cosigned,
      rests: this.#rests,
      setAside: [...aside, ...orphans],
      away: this.#away,
      recovery: this.#court.recovery
    }
  }

  /** Takes in every change of priority that can be, the foremost first, until none is left that can. */
  #tryAll(priority: readonly Ranked[]): readonly Ranked[] {
    let left = priority
    for (let isAgain = true; isAgain;) {
      isAgain = false
      const next: Ranked[] = []
      for (const [index, ranked] of left.entries()) {
        if (this.#counted.has(ranked.node.fact.id)) continue
        const taken = this.#attempt(ranked)
        if (taken === undefined) next.push(ranked)
        else if (this.#failures.comeBack(taken, this.#court)) {
          next.push(...left.slice(index + 1))
          isAgain = true
          break
        }
      }
      left = next
    }
    return left
  }

  /** Takes in a change with the whole way down to it, or nothing. */
  #attempt({ node, asRecovery }: Ranked): readonly TreeNode[] | undefined {
    const path: TreeNode[] = []
    for (let at: TreeNode | undefined = node; at !== undefined && !this.#counted.has(at.fact.id); at = at.parent) {
      path.push(at)
      if (this.#failures.isBlocked(path, this.#court)) return undefined
    }
    const taken: Taken[] = []
    const heldUp: TreeNode[] = []
    for (const [index, at] of [...path.entries()].toReversed()) {
      const fault = this.#fault(at)
      const isLet = fault === undefined || HELD_UP.has(fault)
      if (!isLet || (at === node && asRecovery && !this.#byRecovery(at.fact))) {
        for (const { undo } of taken.toReversed()) undo()
        if (!isLet) this.#failures.block(path.slice(0, index + 1), this.#keys(at.fact), this.#court)
        return undefined
      }
      if (fault !== undefined) heldUp.push(at)
      taken.push(this.#take(at))
    }
    // What would have been taken in but for others is held up by them, and so are all that know of both.
    if (heldUp.length > 0) for (const { undo } of taken.toReversed()) undo()
    this.#restOn(taken, heldUp.length === 0 ? [] : path, heldUp)
    if (heldUp.length > 0) return undefined
    this.#queue(path.flatMap(at => this.#childrenOf(at)))
    return path
  }

  /** Takes in others by depth and id, until one lets another decide; false when nothing more can be taken in. */
  #acceptNext(): boolean {
    for (const node of this.#failures.takeBack()) this.#ready.push(node)
    for (let node = this.#ready.pop(); node !== undefined; node = this.#ready.pop()) {
      if (this.#counted.has(node.fact.id)) continue
      const fault = this.#fault(node)
      if (fault !== undefined) {
        if (fault === 'forked-author') this.#holdUp(node)
        this.#failures.wait(node, this.#keys(node.fact))
        continue
      }
      this.#restOn([this.#take(node)], [], [])
      this.#queue(this.#childrenOf(node))
      if (this.#failures.comeBack([node], this.#court)) return true
    }
    return false
  }

  #holdUp(node: TreeNode): void {
    const taken = this.#take(node)
    taken.undo()
    this.#restOn([taken], [node], [node])
  }

  #restOn(taken: readonly Taken[], path: readonly TreeNode[], heldUp: readonly TreeNode[]): void {
    for (const { rests } of taken) for (const id of rests) this.#rests.add(id)
    for (const { fact } of path) this.#rests.add(fact.id)
    for (const { fact } of heldUp) {
      const open = this.#input.chains.openForkBefore(fact, this.#away)?.facts ?? []
      for (const id of firstTwo(open, id => !this.#away.has(id))) this.#rests.add(id)
    }
  }

  #childrenOf(node: TreeNode): readonly TreeNode[] {
    return this.#children.get(node.fact.id) ?? []
  }

  #queue(nodes: readonly TreeNode[]): void {
    const more = nodes.filter(({ fact }) => !this.#counted.has(fact.id))
    for (const node of more) this.#ready.push(node)
  }

  /** Forks and resolutions are asked about last: who has no say holds nobody up by them, and costs nothing. */
  #fault(node: TreeNode): ChangeFault | undefined {
    const { fact, parent } = node
    if (parent === undefined || !this.#counted.has(parent.fact.id)) return 'unknown-authority'
    return this.#signatureFault(node, parent) ?? this.#heldUpBy(fact)
  }

  #heldUpBy(fact: VerifiedFact): ChangeFault | undefined {
    if (this.#away.has(fact.id)) return 'resolved'
    // Which of two changes at one position its author meant is not ours to choose.
    return this.#input.chains.openForkBefore(fact, this.#away) === undefined ? undefined : 'forked-author'
  }

  #signatureFault(node: TreeNode, parent: TreeNode): ChangeFault | undefined {
    const { fact } = node
    const { author } = fact.body
    if (!this.#court.knows(author)) return 'role-not-held'
    if (this.#byRecovery(fact)) return undefined
    if (isRecoveryGrant(fact)) return 'role-not-held'
    if (this.#outranks(node)) return undefined
    const signers = new Set<Principal>()
    for (const by of this.#signatures(fact)) {
      if (!signers.has(by.key) && this.#court.ownerSays(by, node)) signers.add(by.key)
    }
    if (signers.size === 0) return this.#court.wasOwner(author) ? 'revoked' : 'role-not-held'
    return signers.size < this.#required(parent) ? 'threshold-not-met' : undefined
  }

  #required(parent: TreeNode): number {
    return this.#court.required(this.#counted.get(parent.fact.id)?.threshold ?? 1)
  }

  #byRecovery(fact: VerifiedFact): boolean {
    return this.#signatures(fact).some(by => this.#court.isRecovery(by))
  }

  #outranks(node: TreeNode): boolean {
    const { outranks } = this.#input
    if (outranks === undefined) return false
    const known = this.#outranking.get(node.fact.id)
    if (known !== undefined) return known
    const does = outranks(this.#signatures(node.fact), node)
    this.#outranking.set(node.fact.id, does)
    return does
  }

  #signatures(fact: VerifiedFact): readonly Signature[] {
    let known = this.#signed.get(fact.id)
    if (known === undefined) {
      const cosigns = this.#cosigns.get(fact.id) ?? []
      known = [fact, ...cosigns].map(via => ({ key: via.body.author, via }))
      this.#signed.set(fact.id, known)
    }
    return known
  }

  /** Each key that signed, once. */
  #keys(fact: VerifiedFact): readonly Principal[] {
    let known = this.#signers.get(fact.id)
    if (known === undefined)
      this.#signers.set(fact.id, (known = [...new Set(this.#signatures(fact).map(({ key }) => key))]))
    return known
  }

  #take(node: TreeNode): Taken {
    const { fact, parent } = node
    const above = parent === undefined ? undefined : this.#counted.get(parent.fact.id)
    const threshold = thresholdOf(fact) ?? above?.threshold ?? this.#input.threshold
    const [, ...cosigns] = this.#signatures(fact)
    const counting = cosigns.filter(by => this.#isCounting(by, node))
    const enough = this.#enough(node, counting)
    this.#counted.set(fact.id, { node, byRecovery: this.#byRecovery(fact), threshold })
    for (const { via } of counting) this.#cosigned.add(via.id)
    const settled = this.#settle(fact)
    const undo = this.#court.apply(node, { isSettling: settled.added.length > 0 })
    return {
      rests: [fact.id, ...enough.map(({ via }) => via.id), ...settled.compared],
      undo: () => {
        undo()
        for (const id of settled.added) this.#away.delete(id)
        for (const { via } of counting) this.#cosigned.delete(via.id)
        this.#counted.delete(fact.id)
      }
    }
  }

  /** Attack: a key that lost its roles signs what once counted, over and over. So just enough signatures are kept for it. */
  #enough(node: TreeNode, counting: readonly Signature[]): readonly Signature[] {
    if (counting.length === 0) return []
    const { fact, parent } = node
    const ofKey = new Map<Principal, Signature>()
    for (const by of counting.toSorted(byPosition)) if (!ofKey.has(by.key)) ofKey.set(by.key, by)
    const recovery = [...ofKey.values()].filter(by => this.#court.isRecovery(by))
    const { author } = fact.body
    const isAuthors = this.#court.ownerSays({ key: author, via: fact }, node)
    if (isAuthors) ofKey.delete(author)
    const needed = parent === undefined ? 0 : this.#required(parent) - (isAuthors ? 1 : 0)
    return [...recovery, ...[...ofKey.values()].slice(0, needed)]
  }

  #isCounting(by: Signature, node: TreeNode): boolean {
    return this.#court.isRecovery(by) || this.#court.ownerSays(by, node) || this.#input.outranks?.([by], node) === true
  }

  /** What a resolution decides against, and the sides that it could compare. */
  #settle({ payload }: VerifiedFact): { readonly added: readonly FactId[]; readonly compared: readonly FactId[] } {
    if (payload.type !== 'resolve') return { added: [], compared: [] }
    const { keep, over } = payload.value
    const sides = over
      .map(id => ({ id, against: this.#input.decides(keep, id, this.#away) }))
      .filter(({ against }) => against.length > 0)
    const added = [...new Set(sides.flatMap(({ against }) => against))].filter(id => !this.#away.has(id))
    for (const id of added) this.#away.add(id)
    return { added, compared: sides.length === 0 ? [] : [keep, ...sides.map(({ id }) => id)] }
  }
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

function firstTwo(ids: readonly FactId[], is: (id: FactId) => boolean): readonly FactId[] {
  const found: FactId[] = []
  for (const id of ids) {
    if (is(id)) found.push(id)
    if (found.length === 2) break
  }
  return found
}

/** The earliest position first: what stands before a fact in its chain is kept with it. */
function byPosition(a: Signature, b: Signature): number {
  return a.via.body.seq - b.via.body.seq || compareText(a.via.id, b.via.id)
}

function byDepth(a: TreeNode, b: TreeNode): number {
  return a.depth - b.depth || compareText(a.fact.id, b.fact.id)
}
