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

/** How a mirror keeps what it stands for. */
export interface MirrorPolicy {
  /** How many are to hold each content, this node counted; null when nobody cares. */
  readonly factor: number | null
  /** Bytes that are kept of it at most, as releases declare them; null for all of it. */
  readonly quotaBytes: number | null
}

/** With a policy it is a mirror: an entry of its own beside a pin of the same thing. */
export type TimedPin = Pin & { readonly time: number; readonly policy: MirrorPolicy | null }

export type MirrorPin = TimedPin & { readonly policy: MirrorPolicy }

export interface PinStore {
  pins(): AsyncIterable<TimedPin>
  put(pin: TimedPin): Promise<void>
  delete(pin: TimedPin): Promise<void>
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
  /** What mirrors with a quota keep: of one that nobody has chosen for yet, nothing. */
  readonly #chosen = new Map<string, ReadonlySet<ContentId>>()

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

  get mirrors(): readonly MirrorPin[] {
    return this.all.filter(pin => pin.policy !== null) as readonly MirrorPin[]
  }

  /** False when it was there before. On disk before it counts, so that nobody is promised what a crash takes back. */
  async add(pin: Pin): Promise<boolean> {
    if (this.#pins.has(nameOf({ ...pin, policy: null }))) return false
    await this.#put({ ...pin, time: this.#now(), policy: null })
    return true
  }

  /** The same of a mirror, whose policy may change. */
  async mirror(pin: Pin, policy: MirrorPolicy): Promise<'new' | 'changed' | 'same'> {
    const before = this.#pins.get(nameOf({ ...pin, policy }))
    const isSame = before?.policy?.factor === policy.factor && before.policy.quotaBytes === policy.quotaBytes
    if (isSame) return 'same'
    await this.#put({ ...pin, time: before?.time ?? this.#now(), policy })
    return before === undefined ? 'new' : 'changed'
  }

  async #put(pin: TimedPin): Promise<void> {
    const name = nameOf(pin)
    if (!this.#pins.has(name) && this.#pins.size >= LIMITS.store.pins) {
      throw new RegistryError('LIMIT_EXCEEDED', `a node has at most ${LIMITS.store.pins} pins`, {
        next: 'pin whole packages or registries in place of single versions: ggen-node store pins lists them'
      })
    }
    await this.#store.put(pin)
    this.#pins.set(name, pin)
  }

  /** False when there was none. */
  async remove(pin: Pin, policy: MirrorPolicy | null = null): Promise<boolean> {
    const name = nameOf({ ...pin, policy })
    const known = this.#pins.get(name)
    if (known === undefined) return false
    await this.#store.delete(known)
    this.#pins.delete(name)
    this.#chosen.delete(name)
    return true
  }

  /** What a mirror with a quota keeps from now on. */
  choose(mirror: MirrorPin, roots: ReadonlySet<ContentId>): void {
    this.#chosen.set(nameOf(mirror), roots)
  }

  /** Whether anything of a registry is pinned. */
  concerns(registry: RegistryId): boolean {
    return [...this.#pins.values()].some(pin => pin.type !== 'root' && pin.registry === registry)
  }

  /** The contents of a package that are pinned, those of a version in conflict all. */
  contentsIn(registry: RegistryId, found: PackageView): readonly PinnedContent[] {
    const pins = [...this.#pins.values()].filter(pin => pin.type !== 'root' && pin.registry === registry)
    const contents = new Map<ContentId, PinnedContent>()
    for (const pin of pins) {
      const chosen = hasQuota(pin) ? (this.#chosen.get(nameOf(pin)) ?? new Set()) : undefined
      for (const content of meantBy(pin, found)) {
        if (chosen === undefined || chosen.has(content.root)) contents.set(content.root, content)
      }
    }
    return [...contents.values()]
  }
}

/** Whether somebody has to choose what of it is kept. */
export function hasQuota(pin: TimedPin): pin is MirrorPin {
  return pin.policy !== null && pin.policy.quotaBytes !== null
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
export function meantBy(pin: Pin, found: PackageView): readonly PinnedContent[] {
  return versionsMeantBy(pin, found).flatMap(({ contents }) => contents.map(contentOf))
}

/** The versions of a package that one pin means. */
export function versionsMeantBy(pin: Pin, { name, versions }: PackageView): PackageView['versions'] {
  if (pin.type === 'root' || (pin.type === 'package' && pin.name !== name)) return []
  const fits = fitterOf(pin)
  return versions.filter(({ version }) => fits(version))
}

function contentOf({ root, size }: PinnedContent): PinnedContent {
  return { root, size }
}

function fitterOf(pin: Pin): (version: Version) => boolean {
  if (pin.type !== 'package' || pin.range === null) return () => true
  return orderingOf(ecosystemOf(pin.name)).parseRange(pin.range)
}

function nameOf(pin: Pick<TimedPin, 'policy'> & Pin): string {
  return pin.policy === null ? meaningOf(pin) : `mirror ${meaningOf(pin)}`
}

function meaningOf(pin: Pin): string {
  switch (pin.type) {
    case 'registry':
      return pin.registry
    case 'package':
      return `${pin.registry} ${pin.name} ${pin.range ?? ''}`
    case 'root':
      return `${pin.swarm} ${pin.root}`
  }
}
