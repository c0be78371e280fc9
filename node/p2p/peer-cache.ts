import { messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Datastore, Log } from './components.ts'

const PEERS = '/peers/'

type Key = Parameters<Datastore['put']>[0]

export interface PeerCacheComponents {
  readonly inner: Datastore
  /** The name of the record of this node itself, which is never forgotten. */
  readonly self: string
  readonly clock: Clock
  readonly log: Log
}

interface Entry {
  readonly key: Key
  readonly value: Uint8Array
  readonly isWritten: boolean
}

/**
 * A datastore that keeps the records of peers in memory and writes them a little later. libp2p reads and writes the
 * record of a peer on every stream, in both directions and one stream at a time, which on a disk is most of what a
 * bitswap message costs. A crash loses what was learned in the last seconds about where peers are, and nothing else.
 *
 * Invariants:
 * 1. What is read is what was put last, written or not.
 * 2. An entry leaves memory only after it was written.
 * 3. The disk holds a bounded number of records. Attack: a peer id costs nothing, and libp2p looks for records that are
 *    too old only when somebody asks for that very peer.
 */
export class PeerCache implements Datastore {
  readonly #components: PeerCacheComponents
  readonly #entries = new Map<string, Entry>()
  /** Records on disk, the one that was written longest ago first. */
  readonly #stored = new Map<string, Key>()
  #cancel: (() => void) | undefined
  #flushing: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(components: PeerCacheComponents) {
    this.#components = components
  }

  /** Counts what is on disk. To be called before the host starts. */
  async load(): Promise<void> {
    for await (const key of this.#components.inner.queryKeys({ prefix: PEERS })) this.#stored.set(key.toString(), key)
  }

  /** Records in memory. */
  get size(): number {
    return this.#entries.size
  }

  async get(...[key, options]: Parameters<Datastore['get']>): Promise<Uint8Array> {
    const known = this.#entries.get(key.toString())
    if (known !== undefined) return Uint8Array.from(known.value)
    const value = await this.#components.inner.get(key, options)
    // A put that came meanwhile knows more.
    if (isPeer(key) && !this.#entries.has(key.toString()) && this.size < LIMITS.peers.cached) {
      this.#remember({ key, value: Uint8Array.from(value), isWritten: true })
    }
    return value
  }

  async has(...[key, options]: Parameters<Datastore['has']>): Promise<boolean> {
    return this.#entries.has(key.toString()) || this.#components.inner.has(key, options)
  }

  async put(...[key, value, options]: Parameters<Datastore['put']>): Promise<Key> {
    if (!isPeer(key)) return this.#components.inner.put(key, value, options)
    this.#remember({ key, value: Uint8Array.from(value), isWritten: false })
    // What a library still says of a peer when the host is down is lost, as it would be in a crash.
    if (this.#isClosed) return key
    if (this.#entries.size > LIMITS.peers.cached * 2) await this.flush()
    else this.#cancel ??= this.#components.clock.after(LIMITS.peers.writeLaterMs, () => this.#flushLater())
    return key
  }

  async delete(...[key, options]: Parameters<Datastore['delete']>): Promise<void> {
    // After a flush that may be writing this very record, or it would come back.
    if (isPeer(key)) await this.#flushing
    this.#entries.delete(key.toString())
    this.#stored.delete(key.toString())
    await this.#components.inner.delete(key, options)
  }

  async *putMany(...[source, options]: Parameters<Datastore['putMany']>): AsyncGenerator<Key> {
    for await (const { key, value } of source) yield await this.put(key, value, options)
  }

  async *getMany(...[source, options]: Parameters<Datastore['getMany']>): ReturnType<Datastore['getMany']> {
    for await (const key of source) yield { key, value: await this.get(key, options) }
  }

  async *deleteMany(...[source, options]: Parameters<Datastore['deleteMany']>): AsyncGenerator<Key> {
    for await (const key of source) {
      await this.delete(key, options)
      yield key
    }
  }

  /** Writes what a batch holds at once and forgets what it touches. */
  batch(): ReturnType<Datastore['batch']> {
    const batch = this.#components.inner.batch()
    const touched: string[] = []
    return {
      put: (key, value) => {
        touched.push(key.toString())
        batch.put(key, value)
      },
      delete: key => {
        touched.push(key.toString())
        batch.delete(key)
      },
      commit: async options => {
        await this.flush()
        await batch.commit(options)
        for (const key of touched) this.#entries.delete(key)
      }
    }
  }

  async *query(...[query, options]: Parameters<Datastore['query']>): ReturnType<Datastore['query']> {
    await this.flush()
    yield* this.#components.inner.query(query, options)
  }

  async *queryKeys(...[query, options]: Parameters<Datastore['queryKeys']>): ReturnType<Datastore['queryKeys']> {
    await this.flush()
    yield* this.#components.inner.queryKeys(query, options)
  }

  /** Writes what was not written yet, and nothing after that: the store below is about to be closed. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.flush()
  }

  /** Writes everything that was not written yet. */
  flush(): Promise<void> {
    const run = this.#flushing.then(() => this.#write())
    this.#flushing = run.catch(() => undefined)
    return run
  }

  async #write(): Promise<void> {
    this.#cancel?.()
    this.#cancel = undefined
    const { inner } = this.#components
    const changed = [...this.#entries].filter(([, { isWritten }]) => !isWritten)
    if (changed.length > 0) {
      const batch = inner.batch()
      for (const [name, { key, value }] of changed) {
        batch.put(key, value)
        this.#stored.delete(name)
        this.#stored.set(name, key)
      }
      for (const key of this.#excess()) batch.delete(key)
      await batch.commit()
    }
    for (const [name, entry] of changed) {
      // A put that came meanwhile has its own turn.
      if (this.#entries.get(name) === entry) this.#entries.set(name, { ...entry, isWritten: true })
    }
    for (const [name, entry] of this.#entries) {
      if (this.#entries.size <= LIMITS.peers.cached) break
      if (entry.isWritten) this.#entries.delete(name)
    }
  }

  /** What has to leave the disk, taken off the count. What is in memory stays, and so does our own record. */
  #excess(): readonly Key[] {
    const excess: Key[] = []
    for (const [name, key] of this.#stored) {
      if (this.#stored.size <= LIMITS.peers.stored) break
      if (name === this.#components.self || this.#entries.has(name)) continue
      this.#stored.delete(name)
      excess.push(key)
    }
    return excess
  }

  #flushLater(): void {
    this.#cancel = undefined
    this.flush().catch((error: unknown) => {
      this.#components.log.warn('what is known of peers could not be written', { error: messageOf(error) })
    })
  }

  /** The newest last, so that the oldest leave first. */
  #remember(entry: Entry): void {
    const name = entry.key.toString()
    this.#entries.delete(name)
    this.#entries.set(name, entry)
  }
}

function isPeer(key: Key): boolean {
  return key.toString().startsWith(PEERS)
}
