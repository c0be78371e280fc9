import { parseContentId, parseRegistryId } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import { ecosystemOf, shortNameOf } from '../protocol/package-name.ts'
import { locate } from './block-repair.ts'
import { meantReference } from './meant.ts'
import type { NodeParts } from './parts.ts'
import type { Pin } from './services/store/pins.ts'
import { pinnedRange } from './services/store/pins.ts'
import type { Space } from './spaces.ts'

/**
 * What somebody wants to pin:
 *
 *   what = registry id / alias ":" / alias / [alias ":"] [ecosystem "/"] name ["@" range] / content id
 *
 * A word alone that is both a package and an alias means the package, as it does everywhere; with a colon it is the registry.
 * @throws RegistryError UNKNOWN_PACKAGE | UNKNOWN_REGISTRY | UNKNOWN_VERSION | INVALID_REFERENCE
 */
export async function pinTarget(parts: NodeParts, what: string): Promise<Pin> {
  const registry = registryIn(parts, what)
  if (registry !== undefined) return { type: 'registry', registry }
  const root = idIn(what, parseContentId)
  if (root !== undefined) return { type: 'root', root, swarm: (await spaceOf(parts, root)).name }
  try {
    return await packageTarget(parts, what)
  } catch (error) {
    const entry = parts.registries.all.find(({ alias }) => alias === what)
    if (entry === undefined || !isRegistryError(error)) throw error
    return { type: 'registry', registry: entry.id }
  }
}

/** How a pin is written, so that `pinTarget` finds it again. */
export function pinText({ registries }: Pick<NodeParts, 'registries'>, pin: Pin): string {
  if (pin.type === 'root') return pin.root
  const alias = registries.all.find(({ id }) => id === pin.registry)?.alias
  if (pin.type === 'registry') return alias === undefined ? pin.registry : `${alias}:`
  const name = ecosystemOf(pin.name) === 'ggen' ? shortNameOf(pin.name) : pin.name
  return `${alias ?? pin.registry}:${name}${pin.range === null ? '' : `@${pin.range}`}`
}

async function packageTarget(parts: NodeParts, what: string): Promise<Pin> {
  const { reference, registry } = await meantReference(parts, what)
  // A name that nothing is known of is a typo, and would be pinned for ever.
  const { name } = await parts.view.package(registry.id, reference.name)
  const range = reference.range === undefined ? null : pinnedRange(reference.range)
  return { type: 'package', registry: registry.id, name, range }
}

function registryIn({ registries }: NodeParts, what: string): RegistryId | undefined {
  const id = idIn(what, parseRegistryId)
  if (id !== undefined) {
    if (registries.ids.includes(id)) return id
    throw new RegistryError('UNKNOWN_REGISTRY', `registry ${id} is not followed here`, {
      next: `ggen-node registry add ${id}`
    })
  }
  return what.endsWith(':') ? registries.find(what.slice(0, -1)).id : undefined
}

/** Where a content root is, or was and is to be again, or, when it is nowhere yet, where the registry that names it keeps its bytes. */
async function spaceOf(parts: NodeParts, root: ContentId): Promise<Space> {
  const { spaces, pins } = parts
  for (const space of spaces.all) {
    const isPinned = pins.all.some(pin => pin.type === 'root' && pin.root === root && pin.swarm === space.name)
    if (isPinned || (await space.keptEntry(root)) !== undefined) return space
  }
  for (const space of spaces.all) if ((await locate(parts, space, new Set([root]))).has(root)) return space
  throw new RegistryError('UNKNOWN_VERSION', `${root} is not here, and no registry that is followed names it`, {
    next: 'ggen-node show NAME lists the contents of a package'
  })
}

function idIn<T>(text: string, parse: (text: string) => T): T | undefined {
  try {
    return parse(text)
  } catch (error) {
    if (isRegistryError(error)) return undefined
    throw error
  }
}
