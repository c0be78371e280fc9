import type { NamedKey } from '../../node/services/publisher/named-key.ts'

type Named = Pick<NamedKey, 'age' | 'domain' | 'key'>

/** A key by the domain that names it; both, because the domain alone is no key. */
export function keyText(key: string, publishers: readonly Named[]): string {
  const named = publishers.find(one => one.key === key)
  return named === undefined ? key : `${domainText(named)} (${key})`
}

/** Where there is no room for a key. `as it was`: the domain was not asked for a day. */
export function domainText({ domain, age }: Pick<Named, 'age' | 'domain'>): string {
  return `${domain}${age === 'fresh' ? '' : ', as it was'}`
}
