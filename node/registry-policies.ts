import type { CountedPolicy } from '../protocol/authority-policy.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import type { NodeParts } from './parts.ts'
import { parsePolicyText } from './policy-files.ts'
import type { LoadedPolicy } from './services/policy/judge.ts'

type Governing = Pick<NodeParts, 'gate' | 'registries'>

/**
 * What registries say about how their releases are installed, and private ones about all that their members install. It is one
 * more that has to allow a release, whatever the node and the project say: nothing that stands in a file here, and no exception
 * that a key of this node signed, takes any of it away.
 *
 * Attack: the policy of a public registry that is about everything would let a stranger say what is installed from elsewhere.
 * @throws RegistryError POLICY_INVALID when one can't be read: what it is about is refused, not let through
 */
export function registryPolicies(
  { gate, registries }: Governing,
  about: ReadonlySet<RegistryId> | undefined
): readonly LoadedPolicy[] {
  return registries.all.flatMap(entry => {
    const authority = gate.state(entry.id)?.authority
    const said = authority?.policies.filter(({ text }) => text !== '') ?? []
    const isPrivate = authority?.genesis.visibility === 'private'
    const isAsked = about === undefined || about.has(entry.id)
    if (said.length === 0 || (!isAsked && !isPrivate)) return []
    return said.flatMap((one, i) => {
      const name = `registry ${entry.alias}${i === 0 ? '' : ` (${i + 1})`}`
      const policy = readPublished(entry, one)
      const isForAll = isPrivate && policy.reach === 'all'
      if (!isAsked && !isForAll) return []
      return [{ name, policy, isLocal: false, ...(isForAll ? {} : { registry: entry.id }) }]
    })
  })
}

/** @throws RegistryError POLICY_INVALID */
export function readPublished(
  { alias }: Pick<FollowedRegistry, 'alias'>,
  { text }: Pick<CountedPolicy, 'text'>
): LoadedPolicy['policy'] {
  const name = `the policy of registry ${alias}`
  try {
    return parsePolicyText(text, name)
  } catch (cause) {
    if (!isRegistryError(cause)) throw cause
    throw new RegistryError('POLICY_INVALID', cause.message, {
      cause,
      next: `its owners publish another one, or this program is too old for it: ggen-node policy show --registry ${alias}`
    })
  }
}
