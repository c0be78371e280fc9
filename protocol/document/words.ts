import { compareText } from '../bytes.ts'
import type { FactId } from '../cid.ts'
import type { Subject } from '../fact.ts'
import type { PackageName } from '../package-name.ts'
import type { DocumentState, HeldKey } from './document.ts'
import { pathOf } from './edits.ts'
import type { DocumentValue, Path } from './edits.ts'

/** A key of a document by its path. */
export interface HeldPath extends HeldKey {
  readonly path: Path
}

/** What people say of a package. Where they disagree, what is shown first; `conflicts` has all. */
export interface PackageWords {
  readonly title: string | null
  readonly description: string | null
  readonly keywords: readonly string[]
  readonly categories: readonly string[]
  readonly links: readonly (readonly [string, string])[]
  /** More than one version: nobody may follow the tag until that is settled. */
  readonly tags: readonly { readonly tag: string; readonly versions: readonly string[] }[]
  readonly deprecated: readonly { readonly range: string; readonly text: string }[]
  readonly maintainers: readonly { readonly key: string; readonly name: string }[]
  readonly conflicts: readonly HeldPath[]
}

export interface Bundle {
  readonly name: string
  readonly title: string
  readonly minScore: number | null
  /** By name. */
  readonly members: readonly { readonly name: PackageName; readonly range: string }[]
  readonly conflicts: readonly HeldPath[]
}

/** What a registry says of itself. */
export interface Catalogue {
  readonly categories: readonly { readonly name: string; readonly description: string }[]
  readonly bundles: readonly Bundle[]
  readonly announcements: readonly { readonly id: string; readonly text: string; readonly fact: FactId }[]
  readonly conflicts: readonly HeldPath[]
}

/** Different values of a key: the same one said twice is no conflict. The one that is shown comes first. */
export function distinctValues({ values }: HeldKey): readonly DocumentValue[] {
  return [...new Set(values.map(({ value }) => value))]
}

export function wordsOf(subject: Subject, state: DocumentState): PackageWords {
  const held = heldOf(subject, state)
  const text = (field: string): string | null => textOf(held.get(field)?.[0])
  const names = (field: string): readonly string[] => (held.get(field) ?? []).map(nameOf)
  const pairs = (field: string): readonly (readonly [string, string])[] =>
    (held.get(field) ?? []).map(key => [nameOf(key), textOf(key) ?? ''])
  return {
    title: text('title'),
    description: text('description'),
    keywords: names('keywords'),
    categories: names('categories'),
    links: pairs('links'),
    tags: (held.get('tags') ?? []).map(key => ({ tag: nameOf(key), versions: distinctValues(key).map(String) })),
    deprecated: pairs('deprecated').map(([range, said]) => ({ range, text: said })),
    maintainers: pairs('maintainers').map(([key, name]) => ({ key, name })),
    conflicts: conflictsIn(held)
  }
}

export function catalogueOf(state: DocumentState): Catalogue {
  const held = heldOf('registry', state)
  const of = (field: string): readonly HeldPath[] => held.get(field) ?? []
  const conflicts = conflictsIn(held)
  // A bundle that was taken away on one side and filled on the other: its members alone do not bring it back.
  const bundles = of('bundles').map((key): Bundle => {
    const name = nameOf(key)
    const scored = textOf(of('scores').find(score => nameOf(score) === name))
    const members = of('members').filter(({ path }) => path[1] === name)
    return {
      name,
      title: textOf(key) ?? '',
      minScore: scored === null ? null : Number(scored),
      members: members.map(member => ({ name: member.path[2] as PackageName, range: textOf(member) ?? '*' })),
      conflicts: conflicts.filter(
        ({ path }) => path[1] === name && path[0] !== 'categories' && path[0] !== 'announcements'
      )
    }
  })
  return {
    categories: of('categories').map(key => ({ name: nameOf(key), description: textOf(key) ?? '' })),
    bundles,
    announcements: of('announcements').flatMap(key => {
      const fact = key.values[0]?.fact
      return fact === undefined ? [] : { id: nameOf(key), text: textOf(key) ?? '', fact }
    }),
    conflicts
  }
}

/** The keys of each field, by path. */
function heldOf(subject: Subject, { content }: DocumentState): ReadonlyMap<string, readonly HeldPath[]> {
  const held = content.map(key => ({ ...key, path: pathOf(subject, key.key) }))
  return Map.groupBy(
    held.toSorted((a, b) => compareText(a.key, b.key)),
    ({ path }) => path[0] ?? ''
  )
}

function conflictsIn(held: ReadonlyMap<string, readonly HeldPath[]>): readonly HeldPath[] {
  return [...held.values()].flat().filter(key => distinctValues(key).length > 1)
}

function nameOf({ path }: HeldPath): string {
  return path[1] ?? ''
}

function textOf(key: HeldKey | undefined): string | null {
  const value = key?.values[0]?.value
  return typeof value === 'string' ? value : null
}
