import { toLink } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { isRegistryError, messageOf } from '../protocol/errors.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Records } from '../storage/records.ts'
import type { BlockKeeper } from './block-keeper.ts'
import type { Changes } from './changes.ts'
import { Replication } from './replication.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'
import type { Mirror } from './services/mirror.ts'
import type { RegistryView } from './services/registry-view.ts'
import { choose, mirroredIn } from './services/store/mirror-choice.ts'
import type { Choice, MirroredContent } from './services/store/mirror-choice.ts'
import { hasQuota } from './services/store/pins.ts'
import type { MirrorPin, Pins } from './services/store/pins.ts'
import type { Space, Spaces } from './spaces.ts'
import type { Swarms } from './swarms.ts'

export interface MirrorsInit {
  readonly clock: Clock
  readonly log: Log
  readonly changes: Changes
  readonly pins: Pins
  readonly view: Pick<RegistryView, 'packages'>
  readonly spaces: Spaces
  readonly swarms: Swarms
  readonly records: Pick<Records, 'missing' | 'putMissing'>
  /** Made after this: each asks the other. */
  readonly keeping: () => { readonly keeper: BlockKeeper; readonly mirror: Mirror }
}

/** Why a content did not come, the last time. */
export interface Failure {
  readonly root: ContentId
  readonly code: ErrorCode
  readonly reason: string
  /** Who was asked, and what they said. */
  readonly tried: readonly string[]
  readonly next: string | null
  readonly time: number
}

/** What a mirror stands for now, and which of it is here. */
export interface Survey extends Choice {
  readonly held: ReadonlySet<ContentId>
}

/** A mirror: of a registry, or of a package in one. */
export type RegistryMirror = Exclude<MirrorPin, { type: 'root' }>

/**
 * Keeps what mirrors stand for: chooses what a quota holds, has it fetched, lets go of what it does not hold, and announces
 * again what too few hold. One look at a time; what changes during it is looked at after it.
 */
export class Mirrors {
  readonly replication: Replication
  readonly #init: MirrorsInit
  readonly #failures = new Map<ContentId, Failure>()
  /** When a content was announced because too few hold it. */
  readonly #provided = new Map<ContentId, number>()
  /** Of each registry, since when what is missing is known. */
  readonly #missingSince = new Map<RegistryId, ReadonlyMap<ContentId, number>>()
  readonly #due = new Set<RegistryId>()
  #isScheduled = false
  #lookTookMs = 0
  readonly #abort = new AbortController()
  /** A node without a network has nothing to ask for and nobody to tell. */
  #isRunning = false
  #looking: Promise<void> = Promise.resolve()
  #asking: Promise<void> | undefined
  #stopListening: () => void = () => undefined

  constructor(init: MirrorsInit) {
    this.#init = init
    this.replication = new Replication(init)
  }

