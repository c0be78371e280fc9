import { hash } from 'node:crypto'
import type { Connection, Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { equalBytes } from '../../protocol/bytes.ts'
import { AnswerReader } from '../../protocol/dag/answer-reader.ts'
import { DAG_PROTOCOL, encodeDagRequest } from '../../protocol/dag/messages.ts'
import type { AnswerFrame, DagRequest, NamedPeer } from '../../protocol/dag/messages.ts'
import { BlockOrder, maxBytesOf } from '../../protocol/dag/order.ts'
import type { DagPlan, Holder } from '../../protocol/dag/plan.ts'
import { RegistryError, isRegistryError } from '../../protocol/errors.ts'
import { encodeFrame } from '../../protocol/frame.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { noteProven } from '../../protocol/proven-block.ts'
import { RAW, parseUnixfsNode } from '../../protocol/unixfs-node.ts'
import { Bell } from './bell.ts'
import type { BlockWriter } from './block-writer.ts'
import type { Clock, CutReason, Throttle } from './components.ts'
import { deadline } from './deadline.ts'
import type { Shown } from './shown.ts'

/** A wait that is shorter than this is made up for with the next. */
const THROTTLE_MS = 20

export interface LaneComponents {
  readonly plan: DagPlan
  readonly writer: BlockWriter
  readonly clock: Clock
  readonly local: LocalStore
  /** What peers have shown: this one's part of it is written down here. */
  readonly shown: Shown
  /** What an operator bounds the bytes to that come, over all hosts. */
  readonly throttle: Throttle | undefined
  /** Others are asked for the same, as somebody did not answer. */
  readonly isRacing: boolean
  /** How many lanes share the work. */
  readonly sharing: () => number
  /** A block came that was missing. */
  readonly onBlock: (bytes: number) => void
  /** Something may be asked of others now, or nobody is needed any more. */
  readonly onProgress: () => void
}

/** The blocks on the own disk. */
export interface LocalStore {
  has(cid: CID): Promise<boolean>
  /** Verified; undefined when it is not there, or damaged. */
  read(cid: CID): Promise<Uint8Array | undefined>
  put(cid: CID, bytes: Uint8Array): Promise<unknown>
}

/** How a lane ended. `content` is a fault of the content, whoever sends it; `lie` names what the peer is struck for. */
export type LaneEnd =
  | { readonly type: 'idle' }
  | { readonly type: 'busy'; readonly peers: readonly NamedPeer[] }
  | { readonly type: 'content'; readonly error: unknown }
  | { readonly type: 'failed'; readonly error: unknown; readonly lie: CutReason | undefined }

/**
 * One stream to one peer that brings blocks of one DAG.
 *
 * Invariants:
 * 1. Nothing is kept but the block that comes next in what was asked for, and only bytes that hash to it.
 * 2. What comes faster than it is written holds the peer back.
 * 3. What came before a break is kept, and nothing of it is asked for again.
 */
export class DagLane implements Holder {
  readonly peer: string
  /** Sends less than it must: what it was asked for may be asked of others. */
  isSlow = false
  /** It was left because it sent less than it must. */
  wasTooSlow = false
  /** Whether anything at all was answered. */
  hasAnswered = false
  /** Blocks that it has sent. */
  blocks = 0
  /** Blocks that it said it has not, and those that it said others have. */
  misses = 0
  kept = 0
  /** What came at the last look, a second; undefined when that says nothing. */
  bytesPerSecond: number | undefined
  readonly #connection: Connection
  readonly #components: LaneComponents
  readonly #orders: BlockOrder[] = []
  readonly #reader = new AnswerReader(() => this.#mostBytes())
  readonly #left = new AbortController()
  #stream: Stream | undefined
  #failure: { readonly error: unknown } | undefined
  #isContentBad = false
  #busy: readonly NamedPeer[] | undefined
  readonly #bell = new Bell()
  #bytes = 0
  #slowMs = 0
  #wasHeldBack = false
  /** When the first request was sent; and when the first block came, with all bytes since. */
  #askedAt = 0
  #movingSince = 0
  #moved = 0
  #cancelResume: (() => void) | undefined

  constructor(connection: Connection, components: LaneComponents) {
    this.peer = connection.remotePeer.toString()
    this.#connection = connection
    this.#components = components
  }

  /** Asks and takes until there is nothing to ask this peer for. Never throws. */
  async run(): Promise<LaneEnd> {
    try {
      await this.#open()
      for (;;) {
        await this.#ask()
        // Who has no room says so and ends the stream.
        if (this.#busy !== undefined) break
        if (this.#failure !== undefined) throw this.#failure.error
        if (this.#orders.length === 0) break
        await this.#bell.heard()
      }
      this.#closeWell()
      return this.#busy === undefined ? { type: 'idle' } : { type: 'busy', peers: this.#busy }
    } catch (error) {
      this.#stream?.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'a transfer failed'))
      return this.#isContentBad ? { type: 'content', error } : { type: 'failed', error, lie: lieOf(error) }
    } finally {
      this.#detach()
      this.#components.plan.release(this)
      this.#show()
    }
  }

  /** For how long it has answered nothing at all. */
  get silentMs(): number {
    return this.hasAnswered ? 0 : this.#slowMs
  }

  /** Ends it, whatever it waits for. */
  fail(error: unknown): void {
    this.#failure ??= { error }
    this.#left.abort(error)
    this.#bell.ring()
  }

  /** Called at intervals: judges what came since. Time in which we held the peer back is not its fault. */
  look(ms: number): void {
    const { bytesPerSecond, windowMs } = LIMITS.dag
    if (this.#stream === undefined) {
      // Attack, or a process that hangs: a connection that is open, and on which nothing is answered.
      this.isSlow = true
      this.#slowMs += ms
      return this.#components.shown.silent(this.peer)
    }
    const isExcused = this.#orders.length === 0 || this.#wasHeldBack
    this.isSlow = !isExcused && this.#bytes < (bytesPerSecond * ms) / 1000
    this.#slowMs = this.isSlow ? this.#slowMs + ms : 0
    this.bytesPerSecond = isExcused ? undefined : (this.#bytes * 1000) / ms
    if (this.isSlow && !this.hasAnswered) this.#components.shown.silent(this.peer)
    this.#bytes = 0
    this.#wasHeldBack = this.#stream?.readStatus === 'paused'
    if (this.#slowMs < windowMs) return
    this.wasTooSlow = true
    this.fail(new RegistryError('TIMEOUT', 'a peer that sends too slowly'))
  }

  /** There is room for what was held back. */
  resume(): void {
    if (this.#cancelResume === undefined && this.#stream?.readStatus === 'paused') this.#stream.resume()
  }

  async #open(): Promise<void> {
    const time = deadline(this.#components.clock, LIMITS.dag.openMs, this.#left.signal)
    try {
      const stream = await this.#connection.newStream(DAG_PROTOCOL, { signal: time.signal })
      this.#stream = stream
      stream.addEventListener('message', this.#onMessage)
      stream.addEventListener('remoteCloseWrite', this.#onEnd)
      stream.addEventListener('close', this.#onEnd)
      if (stream.status !== 'open') this.fail(broken())
    } finally {
      time.clear()
    }
  }

  /** Keeps a request waiting behind the one that is being answered. */
  async #ask(): Promise<void> {
    const { plan, local } = this.#components
    // Who is slow gets nothing more before it has answered: it would only keep it from others until the next look.
    const mayAsk = (): boolean =>
      this.#orders.length < (this.isSlow || !this.hasAnswered ? 1 : LIMITS.dag.requestsAhead)
    while (this.#failure === undefined && this.#busy === undefined && mayAsk()) {
      const { sample } = plan
      if (sample !== undefined) plan.sampled((await Promise.all(sample.map(cid => local.has(cid)))).includes(true))
      // Who has not answered yet is asked for little: it may have to be asked of others a moment later.
      const { leafBytesPerRequest, shareBytes } = LIMITS.dag
      const most = this.hasAnswered ? leafBytesPerRequest : shareBytes
      const request = plan.next(this, this.#components.sharing(), most)
      if (request === undefined) return
      // One block may be asked of several who have not shown yet that they answer: whoever is first brings it.
      if (this.#components.isRacing && !this.hasAnswered && request.wants.length === 1) plan.release(this)
      const wants = request.reach === 'blocks' ? await this.#absent(request.wants) : request.wants
      if (wants.length > 0 && this.#failure === undefined) this.#send({ ...request, wants })
    }
  }

  /** Those that are not on the own disk: what is, is not asked for. */
  async #absent(wants: readonly CID[]): Promise<readonly CID[]> {
    const absent: CID[] = []
    const { lookupsAtOnce } = LIMITS.dag
    for (let from = 0; from < wants.length; from += lookupsAtOnce) {
      const some = wants.slice(from, from + lookupsAtOnce)
      const here = await Promise.all(some.map(cid => this.#isHere(cid)))
      absent.push(...some.filter((_, i) => here[i] !== true))
    }
    return absent
  }

  async #isHere(cid: CID): Promise<boolean> {
    const { plan, local } = this.#components
    if (cid.code === RAW) {
      if (!(await local.has(cid))) return false
      plan.here(cid)
      return true
    }
    const bytes = await local.read(cid)
    if (bytes === undefined) return false
    this.#onContent(() => plan.here(cid, parseUnixfsNode(bytes, LIMITS.content)))
    return true
  }

  #send(request: DagRequest): void {
    if (this.#askedAt === 0) this.#askedAt = this.#components.clock.now()
    this.#stream?.send(encodeFrame(encodeDagRequest(request)))
    this.#orders.push(new BlockOrder(request))
  }

  readonly #onMessage = ({ data }: StreamMessageEvent): void => {
    if (this.#failure !== undefined) return
    this.#bytes += data.byteLength
    this.#count(data.byteLength)
    try {
      const pieces: Iterable<Uint8Array> = data instanceof Uint8Array ? [data] : data
      for (const piece of pieces) for (const frame of this.#reader.push(piece)) this.#take(frame)
    } catch (error) {
      this.fail(error)
    }
    const isHeldBack = this.#components.writer.isFull || this.#cancelResume !== undefined
    if (isHeldBack && this.#stream?.readStatus === 'readable' && this.#stream.status === 'open') {
      this.#stream.pause()
      this.#wasHeldBack = true
    }
    this.#bell.ring()
  }

  #count(bytes: number): void {
    const { clock, throttle } = this.#components
    if (this.hasAnswered) this.#moved += bytes
    const waitMs = throttle?.owe(bytes) ?? 0
    if (waitMs < THROTTLE_MS || this.#cancelResume !== undefined) return
    this.#cancelResume = clock.after(waitMs, () => {
      this.#cancelResume = undefined
      if (!this.#components.writer.isFull) this.resume()
    })
  }

  /** A frame that is as it must be: a byte now and then is no answer. */
  #onAnswer(): void {
    if (this.hasAnswered) return
    const { clock, shown } = this.#components
    this.hasAnswered = true
    this.#movingSince = clock.now()
    shown.answered(this.peer, this.#movingSince - this.#askedAt)
  }

  /** What it came to, where that was enough to say anything. */
  #show(): void {
    const ms = this.#components.clock.now() - this.#movingSince
    // What is little comes in one piece, and says how soon and not how fast.
    if (this.#moved >= LIMITS.dag.pieceBytes && ms > 0)
      this.#components.shown.sent(this.peer, (this.#moved / ms) * 1_000)
  }

  readonly #onEnd = (event: Event): void => {
    // What came before the end, and was held back, is as good as anything else.
    this.#cancelResume?.()
    this.#cancelResume = undefined
    this.resume()
    this.fail((event as StreamCloseEvent).error ?? broken())
  }

  #mostBytes(): number {
    const next = this.#orders[0]?.next
    // Attack: data without end, after everything that was asked for.
    if (next === undefined) throw unsolicited()
    return maxBytesOf(next, LIMITS.content)
  }

  #take(frame: AnswerFrame): void {
    const { plan } = this.#components
    const [order] = this.#orders
    if (order === undefined || this.#busy !== undefined) throw unsolicited()
    switch (frame.type) {
      case 'block':
        return this.#takeBlock(order, frame.bytes)
      case 'missing':
        if (order.next === undefined) throw unsolicited()
        this.#onAnswer()
        this.misses += 1
        plan.refuse(order.next, this.peer)
        return order.miss()
      case 'elsewhere':
        if (order.next === undefined) throw unsolicited()
        this.#onAnswer()
        this.kept += 1
        plan.keep(order.next, this.peer)
        return order.miss()
      case 'end':
        if (order.next !== undefined) throw new RegistryError('MALFORMED', 'an answer that ends too early')
        this.#orders.shift()
        return this.#components.onProgress()
      case 'busy':
        this.#onAnswer()
        this.#busy = frame.peers
    }
  }

  #takeBlock(order: BlockOrder, bytes: Uint8Array): void {
    const { plan, writer } = this.#components
    const cid = order.next
    if (cid === undefined) throw unsolicited()
    if (!isBlockOf(cid, bytes))
      throw new RegistryError('PEER_LIED', `bytes that are not ${cid.toString()}`, { detail: { cid: cid.toString() } })
    noteProven(cid, bytes)
    this.#onAnswer()
    this.blocks += 1
    const isWanted = this.#onContent(() => {
      const { reach } = order.request
      const node = order.take(bytes) ?? (cid.code === RAW ? undefined : parseUnixfsNode(bytes, LIMITS.content))
      if (node === undefined) return plan.arrived(cid, bytes)
      const coming = { holder: this, leaves: reach === 'all' }
      return plan.arrived(cid, bytes, reach === 'blocks' ? { node } : { node, coming })
    })
    if (!isWanted) return
    this.#components.onBlock(bytes.length)
    writer.add(cid, bytes)
  }

  /** What fails here is the content. Its bytes are what the release names: who sends them has done what he was asked for. */
  #onContent<T>(take: () => T): T {
    try {
      return take()
    } catch (error) {
      this.#isContentBad = true
      throw error
    }
  }

  /** Attack: whoever goes on sending when nobody listens any more fills a buffer, and keeps the stream. */
  #closeWell(): void {
    const stream = this.#stream
    if (stream === undefined) return
    const { closeMs } = LIMITS.connections
    const cancel = this.#components.clock.after(closeMs, () => stream.abort(broken()))
    stream.addEventListener('close', cancel, { once: true })
    void stream.close({ signal: AbortSignal.timeout(closeMs) }).catch(() => undefined)
  }

  #detach(): void {
    this.#cancelResume?.()
    this.#stream?.removeEventListener('message', this.#onMessage)
    this.#stream?.removeEventListener('remoteCloseWrite', this.#onEnd)
    this.#stream?.removeEventListener('close', this.#onEnd)
  }
}

/** Whether bytes from a peer are the block: one synchronous hash, 0.6 ms a MiB, quicker than a trip to a worker and back. */
export function isBlockOf({ multihash }: CID, bytes: Uint8Array): boolean {
  return equalBytes(hash('sha256', bytes, 'buffer'), multihash.digest)
}

/** What somebody who sent this is struck for; undefined for what is nobody's fault. */
export function lieOf(error: unknown): CutReason | undefined {
  if (!isRegistryError(error)) return undefined
  if (error.code === 'PEER_LIED') return 'lied'
  return error.code === 'MALFORMED' || error.code === 'LIMIT_EXCEEDED' ? 'malformed-message' : undefined
}

function unsolicited(): RegistryError {
  return new RegistryError('MALFORMED', 'blocks that nobody asked for')
}

function broken(): RegistryError {
  return new RegistryError('CANCELLED', 'the stream broke off')
}
