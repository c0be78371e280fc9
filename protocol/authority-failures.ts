import { grantedKey } from './authority-change.ts'
import type { Court } from './authority-court.ts'
import type { TreeNode } from './authority-tree.ts'
import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'

interface Blocked {
  readonly keys: readonly Principal[]
  readonly stamp: number
}

/**
 * Changes that could not be taken in, and whose say they lack. Attack: thousands of changes that do not count, each of which
 * would be tried again after each of thousands that do. They are tried again only when one of their signers has gained a say,
 * or something was loosened for all.
 */
export class Failures {
  readonly #blocked = new Map<FactId, Blocked>()
  readonly #waiting = new Set<TreeNode>()
  readonly #waitingFor = new Map<Principal, Set<TreeNode>>()
  readonly #lacked = new Set<Principal>()
  #back: TreeNode[] = []
  #loosened = 0

  /** A way down fails at its first change; `keys` have signed it. So does whatever is further down. */
  block(path: readonly TreeNode[], keys: readonly Principal[], court: Court): void {
    const blocked = { keys, stamp: court.stamp(keys) }
    for (const { fact } of path) this.#blocked.set(fact.id, blocked)
    for (const key of keys) this.#lacked.add(key)
  }

  /** Does the way up from the first of a path, as far as its last, end where it failed before? */
  isBlocked(path: readonly TreeNode[], court: Court): boolean {
    const last = path.at(-1)
    const blocked = last === undefined ? undefined : this.#blocked.get(last.fact.id)
    if (blocked === undefined || blocked.stamp !== court.stamp(blocked.keys)) return false
    for (const { fact } of path) this.#blocked.set(fact.id, blocked)
    return true
  }

  /** Keeps a change whose parent counts until one of its signers gains a say. */
  wait(node: TreeNode, keys: readonly Principal[]): void {
    this.#waiting.add(node)
    for (const key of keys) {
      const known = this.#waitingFor.get(key)
      if (known === undefined) this.#waitingFor.set(key, new Set([node]))
      else known.add(node)
    }
  }

  /** True when what was taken in may let in what failed before. */
  comeBack(taken: readonly TreeNode[], court: Court): boolean {
    if (court.loosened !== this.#loosened) {
      this.#loosened = court.loosened
      this.#release(this.#waiting)
      return true
    }
    let is = false
    for (const { fact } of taken) {
      if (fact.payload.type !== 'grant') continue
      const key = grantedKey(fact)
      this.#release(this.#waitingFor.get(key) ?? [])
      this.#waitingFor.delete(key)
      is ||= this.#lacked.has(key)
    }
    return is || this.#back.length > 0
  }

  takeBack(): readonly TreeNode[] {
    const back = this.#back
    this.#back = []
    return back
  }

  #release(nodes: Iterable<TreeNode>): void {
    for (const node of nodes) if (this.#waiting.delete(node)) this.#back.push(node)
  }
}
