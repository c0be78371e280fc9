/**
 * How much the word of keys and registries matters here, so that nothing pushes out what they say: the higher, the earlier. What is not in it
 * has none.
 */
export type Heeded = ReadonlyMap<string, number>

export const NOBODY: Heeded = new Map()

/** Of whoever is followed. Above all that a policy may give: attack, a policy that names whoever wants to be heard in his place. */
export const FOLLOWED = 8

/** Of a key that a registry names in a policy about its own releases. Below all others. */
export const LEAST = 1

/** Those who are followed, before those that policies name. */
export function heeding(followed: Iterable<string>, named: Heeded = NOBODY): Heeded {
  return new Map([...named, ...[...followed].map(who => [who, FOLLOWED] as const)])
}

export function heedOf(
  heeded: Heeded,
  { issuer, registry }: { readonly issuer: string; readonly registry: string }
): number {
  return Math.max(heeded.get(issuer) ?? 0, heeded.get(registry) ?? 0)
}
