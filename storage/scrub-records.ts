import { decodeCbor, encodeCbor } from '../protocol/cbor.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { recordOf } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { KeyValue } from './key-value.ts'

/** The last look through all blocks of a store that came to its end. */
export interface ScrubRecord {
  readonly time: number
  readonly blocks: number
  readonly bytes: number
  readonly damaged: number
  readonly broken: number
  readonly repaired: number
}

/** A look that is under way: the part that was read last, and what was found up to there. */
export interface ScrubCursor {
  readonly shard: string
  readonly blocks: number
  readonly bytes: number
  readonly damaged: number
}

const RECORD = ['blocks', 'broken', 'bytes', 'damaged', 'repaired', 'time'] as const
const CURSOR = ['blocks', 'bytes', 'damaged', 'shard'] as const

/**
 * How far the look in the background is, so that a node which is restarted every day comes to the end all the same:
 *
 *   scrubbed!<swarm>   -> {blocks, broken, bytes, damaged, repaired, time}
 *   scrubbing!<swarm>  -> {blocks, bytes, damaged, shard}
 *
 * Nothing depends on either: what cannot be read was never there.
 */
export class ScrubRecords {
  readonly #kv: KeyValue

  constructor(kv: KeyValue) {
    this.#kv = kv
  }

  async last(swarm: string): Promise<ScrubRecord | undefined> {
    const found = await this.#read(`scrubbed!${swarm}`, RECORD)
    if (found === undefined || !Object.values(found).every(isCount)) return undefined
    return found as unknown as ScrubRecord
  }

  async cursor(swarm: string): Promise<ScrubCursor | undefined> {
    const found = await this.#read(`scrubbing!${swarm}`, CURSOR)
    if (found === undefined) return undefined
    const { shard, ...counts } = found
    if (typeof shard !== 'string' || !Object.values(counts).every(isCount)) return undefined
    return found as unknown as ScrubCursor
  }

  async putCursor(swarm: string, { shard, blocks, bytes, damaged }: ScrubCursor): Promise<void> {
    const value = encodeCbor({ shard, blocks, bytes, damaged })
    await this.#kv.batch([{ type: 'put', key: `scrubbing!${swarm}`, value }])
  }

  async putLast(swarm: string, { time, blocks, bytes, damaged, broken, repaired }: ScrubRecord): Promise<void> {
    const value = encodeCbor({ time, blocks, bytes, damaged, broken, repaired })
    await this.#kv.batch([
      { type: 'put', key: `scrubbed!${swarm}`, value },
      { type: 'del', key: `scrubbing!${swarm}` }
    ])
  }

  async #read<K extends string>(key: string, fields: readonly K[]): Promise<Record<K, unknown> | undefined> {
    try {
      const value = await this.#kv.get(key)
      if (value === undefined || value.length > LIMITS.store.scrubRecordBytes) return undefined
      return recordOf(decodeCbor(value, 1), fields)
    } catch (error) {
      if (isRegistryError(error)) return undefined
      throw error
    }
  }
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
