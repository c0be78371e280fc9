import { compareText } from '../../protocol/bytes.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { Subject } from '../../protocol/fact.ts'
import type { PackageView } from '../../protocol/fold.ts'
import type { ContentView } from '../../protocol/fold-versions.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { nearest } from '../../protocol/nearest.ts'
import { ecosystemOf, shortNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { orderingOf } from '../../protocol/version.ts'
import type { Version } from '../../protocol/version.ts'
import { openPackageRow, sealedHash, viewDigest } from '../../protocol/view-row.ts'

/** What reading views needs of the store. */
export interface RowReader {
  row(registry: RegistryId, subject: Subject): Promise<Uint8Array | undefined>
  rows(registry: RegistryId, from?: Subject): AsyncIterable<readonly [Subject, Uint8Array]>
}

/** What reading documents needs of the store: what each says, sealed. */
export interface StateReader {
  states(registry: RegistryId): AsyncIterable<readonly [Subject, Uint8Array]>
  /** Fulfilled when none is behind the facts, or after a while. */
  settled(registry: RegistryId): Promise<void>
}

const NO_DOCUMENTS: StateReader = { async *states() {}, settled: async () => {} }

/** A package in a list or a search result. */
export interface PackageSummary {
  readonly name: PackageName
  readonly version: Version
  readonly title: string
  readonly description: string
  readonly yanked: boolean
}

/** Reads what the facts of a registry add up to. Never writes, never asks the network. */
export class RegistryView {
  readonly #rows: RowReader
  readonly #documents: StateReader

  constructor(rows: RowReader, documents: StateReader = NO_DOCUMENTS) {
    this.#rows = rows
    this.#documents = documents
  }

  /** Undefined when no fact of the registry is about that name. */
  async find(registry: RegistryId, name: PackageName): Promise<PackageView | undefined> {
    const sealed = await this.#rows.row(registry, name)
    return sealed === undefined ? undefined : openPackageRow(sealed)
  }

  /** @throws RegistryError UNKNOWN_PACKAGE with what comes near */
  async package(registry: RegistryId, name: PackageName): Promise<PackageView> {
    const view = await this.find(registry, name)
    if (view !== undefined && (view.claim !== null || view.versions.length > 0)) return view
    const near = await this.near(registry, name)
    throw new RegistryError('UNKNOWN_PACKAGE', `no package ${shortNameOf(name)} in the registry`, {
      tried: [`looked among the packages of registry ${registry}`],
      next: near.length > 0 ? `perhaps you meant ${near.join(' or ')}` : 'run ggen-node search to see what there is'
    })
  }

  async *packages(registry: RegistryId): AsyncGenerator<PackageView> {
    for await (const [subject, sealed] of this.#rows.rows(registry)) {
      if (subject !== 'registry') yield openPackageRow(sealed)
    }
  }

  /** Packages whose name, title, description or keywords hold all words of the query; best match first. */
  async search(
    registry: RegistryId,
    query: string,
    limit: number = LIMITS.search.results
  ): Promise<readonly PackageSummary[]> {
    const words = query
      .slice(0, LIMITS.search.queryChars)
      .toLowerCase()
      .split(/\s+/)
      .filter(word => word !== '')
    const found: { readonly score: number; readonly summary: PackageSummary }[] = []
    for await (const view of this.packages(registry)) {
      const summary = summarise(view)
      const score = summary === undefined ? 0 : scoreOf(view, summary, words)
      if (summary !== undefined && score > 0) found.push({ score, summary })
    }
    return found
      .toSorted((a, b) => b.score - a.score || compareText(a.summary.name, b.summary.name))
      .slice(0, Math.max(0, Math.min(limit, LIMITS.search.results)))
      .map(({ summary }) => summary)
  }

  async counts(registry: RegistryId): Promise<{ packages: number; releases: number }> {
    let packages = 0
    let releases = 0
    for await (const view of this.packages(registry)) {
      if (view.claim !== null) packages += 1
      releases += view.versions.length
    }
    return { packages, releases }
  }

  /** Equal on all nodes that hold equal sets, once their documents are up to date. */
  async digest(registry: RegistryId): Promise<Uint8Array> {
    await this.#documents.settled(registry)
    return viewDigest(await hashesOf(this.#rows.rows(registry)), await hashesOf(this.#documents.states(registry)))
  }

  /** Names that somebody who typed this one may have meant, nearest first. */
  async near(registry: RegistryId, name: PackageName): Promise<readonly string[]> {
    const names: string[] = []
    for await (const [subject] of this.#rows.rows(registry)) {
      if (subject !== 'registry') names.push(shortNameOf(subject))
    }
    return nearest(shortNameOf(name), names)
  }
}

async function hashesOf(
  sealed: AsyncIterable<readonly [Subject, Uint8Array]>
): Promise<readonly (readonly [Subject, Uint8Array])[]> {
  const hashes: [Subject, Uint8Array][] = []
  for await (const [subject, row] of sealed) hashes.push([subject, sealedHash(row)])
  return hashes
}

/** The version a person would get, and its words. Undefined for a name without a usable version. */
export function summarise(view: PackageView): PackageSummary | undefined {
  const { isPrerelease } = orderingOf(ecosystemOf(view.name))
  const usable = view.versions.filter(entry => entry.contents.length === 1)
  const best = usable.find(entry => entry.yanks.length === 0 && !isPrerelease(entry.version)) ?? usable[0]
  const content: ContentView | undefined = best?.contents[0]
  if (best === undefined || content === undefined) return undefined
  const { title = '', description = '' } = content.manifest
  return { name: view.name, version: best.version, title, description, yanked: best.yanks.length > 0 }
}

function scoreOf(view: PackageView, { name, title, description }: PackageSummary, words: readonly string[]): number {
  const keywords = view.versions[0]?.contents[0]?.manifest.keywords ?? []
  const short = shortNameOf(name)
  const fields: readonly (readonly [string, number])[] = [
    [short, 8],
    [title.toLowerCase(), 4],
    [keywords.join(' ').toLowerCase(), 3],
    [description.toLowerCase(), 1]
  ]
  let total = words.length === 0 ? 1 : 0
  for (const word of words) {
    const score = fields.reduce(
      (sum, [text, weight]) => sum + (text.includes(word) ? weight : 0),
      short === word ? 16 : 0
    )
    if (score === 0) return 0
    total += score
  }
  return total
}
