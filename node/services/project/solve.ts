import type { RegistryId } from '../../../protocol/cid.ts'
import { RegistryError, isRegistryError } from '../../../protocol/errors.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import { shortNameOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { FindPackage, Resolution, ResolveRequest } from '../resolve.ts'
import type { LockedPack } from './lock-format.ts'
import type { ProjectRegistry } from './project.ts'

/** What a project asks of one registry. */
export interface SolveRequest extends ResolveRequest {
  /** What the lockfile has, by name. */
  readonly locked: ReadonlyMap<PackageName, LockedPack>
}

/** Chooses versions out of what one registry holds. @throws RegistryError that says what does not go together */
export type Solve = (registry: RegistryId, request: ResolveRequest, find: FindPackage) => Promise<Resolution>

export interface SolveComponents {
  readonly solve: Solve
  readonly find: FindPackage
  /** All registries that are followed here. */
  readonly registries: () => readonly ProjectRegistry[]
}

/**
 * Solves for one registry. A version in conflict is seen as the lockfile has it, by its content id, so that other
 * wishes do not take it away. When something is missing that another followed registry holds, the refusal says so, and
 * no more: what is looked up elsewhere unasked is how a stranger's package takes the place of a private one.
 */
export async function solveFor(
  { solve, find, registries }: SolveComponents,
  registry: ProjectRegistry,
  request: SolveRequest
): Promise<Resolution> {
  const absent = new Set<PackageName>()
  const finder: FindPackage = async (id, name) => {
    const view = await find(id, name)
    if (view === undefined || view.versions.length === 0) absent.add(name)
    return view === undefined ? undefined : asLocked(view, request.locked.get(name))
  }
  try {
    return await solve(registry.id, request, finder)
  } catch (error) {
    if (!isRegistryError(error)) throw error
    const elsewhere: string[] = []
    for (const name of absent) {
      for (const other of registries()) {
        const view = other.id === registry.id ? undefined : await find(other.id, name)
        if ((view?.versions.length ?? 0) > 0) {
          elsewhere.push(`registry ${other.alias} holds a package ${shortNameOf(name)}, ${registry.alias} does not`)
        }
      }
    }
    if (elsewhere.length === 0) throw error
    throw new RegistryError(error.code, error.message, {
      cause: error,
      detail: error.detail,
      tried: [...error.tried, ...elsewhere],
      next: `a package's dependencies come from its own registry: publish what is missing to ${registry.alias}`
    })
  }
}

function asLocked(view: PackageView, locked: LockedPack | undefined): PackageView {
  if (locked === undefined) return view
  const versions = view.versions.map(entry => {
    const own = entry.contents.find(({ root }) => root === locked.cid)
    return entry.version === locked.version && own !== undefined ? { ...entry, contents: [own] } : entry
  })
  return { ...view, versions }
}
