import type { Connection, Stream } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { toLink } from '../../protocol/cid.ts'
import { AnswerReader } from '../../protocol/dag/answer-reader.ts'
import { DAG_PROTOCOL, encodeDagRequest } from '../../protocol/dag/messages.ts'
import type { AnswerFrame } from '../../protocol/dag/messages.ts'
import { BlockOrder, maxBytesOf } from '../../protocol/dag/order.ts'
import type { PlannedContent } from '../../protocol/dag/plan.ts'
import { RegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { noteProven } from '../../protocol/proven-block.ts'
import { BlockWriter } from './block-writer.ts'
import type { PutBlock } from './block-writer.ts'
import type { FetchWatch } from './components.ts'
import type { DagFetchComponents } from './dag-fetch-options.ts'
import { isBlockOf, lieOf } from './dag-lane.ts'
import { deadline } from './deadline.ts'
import { FramedStream } from './framed-stream.ts'
import type { HaveTable } from './have-table.ts'
import { likeliest } from './likeliest.ts'

/** A small content that is wanted with others, and who is told how it comes. */
export interface TogetherOrder extends PlannedContent {
  readonly watch?: FetchWatch | undefined
}

export interface TogetherComponents extends Omit<DagFetchComponents, 'further'> {
  readonly have: Pick<HaveTable, 'about'>
  readonly neighbours: () => readonly string[]
}

export interface TogetherOptions {
  /** Takes each block as it comes, verified. */
  readonly put: PutBlock
  readonly signal: AbortSignal
}

/**
 * Brings several small contents with one request of each peer that is likely to have them: for a few kilobytes the way there and
 * back, a stream and what one fetch keeps track of are nearly all of the work. What does not come, for whatever reason, stays
 * missing; whoever wants it fetches it alone, with all that this here does without: other peers, the DHT, gateways.
 * Returns the blocks that came, by their content ids. Never throws but the signal's reason, and what `put` throws.
 */
export async function fetchTogether(
  components: TogetherComponents,
  orders: readonly TogetherOrder[],
  options: TogetherOptions
): Promise<ReadonlyMap<string, Uint8Array>> {
  const came = new Map<string, Uint8Array>()
  for (const [peer, batches] of batchesOf(components, orders)) {
    for (const batch of batches) {
      options.signal.throwIfAborted()
      const connection = components.peers.connection(peer)
      if (connection === undefined || !(await new Together(components, connection, options).run(batch, came))) break
      // All of it is in memory until it is durable.
      if (bytesOf(came) >= LIMITS.dag.freshBytes) return came
    }
  }
  options.signal.throwIfAborted()
  return came
}

/** Bytes of all of some blocks. */
export function bytesOf(blocks: ReadonlyMap<string, Uint8Array>): number {
  let bytes = 0
  for (const block of blocks.values()) bytes += block.length
  return bytes
}

/** What is asked of whom. Of one content alone nothing is gained. */
function batchesOf(
  { peers, have, shown, neighbours }: TogetherComponents,
  orders: readonly TogetherOrder[]
): ReadonlyMap<string, readonly (readonly TogetherOrder[])[]> {
  const here = neighbours()
  const byPeer = new Map<string, TogetherOrder[][]>()
  const { rootsTogether, togetherBytes, eagerBytes } = LIMITS.dag
  for (const order of orders.filter(({ size }) => size <= eagerBytes)) {
    const said = have.about(order.root)
    const [peer] = likeliest(here, { said, told: new Set(), lacking: new Set(), shown })
    if (peer === undefined || said.get(peer) === 'no' || shown.isSilent(peer)) continue
    if (peers.connection(peer) === undefined) continue
    const batches = byPeer.get(peer) ?? [[]]
    byPeer.set(peer, batches)
    const last = batches.at(-1) ?? []
    const bytes = last.reduce((sum, { size }) => sum + size, order.size)
    if (last.length < rootsTogether && bytes <= togetherBytes) last.push(order)
    else batches.push([order])
  }
  return new Map([...byPeer].map(([peer, batches]) => [peer, batches.filter(({ length }) => length > 1)]))
}

/** One request and its answer. Invariant: nothing is kept but the block that comes next, and only bytes that hash to it. */
class Together {
  readonly #components: TogetherComponents
  readonly #connection: Connection
  readonly #options: TogetherOptions
  readonly #peer: string
  #failure: { readonly error: unknown } | undefined

  constructor(components: TogetherComponents, connection: Connection, options: TogetherOptions) {
    this.#components = components
    this.#connection = connection
    this.#options = options
    this.#peer = connection.remotePeer.toString()
  }

  /** Whether this peer may be asked for more. */
  async run(orders: readonly TogetherOrder[], came: Map<string, Uint8Array>): Promise<boolean> {
    const writer = new BlockWriter(this.#options.put, {
      onRoom: () => undefined,
      onFailed: error => (this.#failure ??= { error })
    })
    const mayGoOn = await this.#ask(orders, (cid, bytes, watch) => {
      came.set(cid.toString(), bytes)
      writer.add(cid, bytes)
      watch?.block('dag', this.#peer, bytes.length)
    })
    await writer.settled()
    if (this.#failure !== undefined) throw this.#failure.error
    return mayGoOn
  }

  /** Never throws. */
  async #ask(orders: readonly TogetherOrder[], onBlock: OnBlock): Promise<boolean> {
    const { clock, log, peers, shown } = this.#components
    const [first] = orders
    if (first === undefined) return true
    const time = deadline(clock, LIMITS.dag.togetherMs, this.#options.signal)
    let io: FramedStream | undefined
    try {
      for (const { watch } of orders) watch?.asked()
      io = new FramedStream(await this.#open(time.signal))
      const request = { reach: 'all', root: first.root, wants: orders.map(({ root }) => toLink(root)) } as const
      const answer = new Answer(orders, new BlockOrder(request), onBlock)
      const pace = { asked: clock.now(), bytes: 0, heldMs: 0 }
      await io.write(encodeDagRequest(request), time.signal)
      while (!answer.isOver) {
        const { hasBegun } = answer
        answer.take(await this.#next(io, { pace, hasBegun, signal: time.signal }))
        if (answer.hasBegun && !hasBegun) shown.answered(this.#peer, clock.now() - pace.asked)
        if (this.#failure !== undefined) throw this.#failure.error
      }
      void io.end(AbortSignal.timeout(LIMITS.connections.closeMs)).catch(() => undefined)
      return !answer.isBusy
    } catch (error) {
      io?.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'a transfer failed', { cause: error }))
      log.debug('contents did not come together', { peer: this.#peer, error: messageOf(error) })
      const lie = lieOf(error)
      if (lie !== undefined) peers.blame(this.#peer, lie, lie === 'lied' ? LIMITS.dag.lieStrikes : undefined)
      return false
    } finally {
      time.clear()
    }
  }

  /** Who says nothing at all costs an install no more than a second. */
  async #open(signal: AbortSignal): Promise<Stream> {
    const { clock, shown, tuning } = this.#components
    const time = deadline(clock, tuning.hedgeMs, signal)
    try {
      return await this.#connection.newStream(DAG_PROTOCOL, { signal: time.signal })
    } catch (error) {
      if (time.signal.aborted && !signal.aborted) shown.silent(this.#peer)
      throw error
    } finally {
      time.clear()
    }
  }

  /** What comes next. Attack: a byte now and then. Nothing but whole frames is an answer, and bytes are to come at the least rate. */
  async #next(io: FramedStream, { pace, hasBegun, signal }: Next): Promise<Uint8Array> {
    const { clock, shown, tuning, throttle } = this.#components
    const { giveUpMs, bytesPerSecond } = LIMITS.dag
    const patienceMs = hasBegun ? giveUpMs : tuning.hedgeMs
    const due = pace.asked + pace.heldMs + (pace.bytes / bytesPerSecond) * 1000 + patienceMs
    const time = deadline(clock, Math.min(patienceMs, Math.max(0, due - clock.now())), signal)
    try {
      const bytes = await io.chunk(time.signal)
      if (bytes === undefined) throw new RegistryError('CANCELLED', 'the stream broke off')
      pace.bytes += bytes.length
      const waitMs = throttle?.owe(bytes.length) ?? 0
      pace.heldMs += waitMs
      if (waitMs > 0) await new Promise<void>(resolve => void clock.after(waitMs, resolve))
      return bytes
    } catch (error) {
      if (!hasBegun && time.signal.aborted && !signal.aborted) shown.silent(this.#peer)
      throw error
    } finally {
      time.clear()
    }
  }
}

interface Next {
  /** When it was asked, what has come since, and for how long it was held back. */
  readonly pace: { readonly asked: number; bytes: number; heldMs: number }
  readonly hasBegun: boolean
  readonly signal: AbortSignal
}

type OnBlock = (cid: CID, bytes: Uint8Array, watch: FetchWatch | undefined) => void

/** What comes, against what was asked for. */
class Answer {
  readonly #order: BlockOrder
  readonly #wanted: ReadonlyMap<string, TogetherOrder>
  readonly #onBlock: OnBlock
  readonly #reader: AnswerReader
  /** Whose blocks are coming: depth first, those of one content after those of another. */
  #of: TogetherOrder | undefined
  #ownBytes = 0
  #bytes = 0
  hasBegun = false
  isOver = false
  isBusy = false

  constructor(orders: readonly TogetherOrder[], order: BlockOrder, onBlock: OnBlock) {
    this.#order = order
    this.#wanted = new Map(orders.map(each => [each.root, each]))
    this.#onBlock = onBlock
    this.#reader = new AnswerReader(() => {
      // Attack: data without end, after everything that was asked for.
      if (order.next === undefined) throw unsolicited()
      return maxBytesOf(order.next, LIMITS.content)
    })
  }

  /** @throws RegistryError PEER_LIED | MALFORMED | LIMIT_EXCEEDED for what is the peer's fault, INTERNAL for what is the content's */
  take(piece: Uint8Array): void {
    for (const frame of this.#reader.push(piece)) {
      if (this.isOver) throw unsolicited()
      this.#take(frame)
      this.hasBegun = true
    }
  }

  #take(frame: AnswerFrame): void {
    const cid = this.#order.next
    switch (frame.type) {
      case 'block':
        if (cid === undefined) throw unsolicited()
        return this.#takeBlock(cid, frame.bytes)
      case 'missing':
      // Others are to be asked for it first, which is done where the package is fetched alone.
      case 'elsewhere':
        if (cid === undefined) throw unsolicited()
        return this.#order.miss()
      case 'end':
        if (cid !== undefined) throw new RegistryError('MALFORMED', 'an answer that ends too early')
        this.isOver = true
        return
      case 'busy':
        if (this.hasBegun) throw unsolicited()
        this.isBusy = true
        this.isOver = true
    }
  }

  #takeBlock(cid: CID, bytes: Uint8Array): void {
    if (!isBlockOf(cid, bytes))
      throw new RegistryError('PEER_LIED', `bytes that are not ${cid.toString()}`, { detail: { cid: cid.toString() } })
    noteProven(cid, bytes)
    const next = this.#wanted.get(cid.toString())
    if (next !== undefined) this.#ownBytes = 0
    this.#of = next ?? this.#of
    this.#bytes += bytes.length
    this.#ownBytes += bytes.length
    // What is wrong with the content, if anything is, is found and told by whoever fetches it alone.
    const { togetherAllowedBytes, togetherNodeBytes } = LIMITS.dag
    const allowed = (this.#of?.size ?? 0) + togetherNodeBytes
    if (this.#bytes > togetherAllowedBytes || this.#ownBytes > allowed) throw badContent()
    try {
      this.#order.take(bytes)
    } catch (cause) {
      throw badContent(cause)
    }
    this.#onBlock(cid, bytes, this.#of?.watch)
  }
}

function unsolicited(): RegistryError {
  return new RegistryError('MALFORMED', 'blocks that nobody asked for')
}

/** Not the peer's fault, whose bytes are what the release names. */
function badContent(cause?: unknown): RegistryError {
  return new RegistryError('CONTENT_UNAVAILABLE', 'content that could not have been published', { cause })
}
