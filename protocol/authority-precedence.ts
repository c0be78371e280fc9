import { grantedKey, isCourtGrant, isPriority, isRecoveryGrant } from './authority-change.ts'
import type { Signature } from './authority-court.ts'
import { isBelow } from './authority-tree.ts'
import type { AuthorityTree, TreeNode } from './authority-tree.ts'
import { compareText } from './bytes.ts'
import type { Principal } from './did.ts'

/** A change of priority in its turn. */
export interface Ranked {
  readonly node: TreeNode
  /** Its turn is that of the recovery key, whose signature must hold then. Else the change has another turn, by its author. */
  readonly asRecovery: boolean
}

interface PrecedenceInput {
  readonly tree: AuthorityTree
  readonly owners: readonly Principal[]
  readonly recovery: Principal | undefined
  readonly signatures: (node: TreeNode) => readonly Signature[]
  readonly outranks: (node: TreeNode) => boolean
}

/**
 * Changes of priority, the foremost first. Precedence is read off a change and the way down to it alone, so that no other
 * change can alter it: what is on the way is taken in with it or it is not taken in.
 */
export function byPrecedence(input: PrecedenceInput): readonly Ranked[] {
  const able = ableKeys(input)
  const way = new Way(input)
  const ranked: (Ranked & { readonly rank: number })[] = []
  for (const node of input.tree.nodes.values()) {
    if (node.parent === undefined || !mayEver(input, node, able)) continue
    way.goTo(node)
    if (isPriority(node.fact)) {
      const rank = input.outranks(node) ? -1 : way.namedAt(node.fact.body.author)
      ranked.push({ node, asRecovery: false, rank })
      if (input.signatures(node).some(({ key }) => way.isRecovery(key)))
        ranked.push({ node, asRecovery: true, rank: -1 })
    }
    if (isCourtGrant(node.fact)) way.step(node)
  }
  return ranked.toSorted((a, b) => a.rank - b.rank || compareText(a.node.fact.id, b.node.fact.id))
}

/** Keys that some grant could let decide, whether it counts or not: what others sign is not worth a trial. */
function ableKeys(input: PrecedenceInput): ReadonlySet<Principal> {
  const able = new Set(input.owners)
  if (input.recovery !== undefined) able.add(input.recovery)
  let waiting = [...input.tree.nodes.values()].filter(({ fact }) => isCourtGrant(fact))
  for (let before = -1; before !== able.size;) {
    before = able.size
    const left: TreeNode[] = []
    for (const node of waiting) {
      if (mayEver(input, node, able)) able.add(grantedKey(node.fact))
      else left.push(node)
    }
    waiting = left
  }
  return able
}

function mayEver({ signatures, outranks }: PrecedenceInput, node: TreeNode, able: ReadonlySet<Principal>): boolean {
  return signatures(node).some(({ key }) => able.has(key)) || outranks(node)
}

const NEVER = Number.MAX_SAFE_INTEGER

/**
 * The grants between the root and a node that let a key decide. Nodes come as they lie in the tree, each after all that is
 * above it, so one way is kept and no way is walked twice.
 */
class Way {
  readonly #input: PrecedenceInput
  readonly #founders: ReadonlySet<Principal>
  readonly #steps: { readonly grant: TreeNode; readonly isRooted: boolean }[] = []
  /** Where on the way each key was made an owner, the earliest first. */
  readonly #depths = new Map<Principal, number[]>()
  readonly #recoveries = new Map<Principal, number>()

  constructor(input: PrecedenceInput) {
    this.#input = input
    this.#founders = new Set(input.owners)
  }

  goTo(node: TreeNode): void {
    for (let last = this.#steps.at(-1); last !== undefined && !isBelow(node, last.grant); last = this.#steps.at(-1)) {
      this.#steps.pop()
      const key = grantedKey(last.grant.fact)
      if (last.isRooted) this.#depths.get(key)?.pop()
      if (isRecoveryGrant(last.grant.fact)) this.#recoveries.set(key, (this.#recoveries.get(key) ?? 1) - 1)
    }
  }

  /** Attack: an owner who grants himself the role once more, under a head from before his time, to be more senior. */
  step(grant: TreeNode): void {
    const { author } = grant.fact.body
    const key = grantedKey(grant.fact)
    const isRooted = this.isRecovery(author) || this.#input.outranks(grant) || this.namedAt(author) !== NEVER
    this.#steps.push({ grant, isRooted })
    if (isRooted) {
      const depths = this.#depths.get(key)
      if (depths === undefined) this.#depths.set(key, [grant.depth])
      else depths.push(grant.depth)
    }
    if (isRecoveryGrant(grant.fact)) this.#recoveries.set(key, (this.#recoveries.get(key) ?? 0) + 1)
  }

  /** How early on the way a key was made an owner. Only a grant by somebody whom the way has already named tells. */
  namedAt(key: Principal): number {
    return this.#founders.has(key) ? 0 : (this.#depths.get(key)?.[0] ?? NEVER)
  }

  isRecovery(key: Principal): boolean {
    return key === this.#input.recovery || (this.#recoveries.get(key) ?? 0) > 0
  }
}
