import type { RegistryId } from '../../../protocol/cid.ts'
import type { Subject } from '../../../protocol/fact.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import { ecosystemOf, shortNameOf } from '../../../protocol/package-name.ts'
import { isPackage } from '../../../protocol/subject.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { lookOf } from '../../../protocol/similar-name.ts'

/** What the index reads of the view. */
export interface NameReader {
  names(registry: RegistryId): AsyncIterable<PackageName>
  find(registry: RegistryId, name: PackageName): Promise<PackageView | undefined>
}

type Looks = Map<string, Set<PackageName>>

/**
 * Which names of a registry look alike. Read once, when somebody asks first, and kept up to date by `noticed`: a
 * registry of 50,000 names is not read again for each stranger.
 */
export class NameIndex {
  readonly #reader: NameReader
  readonly #registries = new Map<RegistryId, Promise<Looks>>()

  constructor(reader: NameReader) {
    this.#reader = reader
  }

  /** A fact about something came in. */
  noticed(registry: RegistryId, subject: Subject): void {
    const looks = this.#registries.get(registry)
    if (looks === undefined || !isPackage(subject)) return
    // Also while the names are being read: reading may have passed its place.
    looks.then(
      known => add(known, subject),
      () => undefined
    )
  }

  /** A name that was given out and is this one or looks like it. */
  async taken(registry: RegistryId, name: PackageName): Promise<PackageView | undefined> {
    const exact = await this.#reader.find(registry, name)
    if (exact !== undefined && exact.claim !== null) return exact
    for (const other of (await this.#looks(registry)).get(lookKey(name)) ?? []) {
      const found = await this.#reader.find(registry, other)
      // Attack: statements about a name that nobody gave out must not keep others from it.
      if (found !== undefined && found.claim !== null) return found
    }
    return undefined
  }

  #looks(registry: RegistryId): Promise<Looks> {
    const known = this.#registries.get(registry)
    if (known !== undefined) return known
    const reading = this.#read(registry)
    this.#registries.set(registry, reading)
    reading.catch(() => this.#registries.delete(registry))
    return reading
  }

  async #read(registry: RegistryId): Promise<Looks> {
    const looks: Looks = new Map()
    for await (const name of this.#reader.names(registry)) add(looks, name)
    return looks
  }
}

function add(looks: Looks, name: PackageName): void {
  const key = lookKey(name)
  const names = looks.get(key) ?? new Set()
  looks.set(key, names.add(name))
}

function lookKey(name: PackageName): string {
  return `${ecosystemOf(name)}/${lookOf(shortNameOf(name))}`
}
