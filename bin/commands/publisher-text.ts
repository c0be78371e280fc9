import type { NamedKey } from '../../node/services/publisher/named-key.ts'

type Named = Pick<NamedKey, 'age' | 'domain' | 'key'>

/** A key by the domain that names it; both, because the domain alone is no key. */
export function keyText(key: string, publishers: readonly Named[]): string {
  return namedText(key, key, publishers)
}

/** The same where the key is written shorter. */
export function namedText(key: string, written: string, publishers: readonly Named[]): string {
  const named = publishers.find(one => one.key === key)
  return named === undefined ? written : `${domainText(named)} (${written})`
}

/** A text of ours that names keys, with the domains before them. */
export function namedIn(text: string, publishers: readonly Named[]): string {
  return publishers.reduce((all, { key }) => all.replaceAll(key, keyText(key, publishers)), text)
}

/** Where there is no room for a key. `as it was`: the domain was not asked for a day. */
export function domainText({ domain, age }: Pick<Named, 'age' | 'domain'>): string {
  return `${domain}${age === 'fresh' ? '' : ', as it was'}`
}
