import type { Principal } from '../protocol/did.ts'
import type { NodeParts } from './parts.ts'
import type { NamedKey } from './services/publisher/named-key.ts'

/** What these keys are shown as, of those that a domain names. Asks nobody. */
export async function namedKeys(
  { publishers }: Pick<NodeParts, 'publishers'>,
  keys: readonly Principal[]
): Promise<readonly NamedKey[]> {
  const found = await Promise.all([...new Set(keys)].map(key => publishers.domainOf(key)))
  return found.flatMap(one =>
    one === undefined ? [] : [{ key: one.key, domain: one.domain, age: one.age, answered: one.answered }]
  )
}
