import { RegistryError } from '../errors.ts'
import type { PackageView } from '../fold.ts'
import { LIMITS } from '../limits.ts'
import { ecosystemOf, packageNameOf } from '../package-name.ts'
import type { PackageName } from '../package-name.ts'
import { orderingOf } from '../version.ts'
import type { Ordering, Version } from '../version.ts'
import { nameOfNode, PLAIN_WORDS } from './node-name.ts'
import type { NodeName, Words } from './node-name.ts'
import { indicesOf, isEqual, setOf } from './version-set.ts'
import type { VersionSet } from './version-set.ts'

/** What a version needs of another package, which it knows by its name alone. */
export interface Need {
  readonly name: PackageName
  readonly range: string
  readonly optional: boolean
}

/** A version as the solver sees it. */
export interface CatalogueVersion {
  readonly version: Version
  readonly state: 'usable' | 'yanked' | 'quarantined' | 'conflict'
  /** Why it was withdrawn or stopped, when somebody said. */
  readonly reason: string
  readonly needs: readonly Need[]
  /** What it needs of the world outside the registry: told to people, not solved. */
  readonly external: readonly { readonly name: string; readonly range: string }[]
}

/** What a registry says of one name: all its versions, in any order. */
export interface CataloguePackage {
  readonly name: NodeName
  readonly versions: readonly CatalogueVersion[]
}

/** The part of a package's view that resolution reads. */
export function cataloguePackage(view: PackageView, node: NodeName = view.name): CataloguePackage {
  const versions = view.versions.map(({ version, contents, yanks, quarantines = [] }): CatalogueVersion => {
    const [content, ...others] = contents
    const isConflict = content === undefined || others.length > 0
    const dependencies = isConflict ? [] : content.manifest.dependencies
    return {
      version,
      state: isConflict ? 'conflict' : quarantines.length > 0 ? 'quarantined' : yanks.length > 0 ? 'yanked' : 'usable',
      reason: [...quarantines, ...yanks].find(({ reason }) => reason !== '')?.reason ?? '',
      needs: dependencies.flatMap(({ kind, name, range, optional }) =>
        kind === 'ggen' ? [{ name: packageNameOf('ggen', name), range, optional: optional === true }] : []
      ),
      external: dependencies.flatMap(({ kind, name, range }) => (kind === 'external' ? [{ name, range }] : []))
    }
  })
  return { name: node, versions }
}

/** Why a package's versions are fewer, or more, than its range alone would say. */
export interface CandidateRules {
  /** What was yanked or stopped can be chosen by whoever has exactly that one locked; policy has the last word. */
  readonly locked: Version | undefined
  /** Ranges of the person or the project: the pre-releases that they name are open to everybody's ranges. */
  readonly ownRanges: readonly string[]
  readonly words?: Words
}

/** The versions of one package that may be picked, numbered from 1 in ascending order. */
export class Candidates {
  readonly name: NodeName
  /** All versions, highest first, unusable ones too: what is told when nothing fits. */
  readonly known: readonly CatalogueVersion[]
  readonly #usable: readonly CatalogueVersion[]
  readonly #ordering: Ordering
  readonly #sets = new Map<string, VersionSet>()
  readonly #open: ReadonlySet<number>
  #sharing: ReadonlyMap<string, VersionSet> | undefined

