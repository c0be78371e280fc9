import { randomBytes } from 'node:crypto'
import { toLink } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { RegistryError, messageOf } from '../../protocol/errors.ts'
import { RootFilter, rootHash, shortHash } from '../../protocol/have/filter.ts'
import { HAVE_PROTOCOL, encodeHaveMessage } from '../../protocol/have/messages.ts'
import type { HaveMessage } from '../../protocol/have/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { Bell } from './bell.ts'
import type { Clock, HeldRoots, Log } from './components.ts'
import { deadline } from './deadline.ts'
import { FramedStream } from './framed-stream.ts'
import type { Peers } from './peers.ts'

export interface HaveTellerComponents {
  /** Undefined for a host that keeps its bytes to itself: it tells nobody anything. */
  readonly held: HeldRoots | undefined
  readonly peers: Pick<Peers, 'all' | 'connection'>
  readonly clock: Clock
  readonly log: Log
}

/** What was said last, to everybody the same. */
interface Announced {
  readonly filter: RootFilter
  readonly version: number
}

/** A stream on which one peer is told. */
interface Line {
  readonly bell: Bell
  readonly abort: AbortController
  /** What the peer has of it. */
  filter?: RootFilter
  version: number
}

/**
 * Tells every peer which roots are held here, and what changes (docs/spec/have.md).
 *
 * Invariants:
 * 1. There is one filter at a time, made once for all peers; a peer that has it gets the changes since.
 * 2. What is remembered of changes is bounded: a new filter takes their place.
 * 3. Who reads slowly holds up nobody, and is told in one message what it has missed.
 */
export class HaveTeller {
  readonly #components: HaveTellerComponents
  readonly #lines = new Map<string, Line>()
  readonly #running = new Set<Promise<void>>()
  /** Changes that are not told yet, and those since the filter was begun, with the version that tells them. */
  readonly #pending = new Map<ContentId, boolean>()
  readonly #changes = new Map<ContentId, { readonly isHeld: boolean; readonly version: number }>()
  #announced: Promise<Announced | undefined> | undefined
  #roots = 0
  #version = 0
  #isStopped = false
  #stopListening: () => void = () => undefined
  #cancelFlush: (() => void) | undefined
  #cancelStill: () => void = () => undefined

  constructor(components: HaveTellerComponents) {
    this.#components = components
  }

  start(): void {
    const { held } = this.#components
    if (held === undefined) return
    this.#stopListening = held.onChange((root, isHeld) => this.#note(root, isHeld))
    this.#tickLater()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopListening()
    this.#cancelFlush?.()
    this.#cancelStill()
    for (const peer of this.#lines.keys()) this.onPeerGone(peer)
    await Promise.all(this.#running)
  }

  onPeer(peer: string): void {
    if (this.#components.held === undefined || this.#isStopped || this.#lines.has(peer)) return
    const line: Line = { bell: new Bell(), abort: new AbortController(), version: 0 }
    this.#lines.set(peer, line)
    const run = this.#tell(peer, line).finally(() => {
      this.#running.delete(run)
      if (this.#lines.get(peer) === line) this.#lines.delete(peer)
    })
    this.#running.add(run)
  }

  onPeerGone(peer: string): void {
    const line = this.#lines.get(peer)
    this.#lines.delete(peer)
    line?.abort.abort(new RegistryError('CANCELLED', 'the peer is gone'))
    line?.bell.ring()
  }

  #note(root: ContentId, isHeld: boolean): void {
    this.#pending.set(root, isHeld)
    this.#cancelFlush ??= this.#components.clock.after(LIMITS.have.changeMs, () => {
      this.#cancelFlush = undefined
      this.#flush()
    })
  }

  #flush(): void {
    const { changes, changesUntilFilter, changesPerRoot } = LIMITS.have
    this.#version += 1
    for (const [root, isHeld] of this.#pending) this.#changes.set(root, { isHeld, version: this.#version })
    this.#pending.clear()
    const most = Math.min(changes, Math.max(changesUntilFilter, this.#roots * changesPerRoot))
    if (this.#changes.size > most) this.#announced = undefined
    for (const { bell } of this.#lines.values()) bell.ring()
  }

  /** Says that all is as it was, and begins again with whoever broke off. */
  #tickLater(): void {
    this.#cancelStill = this.#components.clock.after(LIMITS.have.stillMs, () => {
      this.#flush()
      for (const { id } of this.#components.peers.all()) this.onPeer(id)
      this.#tickLater()
    })
  }

  /** Never throws. */
  async #tell(peer: string, line: Line): Promise<void> {
    const { signal } = line.abort
    let io: FramedStream | undefined
    try {
      io = await this.#open(peer, signal)
      while (!signal.aborted) {
        const announced = await (this.#announced ??= this.#announce())
        if (announced === undefined) break
        const message = this.#next(line, announced)
        if (message === undefined) await line.bell.heard()
        else await this.#write(io, message, line)
      }
      await io.end(AbortSignal.timeout(LIMITS.connections.closeMs))
    } catch (error) {
      this.#components.log.debug('a peer could not be told what is held here', { peer, reason: messageOf(error) })
      io?.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'telling failed', { cause: error }))
    }
  }

  async #open(peer: string, signal: AbortSignal): Promise<FramedStream> {
    const connection = this.#components.peers.connection(peer)
    if (connection === undefined) throw new RegistryError('PEER_UNREACHABLE', 'the peer is gone')
    const time = deadline(this.#components.clock, LIMITS.have.writeMs, signal)
    try {
      return new FramedStream(await connection.newStream(HAVE_PROTOCOL, { signal: time.signal }))
    } finally {
      time.clear()
    }
  }

  /** Reads all that is held. Changes that come meanwhile are told after it, whether or not it has them already. */
  async #announce(): Promise<Announced | undefined> {
    const { held, log } = this.#components
    this.#changes.clear()
    const version = (this.#version += 1)
    const salt = new Uint8Array(randomBytes(LIMITS.have.saltBytes))
    const hashes = []
    for await (const root of held?.list() ?? []) {
      if (hashes.length >= LIMITS.have.roots || this.#isStopped) {
        log.debug('more is held here than can be told')
        return undefined
      }
      hashes.push(hashUnder(salt, root))
    }
    this.#roots = hashes.length
    return { version, filter: RootFilter.of(salt, hashes) }
  }

  #next(line: Line, { filter, version }: Announced): HaveMessage | undefined {
    if (line.filter !== filter) {
      line.filter = filter
      line.version = version
      return { type: 'full', version, filter }
    }
    const from = line.version
    if (from >= this.#version) return undefined
    const news = [...this.#changes].filter(([, change]) => change.version > from)
    const hashesOf = (isHeld: boolean): number[] =>
      news
        .filter(([, change]) => change.isHeld === isHeld)
        .map(([root]) => shortHash(hashUnder(filter.salt, root)))
        .toSorted((a, b) => a - b)
    line.version = this.#version
    return { type: 'delta', from, version: this.#version, added: hashesOf(true), removed: hashesOf(false) }
  }

  async #write(io: FramedStream, message: HaveMessage, { abort }: Line): Promise<void> {
    const time = deadline(this.#components.clock, LIMITS.have.writeMs, abort.signal)
    try {
      await io.write(encodeHaveMessage(message), time.signal)
    } finally {
      time.clear()
    }
  }
}

function hashUnder(salt: Uint8Array, root: ContentId): ReturnType<typeof rootHash> {
  return rootHash(salt, toLink(root).multihash.digest)
}
