import { endsOwnership, grantedKey, isOwnerGrant, isRecoveryGrant, thresholdOf } from './authority-change.ts'
import { isAtOrBelow, isBelow, lastOf } from './authority-tree.ts'
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
  readonly #ownerGrants: Map<Principal, TreeNode[]>
  readonly #ownerRevokes = new Map<Principal, TreeNode[]>()
  /** Keys that the root or a change taken in named. */
  readonly #named: Set<Principal>
  readonly #hasRecovery: boolean
  /** How often each key gained a say. */
  readonly #gains = new Map<Principal, number>()
  #loosened = 0
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

  /** Grows whenever fewer may have to sign, or others, or something no longer stands in the way. */
  get loosened(): number {
    return this.#loosened
  }

  /** Unless this changes, a change that has not enough signatures of these keys still has not. */
  stamp(keys: readonly Principal[]): number {
    return keys.reduce((sum, key) => sum + (this.#gains.get(key) ?? 0), this.#loosened)
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
    if (grants.length === 0) return false
    const ending = revokes.filter(revoke => !isRecognised(revoke, node, via))
    if (ending.length === 0) return grants.some(grant => !isAtOrBelow(grant, node))
    const last = lastOf(ending)
    return last !== undefined && grants.some(grant => isBelow(grant, last) && isBelow(node, grant))
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
  apply(node: TreeNode, { isSettling = false } = {}): () => void {
    const { fact } = node
    const loosened = this.#loosened
    const before = { threshold: this.#threshold, recovery: this.#recovery }
    const undo: (() => void)[] = []
    this.#threshold = thresholdOf(fact) ?? this.#threshold
    if (isRecoveryGrant(fact)) this.#recovery = grantedKey(fact)
    if (fact.payload.type === 'grant' && !this.#named.has(fact.payload.value.key)) {
      const { key } = fact.payload.value
      this.#named.add(key)
      undo.push(this.#gain(key))
      undo.push(() => this.#named.delete(key))
    }
    if (isOwnerGrant(fact)) {
      undo.push(append(this.#ownerGrants, grantedKey(fact), node))
      undo.push(this.#gain(grantedKey(fact)))
    }
    if (fact.payload.type === 'revoke' && endsOwnership(fact)) {
      undo.push(append(this.#ownerRevokes, fact.payload.value.key, node))
    }
    if (this.#threshold < before.threshold || isRecoveryGrant(fact) || isSettling) this.#loosened += 1
    return () => {
      for (const back of undo.toReversed()) back()
      this.#loosened = loosened
      this.#threshold = before.threshold
      this.#recovery = before.recovery
    }
  }

  #gain(key: Principal): () => void {
    const before = this.#gains.get(key) ?? 0
    this.#gains.set(key, before + 1)
    return () => this.#gains.set(key, before)
  }
}

/** A revocation leaves alone what was not made in its knowledge and lies within the positions that it recognises. */
function isRecognised(revoke: TreeNode, node: TreeNode, via: VerifiedFact): boolean {
  const { payload } = revoke.fact
  return payload.type === 'revoke' && !isBelow(node, revoke) && isWithin(payload.value.heads, via.body)
}

/** Adds to the list of a key; what it returns takes it out again, the last first. */
function append(lists: Map<Principal, TreeNode[]>, key: Principal, node: TreeNode): () => void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [node])
  else list.push(node)
  return () => {
    if (list === undefined) lists.delete(key)
    else list.pop()
  }
}
