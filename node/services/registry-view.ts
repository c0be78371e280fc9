import { isOpen } from '../../protocol/fold-versions.ts'
import type { DigestView } from '../../protocol/attest/fold.ts'
import { compareText } from '../../protocol/bytes.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import { openState } from '../../protocol/document/saved.ts'
import { wordsOf } from '../../protocol/document/words.ts'
import type { PackageWords } from '../../protocol/document/words.ts'
import { isRegistryError, RegistryError } from '../../protocol/errors.ts'
import type { Subject } from '../../protocol/fact.ts'
import type { PackageView } from '../../protocol/fold.ts'
import type { ContentView } from '../../protocol/fold-versions.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { nearest } from '../../protocol/nearest.ts'
import { ecosystemOf, shortNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { DIGESTS } from '../../protocol/role.ts'
import { isDigestSubject, isPackage } from '../../protocol/subject.ts'
import type { DigestSubject } from '../../protocol/subject.ts'
import { orderingOf } from '../../protocol/version.ts'
import type { Version } from '../../protocol/version.ts'
import { openDigestRow, openPackageRow, sealedHash, viewDigest } from '../../protocol/view-row.ts'
import { OpenRows } from './open-rows.ts'

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
  /** Who released that version. */
  readonly by: Principal
  readonly title: string
  readonly description: string
  readonly yanked: boolean
}

export interface RankedSummary {
  readonly score: number
  readonly summary: PackageSummary
}

/** Reads what the facts of a registry add up to. Never writes, never asks the network. */
export class RegistryView {
  readonly #rows: RowReader
  readonly #documents: StateReader
  readonly #open = new OpenRows()

  constructor(rows: RowReader, documents: StateReader = NO_DOCUMENTS) {
    this.#rows = rows
    this.#documents = documents
  }

  /** Undefined when no fact of the registry is about that name. */
  async find(registry: RegistryId, name: PackageName): Promise<PackageView | undefined> {
    const sealed = await this.#rows.row(registry, name)
    return sealed === undefined ? undefined : this.#open.open(registry, name, sealed)
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
      if (isPackage(subject)) yield openPackageRow(sealed)
    }
  }

  /** What the registry says about a digest, the newest facts included; undefined when nothing. */
  async said(registry: RegistryId, subject: DigestSubject): Promise<DigestView | undefined> {
    const sealed = await this.#rows.row(registry, subject)
    return sealed === undefined ? undefined : openDigestRow(sealed)
  }

  /** The same about everything that it says anything about. */
  async *digests(registry: RegistryId): AsyncGenerator<DigestView> {
    for await (const [subject, sealed] of this.#rows.rows(registry, DIGESTS as Subject)) {
      if (!isDigestSubject(subject)) break
      yield openDigestRow(sealed)
    }
  }

  /** Packages whose name, title, description or keywords hold all words of the query; best match first. */
  async search(
    registry: RegistryId,
    query: string,
    limit: number = LIMITS.search.results
  ): Promise<readonly PackageSummary[]> {
    return (await this.ranked(registry, query, limit)).map(({ summary }) => summary)
  }

  /** The same, with how well each matches: what several registries found can be put in one order. */
  async ranked(
    registry: RegistryId,
    query: string,
    limit: number = LIMITS.search.results
  ): Promise<readonly RankedSummary[]> {
    const words = query
      .slice(0, LIMITS.search.queryChars)
      .toLowerCase()
      .split(/\s+/)
      .filter(word => word !== '')
    const found: RankedSummary[] = []
    for await (const [view, said] of this.#withWords(registry)) {
      const summary = summarise(view, said)
      const score = summary === undefined ? 0 : scoreOf(summary, labelsOf(view, said), words)
      if (summary !== undefined && score > 0) found.push({ score, summary })
    }
    return found
      .toSorted((a, b) => b.score - a.score || compareText(a.summary.name, b.summary.name))
      .slice(0, Math.max(0, Math.min(limit, LIMITS.search.results)))
  }

  /** Packages with what people say of them. A document that is behind the facts says nothing: a search waits for nobody. */
  async *#withWords(registry: RegistryId): AsyncGenerator<readonly [PackageView, PackageWords | undefined]> {
    // Both are in the order of their subjects.
    const states = this.#documents.states(registry)[Symbol.asyncIterator]()
    let at = await states.next()
    try {
      for await (const view of this.packages(registry)) {
        while (at.done !== true && at.value[0] < view.name) at = await states.next()
        const sealed = at.done !== true && at.value[0] === view.name ? at.value[1] : undefined
        yield [view, sealed === undefined ? undefined : currentWords(view, sealed)]
      }
    } finally {
      await states.return?.()
    }
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
      if (isPackage(subject)) names.push(shortNameOf(subject))
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

function currentWords(view: PackageView, sealed: Uint8Array): PackageWords | undefined {
  try {
    const state = openState(sealed)
    return state.made === view.document?.made ? wordsOf(view.name, state) : undefined
  } catch (error) {
    // It is made again when somebody asks for it.
    if (isRegistryError(error)) return undefined
    throw error
  }
}

/**
 * The version a person would get, and its words: what people say of the package, else what its manifest says. Undefined for
 * a name without a usable version.
 */
export function summarise(view: PackageView, said?: PackageWords): PackageSummary | undefined {
  const { isPrerelease } = orderingOf(ecosystemOf(view.name))
  const usable = view.versions.filter(entry => entry.contents.length === 1)
  const best = usable.find(entry => isOpen(entry) && !isPrerelease(entry.version)) ?? usable[0]
  const content: ContentView | undefined = best?.contents[0]
  if (best === undefined || content === undefined) return undefined
  const title = said?.title ?? content.manifest.title ?? ''
  const description = said?.description ?? content.manifest.description ?? ''
  const { by } = content
  return { name: view.name, version: best.version, by, title, description, yanked: best.yanks.length > 0 }
}

/** What a package is found under, beside its name and its texts. */
function labelsOf(view: PackageView, said: PackageWords | undefined): readonly string[] {
  const labels = [...(said?.keywords ?? []), ...(said?.categories ?? [])]
  return labels.length > 0 ? labels : (view.versions[0]?.contents[0]?.manifest.keywords ?? [])
}

function scoreOf(
  { name, title, description }: PackageSummary,
  labels: readonly string[],
  words: readonly string[]
): number {
  const short = shortNameOf(name)
  const fields: readonly (readonly [string, number])[] = [
    [short, 8],
    [title.toLowerCase(), 4],
    [labels.join(' ').toLowerCase(), 3],
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
