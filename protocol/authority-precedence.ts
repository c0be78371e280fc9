import { grantedKey, isCourtGrant, isPriority, isRecoveryGrant } from './authority-change.ts'
import type { Signature } from './authority-court.ts'
import type { AuthorityTree, TreeNode } from './authority-tree.ts'
import { compareText } from './bytes.ts'
import type { FactId } from './cid.ts'
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
  const { tree, owners, outranks } = input
  const able = ableKeys(input)
  const isHopeful = (node: TreeNode): boolean => mayEver(input, node, able)
  const nodes = [...tree.nodes.values()]
  const priority = nodes.filter(node => node.parent !== undefined && isPriority(node.fact) && isHopeful(node))
  if (priority.length === 0) return []
  const ways = waysDown(input, able)
  const founders = new Set(owners)
  const ranked = priority.flatMap(node => {
    const way = ways(node)
    const byAuthor = {
      node,
      asRecovery: false,
      rank: outranks(node) ? -1 : namedAt(way, node.fact.body.author, founders)
    }
    const isRecovery = input.signatures(node).some(({ key }) => key === input.recovery || isNamedRecovery(way, key))
    return isRecovery ? [{ node, asRecovery: true, rank: -1 }, byAuthor] : [byAuthor]
  })
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

/** The grants above a node that let a key decide, the nearest first: what lies between them says nothing about rank. */
interface Way {
  readonly grant: TreeNode
  /** It was made by somebody whom the way above it leads to. */
  readonly isRooted: boolean
  readonly above: Way | undefined
}

function waysDown(input: PrecedenceInput, able: ReadonlySet<Principal>): (node: TreeNode) => Way | undefined {
  const founders = new Set(input.owners)
  const ways = new Map<FactId, Way | undefined>()
  const isRooted = (grant: TreeNode, above: Way | undefined): boolean => {
    const { author } = grant.fact.body
    const isRecovery = author === input.recovery || isNamedRecovery(above, author)
    return isRecovery || input.outranks(grant) || namedAt(above, author, founders) !== NEVER
  }
  // A parent is in the tree before its children.
  for (const node of input.tree.nodes.values()) {
    const { parent } = node
    if (parent === undefined) continue
    const above = ways.get(parent.fact.id)
    const isStep = parent.parent !== undefined && isCourtGrant(parent.fact) && mayEver(input, parent, able)
    ways.set(node.fact.id, isStep ? { grant: parent, isRooted: isRooted(parent, above), above } : above)
  }
  return node => ways.get(node.fact.id)
}

function isNamedRecovery(way: Way | undefined, key: Principal): boolean {
  for (let at = way; at !== undefined; at = at.above) {
    if (isRecoveryGrant(at.grant.fact) && grantedKey(at.grant.fact) === key) return true
  }
  return false
}

const NEVER = Number.MAX_SAFE_INTEGER

/**
 * How early on the way down a key was made an owner. Attack: an owner who grants himself the role once more, under a head
 * from before his time, to be more senior. Only a grant by somebody whom the way has already named tells.
 */
function namedAt(way: Way | undefined, key: Principal, founders: ReadonlySet<Principal>): number {
  if (founders.has(key)) return 0
  let earliest = NEVER
  for (let at = way; at !== undefined; at = at.above) {
    if (at.isRooted && grantedKey(at.grant.fact) === key) earliest = at.grant.depth
  }
  return earliest
}
