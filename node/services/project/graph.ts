import { compareText } from '../../../protocol/bytes.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { Lock, LockedPack, PackId } from './lock-format.ts'

/** One line of a dependency tree. `again`: its own dependencies stand further up. */
export interface TreeNode {
  readonly id: PackId
  readonly version: string
  readonly again: boolean
  readonly children: readonly TreeNode[]
}

/** What the project asked for itself, in the order of their ids. */
export function wantedIds({ packs }: Lock): readonly PackId[] {
  return [...packs.values()]
    .filter(pack => pack.requested !== undefined)
    .map(pack => pack.id)
    .toSorted(compareText)
}

/** Everything that can be reached from these, themselves included. */
export function reachable({ packs }: Lock, from: readonly PackId[]): ReadonlySet<PackId> {
  const seen = new Set<PackId>()
  const pending = [...from]
  for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
    const pack = packs.get(id)
    if (pack === undefined || seen.has(id)) continue
    seen.add(id)
    pending.push(...pack.dependencies)
  }
  return seen
}

/** The tree below each wanted package; a package's dependencies are listed where it comes first. */
export function treeOf(lock: Lock): readonly TreeNode[] {
  const shown = new Set<PackId>()
  const visit = (pack: LockedPack, depth: number): TreeNode => {
    const again = shown.has(pack.id) && pack.dependencies.length > 0
    shown.add(pack.id)
    const below = again || depth >= LIMITS.install.depth ? [] : dependenciesOf(lock, pack)
    return { id: pack.id, version: pack.version, again, children: below.map(child => visit(child, depth + 1)) }
  }
  return wantedIds(lock).flatMap(id => {
    const pack = lock.packs.get(id)
    return pack === undefined ? [] : [visit(pack, 0)]
  })
}

/** The shortest way from each wanted package down to this one: why it is here. */
export function whyOf(lock: Lock, target: PackId): readonly (readonly PackId[])[] {
  return wantedIds(lock).flatMap(root => {
    const path = shortestPath(lock, root, target)
    return path === undefined ? [] : [path]
  })
}

function shortestPath(lock: Lock, root: PackId, target: PackId): readonly PackId[] | undefined {
  const cameFrom = new Map<PackId, PackId | undefined>([[root, undefined]])
  for (const id of cameFrom.keys()) {
    if (id === target) return trail(cameFrom, id)
    const pack = lock.packs.get(id)
    for (const next of pack === undefined ? [] : dependenciesOf(lock, pack)) {
      if (!cameFrom.has(next.id)) cameFrom.set(next.id, id)
    }
  }
  return undefined
}

function trail(cameFrom: ReadonlyMap<PackId, PackId | undefined>, end: PackId): readonly PackId[] {
  const path: PackId[] = []
  for (let id: PackId | undefined = end; id !== undefined; id = cameFrom.get(id)) path.unshift(id)
  return path
}

/** Everything that can be reached from these, dependencies before what depends on them; a circle as it is entered. */
export function inOrder(lock: Lock, from: readonly PackId[]): readonly LockedPack[] {
  const out: LockedPack[] = []
  const seen = new Set<PackId>()
  const pending: { readonly pack: LockedPack; readonly isLeft: boolean }[] = []
  const enter = (packs: readonly (LockedPack | undefined)[]): void => {
    for (const pack of packs.toReversed()) if (pack !== undefined) pending.push({ pack, isLeft: false })
  }
  enter(from.map(id => lock.packs.get(id)))
  // A list instead of recursion: a chain of dependencies may be longer than the stack is deep.
  for (let step = pending.pop(); step !== undefined; step = pending.pop()) {
    const { pack, isLeft } = step
    if (isLeft) out.push(pack)
    else if (!seen.has(pack.id)) {
      seen.add(pack.id)
      pending.push({ pack, isLeft: true })
      enter(dependenciesOf(lock, pack))
    }
  }
  return out
}

function dependenciesOf({ packs }: Lock, { dependencies }: LockedPack): readonly LockedPack[] {
  return dependencies.toSorted(compareText).flatMap(id => packs.get(id) ?? [])
}
