import type { RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { Subject } from '../../../protocol/fact.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { ecosystemOf, shortNameOf } from '../../../protocol/package-name.ts'
import { isPackage } from '../../../protocol/subject.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { affixedSkeletons, isOneSlipAway, nearSkeletons, skeletonKey } from '../../../protocol/similar-name.ts'

/** What the index reads of the view. */
export interface NameReader {
  names(registry: RegistryId): AsyncIterable<PackageName>
  find(registry: RegistryId, name: PackageName): Promise<PackageView | undefined>
}

type Skeletons = Map<string, Set<PackageName>>

/**
 * Which names of a registry look alike. Read once, when somebody asks first, and kept up to date by `noticed`: a
 * registry of 50,000 names is not read again for each stranger.
 */
export class NameIndex {
  readonly #reader: NameReader
  readonly #registries = new Map<RegistryId, Promise<Skeletons>>()

  constructor(reader: NameReader) {
    this.#reader = reader
  }

  /** A fact about something came in. */
  noticed(registry: RegistryId, subject: Subject): void {
    const skeletons = this.#registries.get(registry)
    if (skeletons === undefined || !isPackage(subject)) return
    // Also while the names are being read: reading may have passed its place.
    skeletons.then(
      known => add(known, subject),
      () => undefined
    )
  }

  /** A name that was given out and is this one or looks like it. */
  async taken(registry: RegistryId, name: PackageName): Promise<PackageView | undefined> {
    const exact = await this.#reader.find(registry, name)
    if (exact !== undefined && exact.claim !== null) return exact
    for (const other of (await this.#skeletons(registry)).get(skeletonKey(name)) ?? []) {
      const found = await this.#reader.find(registry, other)
      // Attack: statements about a name that nobody gave out must not keep others from it.
      if (found !== undefined && found.claim !== null) return found
    }
    return undefined
  }

  /**
   * Names that were given out, are not this one, and look like it or come near it; those that look like it first. What belongs to
   * `but` is left out: who has a name may have the names around it.
   */
  async near(registry: RegistryId, name: PackageName, but?: Principal): Promise<readonly PackageName[]> {
    const skeletons = await this.#skeletons(registry)
    const ecosystem = ecosystemOf(name)
    const around = isAnyNear(name, skeletons) ? nearSkeletons(shortNameOf(name)) : []
    const keys = [skeletonKey(name), ...[...around].map(one => `${ecosystem}/${one}`)]
    const found: PackageName[] = []
    let looked = 0
    for (const other of keys.flatMap(key => [...(skeletons.get(key) ?? [])])) {
      if (other === name || found.length >= LIMITS.submit.similarShown) continue
      // Attack: a thousand statements about names around one that nobody gave out.
      if (++looked > LIMITS.submit.similarLooked) break
      const claim = (await this.#reader.find(registry, other))?.claim ?? null
      if (claim !== null && (but === undefined || !claim.keys.includes(but))) found.push(other)
    }
    return found
  }

  #skeletons(registry: RegistryId): Promise<Skeletons> {
    const known = this.#registries.get(registry)
    if (known !== undefined) return known
    const reading = this.#read(registry)
    this.#registries.set(registry, reading)
    reading.catch(() => this.#registries.delete(registry))
    return reading
  }

  async #read(registry: RegistryId): Promise<Skeletons> {
    const skeletons: Skeletons = new Map()
    for await (const name of this.#reader.names(registry)) add(skeletons, name)
    return skeletons
  }
}

/** False only where `nearSkeletons` holds none of them: for a whole install, most of whose names come near nothing. */
function isAnyNear(name: PackageName, skeletons: Skeletons): boolean {
  if (skeletons.size > LIMITS.submit.similarCompared) return true
  const own = skeletonKey(name)
  const ecosystem = ecosystemOf(name)
  if (affixedSkeletons(shortNameOf(name)).some(one => skeletons.has(`${ecosystem}/${one}`))) return true
  for (const key of skeletons.keys()) if (isOneSlipAway(own, key)) return true
  return false
}

function add(skeletons: Skeletons, name: PackageName): void {
  const key = skeletonKey(name)
  const names = skeletons.get(key) ?? new Set()
  skeletons.set(key, names.add(name))
}
