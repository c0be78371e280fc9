import type { Connection, Stream } from '@libp2p/interface'
import { RegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import {
  SYNC_MESSAGE_BYTES,
  SYNC_PROTOCOL,
  decodeSyncReply,
  decodeSyncRequest,
  encodeSyncMessage,
  isSyncRequest
} from '../../protocol/sync/messages.ts'
import type { SyncMessage, SyncReply, SyncRequest } from '../../protocol/sync/messages.ts'
import type { Side } from '../../protocol/sync/state.ts'
import type { Clock, Log } from './components.ts'
import { deadline } from './deadline.ts'
import { isLie } from './facts-client.ts'
import { FramedStream } from './framed-stream.ts'
import type { Peers } from './peers.ts'

export interface SyncLinesComponents {
  readonly peers: Peers
  readonly clock: Clock
  readonly log: Log
  readonly onMessage: (peer: string, message: SyncMessage) => void
  /** Our stream to the peer is gone, and not because we closed it. */
  readonly onBroken: (peer: string) => void
  /** The peer has opened a stream; what it had opened on another one is void. */
  readonly onRestarted: (peer: string) => void
}

/** One stream and what ends it. */
interface Line {
  readonly abort: AbortController
  /** Resolves when everything before is written, so that messages keep their order. */
  written: Promise<void>
}

interface Inbound extends Line {
  /** Takes the answer to the request that was read last. */
  answer: ((reply: SyncReply) => void) | undefined
}

/**
 * The streams of `/ggen/sync/1`: one to each peer for what we ask, one from it for what it asks. On both, the side that
 * opened asks and the other answers; the next request is read when the answer to the last one is written, so that
 * whoever does not read does not ask.
 */
export class SyncLines {
  readonly #components: SyncLinesComponents
  readonly #outbound = new Map<string, Line & { readonly io: Promise<FramedStream> }>()
  readonly #inbound = new Map<string, Inbound>()

  constructor(components: SyncLinesComponents) {
    this.#components = components
  }

  /** The handler of the protocol. */
  readonly accept = (stream: Stream, connection: Connection): void => {
    const peer = connection.remotePeer.toString()
    this.close(peer, 'theirs')
    const line: Inbound = { abort: new AbortController(), written: Promise.resolve(), answer: undefined }
    this.#inbound.set(peer, line)
    this.#components.onRestarted(peer)
    void this.#serve(peer, new FramedStream(stream), line)
  }

  send(peer: string, message: SyncMessage): void {
    if (!isSyncRequest(message)) return this.#inbound.get(peer)?.answer?.(message)
    const line = this.#outbound.get(peer) ?? this.#open(peer)
    if (line === undefined) return this.#components.onBroken(peer)
    line.written = line.written
      .then(async () => await this.#write(await line.io, message, line.abort.signal))
      .catch((error: unknown) => this.#break(peer, line, error))
  }

  close(peer: string, side: Side): void {
    const lines: Map<string, Line> = side === 'own' ? this.#outbound : this.#inbound
    const line = lines.get(peer)
    lines.delete(peer)
    line?.abort.abort(new RegistryError('CANCELLED', 'the stream is closed'))
  }

  closeAll(): void {
    for (const peer of this.#outbound.keys()) this.close(peer, 'own')
    for (const peer of this.#inbound.keys()) this.close(peer, 'theirs')
  }

  #open(peer: string): (Line & { readonly io: Promise<FramedStream> }) | undefined {
    const connection = this.#components.peers.connection(peer)
    if (connection === undefined) return undefined
    const abort = new AbortController()
    const line = { abort, io: this.#dial(connection, abort.signal), written: Promise.resolve() }
    this.#outbound.set(peer, line)
    line.io
      .then(async io => await this.#listen(peer, io, line))
      .catch((error: unknown) => this.#break(peer, line, error))
    return line
  }

  async #dial(connection: Connection, signal: AbortSignal): Promise<FramedStream> {
    const time = deadline(this.#components.clock, LIMITS.sync.answerMs, signal)
    try {
      const io = new FramedStream(await connection.newStream(SYNC_PROTOCOL, { signal: time.signal }))
      signal.addEventListener('abort', () => io.abort(new RegistryError('CANCELLED', 'closed')), { once: true })
      if (signal.aborted) io.abort(new RegistryError('CANCELLED', 'closed'))
      return io
    } finally {
      time.clear()
    }
  }

  /** Answers to what we asked, for as long as the stream lives; how long one may take is the step's to say. */
  async #listen(peer: string, io: FramedStream, line: Line): Promise<void> {
    for (;;) {
      const bytes = await io.read(SYNC_MESSAGE_BYTES, line.abort.signal)
      if (bytes === undefined) throw new RegistryError('PEER_UNREACHABLE', 'the peer ended the stream')
      const reply = decodeSyncReply(bytes)
      if (this.#outbound.get(peer) === line) this.#components.onMessage(peer, reply)
    }
  }

  async #serve(peer: string, io: FramedStream, line: Inbound): Promise<void> {
    const { signal } = line.abort
    signal.addEventListener('abort', () => io.abort(new RegistryError('CANCELLED', 'closed')), { once: true })
    try {
      for (;;) {
        const bytes = await io.read(SYNC_MESSAGE_BYTES, signal)
        if (bytes === undefined) break
        const request = decodeSyncRequest(bytes)
        const reply = await this.#answerTo(peer, request, line)
        if (reply !== undefined) await this.#write(io, reply, signal)
      }
      await io.end(AbortSignal.timeout(LIMITS.connections.closeMs))
    } catch (error) {
      this.#components.log.debug('answering a comparison ended', { peer, reason: messageOf(error) })
      if (isLie(error)) this.#components.peers.blame(peer, 'malformed-message')
      io.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'answering failed', { cause: error }))
    } finally {
      if (this.#inbound.get(peer) === line) {
        this.#inbound.delete(peer)
        this.#components.onRestarted(peer)
      }
    }
  }

  async #answerTo(peer: string, request: SyncRequest, line: Inbound): Promise<SyncReply | undefined> {
    const { signal } = line.abort
    const { promise, resolve, reject } = Promise.withResolvers<SyncReply>()
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    line.answer = reply => {
      if (reply.session === request.session) resolve(reply)
    }
    try {
      this.#components.onMessage(peer, request)
      if (request.type === 'done') return undefined
      signal.throwIfAborted()
      return await promise
    } finally {
      line.answer = undefined
      signal.removeEventListener('abort', onAbort)
      // Nobody waits for it after an early return, and an abort then is nobody's failure.
      promise.catch(() => undefined)
    }
  }

  async #write(io: FramedStream, message: SyncMessage, signal: AbortSignal): Promise<void> {
    const time = deadline(this.#components.clock, LIMITS.sync.answerMs, signal)
    try {
      await io.write(encodeSyncMessage(message), time.signal)
    } finally {
      time.clear()
    }
  }

  #break(peer: string, line: Line, error: unknown): void {
    if (this.#outbound.get(peer) !== line) return
    this.close(peer, 'own')
    this.#components.log.debug('a comparison broke off', { peer, reason: messageOf(error) })
    if (isLie(error)) this.#components.peers.blame(peer, 'malformed-message')
    this.#components.onBroken(peer)
  }
}
