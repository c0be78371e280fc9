import type { VerifiedFact } from './chains.ts'
import type { FactId } from './cid.ts'

/** A fact about who may do what, at its place below the fact it changes. */
export interface TreeNode {
  readonly fact: VerifiedFact
  readonly parent: TreeNode | undefined
  /** Changes between it and the root. */
  readonly depth: number
  /** Everything below a node is entered after it and left before it. */
  readonly enter: number
  readonly leave: number
}

interface Growing {
  readonly fact: VerifiedFact
  readonly parent: Growing | undefined
  readonly depth: number
  enter: number
  leave: number
}

/** The changes of one subject as a tree: each names the one head that it changes. */
export interface AuthorityTree {
  readonly root: TreeNode
  readonly nodes: ReadonlyMap<FactId, TreeNode>
  /** Changes of heads that nobody here knows. */
  readonly orphans: readonly VerifiedFact[]
}

/** Grows the tree; what does not hang together with the root is an orphan. */
export function growTree(root: VerifiedFact, facts: readonly VerifiedFact[]): AuthorityTree {
  const changes = facts.filter(fact => authPrevOf(fact) !== undefined && fact.id !== root.id)
  const children = Map.groupBy(changes, authPrevOf)
  const nodes = new Map<FactId, Growing>()
  const top: Growing = { fact: root, parent: undefined, depth: 0, enter: 0, leave: 0 }
  nodes.set(root.id, top)
  // A chain of changes may be ten thousand deep, so no recursion.
  const open: { readonly node: Growing; next: number }[] = [{ node: top, next: 0 }]
  let clock = 1
  for (let at = open.at(-1); at !== undefined; at = open.at(-1)) {
    const fact = children.get(at.node.fact.id)?.[at.next]
    at.next += 1
    if (fact === undefined) {
      at.node.leave = clock
      open.pop()
    } else {
      const node = { fact, parent: at.node, depth: at.node.depth + 1, enter: clock, leave: 0 }
      nodes.set(fact.id, node)
      open.push({ node, next: 0 })
    }
    clock += 1
  }
  return { root: top, nodes, orphans: changes.filter(fact => !nodes.has(fact.id)) }
}

/** The head that a change changes; undefined for facts that change no head. */
export function authPrevOf({ payload }: VerifiedFact): FactId | undefined {
  switch (payload.type) {
    case 'grant':
    case 'revoke':
    case 'resolve':
    case 'invite':
    case 'policy':
      return payload.value.authPrev
    case 'advisory':
    case 'attestation':
    case 'claim':
    case 'cosign':
    case 'genesis':
    case 'metadata':
    case 'observation':
    case 'quarantine':
    case 'redeem':
    case 'release':
    case 'unquarantine':
    case 'unyank':
    case 'yank':
      return undefined
  }
}

/** True when `node` was made in the knowledge of `above` and is not `above` itself. */
export function isBelow(node: TreeNode, above: TreeNode): boolean {
  return node.enter > above.enter && node.leave < above.leave
}

export function isAtOrBelow(node: TreeNode, above: TreeNode): boolean {
  return node === above || isBelow(node, above)
}

/** The lowest of nodes that all lie on one way down; undefined when they do not: then nothing is below all of them. */
export function lastOf(nodes: readonly TreeNode[]): TreeNode | undefined {
  let last = nodes[0]
  for (const node of nodes) if (last === undefined || node.depth > last.depth) last = node
  return last !== undefined && nodes.every(node => isAtOrBelow(last, node)) ? last : undefined
}
