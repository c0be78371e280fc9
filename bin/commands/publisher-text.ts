import type { NamedKey } from '../../node/services/publisher/named-key.ts'

/** A key by the domain that names it; both, because the domain alone is no key. `as it was`: the domain was not asked for a day. */
export function keyText(key: string, publishers: readonly Pick<NamedKey, 'age' | 'domain' | 'key'>[]): string {
  const named = publishers.find(one => one.key === key)
  if (named === undefined) return key
  return `${named.domain}${named.age === 'fresh' ? '' : ', as it was'} (${key})`
}
