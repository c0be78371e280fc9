import type { RegistryId } from '../../../protocol/cid.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { shortNameOf } from '../../../protocol/package-name.ts'
import type { Followed, Standing } from '../precedence.ts'
import { concernsPrivate, edgesIn } from './bindings.ts'
import type { Bindings, Meanings } from './bindings.ts'
import type { Lock, LockedPack } from './lock-format.ts'
import type { Want } from './project.ts'
import type { ProjectNames, ProjectRegistries } from './wishes.ts'

export interface MoveComponents {
  readonly names: ProjectNames
  readonly bindings: Bindings
  readonly precedence: Meanings
  readonly followed: ProjectRegistries
  /** Where there is one other registry that is meant now, that is as it should be. */
  readonly acceptMoves: boolean
}

/**
 * Refuses when a name that is locked would now be taken from another registry, or when a lockfile binds a dependency to
 * another registry than anybody's rules would.
 *
 * Attack: a lockfile in a change that looks harmless, which moves a private name to a stranger's package; and a name that
 * a company begins to use, while a project goes on with a stranger's package of that name.
 * @throws RegistryError REGISTRY_CHANGED
 */
export async function assertUnmoved(
  lock: Lock,
  wants: readonly Want[],
  { names, bindings, precedence, followed, acceptMoves }: MoveComponents
): Promise<void> {
  const isRefused = (moved: readonly Followed[] | undefined): moved is readonly Followed[] =>
    moved !== undefined && !(acceptMoves && moved.length === 1)
  for (const want of wants) {
    const pack = names.lockedFor(want)
    if (pack === undefined) continue
    const { alias, name } = want
    if (alias === undefined) {
      const moved = movedTo(names.standingOf(name), pack.registry, precedence)
      if (isRefused(moved)) throw movedError(pack, { moved, precedence, by: undefined })
    } else {
      // Aliases are each person's own: one that means something else here is in doubt, and so is one that means nothing
      // here where a private registry has the name. Attack: a lockfile in a change that looks harmless gives the wish
      // `acme:foo` to a stranger's foo, and whoever calls acme by another alias installs it.
      const here = followed.all.find(entry => entry.alias === alias)
      if (here !== undefined && here.id !== pack.registry) throw otherAlias(pack, here)
      const standing = here === undefined ? names.standingOf(name) : undefined
      const hidden =
        standing !== undefined && concernsPrivate(standing) ? movedTo(standing, pack.registry, precedence) : undefined
      if (hidden !== undefined) throw strangeAlias(pack, hidden)
    }
  }
  for (const { from, to } of edgesIn(lock)) {
    const { standing, decided } = await bindings.standing(from.registry, to.name)
    const moved = decided === undefined ? movedTo(standing, to.registry, precedence) : undefined
    if (isRefused(moved)) throw movedError(to, { moved, precedence, by: from })
  }
}

/** Where a name would go that is locked in this registry; undefined when it stays, or nobody can tell. */
function movedTo(
  standing: Standing | undefined,
  locked: RegistryId,
  { all }: Meanings
): readonly Followed[] | undefined {
  // A registry that is not followed has an error of its own.
  if (!all.some(({ id }) => id === locked)) return undefined
  switch (standing?.type) {
    case 'found':
      return standing.registry.id === locked ? undefined : [standing.registry]
    case 'ambiguous':
      return standing.registries.some(({ id }) => id === locked) ? undefined : standing.registries
    case 'absent':
    case 'traces':
    case 'unread':
    case undefined:
      return undefined
  }
}

interface Moved {
  readonly moved: readonly Followed[]
  readonly precedence: Meanings
  /** What needs it; undefined for a wish of the project. */
  readonly by: LockedPack | undefined
}

function movedError(pack: LockedPack, { moved, precedence, by }: Moved): RegistryError {
  const short = shortNameOf(pack.name)
  const to = moved.map(({ alias }) => alias).join(' or ')
  const from = precedence.all.find(({ id }) => id === pack.registry)?.alias ?? pack.alias
  const kept = precedence.reference({ alias: from }, pack.name)
  const keep =
    by === undefined
      ? `to keep ${kept}: ggen-node remove ${short}, then ggen-node install ${kept}`
      : `to keep ${kept}: "${kept}" = "*" among the overrides of the project file`
  const [target, ...others] = moved
  const accept =
    target === undefined || others.length > 0
      ? `to take another: ${moved.map(registry => precedence.reference(registry, pack.name)).join(' or ')} by that name`
      : `to take ${precedence.reference(target, pack.name)} from now on: the same command with --accept-moves`
  return new RegistryError(
    'REGISTRY_CHANGED',
    `${short} is locked from registry ${from}, and would now be taken from ${to}`,
    {
      tried: [
        `.ggen/packs.lock has ${short}@${pack.version} of ${from}, which is registry ${pack.registry}`,
        ...moved.map(({ alias, id }) => `${alias}, which is registry ${id}, holds a package ${short} too`),
        ...(by === undefined ? [] : [`${shortNameOf(by.name)}@${by.version} of ${by.alias} needs it`])
      ],
      next: `${keep}; ${accept}; --frozen goes on as it is locked`
    }
  )
}

function strangeAlias(pack: LockedPack, hidden: readonly Followed[]): RegistryError {
  const short = shortNameOf(pack.name)
  const [by] = hidden
  return new RegistryError(
    'REGISTRY_CHANGED',
    `${pack.alias}:${short} is locked from registry ${pack.registry}, and ${by?.alias ?? ''}, a private registry, holds a package ${short} too`,
    {
      tried: [
        `no registry that is followed here has the alias ${pack.alias}`,
        ...hidden.map(({ alias, id }) => `${alias} is registry ${id}`)
      ],
      next: `to keep it: ggen-node registry add ${pack.registry} --alias ${pack.alias}; to take another: ggen-node remove ${pack.alias}:${short}, then install ${hidden.map(registry => `${registry.alias}:${short}`).join(' or ')}; --frozen goes on as it is locked`
    }
  )
}

function otherAlias(pack: LockedPack, here: { readonly id: RegistryId; readonly alias: string }): RegistryError {
  const short = shortNameOf(pack.name)
  return new RegistryError(
    'REGISTRY_CHANGED',
    `${here.alias}:${short} is locked from another registry than the one that is ${here.alias} here`,
    {
      tried: [`.ggen/packs.lock means registry ${pack.registry}`, `${here.alias} is registry ${here.id} here`],
      next: `ggen-node remove ${here.alias}:${short}, then install the one that is meant; --frozen goes on as it is locked`
    }
  )
}
