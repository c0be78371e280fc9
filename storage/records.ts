import { decodeCbor, encodeCbor } from '../protocol/cbor.ts'
import { parseContentId, parseRegistryId } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import { recordOf } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { keptRoots } from './kept-roots.ts'
import type { KeptRoots } from './kept-roots.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'
import { traceRecords } from './trace-records.ts'
import type { Traces } from './trace-records.ts'

/** A registry that is followed here. */
export interface FollowedRegistry {
  readonly id: RegistryId
  readonly alias: string
  readonly isDefault: boolean
  /** Accepted although only one peer has been heard about it. */
  readonly singleSource: boolean
  /** The swarm that carries it: `public`, or the name of a private one. */
  readonly swarm: string
  /** It was founded in this data directory: whatever it says was said here. */
  readonly made: boolean
  /** Its place in the order of following. */
  readonly order: number
}

/** The swarm of everything that is not private. */
const PUBLIC = 'public'

/**
 * Small records beside the facts, in the same store:
 *
 *   registry!<id>             -> {alias, isDefault, singleSource, swarm, made, order}
 *   source!<registry>!<peer>  -> empty: this registry was compared with this peer to the end
 *   heard!<registry>          -> when this registry was last compared with anybody to the end, in milliseconds since 1970
 *   looked!<registry>        -> when it was compared to the end for the first time
 *   missing!<registry>        -> the contents that a mirror has waited for longest, and since when: {<content root>: ms}
 *   kept!<content root>       -> every block below it is in the public block store and durable (kept-roots.ts)
 *   kept-in!<swarm>!<root>    -> the same of the block store of a private swarm
 *   trace!<content root>      -> how it came into the public block store (trace-records.ts)
 *   trace-in!<swarm>!<root>   -> the same of the block store of a private swarm
 *   dial!<peer address>       -> empty: stay connected to it
 *   chain!own                 -> the chain that our own facts in this store were written under
 *   submission!<registry>!<id> -> what a stranger asked of us, and what became of it; opaque here
 *   asked!<registry>!<package> -> what we asked of a curator, so that asking again is no second submission; opaque here
 */
export class Records {
  readonly #kv: KeyValue

  constructor(kv: KeyValue) {
    this.#kv = kv
  }

  async registries(): Promise<readonly FollowedRegistry[]> {
    const found: FollowedRegistry[] = []
    for await (const [key, value] of this.#kv.iterate({ gte: 'registry!', lt: 'registry!~' })) {
      found.push({ id: parseRegistryId(key.slice('registry!'.length)), ...decodeRegistry(value) })
    }
    // Records from before there was an order come first, as their keys are sorted.
    return found.toSorted((a, b) => a.order - b.order)
  }

  /** Writes records of registries together: making one the default takes it from another. */
  async putRegistries(registries: readonly FollowedRegistry[]): Promise<void> {
    await this.#kv.batch(registries.map(putOf), { sync: true })
  }

  /**
   * A registry is no longer followed; its facts stay. `others` are written with it: one of them may become the default.
   * Whom it was compared with is forgotten: who purges its facts and follows it again has an empty registry, and that must
   * never count as one that was read.
   */
  async unfollow(registry: RegistryId, others: readonly FollowedRegistry[] = []): Promise<void> {
    const sources = (await this.sources(registry)).map(peer => `source!${registry}!${peer}`)
    const gone = [`registry!${registry}`, `heard!${registry}`, `looked!${registry}`, `missing!${registry}`, ...sources]
    const ops = gone.map((key): KeyValueOp => ({ type: 'del', key }))
    await this.#kv.batch([...ops, ...others.map(putOf)], { sync: true })
  }

  async chain(): Promise<string | undefined> {
    const value = await this.#kv.get('chain!own')
    return value === undefined ? undefined : new TextDecoder().decode(value)
  }

