import { isPrincipal, parsePrincipal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { namedKeys } from './named-keys.ts'
import type { NodeParts } from './parts.ts'
import { TRUST_PURPOSES } from './services/attest/methods.ts'
import type { Trusted, TrustPurpose } from './services/attest/methods.ts'
import type { NamedKey } from './services/publisher/named-key.ts'

/** Whose word is taken, by name: for people, and for policies. */
export async function trusted({
  trust,
  registries
}: Pick<NodeParts, 'registries' | 'trust'>): Promise<readonly Trusted[]> {
  const aliases = new Map(registries.all.map(({ id, alias }) => [id as string, alias]))
  return (await trust.all()).flatMap(({ purpose, who, time }) => {
    // A purpose of a newer program says nothing to this one.
    const known = TRUST_PURPOSES.find(one => one === purpose)
    return known === undefined ? [] : [{ purpose: known, who, alias: aliases.get(who) ?? null, time }]
  })
}

/** The same for people: keys with the domains that name them. */
export async function shownTrust(parts: NodeParts): Promise<readonly (Trusted & { publisher: NamedKey | null })[]> {
  const all = await trusted(parts)
  const keys = all.flatMap(({ who }) => (isPrincipal(who) ? [who] : []))
  const publishers = await namedKeys(parts, keys)
  return all.map(one => ({ ...one, publisher: publishers.find(({ key }) => key === one.who) ?? null }))
}

/** @throws RegistryError UNKNOWN_REGISTRY | USAGE | LIMIT_EXCEEDED */
export async function addTrust(
  parts: NodeParts,
  what: string,
  purpose: string
): Promise<Trusted & { readonly isNew: boolean }> {
  const known = purposeFrom(purpose)
  const { who, alias } = whoIs(parts, what)
  const time = parts.clock.now()
  const isNew = await parts.trust.add({ purpose: known, who, time })
  return { purpose: known, who, alias, time, isNew }
}

/** @throws RegistryError UNKNOWN_REGISTRY | USAGE */
export async function removeTrust(
  parts: NodeParts,
  what: string,
  purpose: string
): Promise<Trusted & { readonly wasThere: boolean }> {
  const known = purposeFrom(purpose)
  const { who, alias } = whoIs(parts, what)
  const wasThere = await parts.trust.remove(known, who)
  return { purpose: known, who, alias, time: parts.clock.now(), wasThere }
}

function whoIs(
  { registries }: Pick<NodeParts, 'registries'>,
  what: string
): { readonly who: string; readonly alias: string | null } {
  if (what.startsWith('did:')) return { who: parsePrincipal(what), alias: null }
  const { id, alias } = registries.find(what)
  return { who: id, alias }
}

function purposeFrom(text: string): TrustPurpose {
  const found = TRUST_PURPOSES.find(one => one === text)
  if (found !== undefined) return found
  throw new RegistryError('USAGE', `${JSON.stringify(text.slice(0, 40))} is nothing to be trusted for`, {
    next: `use ${TRUST_PURPOSES.join(' or ')}`
  })
}
