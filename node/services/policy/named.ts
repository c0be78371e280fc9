import type { RegistryId } from '../../../protocol/cid.ts'
import { LEAST } from '../attest/heeded.ts'
import type { Heeded } from '../attest/heeded.ts'

/** A policy that is in force, as far as that matters here. */
interface Naming {
  readonly name: string
  readonly isLocal: boolean
  readonly registry?: string | undefined
  readonly policy: { readonly rules: readonly { readonly when?: string | undefined; readonly require: string }[] }
}

/** Keys and registries, as policies write them. */
const NAMED = /did:key:z[1-9A-HJ-NP-Za-km-z]+|\bb[a-z2-7]{58}\b/g

/**
 * Whose word rules ask for by name, whether he is followed here or not: by the policy of the node before that of a project, and that before
 * the one of an organisation; a key before a registry, in which whoever its owners let in speaks.
 *
 * Attack: a registry that publishes a policy which names itself, and lets in a hundred keys that speak louder than an auditor. So what a
 * registry says about its own releases names no registry, and the keys in it come after all others: they are what its rules ask for, and
 * there is nothing to be gained over whoever is heeded besides.
 */
export function namedIn(policies: readonly Naming[]): Heeded {
  const named = new Map<string, number>()
  for (const loaded of policies) {
    const rank = rankOf(loaded)
    for (const { when = '', require } of loaded.policy.rules) {
      for (const who of `${when} ${require}`.match(NAMED) ?? []) {
        const isKey = who.startsWith('did:')
        if (rank === 0 && !isKey) continue
        const weight = LEAST + 2 * rank - Number(!isKey)
        named.set(who, Math.max(named.get(who) ?? 0, weight))
      }
    }
  }
  return named
}

/** The same for releases of each registry: what another one says about its own is not about them. */
export function namedOver(policies: readonly Naming[]): (registry: RegistryId) => Heeded {
  const known = new Map<RegistryId, Heeded>()
  return registry => {
    const found =
      known.get(registry) ?? namedIn(policies.filter(one => one.registry === undefined || one.registry === registry))
    known.set(registry, found)
    return found
  }
}

function rankOf({ name, isLocal, registry }: Naming): number {
  if (!isLocal) return registry === undefined ? 1 : 0
  // Attack: a repository that brings a policy of its own.
  return name === PROJECT ? 2 : 3
}

/** What the policy of a project is called. */
export const PROJECT = 'project'
