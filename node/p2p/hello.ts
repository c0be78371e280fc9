import type { Connection, Libp2pEvents, PeerId, Stream, StreamMiddleware } from '@libp2p/interface'
import { RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import { HELLO_PROTOCOL } from '../../protocol/hello.ts'
import type { Hello, HelloRefusal } from '../../protocol/hello.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Log } from './components.ts'
import { holdOutbound } from './hold-outbound.ts'
import { deadline } from './deadline.ts'
import { FramedStream } from './framed-stream.ts'
import type { KnownMember } from './membership.ts'
import { rulesFor, screenStreams } from './message-screen.ts'

/** What became of the introduction on one connection. */
export type HelloVerdict =
  | {
      readonly accepted: true
      readonly hello: Hello
      readonly version: number
      /** Of a private swarm: who it is, the newest swarm secret that it has, and the key of the one this was held under. */
      readonly member?: KnownMember
      readonly epoch?: number
      readonly under?: Uint8Array
    }
  | { readonly accepted: false; readonly reason: HelloFailure }
  /** One side said why. */
  | { readonly accepted: false; readonly reason: HelloRefusal; readonly by: 'us' | 'them' }

/** `no-secret`: one side could not show that it knows the swarm's secret, so the other said nothing. */
export type HelloFailure = 'silent' | 'malformed' | 'closed' | 'no-secret'

/** Two hosts in the middle of their introduction. */
export interface Conversation {
  readonly io: FramedStream
  /** Whether we have dialled: who dials speaks first. */
  readonly asks: boolean
  /** What the handshake has proved. */
  readonly peer: PeerId
  readonly signal: AbortSignal
}

/** How the two sides introduce themselves: what is said, and when it satisfies us. Throws when a side does not keep to it. */
export type Introduce = (conversation: Conversation) => Promise<HelloVerdict>

export interface HelloComponents {
  readonly introduce: Introduce
  /** Of a host whose very protocol names are for nobody who was not introduced. */
  readonly veil?: {
    cover(registrar: { getProtocols(): string[] }): void
    hide(connection: Connection, verdict: Promise<HelloVerdict>): void
  }
  readonly clock: Clock
  readonly log: Log
  readonly timeoutMs: number
  /** The peer sent what no honest program sends. */
  readonly onMalformed: (peer: string) => void
  /** Called at most once for each connection. */
  onVerdict(connection: Connection, verdict: HelloVerdict): void
}

type OpenEvent = Libp2pEvents['connection:open']

/** The few things of libp2p that the gate stands on. */
export interface HelloHost {
  readonly registrar: {
    getProtocols(): string[]
    getMiddleware(protocol: string): StreamMiddleware[]
    handle(
      protocol: string,
      handler: (stream: Stream, connection: Connection) => void,
      options: { maxInboundStreams: number; maxOutboundStreams: number }
    ): Promise<void>
    unhandle(protocol: string): Promise<void>
  }
  readonly events: {
    addEventListener(type: 'connection:open' | 'connection:close', listener: (event: OpenEvent) => void): void
    removeEventListener(type: 'connection:open' | 'connection:close', listener: (event: OpenEvent) => void): void
  }
}

interface Introduction {
  readonly verdict: Promise<HelloVerdict>
  settle(verdict: HelloVerdict): void
  readonly cancelTimer: () => void
  settled: HelloVerdict | undefined
  started: boolean
  /** Ends, and never fails, when all that came has been read. */
  conversation: Promise<void> | undefined
  waiting: number
}

/**
 * The introduction that comes before everything.
 *
 * Invariants:
 * 1. No stream but hello's own reaches a handler, ours or a library's, or is handed to a caller, before its connection
 *    is accepted by both sides.
 * 2. Every connection gets exactly one verdict, at the latest when the time is up or it closes.
 * 3. What a stranger may pile up while he has no verdict is bounded in streams and in bytes.
 */
export class HelloGate {
  readonly #components: HelloComponents
  readonly #host: HelloHost
  readonly #introductions = new Map<Connection, Introduction>()
  /** Why connections that are closed were refused: libp2p may hand one out to somebody who dials just then. */
  readonly #past = new WeakMap<Connection, HelloVerdict & { accepted: false }>()

  constructor(components: HelloComponents, host: HelloHost) {
    this.#components = components
    this.#host = host
    // libp2p 3.3.11 pushes the handler of each inbound stream into the very array that `use()` stored, so after one
    // stream the next ones, outbound ones included, run old handlers. A fresh array per call is immune, and it covers
    // protocols that nobody thought of.
    components.veil?.cover(host.registrar)
    host.registrar.getMiddleware = protocol => {
      if (protocol === HELLO_PROTOCOL) return []
      const rules = rulesFor(protocol)
      return rules === undefined ? [this.#middleware] : [this.#middleware, screenStreams(rules, components.onMalformed)]
    }
  }

  async start(): Promise<void> {
    this.#host.events.addEventListener('connection:open', this.#onOpen)
    this.#host.events.addEventListener('connection:close', this.#onClose)
    await this.#host.registrar.handle(HELLO_PROTOCOL, this.#onStream, {
      maxInboundStreams: LIMITS.streams.hello,
      maxOutboundStreams: LIMITS.streams.hello
    })
  }

  async stop(): Promise<void> {
    this.#host.events.removeEventListener('connection:open', this.#onOpen)
    await this.#host.registrar.unhandle(HELLO_PROTOCOL)
  }

  /** Forgets what libp2p has not reported closed. Called when libp2p has stopped. */
  async afterStop(): Promise<void> {
    this.#host.events.removeEventListener('connection:close', this.#onClose)
    for (const connection of this.#introductions.keys()) this.#forget(connection)
  }

  /** The verdict on a connection, when there is one. */
  verdict(connection: Connection): Promise<HelloVerdict> {
    return this.#introduction(connection).verdict
  }

  readonly #middleware: StreamMiddleware = async (stream, connection, next) => {
    const introduction = this.#introduction(connection)
    if (introduction.settled?.accepted !== true) await this.#wait(stream, introduction)
    next(stream, connection)
  }

  async #wait(stream: Stream, introduction: Introduction): Promise<void> {
    // Attack: yamux gives window back whether or not anybody reads, so 64 streams could pile up 4 MiB each.
    if (introduction.waiting >= LIMITS.hello.waitingStreams) {
      throw new RegistryError('LIMIT_EXCEEDED', 'too many streams before the introduction')
    }
    // What came during the negotiation is not looked at again by the stream itself.
    if (stream.readBufferLength > LIMITS.hello.waitingBytes) {
      throw new RegistryError('LIMIT_EXCEEDED', 'too many bytes before the introduction')
    }
    const { maxReadBufferLength } = stream
    stream.maxReadBufferLength = LIMITS.hello.waitingBytes
    introduction.waiting += 1
    const verdict = await introduction.verdict
    introduction.waiting -= 1
    stream.maxReadBufferLength = maxReadBufferLength
    if (!verdict.accepted) throw new RegistryError('PEER_SILENT', `not introduced: ${verdict.reason}`)
  }

  readonly #onOpen = ({ detail: connection }: OpenEvent): void => {
    const introduction = this.#introduction(connection)
    // Taken before it is held back like everybody's: the introduction itself cannot wait for its verdict.
    const newStream = connection.newStream.bind(connection)
    holdOutbound(connection, introduction.verdict)
    this.#components.veil?.hide(connection, introduction.verdict)
    if (connection.direction === 'outbound' && !introduction.started) {
      introduction.started = true
      introduction.conversation = this.#converse(connection, signal => newStream(HELLO_PROTOCOL, { signal }))
    }
  }

  readonly #onClose = ({ detail: connection }: OpenEvent): void => {
    // Who refuses says why and closes. The close must not overtake the reason, which is here and not read yet.
    const conversation = this.#introductions.get(connection)?.conversation ?? Promise.resolve()
    void conversation.then(() => this.#forget(connection))
  }

  readonly #onStream = (stream: Stream, connection: Connection): void => {
    const introduction = this.#introduction(connection)
    if (introduction.started) {
      stream.abort(new RegistryError('MALFORMED', 'a second hello on one connection'))
      return
    }
    introduction.started = true
    introduction.conversation = this.#converse(connection, stream)
  }

  /** Asks when we dialled, answers when we were dialled. Never throws. */
  async #converse(connection: Connection, stream: Stream | ((signal: AbortSignal) => Promise<Stream>)): Promise<void> {
    const { clock, timeoutMs, introduce } = this.#components
    const time = deadline(clock, timeoutMs)
    const { signal } = time
    const asks = typeof stream === 'function'
    let io: FramedStream | undefined
    try {
      io = new FramedStream(asks ? await stream(signal) : stream)
      const verdict = await introduce({ io, asks, peer: connection.remotePeer, signal })
      // Settled before the stream is ended: from here on the other side may close the connection at any moment.
      this.#settle(connection, verdict)
      await io.end(time.signal)
    } catch (error) {
      io?.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'hello failed', { cause: error }))
      this.#components.log.debug('hello failed', { reason: messageOf(error) })
      const lies = isRegistryError(error) && (error.code === 'MALFORMED' || error.code === 'LIMIT_EXCEEDED')
      this.#settle(connection, { accepted: false, reason: lies ? 'malformed' : 'silent' })
    } finally {
      time.clear()
    }
  }

  #introduction(connection: Connection): Introduction {
    const known = this.#introductions.get(connection)
    if (known !== undefined) return known
    const { promise, resolve } = Promise.withResolvers<HelloVerdict>()
    // A late stream of a closed connection must not bring back an entry that nobody would remove.
    if (connection.status !== 'open') return closedIntroduction(this.#past.get(connection))
    const cancelTimer = this.#components.clock.after(this.#components.timeoutMs, () =>
      this.#settle(connection, { accepted: false, reason: 'silent' })
    )
    const introduction: Introduction = {
      verdict: promise,
      settle: resolve,
      cancelTimer,
      settled: undefined,
      started: false,
      conversation: undefined,
      waiting: 0
    }
    this.#introductions.set(connection, introduction)
    return introduction
  }

  #settle(connection: Connection, reached: HelloVerdict): void {
    const introduction = this.#introductions.get(connection)
    if (introduction === undefined || introduction.settled !== undefined) return
    const isLate = reached.accepted && connection.status !== 'open'
    const verdict: HelloVerdict = isLate ? { accepted: false, reason: 'closed' } : reached
    introduction.settled = verdict
    introduction.cancelTimer()
    introduction.settle(verdict)
    this.#components.onVerdict(connection, verdict)
    if (!verdict.accepted) void this.#hangUp(connection, verdict.reason)
  }

  /** Closes well, so that the reason arrives; a peer that does not let go is dropped. */
  async #hangUp(connection: Connection, reason: string): Promise<void> {
    const time = deadline(this.#components.clock, LIMITS.connections.closeMs)
    try {
      await connection.close({ signal: time.signal })
    } catch {
      connection.abort(new RegistryError('PEER_SILENT', `not introduced: ${reason}`))
    } finally {
      time.clear()
    }
  }

  #forget(connection: Connection): void {
    this.#settle(connection, { accepted: false, reason: 'closed' })
    const settled = this.#introductions.get(connection)?.settled
    if (settled?.accepted === false) this.#past.set(connection, settled)
    this.#introductions.delete(connection)
  }
}

function closedIntroduction(
  settled: HelloVerdict & { accepted: false } = { accepted: false, reason: 'closed' }
): Introduction {
  return {
    verdict: Promise.resolve(settled),
    settle: () => {},
    cancelTimer: () => {},
    settled,
    started: true,
    conversation: undefined,
    waiting: 0
  }
}
