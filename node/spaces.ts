import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { toLink } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import { openBlocks } from '../storage/block-store.ts'
import { BlocksInUse } from '../storage/blocks-in-use.ts'
import { listBlocks } from '../storage/content/walk-dag.ts'
import type { Home } from '../storage/home.ts'
import type { KeyValue } from '../storage/key-value.ts'
import type { KeptRoots } from '../storage/kept-roots.ts'
import type { FollowedRegistry, Records } from '../storage/records.ts'
import type { Traces } from '../storage/trace-records.ts'
import { TakedownRecords } from '../storage/takedown-records.ts'
import { UnsaidRecords } from '../storage/unsaid-records.ts'
import type { VerifiedBlocks } from '../storage/verified-blocks.ts'
import { watchedBlocks } from '../storage/watched-blocks.ts'
import { withheldBlocks } from '../storage/withheld-blocks.ts'
import { PUBLIC_SWARM } from './config-schema.ts'
import type { Clock } from './runtime/clock.ts'
import { Takedowns } from './services/takedown.ts'

/** The bytes of one swarm. */
export interface Space extends KeptRoots, Traces {
  /** The name of the swarm. */
  readonly name: string
  /** What the node itself and every peer of the swarm sees. */
  readonly blocks: VerifiedBlocks & {
    /** Keeps all below a root until the returned function is called: somebody reads it. */
    readonly hold: (root: ContentId) => () => void
  }
  /** What an operator withholds included. */
  readonly allBlocks: VerifiedBlocks
  /** The same for who collects and verifies: that he reads a block keeps none. */
  readonly stored: VerifiedBlocks
  readonly inUse: BlocksInUse
  /** Counts up whenever another root is held, or one no longer is. */
  readonly keptChanges: number
  /** Called after a root was marked as held as a whole here, or as held no more; returns how to take it back. */
  readonly onKept: (listener: (root: ContentId, isKept: boolean) => void) => () => void
}

export interface SpacesInit {
  /** The blocks in the folder of a swarm. */
  readonly openBlocks: (swarm: string) => Promise<VerifiedBlocks>
  /** Deletes that folder. */
  readonly deleteBlocks: (swarm: string) => Promise<void>
  readonly kv: KeyValue
  readonly records: Records
  readonly clock: Pick<Clock, 'now'>
  readonly registries: { readonly all: readonly Pick<FollowedRegistry, 'id' | 'swarm'>[] }
}

/**
 * One block store for each swarm, in a folder of its own.
 *
 * Invariant: what one swarm hands out comes from its own store. Attack: who was a member once knows the ids of private
 * blocks. He names them in a release of a public registry; a node that follows both finds them "here already", and its
 * public host serves what he was never given.
 */
export class Spaces {
  readonly takedowns: Takedowns
  readonly #init: SpacesInit
  readonly #spaces = new Map<string, Space>()
  readonly #unsaid: UnsaidRecords

  private constructor(init: SpacesInit) {
    this.#init = init
    this.#unsaid = new UnsaidRecords(init.kv)
    const each = <T>(task: (space: Space) => Promise<T>): Promise<T[]> => Promise.all(this.all.map(task))
    this.takedowns = new Takedowns({
      records: new TakedownRecords(init.kv),
      listBlocks: (root, signal) => this.#listBlocks(root, signal),
      kept: () => this.kept(),
      forgetKept: async root => void (await each(space => space.forgetKept(root))),
      deleteBlock: async cid => void (await each(space => space.allBlocks.delete(cid))),
      afterDeletion: async () => void (await each(space => space.stored.compact({ isThorough: true }))),
      now: () => init.clock.now()
    })
  }

  /** Opens the public store, and those of the private swarms whose registries are followed. */
  static async open(init: SpacesInit): Promise<Spaces> {
    const spaces = new Spaces(init)
    const names = new Set([PUBLIC_SWARM, ...init.registries.all.map(({ swarm }) => swarm)])
    for (const name of names) await spaces.add(name)
    await init.records.forgetTracesBut([...names])
    await spaces.#unsaid.forgetBut([...names])
    await spaces.takedowns.load()
    return spaces
  }

