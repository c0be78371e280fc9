import type { Counted } from './authority-fold.ts'
import { isBelow } from './authority-tree.ts'
import type { TreeNode } from './authority-tree.ts'
import { compareText } from './bytes.ts'
import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import { POLICY_LIMITS } from './policy/limits.ts'

/** A policy of a registry that is in force. */
export interface CountedPolicy {
  readonly fact: FactId
  readonly by: Principal
  /** Empty: one that says that there is none. */
  readonly text: string
}

/**
 * The policies of a registry that no other one replaces: those that count and of which no other one that counts was made in the
 * knowledge. One as a rule. Of several that were made at the same time all are in force, so that neither loosens what the other
 * says, until one is published in the knowledge of all of them. The newest first; of more than anybody should have, so many.
 *
 * Attack: an old policy that is shown again. It is below nothing, but what replaced it is below it, and no set forgets that.
 */
export function policiesInForce(counted: ReadonlyMap<FactId, Counted>): readonly CountedPolicy[] {
  const found: { readonly node: TreeNode; readonly policy: CountedPolicy }[] = []
  const all = [...counted.values()].filter(({ node }) => node.fact.payload.type === 'policy')
  const deepestFirst = all.toSorted(
    (a, b) => b.node.depth - a.node.depth || compareText(a.node.fact.id, b.node.fact.id)
  )
  for (const { node } of deepestFirst) {
    const { id, body, payload } = node.fact
    // What replaces it is deeper, and is itself here or replaced by one that is.
    if (payload.type !== 'policy' || found.some(one => isBelow(one.node, node))) continue
    found.push({ node, policy: { fact: id, by: body.author, text: payload.value.text } })
    if (found.length === POLICY_LIMITS.concurrent) break
  }
  return found.map(({ policy }) => policy)
}