  constructor({ name, versions }: CataloguePackage, { locked, ownRanges, words = PLAIN_WORDS }: CandidateRules) {
    if (versions.length > LIMITS.solver.versionsPerPackage) {
      throw new RegistryError(
        'LIMIT_EXCEEDED',
        `${words.called(name)} has more than ${LIMITS.solver.versionsPerPackage} versions, which nobody resolves`
      )
    }
    this.name = name
    this.#ordering = orderingOf(ecosystemOf(nameOfNode(name)))
    const { compare, isPrerelease } = this.#ordering
    const isSorted = versions.every(
      ({ version }, i) => i === 0 || compare(versions[i - 1]?.version ?? version, version) > 0
    )
    this.known = isSorted ? versions : versions.toSorted((a, b) => compare(b.version, a.version))
    this.#usable = this.known
      .filter(({ state, version }) => state === 'usable' || (state !== 'conflict' && version === locked))
      .map(inOneOrder)
      .toReversed()
    const own = ownRanges.flatMap(range => [...indicesOf(this.#strict(range))])
    this.#open = new Set(own.filter(index => isPrerelease(this.at(index).version)))
  }

  /** How many there are: also the highest number. */
  get count(): number {
    return this.#usable.length
  }

  /** @throws RegistryError INTERNAL when there is no such version */
  at(index: number): CatalogueVersion {
    const found = this.#usable[index - 1]
    if (found === undefined) throw new RegistryError('INTERNAL', `${this.name} has no version ${index}`)
    return found
  }

  indexOf(version: Version): number | undefined {
    const at = this.#usable.findIndex(entry => entry.version === version)
    return at < 0 ? undefined : at + 1
  }

  /** Whether a range was turned into a set before: then it costs nothing to do it again. */
  isKnown(range: string): boolean {
    return this.#sets.has(range)
  }

  /** @throws RegistryError INVALID_VERSION */
  setOf(range: string): VersionSet {
    const known = this.#sets.get(range)
    if (known !== undefined) return known
    const strict = this.#strict(range)
    const set = this.#open.size === 0 ? strict : this.#withOpen(strict, range)
    this.#sets.set(range, set)
    return set
  }

  /** Versions of any state that a range names, highest first: what to tell of when none of them may be picked. */
  matching(range: string): readonly CatalogueVersion[] {
    const test = this.#ordering.parseRange(range)
    return this.known.filter(({ version }) => test(version))
  }

  /** The versions that need the same of the same package as this one. */
  sharing(need: Need): VersionSet {
    this.#sharing ??= this.#groupByNeed()
    return this.#sharing.get(keyOf(need)) ?? []
  }

  /** Versions as a range: in somebody's own words when a range that was asked for means just these. */
  print(set: VersionSet): string {
    for (const [range, known] of this.#sets) if (range !== '*' && isEqual(known, set)) return range
    return printSet(set, { candidates: this, isPrerelease: this.#ordering.isPrerelease })
  }

  #strict(range: string): VersionSet {
    const test = this.#ordering.parseRange(range)
    return setOf(this.#usable.flatMap(({ version }, i) => (test(version) ? [i + 1] : [])))
  }

  #withOpen(strict: VersionSet, range: string): VersionSet {
    const test = this.#ordering.parseRange(range, { prereleases: true })
    const found = [...this.#open].filter(index => test(this.at(index).version))
    return setOf([...new Set([...indicesOf(strict), ...found])].toSorted((a, b) => a - b))
  }

  #groupByNeed(): ReadonlyMap<string, VersionSet> {
    const groups = new Map<string, number[]>()
    for (const [i, { needs }] of this.#usable.entries()) {
      for (const need of needs) {
        const key = keyOf(need)
        const group = groups.get(key)
        if (group === undefined) groups.set(key, [i + 1])
        else group.push(i + 1)
      }
    }
    return new Map([...groups].map(([key, group]) => [key, setOf(group)]))
  }
}

/** Manifests are sorted already; whoever else fills a catalogue need not care. */
function inOneOrder(entry: CatalogueVersion): CatalogueVersion {
  const { needs } = entry
  const isSorted = needs.every((need, i) => i === 0 || compareNeeds(needs[i - 1] ?? need, need) <= 0)
  return isSorted ? entry : { ...entry, needs: needs.toSorted(compareNeeds) }
}

function compareNeeds(a: Need, b: Need): number {
  return compareAscii(a.name, b.name) || compareAscii(a.range, b.range) || Number(a.optional) - Number(b.optional)
}

/** Names and ranges are ASCII, where the order of bytes is the order of code units and needs no encoding. */
function compareAscii(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1
}

function keyOf({ name, range, optional }: Need): string {
  return `${name} ${optional ? '?' : ''}${range}`
}

interface Printing {
  readonly candidates: Candidates
  readonly isPrerelease: (version: Version) => boolean
}

/**
 * A range that means just these out of the versions that there are: `>=1.2.0 <2.0.0 || =3.0.0-rc.1`. Pre-releases stand
 * alone, because a range holds only those that it names.
 */
function printSet(set: VersionSet, { candidates, isPrerelease }: Printing): string {
  const pieces: string[] = []
  const inside = new Set(indicesOf(set))
  // A range that says `*` says nothing else: pre-releases beside it would get lost.
  const isAlone = ![...inside].some(index => index > 0 && isPrerelease(candidates.at(index).version))
  let run: Version[] = []
  const close = (next: Version | undefined): void => {
    const [first] = run
    const isFirst = first !== undefined && first === firstStable
    if (first !== undefined && run.length === 1 && !(isFirst && next === undefined)) pieces.push(`=${first}`)
    else if (first !== undefined && next === undefined) pieces.push(isAlone && isFirst ? '*' : `>=${first}`)
    else if (first !== undefined) pieces.push(isFirst ? `<${next}` : `>=${first} <${next}`)
    run = []
  }
  const stable = Array.from({ length: candidates.count }, (_, i) => i + 1).filter(
    index => !isPrerelease(candidates.at(index).version)
  )
  const firstStable = stable[0] === undefined ? undefined : candidates.at(stable[0]).version
  for (const index of stable) {
    const { version } = candidates.at(index)
    if (inside.has(index)) run.push(version)
    else close(version)
  }
  close(undefined)
  for (const index of inside) {
    const version = index === 0 ? undefined : candidates.at(index).version
    if (version !== undefined && isPrerelease(version)) pieces.push(`=${version}`)
  }
  const shown = pieces.slice(0, LIMITS.solver.piecesOfRange)
  const more = pieces.length - shown.length
  return more > 0 ? `${shown.join(' || ')} and ${more} more` : shown.join(' || ')
}
