import { LIMITS } from '../protocol/limits.ts'
import type { ScrubRecords } from '../storage/scrub-records.ts'
import { repairSpace, verifiedStoreOf } from './block-repair.ts'
import type { RepairComponents } from './block-repair.ts'
import type { Clock } from './runtime/clock.ts'
import { readShard } from './services/store/verify.ts'
import type { ReadBlocks, Reading } from './services/store/verify.ts'
import type { Space } from './spaces.ts'

export interface BlockScrubComponents extends RepairComponents {
  readonly clock: Pick<Clock, 'now' | 'sleep' | 'after'>
  readonly scrubs: ScrubRecords
}

/**
 * Reads every block in the background, slowly, and fetches again what is damaged: bits flip in what nobody reads for years.
 *
 * Invariants:
 * 1. At most `LIMITS.store.scrubBytesPerSecond`, and a rest after each stretch of work.
 * 2. A look that was interrupted goes on where it was: what was read of the part it was in is read again, nothing is left out.
 */
export class BlockScrub {
  readonly #components: BlockScrubComponents

  constructor(components: BlockScrubComponents) {
    this.#components = components
  }

  /** Looks at all spaces whose last look was long ago. Ends early when the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { spaces, clock, keeper, scrubs, log } = this.#components
    for (const space of spaces.all) {
      try {
        await keeper.giveUpLost(space, signal)
        const last = await scrubs.last(space.name)
        const sinceMs = last === undefined ? Number.POSITIVE_INFINITY : Math.abs(clock.now() - last.time)
        if (sinceMs >= LIMITS.store.scrubEveryMs) await this.look(space, signal)
      } catch (error) {
        if (signal.aborted) return
        log.error({ swarm: space.name, error }, 'the blocks could not be looked through')
      }
    }
  }

  /** Reads all of one space, from where the last look was, and repairs what it finds. */
  async look(space: Space, signal: AbortSignal): Promise<void> {
    const { clock, scrubs, log } = this.#components
    const store = verifiedStoreOf(space)
    const begun = await scrubs.cursor(space.name)
    const { shard: from = '', ...counted } = begun ?? { blocks: 0, bytes: 0, damaged: 0 }
    const into: ReadBlocks = { ...counted }
    const onBlock = this.#pace(signal)
    for (const shard of (await store.blocks.shards()).filter(name => name > from)) {
      await readShard(store, shard, { into, signal, onBlock })
      await scrubs.putCursor(space.name, { shard, ...into })
    }
    // Also when nothing was damaged now: a block that somebody met before, or in a look that was cut off, is missing.
    const { broken, repaired } = await repairSpace(this.#components, space, { signal, onBlock })
    await scrubs.putLast(space.name, { time: clock.now(), ...into, broken, repaired })
    if (into.damaged + broken > 0) log.warn({ swarm: space.name, ...into, broken, repaired }, 'blocks were damaged')
  }

  /** Waits as long as what was read may take, a stretch of it at a time. */
  #pace(signal: AbortSignal): Reading['onBlock'] {
    const { clock } = this.#components
    let owedMs = 0
    return async bytes => {
      owedMs += (Math.max(bytes, LIMITS.store.scrubLookBytes) / LIMITS.store.scrubBytesPerSecond) * 1_000
      if (owedMs < LIMITS.scrub.restMs) return
      await clock.sleep(owedMs, signal)
      owedMs = 0
    }
  }
}