  start(): void {
    const { clock, changes } = this.#init
    this.#isRunning = true
    this.#stopListening = changes.listen(() => {
      if (this.replication.notice()) this.#allSoon()
    })
    clock.every(LIMITS.mirror.lookMs, () => this.look(this.#registries()), this.#abort.signal)
    this.#allSoon()
  }

  async stop(): Promise<void> {
    this.#isRunning = false
    this.#abort.abort()
    this.#stopListening()
    await this.#looking
    await this.#asking
  }

  /** Whether something changed that no look has seen yet. */
  get isLookDue(): boolean {
    return this.#due.size > 0
  }

  /** A fact of a registry came, or a mirror of it was made or changed. */
  noted(registry: RegistryId): void {
    if (!this.#isRunning || this.#of(registry).length === 0) return
    this.#due.add(registry)
    if (this.#isScheduled) return
    this.#isScheduled = true
    // Of a large registry a look takes its time: no more than a tenth of all time is spent looking.
    const pauseMs = Math.min(Math.max(LIMITS.mirror.planMs, 9 * this.#lookTookMs), LIMITS.mirror.lookMs)
    this.#init.clock.after(pauseMs, () => this.#lookDue(), this.#abort.signal)
  }

  failed(root: ContentId, error: unknown): void {
    const { clock } = this.#init
    const { code, tried, next = null } = isRegistryError(error) ? error : UNKNOWN
    this.#failures.delete(root)
    const shown = tried.slice(0, LIMITS.mirror.tried)
    this.#failures.set(root, { root, code, reason: messageOf(error), tried: shown, next, time: clock.now() })
    if (this.#failures.size <= LIMITS.mirror.failures) return
    const [oldest] = this.#failures.keys()
    if (oldest !== undefined) this.#failures.delete(oldest)
  }

  failure(root: ContentId): Failure | undefined {
    return this.#failures.get(root)
  }

  /** Since when it is known that something is to be here which is not; undefined when it is, or nobody knows yet. */
  missingSince(registry: RegistryId, root: ContentId): number | undefined {
    return this.#missingSince.get(registry)?.get(root)
  }

  /** Chooses for every mirror of a registry that has a quota. Whoever collects does it before he asks what is pinned. */
  async plan(registry: RegistryId): Promise<void> {
    for (const mirror of this.#of(registry).filter(hasQuota)) await this.survey(mirror)
  }

  /** What a mirror stands for; of one with a quota it is decided here what that is. */
  async survey(mirror: RegistryMirror): Promise<Survey> {
    const { registry, policy } = mirror
    const { spaces, view } = this.#init
    const { takedowns } = spaces
    const held = await heldIn(spaces.of(registry))
    const all: MirroredContent[] = []
    for await (const found of view.packages(registry)) {
      for (const content of mirroredIn(mirror, found)) if (!takedowns.isTakenDown(content.root)) all.push(content)
    }
    const { factor, quotaBytes } = policy
    const isNeeded = (root: ContentId): boolean =>
      factor !== null && this.replication.isNeeded({ registry, root }, { factor, isHeld: held.has(root) })
    const chosen = choose(all, { quotaBytes, held, isNeeded: quotaBytes === null ? () => false : isNeeded })
    if (quotaBytes !== null) this.#init.pins.choose(mirror, new Set(chosen.kept.map(({ root }) => root)))
    return { ...chosen, held }
  }

  /** Looks at all mirrors of some registries now. */
  async look(registries: Iterable<RegistryId>): Promise<void> {
    const all = [...registries]
    const run = this.#looking.then(async () => {
      for (const registry of all) {
        if (!this.#isRunning) return
        await this.#lookAt(registry)
      }
    })
    this.#looking = run.catch((error: unknown) => this.#init.log.warn({ error }, 'mirrors could not be looked at'))
    await this.#looking
  }

  async #lookDue(): Promise<void> {
    this.#isScheduled = false
    const due = [...this.#due]
    const began = this.#init.clock.now()
    await this.look(due)
    this.#lookTookMs = Math.max(0, this.#init.clock.now() - began)
    // Until here, so that nobody takes what is not even wanted yet for all that there is to fetch.
    for (const registry of due) this.#due.delete(registry)
    this.#init.changes.emit()
  }

  async #lookAt(registry: RegistryId): Promise<void> {
    const { clock, keeping, swarms } = this.#init
    // Of one that is followed no longer nobody is asked.
    if (swarms.of(registry) === undefined) return
    if (!this.#missingSince.has(registry)) this.#missingSince.set(registry, await this.#init.records.missing(registry))
    const missing = new Map<ContentId, number>()
    const leftOut = new Set<ContentId>()
    const wanted: ContentId[] = []
    for (const mirror of this.#of(registry)) {
      const survey = await this.survey(mirror)
      for (const { root, size } of survey.kept) {
        wanted.push(root)
        if (survey.held.has(root)) continue
        missing.set(root, this.missingSince(registry, root) ?? clock.now())
        keeping().mirror.want({ registry, root, size })
      }
      for (const { root } of survey.leftOut) leftOut.add(root)
      this.#announce(mirror, survey)
    }
    await this.#remember(registry, missing)
    if (leftOut.size > 0) await this.#release(registry, leftOut)
    this.#ask(registry, wanted)
  }

  /** A restart is no reason to call a mirror less late than it is. */
  async #remember(registry: RegistryId, missing: ReadonlyMap<ContentId, number>): Promise<void> {
    const oldest = (since: ReadonlyMap<ContentId, number>): readonly (readonly [ContentId, number])[] =>
      [...since].toSorted(([, a], [, b]) => a - b).slice(0, LIMITS.mirror.missingRemembered)
    const before = oldest(this.#missingSince.get(registry) ?? new Map())
    const now = oldest(missing)
    this.#missingSince.set(registry, missing)
    if (before.join() !== now.join()) await this.#init.records.putMissing(registry, new Map(now))
  }

  /** Says again in the DHT that this node has what too few have. */
  #announce({ registry, policy: { factor } }: RegistryMirror, { kept, held }: Survey): void {
    if (factor === null) return
    const { clock, swarms } = this.#init
    let left: number = LIMITS.mirror.providesPerLook
    for (const { root } of kept) {
      const isRare = held.has(root) && this.replication.others(registry, root).length + 1 < factor
      if (!isRare) {
        this.#provided.delete(root)
        continue
      }
      const last = this.#provided.get(root)
      if (left === 0 || (last !== undefined && Math.abs(clock.now() - last) < LIMITS.mirror.provideAgainMs)) continue
      left -= 1
      this.#provided.set(root, clock.now())
      swarms.of(registry)?.provide(toLink(root))
    }
  }

  /** What no quota holds goes, unless something else keeps it. */
  async #release(registry: RegistryId, roots: ReadonlySet<ContentId>): Promise<void> {
    const { spaces, log, keeping } = this.#init
    const { keeper, mirror } = keeping()
    const space = spaces.of(registry)
    const held = await heldIn(space)
    const open = [...roots].filter(root => held.has(root) || mirror.wants(space.name, root))
    if (open.length === 0) return
    const pinned = await keeper.pinnedIn(space)
    const free = open.filter(root => !pinned.has(root))
    for (const root of free) mirror.unwant(space.name, root)
    try {
      const bytes = await keeper.letGo(space, new Set(free), this.#abort.signal)
      if (bytes > 0) log.info({ registry, bytes }, 'what the quota of a mirror does not hold was let go')
    } catch (error) {
      if (this.#abort.signal.aborted) return
      log.warn({ registry, error }, 'what the quota of a mirror does not hold could not be let go')
    }
  }

  /** Beside everything else, one question after the other. */
  #ask(registry: RegistryId, roots: readonly ContentId[]): void {
    const { log, changes } = this.#init
    if (this.#asking !== undefined) return
    this.#asking = this.replication
      .lookUp(registry, roots, this.#abort.signal)
      .then(
        wasAsked => (wasAsked ? changes.emit() : undefined),
        (error: unknown) => log.debug({ error }, 'the dht could not be asked who holds what')
      )
      .finally(() => (this.#asking = undefined))
  }

  #allSoon(): void {
    for (const registry of this.#registries()) this.noted(registry)
  }

  #of(registry: RegistryId): readonly RegistryMirror[] {
    return registryMirrors(this.#init.pins).filter(mirror => mirror.registry === registry)
  }

  #registries(): ReadonlySet<RegistryId> {
    return new Set(registryMirrors(this.#init.pins).map(({ registry }) => registry))
  }
}

const UNKNOWN = { code: 'INTERNAL', tried: [], next: undefined } as const

/** The mirrors of a node: each is of a registry, or of a package in one. */
export function registryMirrors({ mirrors }: Pick<Pins, 'mirrors'>): readonly RegistryMirror[] {
  return mirrors.filter(mirror => mirror.type !== 'root')
}

async function heldIn(space: Space): Promise<ReadonlySet<ContentId>> {
  const held = new Set<ContentId>()
  for await (const root of space.kept()) held.add(root)
  return held
}