  /** Durable before it returns: no fact of the new chain may come before. */
  async putChain(chain: string): Promise<void> {
    await this.#kv.batch([{ type: 'put', key: 'chain!own', value: new TextEncoder().encode(chain) }], { sync: true })
  }

  /** Peers that a registry was compared with to the end, as far as they are remembered. */
  async sources(registry: RegistryId): Promise<readonly string[]> {
    const prefix = `source!${registry}!`
    const found: string[] = []
    for await (const [key] of this.#kv.iterate({ gte: prefix, lt: `${prefix}~`, keysOnly: true }))
      found.push(key.slice(prefix.length))
    return found
  }

  /** One more of them. Only that there is a second one counts, so no more are kept. */
  async addSource(registry: RegistryId, peer: string): Promise<void> {
    const known = await this.sources(registry)
    if (known.includes(peer) || known.length >= LIMITS.peers.sources) return
    await this.#kv.batch([{ type: 'put', key: `source!${registry}!${peer}`, value: new Uint8Array(0) }])
  }

  /** When a registry was last compared with anybody to the end; undefined when nobody knows. */
  async heardAt(registry: RegistryId): Promise<number | undefined> {
    return this.#time('heard', registry)
  }

  async putHeardAt(registry: RegistryId, time: number): Promise<void> {
    await this.#kv.batch([{ type: 'put', key: `heard!${registry}`, value: encodeCbor(time) }])
  }

  /** When a registry was compared with anybody to the end for the first time; undefined when it was not, or before this was noted. */
  async lookedAt(registry: RegistryId): Promise<number | undefined> {
    return this.#time('looked', registry)
  }

  async putLookedAt(registry: RegistryId, time: number): Promise<void> {
    await this.#kv.batch([{ type: 'put', key: `looked!${registry}`, value: encodeCbor(time) }])
  }

  /** Since when a mirror waits for contents, as it was written last. */
  async missing(registry: RegistryId): Promise<ReadonlyMap<ContentId, number>> {
    const value = await this.#kv.get(`missing!${registry}`)
    const since = new Map<ContentId, number>()
    if (value === undefined) return since
    const record = decodeCbor(value, 1)
    if (typeof record !== 'object' || record === null) throw corrupt('missing')
    for (const [root, time] of Object.entries(record)) {
      if (typeof time !== 'number' || !Number.isSafeInteger(time)) throw corrupt('missing')
      since.set(parseContentId(root), time)
    }
    return since
  }

  /** Not waited for: what a crash takes is counted again from the next start on. */
  async putMissing(registry: RegistryId, since: ReadonlyMap<ContentId, number>): Promise<void> {
    const key = `missing!${registry}`
    const value = encodeCbor(Object.fromEntries(since))
    await this.#kv.batch([since.size === 0 ? { type: 'del', key } : { type: 'put', key, value }])
  }

  async #time(kind: 'heard' | 'looked', registry: RegistryId): Promise<number | undefined> {
    const value = await this.#kv.get(`${kind}!${registry}`)
    if (value === undefined) return undefined
    const time = decodeCbor(value, 0)
    if (typeof time !== 'number' || !Number.isSafeInteger(time)) throw corrupt(kind)
    return time
  }

