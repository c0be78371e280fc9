import type { FactId } from '../cid.ts'
import type { Clock } from './clock.ts'
import type { FactStatus, Standing } from './document.ts'
import type { HistoryRecord } from './key-history.ts'
import { Knowledge } from './knowledge.ts'
import type { RoomRecord } from './room.ts'

/** A change that was applied. */
export interface Applied {
  readonly actor: string
  readonly seq: number
  /** The last operation. */
  readonly lastOp: number
  /** Who said it; null for a part of the base, which many did. */
  readonly fact: FactId | null
}

type EntryRecord = readonly [
  id: FactId,
  status: FactStatus,
  chain: number,
  seq: number,
  counts: boolean,
  isFolded: boolean,
  stands: readonly number[],
  clock: number
]

/**
 * What of a build is kept beside the saved document. What many entries have in common is there once, and they say its
 * number: an author may have ten thousand of them.
 */
export interface BuildRecord {
  readonly epoch: FactId | null
  readonly base: readonly string[]
  readonly chains: readonly string[]
  readonly clocks: readonly Clock[]
  readonly entries: readonly EntryRecord[]
  readonly actors: readonly string[]
  /** `entry`: which one says it; -1 for a part of the base. */
  readonly applied: readonly (readonly [hash: string, actor: number, seq: number, lastOp: number, entry: number])[]
  readonly missing: readonly string[]
  readonly keys: HistoryRecord
  readonly room: RoomRecord
}

type Packed = Omit<BuildRecord, 'epoch' | 'keys' | 'room'>

/** How each fact stands in a document that was stored. */
export function standingsIn({ entries }: Pick<BuildRecord, 'entries'>): ReadonlyMap<FactId, Standing> {
  return new Map(entries.map(([id, status, , , counts]) => [id, { status, counts }] as const))
}

export function packBuild(knowledge: Knowledge, applied: ReadonlyMap<string, Applied>): Packed {
  const hashes = new Map([...applied.keys()].map((hash, i) => [hash, i]))
  const clocks = new Map<Clock, number>()
  const actors = [...new Set([...applied.values()].map(({ actor }) => actor))]
  const numbers = new Map(actors.map((actor, i) => [actor, i]))
  const places = new Map([...knowledge.entries.keys()].map((id, i) => [id, i]))
  const entries = [...knowledge.entries.values()].map(
    ({ id, status, chain, seq, counts, isFolded, stands, clock }): EntryRecord => {
      const number = clocks.get(clock) ?? clocks.size
      clocks.set(clock, number)
      const standing = stands.flatMap(hash => hashes.get(hash) ?? [])
      return [id, status, knowledge.numberOf({ chain, seq }).chain, seq, counts, isFolded, standing, number]
    }
  )
  return {
    base: knowledge.base,
    chains: [...knowledge.chains],
    clocks: [...clocks.keys()],
    entries,
    actors,
    applied: [...applied].map(([hash, { actor, seq, lastOp, fact }]) => {
      const entry = fact === null ? -1 : (places.get(fact) ?? -1)
      return [hash, numbers.get(actor) ?? -1, seq, lastOp, entry] as const
    }),
    missing: [...knowledge.missing]
  }
}

export function unpackBuild({ epoch, base, chains, clocks, entries, actors, applied, missing }: BuildRecord): {
  readonly knowledge: Knowledge
  readonly applied: readonly (readonly [string, Applied])[]
} {
  const knowledge = new Knowledge()
  for (const chain of chains) knowledge.numberOf({ chain, seq: 0 })
  for (const [id, status, number, seq, counts, isFolded, standing, clock] of entries) {
    const stands = standing.flatMap(i => applied[i]?.[0] ?? [])
    const chain = chains[number] ?? ''
    knowledge.restore({ id, status, chain, seq, counts, isFolded, stands, clock: clocks[clock] ?? [] })
    // Before what comes after it: an edit that changed nothing stands on the base, and did not make it.
    if (id === epoch) knowledge.begin(base, epoch)
  }
  for (const id of missing) knowledge.missing.add(id)
  return {
    knowledge,
    applied: applied.map(([hash, actor, seq, lastOp, entry]) => {
      return [hash, { actor: actors[actor] ?? '', seq, lastOp, fact: entries[entry]?.[0] ?? null }] as const
    })
  }
}
