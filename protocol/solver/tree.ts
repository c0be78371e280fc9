import { compareText } from '../bytes.ts'
import { RegistryError } from '../errors.ts'
import { shortNameOf } from '../package-name.ts'
import type { PackageName } from '../package-name.ts'
import type { Version } from '../version.ts'
import type { CatalogueVersion } from './catalogue.ts'
import { nameOfNode } from './node-name.ts'
import type { NodeName } from './node-name.ts'
import type { Wish } from './search.ts'
import type { Shelf } from './shelf.ts'

export interface PickedVersion {
  readonly name: NodeName
  readonly version: Version
}

/** Something that a picked version asks for and that is not installed. */
export interface LeftOut {
  /** As the manifest spells it. */
  readonly name: string
  readonly range: string
  readonly why: 'external' | 'optional'
  /** `advanced-rust-project@1.2.0` */
  readonly by: string
  /** Why an optional dependency could not be had. */
  readonly reason?: string
}

/** An override that took effect: what it replaced, and where that was asked. */
export interface Overridden {
  readonly name: PackageName
  readonly range: string
  readonly instead: readonly { readonly range: string; readonly by: string }[]
}

/** What was picked, and what for. */
export interface Tree {
  readonly versions: ReadonlyMap<NodeName, Version>
  readonly wishes: readonly Wish[]
  readonly shelf: Shelf
}

/** The entry of a picked version. */
export function versionIn({ versions, shelf }: Tree, name: NodeName): CatalogueVersion {
  const candidates = shelf.get(name)
  const version = versions.get(name)
  const index = version === undefined ? undefined : candidates?.indexOf(version)
  if (candidates === undefined || index === undefined) throw new RegistryError('INTERNAL', `${name} was not picked`)
  return candidates.at(index)
}

/** Dependencies before what depends on them; in a circle, as it was entered. The same for the same picks. */
export function inOrder(tree: Tree): readonly PickedVersion[] {
  const out: PickedVersion[] = []
  const seen = new Set<NodeName>()
  const todo: ({ readonly enter: NodeName } | { readonly leave: CatalogueVersion; readonly name: NodeName })[] = []
  const enterAll = (names: readonly NodeName[]): void => {
    for (const name of names.toReversed()) if (tree.versions.has(name)) todo.push({ enter: name })
  }
  enterAll(tree.wishes.map(({ name }) => name))
  // A list instead of recursion: a chain of dependencies may be longer than the stack is deep.
  for (let step = todo.pop(); step !== undefined; step = todo.pop()) {
    if ('leave' in step) {
      out.push({ name: step.name, version: step.leave.version })
      continue
    }
    if (seen.has(step.enter)) continue
    seen.add(step.enter)
    const entry = versionIn(tree, step.enter)
    todo.push({ leave: entry, name: step.enter })
    enterAll(tree.shelf.needsOf(step.enter, entry).map(({ name }) => name))
  }
  return out
}

/** What picked versions need of the world outside the registry. */
export function externalsOf(tree: Tree): readonly LeftOut[] {
  return inOrder(tree).flatMap(({ name, version }) =>
    versionIn(tree, name).external.map(outside => ({
      ...outside,
      why: 'external' as const,
      by: byOf(name, version)
    }))
  )
}

/** By name, then range, then who asks. */
export function compareLeft(a: LeftOut, b: LeftOut): number {
  return compareText(a.name, b.name) || compareText(a.range, b.range) || compareText(a.by, b.by)
}

/** Which overrides replaced something that was asked in this tree. */
export function overriddenIn(tree: Tree, overrides: ReadonlyMap<NodeName, string>): readonly Overridden[] {
  const asked = [
    ...tree.wishes,
    ...inOrder(tree).flatMap(({ name, version }) =>
      tree.shelf
        .needsOf(name, versionIn(tree, name))
        .map(need => ({ name: need.name, range: need.range, by: byOf(name, version) }))
    )
  ]
  return [...overrides]
    .map(([name, range]) => {
      const instead = asked.filter(one => one.name === name && one.range !== range && tree.versions.has(name))
      return { name: nameOfNode(name), range, instead: instead.map(one => ({ range: one.range, by: one.by })) }
    })
    .filter(({ instead }) => instead.length > 0)
    .toSorted((a, b) => compareText(a.name, b.name))
}

/** Who asks: `advanced-rust-project@1.2.0`. */
export function byOf(name: NodeName, version: Version): string {
  return `${shortNameOf(nameOfNode(name))}@${version}`
}