  /**
   * What is held as a whole in the block store of one swarm. Attack: were there one list, a public registry could name
   * the root of a private package, and this node would believe that it may hand it out in public.
   */
  keptIn(swarm: string, now: () => number = () => 0): KeptRoots {
    return keptRoots(this.#kv, swarm === PUBLIC ? 'kept!' : `kept-in!${swarm}!`, now)
  }

  /** How contents of one swarm came here: a private one's are told apart, so that they go with it. */
  tracesIn(swarm: string): Traces {
    return traceRecords(this.#kv, swarm === PUBLIC ? 'trace!' : `trace-in!${swarm}!`)
  }

  /** Forgets the same of private swarms that this node is in no more: a crash came between leaving one and forgetting it. */
  async forgetTracesBut(swarms: readonly string[]): Promise<void> {
    const left = new Set<string>()
    for await (const [key] of this.#kv.iterate({ gte: 'trace-in!', lt: 'trace-in!~', keysOnly: true })) {
      const swarm = key.split('!')[1] ?? ''
      if (!swarms.includes(swarm)) left.add(swarm)
    }
    for (const swarm of left) await this.tracesIn(swarm).forgetTraces()
  }

  async dialled(): Promise<readonly string[]> {
    const addresses: string[] = []
    for await (const [key] of this.#kv.iterate({
      gte: 'dial!',
      lt: 'dial!~',
      limit: LIMITS.peers.bootstrap,
      keysOnly: true
    })) {
      addresses.push(key.slice('dial!'.length))
    }
    return addresses
  }

  async putDialled(address: string): Promise<void> {
    const known = await this.dialled()
    if (known.includes(address) || known.length >= LIMITS.peers.bootstrap) return
    await this.#kv.batch([{ type: 'put', key: `dial!${address}`, value: new Uint8Array(0) }], { sync: true })
  }

  async *submissions(registry: RegistryId): AsyncGenerator<readonly [string, Uint8Array]> {
    const prefix = `submission!${registry}!`
    for await (const [key, value] of this.#kv.iterate({ gte: prefix, lt: `${prefix}~` })) {
      yield [key.slice(prefix.length), value]
    }
  }

  async submission(registry: RegistryId, id: string): Promise<Uint8Array | undefined> {
    return this.#kv.get(`submission!${registry}!${id}`)
  }

  /** Durable before it returns: its author was told that it waits. */
  async putSubmission(registry: RegistryId, id: string, bytes: Uint8Array): Promise<void> {
    await this.#kv.batch([{ type: 'put', key: `submission!${registry}!${id}`, value: bytes }], { sync: true })
  }

  async deleteSubmission(registry: RegistryId, id: string): Promise<void> {
    await this.#kv.batch([{ type: 'del', key: `submission!${registry}!${id}` }])
  }

  async asked(registry: RegistryId, name: string): Promise<Uint8Array | undefined> {
    return this.#kv.get(`asked!${registry}!${name}`)
  }

  async putAsked(registry: RegistryId, name: string, bytes: Uint8Array): Promise<void> {
    await this.#kv.batch([{ type: 'put', key: `asked!${registry}!${name}`, value: bytes }], { sync: true })
  }

  async forgetAsked(registry: RegistryId, name: string): Promise<void> {
    await this.#kv.batch([{ type: 'del', key: `asked!${registry}!${name}` }])
  }
}

/** What a record says that was written before there was a word for it. */
const BEFORE = { singleSource: false, swarm: PUBLIC, made: false, order: 0 }

function putOf({ id, ...record }: FollowedRegistry): KeyValueOp {
  return { type: 'put', key: `registry!${id}`, value: encodeCbor(record) }
}

function decodeRegistry(value: Uint8Array): Omit<FollowedRegistry, 'id'> {
  const raw: object = { ...BEFORE, ...recordLike(decodeCbor(value, 1)) }
  const record = recordOf(raw, ['alias', 'isDefault', 'singleSource', 'swarm', 'made', 'order'])
  const { alias, isDefault, singleSource, swarm, made, order } = record
  const isSound =
    typeof alias === 'string' &&
    typeof isDefault === 'boolean' &&
    typeof singleSource === 'boolean' &&
    typeof swarm === 'string' &&
    typeof made === 'boolean' &&
    typeof order === 'number'
  if (!isSound) throw corrupt('registry')
  return { alias, isDefault, singleSource, swarm, made, order }
}

function recordLike(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {}
}

function corrupt(what: string): RegistryError {
  return new RegistryError('STORE_CORRUPT', `a ${what} record cannot be read`, { next: 'run ggen-node doctor' })
}
