import { factIdFromLink, toLink } from './cid.ts'
import type { FactId } from './cid.ts'
import { recordOf } from './fact.ts'
import { malformed } from './payload-shape.ts'
import { POLICY_LIMITS } from './policy/limits.ts'

/**
 * A change of a registry's authority that says by which rules its releases are installed, docs/spec/policy.md section 7. It takes
 * the place of those that it was made in the knowledge of, and counts like every change: by as many owners as must sign.
 */
export interface RegistryPolicy {
  /** The head of the registry's authority that it changes. */
  readonly authPrev: FactId
  /** Always null, as in every change about the registry itself. */
  readonly head: null
  /** A policy as it stands in a file; empty: from here on none. What it means is found out where it is used. */
  readonly text: string
}

export function registryPolicyRecord(value: RegistryPolicy): unknown {
  return { ...value, authPrev: toLink(value.authPrev) }
}

/**
 * The text is not read here: a node that does not know what a newer policy says must let it in, and then refuse what it is about.
 * @throws RegistryError MALFORMED
 */
export function parseRegistryPolicy(raw: unknown): RegistryPolicy {
  const { authPrev, head, text } = recordOf(raw, ['authPrev', 'head', 'text'])
  if (head !== null) throw malformed('head: a policy is about the registry')
  if (typeof text !== 'string' || text.length > POLICY_LIMITS.registryChars || !text.isWellFormed())
    throw malformed('text')
  return { authPrev: factIdFromLink(authPrev), head, text }
}