  get all(): readonly Space[] {
    return [...this.#spaces.values()]
  }

  get public(): Space {
    return this.named(PUBLIC_SWARM)
  }

  named(name: string): Space {
    const space = this.#spaces.get(name)
    if (space === undefined) throw new RegistryError('INTERNAL', `the blocks of swarm ${name} are not open`)
    return space
  }

  /** Where the bytes of a registry are. Of one that is not followed (a lockfile may name it) what is public. */
  of(registry: RegistryId): Space {
    const followed = this.#init.registries.all.find(({ id }) => id === registry)
    return this.named(followed?.swarm ?? PUBLIC_SWARM)
  }

  /** Every root that is held as a whole anywhere. */
  async *kept(): AsyncGenerator<ContentId> {
    for (const space of this.all) yield* space.kept()
  }

  async add(name: string): Promise<void> {
    if (this.#spaces.has(name)) return
    const { openBlocks, records, clock } = this.#init
    const stored = await openBlocks(name)
    const inUse = new BlocksInUse()
    const allBlocks = watchedBlocks(stored, cid => inUse.touch(cid))
    const hold = (root: ContentId): (() => void) => inUse.hold(root)
    const blocks = { ...withheldBlocks(allBlocks, this.takedowns), hold }
    const roots = watched(records.keptIn(name, () => clock.now()))
    this.#spaces.set(name, Object.assign(roots, records.tracesIn(name), { name, blocks, allBlocks, stored, inUse }))
  }

  /** Forgets a private swarm's bytes and how they came, and with `purge` deletes them. */
  async remove(name: string, { purge }: { readonly purge: boolean }): Promise<void> {
    if (name === PUBLIC_SWARM) throw new RegistryError('INTERNAL', 'the public blocks stay')
    const space = this.#spaces.get(name)
    if (space === undefined) return
    this.#spaces.delete(name)
    await space.forgetTraces()
    await this.#unsaid.forgetBut([...this.#spaces.keys()])
    await space.stored.close()
    if (!purge) return
    for await (const root of space.kept()) await space.forgetKept(root)
    await this.#init.deleteBlocks(name)
  }

  /** Nothing reads or writes blocks any more. */
  async close(): Promise<void> {
    for (const { stored } of this.all) await stored.close()
  }

  async *#listBlocks(root: ContentId, signal: AbortSignal): AsyncGenerator<CID> {
    for (const space of this.all) {
      if (await space.allBlocks.has(toLink(root))) return yield* listBlocks(root, space.allBlocks, { signal })
    }
    yield* listBlocks(root, this.public.allBlocks, { signal })
  }
}

/** Records that tell of their changes, when they are written. */
function watched(kept: KeptRoots): KeptRoots & Pick<Space, 'onKept' | 'keptChanges'> {
  const listeners = new Set<(root: ContentId, isKept: boolean) => void>()
  let keptChanges = 0
  const tell = (roots: readonly ContentId[], isKept: boolean): void => {
    keptChanges += roots.length
    for (const listener of listeners) for (const root of roots) listener(root, isKept)
  }
  const told = async (write: Promise<void>, roots: readonly ContentId[], isKept: boolean): Promise<void> => {
    await write
    tell(roots, isKept)
  }
  return {
    ...kept,
    markKept: (root, options) => told(kept.markKept(root, options), [root], true),
    markAllKept: roots => told(kept.markAllKept(roots), roots, true),
    forgetKept: root => told(kept.forgetKept(root), [root], false),
    lostKept: root => told(kept.lostKept(root), [root], false),
    letGo: async (roots, isFree) => {
      const gone = await kept.letGo(roots, isFree)
      tell(gone, false)
      return gone
    },
    get keptChanges() {
      return keptChanges
    },
    onKept: listener => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    }
  }
}

/** One folder for each swarm in a data directory. */
export function blockFolders({ paths }: Home): Pick<SpacesInit, 'openBlocks' | 'deleteBlocks'> {
  const folderOf = (name: string): string => (name === PUBLIC_SWARM ? paths.blocks : join(paths.dir, `blocks-${name}`))
  return {
    openBlocks: name => openBlocks(folderOf(name)),
    deleteBlocks: name => rm(folderOf(name), { recursive: true, force: true })
  }
}
