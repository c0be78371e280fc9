import { endsOwnership, grantedKey, isOwnerGrant, isRecoveryGrant, thresholdOf } from './authority-change.ts'
import { isAtOrBelow, isBelow } from './authority-tree.ts'
import type { TreeNode } from './authority-tree.ts'
import type { VerifiedFact } from './chains.ts'
import type { Principal } from './did.ts'
import { isWithin } from './heads.ts'

/** One key that signed a change, and the fact in which it did. */
export interface Signature {
  readonly key: Principal
  readonly via: VerifiedFact
}

export interface CourtInput {
  readonly root: TreeNode
  readonly owners: readonly Principal[]
  readonly threshold: number
  /** The key that outranks the owners; a package has none of its own. */
  readonly recovery: Principal | undefined
}

/** Who decides about one subject, as far as changes were taken in. */
export class Court {
  readonly #ownerGrants: Map<Principal, readonly TreeNode[]>
  readonly #ownerRevokes = new Map<Principal, readonly TreeNode[]>()
  /** Keys that the root or a change taken in named. */
  readonly #named: Set<Principal>
  readonly #hasRecovery: boolean
  #threshold: number
  #recovery: Principal | undefined

  constructor({ root, owners, threshold, recovery }: CourtInput) {
    this.#ownerGrants = new Map(owners.map(key => [key, [root]]))
    this.#named = new Set(recovery === undefined ? owners : [...owners, recovery])
    this.#hasRecovery = recovery !== undefined
    this.#threshold = threshold
    this.#recovery = recovery
  }

  get recovery(): Principal | undefined {
    return this.#recovery
  }

  wasOwner(key: Principal): boolean {
    return this.#ownerRevokes.has(key)
  }

  /**
   * May a key bring in a change at all? About the registry only one that a change that counts has named: what counts decides who is
   * in the set, so it must not rest on somebody whose own place in the set is decided by it.
   */
  knows(key: Principal): boolean {
    return !this.#hasRecovery || this.#named.has(key)
  }

  isRecovery({ key }: Signature): boolean {
    return this.#recovery === key
  }

  /** Does an owner's signature on a change hold? */
  ownerSays({ key, via }: Signature, node: TreeNode): boolean {
    const grants = this.#ownerGrants.get(key) ?? []
    const revokes = this.#ownerRevokes.get(key) ?? []
    return grants.some(
      grant =>
        !isAtOrBelow(grant, node) &&
        revokes.every(revoke => (isBelow(grant, revoke) && isBelow(node, grant)) || isRecognised(revoke, node, via))
    )
  }

  /**
   * Attack: a change made under an old head, when fewer had to sign, so the number of that head and today's both hold. And an
   * owner who is taken away beside the grant to his successor: were fewer owners fewer signers, the other would decide
   * alone in between. So the number falls only where a change says so.
   */
  required(then: number): number {
    return Math.max(then, this.#threshold)
  }

  /** Takes over what a change says; what it returns takes it back. */
  apply(node: TreeNode): () => void {
    const { fact } = node
    const before = { threshold: this.#threshold, recovery: this.#recovery }
    const undo: (() => void)[] = []
    this.#threshold = thresholdOf(fact) ?? this.#threshold
    if (isRecoveryGrant(fact)) this.#recovery = grantedKey(fact)
    if (fact.payload.type === 'grant' && !this.#named.has(fact.payload.value.key)) {
      const { key } = fact.payload.value
      this.#named.add(key)
      undo.push(() => this.#named.delete(key))
    }
    if (isOwnerGrant(fact)) undo.push(append(this.#ownerGrants, grantedKey(fact), node))
    if (fact.payload.type === 'revoke' && endsOwnership(fact)) {
      undo.push(append(this.#ownerRevokes, fact.payload.value.key, node))
    }
    return () => {
      for (const back of undo) back()
      this.#threshold = before.threshold
      this.#recovery = before.recovery
    }
  }
}

/** A revocation leaves alone what was not made in its knowledge and lies within the positions that it recognises. */
function isRecognised(revoke: TreeNode, node: TreeNode, via: VerifiedFact): boolean {
  const { payload } = revoke.fact
  return payload.type === 'revoke' && !isBelow(node, revoke) && isWithin(payload.value.heads, via.body)
}

function append(lists: Map<Principal, readonly TreeNode[]>, key: Principal, node: TreeNode): () => void {
  const before = lists.get(key)
  lists.set(key, [...(before ?? []), node])
  return () => {
    if (before === undefined) lists.delete(key)
    else lists.set(key, before)
  }
}
