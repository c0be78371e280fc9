import { parseReference } from '../protocol/reference.ts'
import type { Reference } from '../protocol/reference.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import type { NodeParts } from './parts.ts'

/** A reference, and the registry that it means. */
export interface Meant {
  readonly reference: Reference
  readonly registry: FollowedRegistry
}

type Naming = Pick<NodeParts, 'precedence' | 'registries'>

/** What somebody wants to see or to have. @throws RegistryError AMBIGUOUS_NAME | UNKNOWN_PACKAGE | UNKNOWN_REGISTRY */
export async function meantReference({ registries, precedence }: Naming, text: string): Promise<Meant> {
  const reference = parseReference(text)
  const { alias, name } = reference
  return { reference, registry: alias === undefined ? await precedence.find(name) : registries.find(alias) }
}

/**
 * What somebody is about to write about: a name alone means the default registry, unless a private one holds it.
 * @throws RegistryError AMBIGUOUS_NAME | UNKNOWN_REGISTRY
 */
export async function ownReference({ registries, precedence }: Naming, text: string): Promise<Meant> {
  const reference = parseReference(text)
  const { alias, name } = reference
  return { reference, registry: alias === undefined ? await precedence.forWriting(name) : registries.find(alias) }
}

/** The same, of a registry that was named beside it. @throws RegistryError USAGE when the two are not one */
export async function ownReferenceIn(parts: Naming, text: string, which: string | undefined): Promise<Meant> {
  return which === undefined ? ownReference(parts, text) : parts.registries.resolveIn(text, which)
}
