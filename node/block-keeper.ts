import type { CID } from 'multiformats/cid'
import type { DigestView } from '../protocol/attest/fold.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import type { PackageView } from '../protocol/fold.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { BlockMarks } from '../storage/block-marks.ts'
import { listBlocks } from '../storage/content/walk-dag.ts'
import type { KeptRoot } from '../storage/kept-roots.ts'
import type { DiskGuard } from './disk-guard.ts'
import type { ProjectPins } from './project-pins.ts'
import { rootsIn } from './project-pins.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'
import type { RegistryView } from './services/registry-view.ts'
import { collect, isLost } from './services/store/collect.ts'
import type { Collected, CollectOrder } from './services/store/collect.ts'
import type { PinnedContent, Pins } from './services/store/pins.ts'
import { Room } from './services/store/room.ts'
import type { Space, Spaces } from './spaces.ts'
import { Tidying, untilAborted } from './tidying.ts'
import type { UnsaidContents } from './unsaid.ts'

export interface BlockKeeperInit {
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
  readonly disk: Pick<DiskGuard, 'assertWritable' | 'note'>
  readonly spaces: Spaces
  readonly registries: { readonly ids: readonly RegistryId[] }
  readonly view: Pick<RegistryView, 'digests' | 'packages'>
  readonly pins: Pins
  readonly projects: ProjectPins
  /** What was stored for facts that may never be written. */
  readonly unsaid: Pick<UnsaidContents, 'giveBack' | 'isAny' | 'unpinLeft'>
  /** Whether all bytes of a registry are to be kept here. */
  readonly keeps: (registry: RegistryId) => boolean
  /** Decides what mirrors with a quota keep of a registry. */
  readonly plan: (registry: RegistryId) => Promise<void>
  /** A root is not here any more. */
  readonly onLetGo: (swarm: string, root: ContentId) => void
  /** As configured; undefined without one. */
  readonly quotaOf: (swarm: string) => number | undefined
}

/** A content that is about to be brought here. */
export type Coming = PinnedContent & { readonly registry: RegistryId }

/**
 * What stays in the block stores, and what goes: knows what is pinned, holds what is in use, keeps the quota, collects.
 *
 * One collection of a space at a time; everything else goes on meanwhile.
 */
export class BlockKeeper {
  readonly #init: BlockKeeperInit
  readonly #rooms = new Map<string, Room>()
  readonly #collecting = new Map<string, Promise<unknown>>()
  /** Held for installs, whose lockfile is written after their bytes came; let go when none runs any more. */
  readonly #installHolds = new Map<string, () => void>()
  #installs = 0
  /** Where something half written lies that an install holds. */
  readonly #untidy = new Set<Space>()
  readonly #tidying = new Tidying((space, signal) => this.#tidy(space, signal))

  constructor(init: BlockKeeperInit) {
    this.#init = init
  }

