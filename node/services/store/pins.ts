import type { ContentId, RegistryId } from '../../../protocol/cid.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { normaliseRange } from '../../../protocol/manifest-range.ts'
import { ecosystemOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { orderingOf } from '../../../protocol/version.ts'
import type { Version } from '../../../protocol/version.ts'

/** What is to be kept here. A registry and a package stand for what they will hold, too. */
export type Pin =
  | { readonly type: 'registry'; readonly registry: RegistryId }
  | {
      readonly type: 'package'
      readonly registry: RegistryId
      readonly name: PackageName
      readonly range: string | null
    }
  /** `swarm`: in whose block store. */
  | { readonly type: 'root'; readonly root: ContentId; readonly swarm: string }

export type TimedPin = Pin & { readonly time: number }

export interface PinStore {
  pins(): AsyncIterable<TimedPin>
  put(pin: TimedPin): Promise<void>
  delete(pin: Pin): Promise<void>
}

/** A content root and the size that its release declares. */
export interface PinnedContent {
  readonly root: ContentId
  readonly size: number
}

/** The pins of a node, in memory and on disk. */
export class Pins {
  readonly #store: PinStore
  readonly #now: () => number
  readonly #pins = new Map<string, TimedPin>()

  constructor(store: PinStore, now: () => number) {
    this.#store = store
    this.#now = now
  }

  async load(): Promise<void> {
    for await (const pin of this.#store.pins()) this.#pins.set(nameOf(pin), pin)
  }

  /** The oldest first. */
  get all(): readonly TimedPin[] {
    return [...this.#pins.values()].toSorted((a, b) => a.time - b.time)
  }

  /** False when it was there before. On disk before it counts, so that nobody is promised what a crash takes back. */
  async add(pin: Pin): Promise<boolean> {
    if (this.#pins.has(nameOf(pin))) return false
    if (this.#pins.size >= LIMITS.store.pins) {
      throw new RegistryError('LIMIT_EXCEEDED', `a node has at most ${LIMITS.store.pins} pins`, {
        next: 'pin whole packages or registries in place of single versions: ggen-node store pins lists them'
      })
    }
    const timed = { ...pin, time: this.#now() }
    await this.#store.put(timed)
    this.#pins.set(nameOf(pin), timed)
    return true
  }

  /** False when there was none. */
  async remove(pin: Pin): Promise<boolean> {
    if (!this.#pins.has(nameOf(pin))) return false
    await this.#store.delete(pin)
    this.#pins.delete(nameOf(pin))
    return true
  }

  /** Whether anything of a registry is pinned. */
  concerns(registry: RegistryId): boolean {
    return this.all.some(pin => pin.type !== 'root' && pin.registry === registry)
  }

  /** The contents of a package that are pinned, those of a version in conflict all. */
  contentsIn(registry: RegistryId, found: PackageView): readonly PinnedContent[] {
    const pins = [...this.#pins.values()].filter(pin => pin.type !== 'root' && pin.registry === registry)
    const contents = new Map<ContentId, PinnedContent>()
    for (const pin of pins) for (const content of meantBy(pin, found)) contents.set(content.root, content)
    return [...contents.values()]
  }
}

/**
 * The one spelling of a range that somebody pins, as manifests spell them: `1.0.0` is `^1.0.0`, `=1.0.0` that one alone.
 * @throws RegistryError INVALID_REFERENCE
 */
export function pinnedRange(text: string): string {
  const range = normaliseRange(text)
  if (range !== undefined) return range
  throw new RegistryError('INVALID_REFERENCE', `${JSON.stringify(text.slice(0, 80))} is no range of versions`, {
    next: 'write it as name@^1.0.0, or name@=1.0.0 for one version alone'
  })
}

/** The contents of a package that one pin means. */
export function meantBy(pin: Pin, { name, versions }: PackageView): readonly PinnedContent[] {
  if (pin.type === 'root' || (pin.type === 'package' && pin.name !== name)) return []
  const fits = fitterOf(pin)
  return versions.filter(({ version }) => fits(version)).flatMap(({ contents }) => contents.map(contentOf))
}

function contentOf({ root, size }: PinnedContent): PinnedContent {
  return { root, size }
}

function fitterOf(pin: Pin): (version: Version) => boolean {
  if (pin.type !== 'package' || pin.range === null) return () => true
  return orderingOf(ecosystemOf(pin.name)).parseRange(pin.range)
}

function nameOf(pin: Pin): string {
  switch (pin.type) {
    case 'registry':
      return pin.registry
    case 'package':
      return `${pin.registry} ${pin.name} ${pin.range ?? ''}`
    case 'root':
      return `${pin.swarm} ${pin.root}`
  }
}