  /** Runs an install: what it finds or brings here stays until it has written down that it is installed. */
  async installing<T>(run: () => Promise<T>): Promise<T> {
    this.#installs += 1
    try {
      return await run()
    } finally {
      this.#installs -= 1
      if (this.#installs === 0) {
        for (const release of this.#installHolds.values()) release()
        this.#installHolds.clear()
        const untidy = [...this.#untidy]
        this.#untidy.clear()
        // Nobody waits for it: whoever collects next does.
        for (const space of untidy) void this.#tidying.soon(space)
      }
    }
  }

  /** An install goes by this root. */
  needed(registry: RegistryId, root: ContentId): void {
    if (this.#installs === 0) return
    const { name, inUse } = this.#init.spaces.of(registry)
    const key = `${name} ${root}`
    if (!this.#installHolds.has(key)) this.#installHolds.set(key, inUse.hold(root))
  }

  /**
   * Makes sure that a content may come: the disk takes writes, the quota has room, and no collection takes away what has come
   * of it. @throws RegistryError DISK_FULL | READ_ONLY | QUOTA_EXCEEDED
   */
  async coming({ registry, root, size }: Coming, signal: AbortSignal): Promise<{ readonly end: () => void }> {
    this.#init.disk.assertWritable()
    const space = this.#init.spaces.of(registry)
    const release = space.inUse.hold(root)
    try {
      const reserved = await this.roomOf(space).reserve({ root, size }, signal)
      return {
        end: () => {
          reserved.end()
          release()
        }
      }
    } catch (error) {
      release()
      throw error
    }
  }

  roomOf(space: Space): Room {
    const known = this.#rooms.get(space.name)
    if (known !== undefined) return known
    const room = new Room(
      {
        swarm: space.name,
        usedBytes: () => usedBytes(space),
        bytesHere: (root, signal) => bytesHere(space, root, signal),
        shrinkTo: async (budgetBytes, signal) => {
          const { bytes, roots } = await this.collect(space, { budgetBytes, isDry: false, signal })
          if ((await usedBytes(space)) > budgetBytes) await space.stored.compact({ isThorough: true, signal })
          this.#init.log.info(
            { swarm: space.name, bytes, roots },
            'the quota is reached: what is not pinned was let go'
          )
        },
        now: () => this.#init.clock.now()
      },
      this.#init.quotaOf(space.name)
    )
    this.#rooms.set(space.name, room)
    return room
  }

  /** What is pinned changed. */
  changed(): void {
    for (const room of this.#rooms.values()) room.changed()
  }

  /** One after the other: two collections would count on blocks that the other one deletes. */
  async collect(space: Space, order: Omit<CollectOrder, 'pinned'>): Promise<Collected> {
    const before = this.#collecting.get(space.name) ?? Promise.resolve()
    const run = before.then(() => this.#collect(space, order))
    const settled = run.catch(() => undefined)
    this.#collecting.set(space.name, settled)
    return run
  }

  /**
   * After a write that found the disk full: what it left half written goes, with all else that nothing refers to. Otherwise a
   * package that did not fit would itself be what keeps the disk full. What an install holds goes when that has ended. Fails for
   * nobody; what stays is there for the next one. Whoever waits for it may give up.
   */
  async tidyAfter(error: unknown, space: Space, signal?: AbortSignal): Promise<void> {
    if (!isRegistryError(error) || error.code !== 'DISK_FULL') return
    const done = this.#tidySoon(space)
    await (signal === undefined ? done : untilAborted(done, signal))
  }

  /** What a process that ended left for facts which it did not write is pinned no longer; the next collection takes it. */
  async unpinLeft(): Promise<void> {
    try {
      for (const space of this.#init.spaces.all) await this.#init.unsaid.unpinLeft(space)
    } catch (error) {
      this.#init.log.warn({ error }, 'what was brought for facts that were not written is pinned still')
    }
  }

  async #tidySoon(space: Space): Promise<void> {
    if (this.#installs > 0) this.#untidy.add(space)
    else await this.#tidying.soon(space)
  }

  /** Before the stores are closed, and when nobody writes any more. */
  stop(): Promise<void> {
    return this.#tidying.stop()
  }

  async #tidy(space: Space, signal: AbortSignal): Promise<void> {
    try {
      await this.collect(space, { budgetBytes: Number.POSITIVE_INFINITY, isTidying: true, isDry: false, signal })
    } catch (cause) {
      this.#init.log.warn({ error: cause }, 'what a write that failed had left could not be deleted')
    }
  }

  async #collect(space: Space, order: Omit<CollectOrder, 'pinned'>): Promise<Collected> {
    order.signal.throwIfAborted()
    if (!order.isDry) await this.#forgetUnsaid(space)
    const { stored, inUse } = space
    const { takedowns } = this.#init.spaces
    return collect(
      {
        blocks: { ...stored, list: (root, signal, onUnread) => listBlocks(root, stored, { signal, onUnread }) },
        roots: {
          ...space,
          letGo: async roots => {
            await space.letGo(roots)
            for (const root of roots) this.#init.onLetGo(space.name, root)
          }
        },
        inUse,
        marks: () => new BlockMarks(),
        isWithheld: cid => takedowns.has(cid),
        isTakenDown: root => takedowns.isTakenDown(root)
      },
      { ...order, pinned: () => this.pinnedIn(space) }
    )
  }

  /** What was brought for facts that nobody wrote is let go first. What keeps that back keeps back no collection. */
  async #forgetUnsaid(space: Space): Promise<void> {
    const { unsaid, log } = this.#init
    try {
      if (!(await unsaid.isAny(space))) return
      // Before it is anybody's turn: publishers do not wait for a look through all packages.
      const pinned = await this.pinnedIn(space)
      await unsaid.giveBack(space, async roots => {
        await this.#forget(
          space,
          roots.filter(root => !pinned.has(root))
        )
      })
    } catch (error) {
      log.warn({ error }, 'what was brought for facts that were not written could not be let go')
    }
  }

  /** Lets go of contents that nothing pins or uses, and deletes their blocks. Returns the bytes that came free. */
  async letGo(space: Space, roots: ReadonlySet<ContentId>, signal: AbortSignal): Promise<number> {
    if ((await this.#forget(space, [...roots])) === 0) return 0
    const budgetBytes = this.roomOf(space).quotaBytes ?? Number.POSITIVE_INFINITY
    return (await this.collect(space, { budgetBytes, isDry: false, signal })).bytes
  }

  /**
   * Content that was lost long ago, that nothing pins, and that did not come again: nobody is asked for it any more. What keeps
   * that back keeps back nothing else.
   */
  async giveUpLost(space: Space, signal: AbortSignal): Promise<void> {
    try {
      await this.#giveUpLost(space, signal)
    } catch (error) {
      if (signal.aborted) return
      this.#init.log.warn({ swarm: space.name, error }, 'what was lost long ago could not be given up')
    }
  }

  async #giveUpLost(space: Space, signal: AbortSignal): Promise<void> {
    const lost: ContentId[] = []
    const now = this.#init.clock.now()
    const { takedowns } = this.#init.spaces
    for await (const { root, pinned, whole, used } of space.keptEntries()) {
      signal.throwIfAborted()
      // By a clock that was wrong: longer ago than anybody knows.
      // Nothing is expected to be here of what is withheld, and it may be released again.
      if (takedowns.isTakenDown(root)) continue
      if (!whole && !pinned && Math.abs(now - used) >= LIMITS.store.lostMs) lost.push(root)
    }
    if (lost.length === 0) return
    const pinned = await this.pinnedIn(space)
    signal.throwIfAborted()
    await this.#forget(
      space,
      lost.filter(root => !pinned.has(root)),
      ({ whole }) => !whole
    )
  }

  /**
   * Forgets those that nothing pins or uses, and that are free still when it is their turn: a publish of the same content may
   * have marked one meanwhile. Returns how many they were.
   */
  async #forget(
    space: Space,
    roots: readonly ContentId[],
    isFree: (kept: KeptRoot) => boolean = () => true
  ): Promise<number> {
    if (roots.length === 0) return 0
    let used: ReadonlySet<ContentId> | undefined
    const gone = await space.letGo(roots, kept => {
      // All of them are asked about in one go.
      used ??= new Set(space.inUse.roots())
      return !kept.pinned && !used.has(kept.root) && isFree(kept)
    })
    for (const root of gone) this.#init.onLetGo(space.name, root)
    return gone.length
  }

  /** Every content root that a policy keeps in one space: registries that are kept, pins, projects. */
  async pinnedIn(space: Space): Promise<ReadonlySet<ContentId>> {
    const { pins, projects, spaces } = this.#init
    const isHere = (registry: RegistryId): boolean => spaces.of(registry).name === space.name
    const found = new Set<ContentId>()
    for (const registry of this.#concerned().filter(isHere)) {
      for await (const { root } of this.contentsOf(registry)) found.add(root)
    }
    for (const pin of pins.all) if (pin.type === 'root' && pin.swarm === space.name) found.add(pin.root)
    for await (const project of projects.current()) for (const root of rootsIn(project, isHere)) found.add(root)
    return found
  }

  /** The contents of a registry that are to be kept, those that are not here yet with them. */
  async *contentsOf(registry: RegistryId): AsyncGenerator<PinnedContent> {
    if (!this.keepsAny(registry)) return
    await this.#init.plan(registry)
    for await (const found of this.#init.view.packages(registry)) yield* this.contentsIn(registry, found)
    if (!this.#init.keeps(registry)) return
    for await (const said of this.#init.view.digests(registry)) yield* this.predicatesIn(registry, said)
  }

  /** The same of one package. */
  contentsIn(registry: RegistryId, found: PackageView): readonly PinnedContent[] {
    const { keeps, pins } = this.#init
    return keeps(registry) ? found.versions.flatMap(({ contents }) => contents) : pins.contentsIn(registry, found)
  }

  /** Predicates that are content of their own, where everything of a registry is kept. */
  predicatesIn(registry: RegistryId, said: DigestView | undefined): readonly PinnedContent[] {
    if (!this.#init.keeps(registry)) return []
    return (said?.attestations ?? []).flatMap(({ content }) =>
      content === null ? [] : [{ root: content.cid, size: content.size }]
    )
  }

  keepsAny(registry: RegistryId): boolean {
    const { keeps, pins } = this.#init
    return keeps(registry) || pins.concerns(registry)
  }

  /** Registries that are followed, and those that were and of which something is pinned. */
  #concerned(): readonly RegistryId[] {
    const { registries, pins } = this.#init
    const pinned = pins.all.flatMap(pin => (pin.type === 'root' ? [] : [pin.registry]))
    return [...new Set([...registries.ids, ...pinned])].filter(registry => this.keepsAny(registry))
  }
}

/** What a quota counts: blocks, and what deleted ones still take. */
export async function usedBytes({ stored }: Space): Promise<number> {
  return (await stored.usage()).bytes + stored.deadBytes()
}

/** Of a content that is here in parts: what its declared size need not bring any more. */
async function bytesHere({ stored }: Space, root: ContentId, signal: AbortSignal): Promise<number> {
  let bytes = 0
  const add = (cid: CID): void => void (bytes += stored.sizeOf(cid) ?? 0)
  try {
    for await (const cid of listBlocks(root, stored, { signal })) add(cid)
  } catch (error) {
    signal.throwIfAborted()
    // As far as its folders are here.
    if (!isLost(error)) throw error
  }
  return bytes
}
