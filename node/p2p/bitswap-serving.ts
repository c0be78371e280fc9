import type { PeerId } from '@libp2p/interface'
import { base64 } from 'multiformats/bases/base64'
import type { CID } from 'multiformats/cid'
import { RegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Blockstore, Clock, Log } from './components.ts'

/** Something that a peer wants, as js bitswap keeps it. */
interface Want {
  readonly cid: CID
  readonly wantType: 'WantBlock' | 'WantHave'
  readonly sendDontHave: boolean
  status: 'want' | 'sending' | 'sent'
  expires?: number
  /** What is not here is the first to go when the list is full. */
  haveBlock?: boolean
  sentDoNotHave?: boolean
}

/** What js bitswap knows of one peer: what it wants, and a queue in which one after the other is sent to it. */
interface Ledger {
  readonly peerId: PeerId
  readonly wants: Map<string, Want>
  sentBytes(bytes: number): void
  sendBlocksToPeer(options?: object): Promise<void>
}

interface Message {
  readonly full: false
  readonly pendingBytes: 0
  readonly wantlist: Map<string, object>
  readonly blocks: Map<string, { readonly data: Uint8Array; readonly prefix: Uint8Array }>
  readonly blockPresences: Map<string, { readonly cid: Uint8Array; readonly type: 'HaveBlock' | 'DoNotHaveBlock' }>
}

interface WantLists {
  readonly ledgerMap: {
    get(peer: PeerId): Ledger | undefined
    values(): Iterable<Ledger>
  }
  readonly network: { sendMessage(peer: PeerId, message: Message, options?: object): Promise<void> }
  receiveMessage(peer: PeerId, message: unknown): void
}

export interface BitswapServing {
  /** As bitswap sees it. */
  readonly blocks: Pick<Blockstore, 'has' | 'get'>
  readonly clock: Pick<Clock, 'now'>
  readonly log: Pick<Log, 'debug'>
}

/**
 * Makes js bitswap send what a peer wants a little at a time.
 *
 * Attack: it reads all that a peer wants before it sends the first of it: a thousand blocks of a mebibyte, for each peer that
 * asks and reads nothing. Here a peer has one batch in memory, of one mebibyte and the block that fills it, and all peers
 * together so many. A block that is damaged costs nobody the others.
 * @throws RegistryError INTERNAL when an update of the library has moved its parts: the node does not start, rather than run unguarded
 */
export function boundBitswap(broker: unknown, serving: BitswapServing): void {
  const lists = wantListsOf(broker)
  const turns = new Turns()
  const bound = (ledger: Ledger): void => {
    const slow = { is: false }
    ledger.sendBlocksToPeer = async options => await serve({ ledger, lists, turns, slow, serving }, options)
  }
  for (const ledger of lists.ledgerMap.values()) bound(ledger)
  const receive = lists.receiveMessage.bind(lists)
  lists.receiveMessage = (peer, message) => {
    if (lists.ledgerMap.get(peer) === undefined) {
      // Without a message it only makes the ledger.
      receive(peer, undefined)
      const ledger = lists.ledgerMap.get(peer)
      if (ledger !== undefined) bound(ledger)
    }
    receive(peer, message)
  }
}

interface Served {
  readonly ledger: Ledger
  readonly lists: WantLists
  readonly turns: Turns
  readonly slow: { is: boolean }
  readonly serving: BitswapServing
}

/** One batch after the other, until nothing is wanted that is here. */
async function serve(served: Served, options?: object): Promise<void> {
  const { ledger, lists, turns, slow, serving } = served
  const { clock, log } = serving
  for (const [key, { expires }] of ledger.wants)
    if (expires !== undefined && expires < clock.now()) ledger.wants.delete(key)
  const unsent = [...ledger.wants.values()].filter(({ status }) => status === 'want')
  for (const want of unsent) want.status = 'sending'
  // Who has gone is not dialled for it.
  const isHere = (): boolean => lists.ledgerMap.get(ledger.peerId) === ledger
  try {
    while (unsent.length > 0 && isHere()) {
      const done = await turns.take(slow.is)
      try {
        const { message, bytes } = await nextBatch(unsent, serving, options)
        if (message.blocks.size === 0 && message.blockPresences.size === 0) continue
        const started = clock.now()
        await lists.network.sendMessage(ledger.peerId, message, options)
        ledger.sentBytes(bytes)
        const ms = clock.now() - started
        slow.is = ms > LIMITS.bitswap.graceMs && bytes < (ms * LIMITS.bitswap.bytesPerSecond) / 1_000
      } finally {
        done()
      }
    }
  } catch (error) {
    slow.is = true
    log.debug('what a peer wanted over bitswap could not be sent', {
      peer: ledger.peerId.toString(),
      error: messageOf(error)
    })
  } finally {
    for (const want of unsent) want.status = 'want'
    forget(ledger)
  }
}

/** The library bounds the list when something is added, and then counts nothing that is being looked up. */
function forget({ wants }: Ledger): void {
  for (const [key, { haveBlock }] of wants) {
    if (wants.size <= LIMITS.bitswap.wantsPerPeer) return
    if (haveBlock === false) wants.delete(key)
  }
}

/** Takes wants off the list as long as what they bring fits. */
async function nextBatch(
  unsent: Want[],
  { blocks, clock }: BitswapServing,
  options?: object
): Promise<{ readonly message: Message; readonly bytes: number }> {
  const message: Message = {
    full: false,
    pendingBytes: 0,
    wantlist: new Map(),
    blocks: new Map(),
    blockPresences: new Map()
  }
  let bytes = 0
  while (bytes < LIMITS.bitswap.batchBytes) {
    const want = unsent.shift()
    if (want === undefined) break
    const key = base64.encode(want.cid.multihash.bytes)
    const block = await readBlock(blocks, want.cid, options)
    // It was cancelled, or asked for in another way, meanwhile.
    if (want.status !== 'sending') continue
    if (block === undefined) {
      want.status = 'want'
      want.haveBlock = false
      if (!want.sendDontHave || want.sentDoNotHave === true) continue
      want.sentDoNotHave = true
      message.blockPresences.set(key, { cid: want.cid.bytes, type: 'DoNotHaveBlock' })
      continue
    }
    want.status = 'sent'
    want.expires = clock.now() + LIMITS.bitswap.resendMs
    if (want.wantType === 'WantHave' && block.length >= LIMITS.bitswap.inlineBytes) {
      message.blockPresences.set(key, { cid: want.cid.bytes, type: 'HaveBlock' })
      continue
    }
    bytes += block.length
    message.blocks.set(key, { data: block, prefix: prefixOf(want.cid) })
  }
  return { message, bytes }
}

/** Undefined for what is not here, may not be shown or is damaged: to whoever asks it is the same. */
async function readBlock(
  blocks: BitswapServing['blocks'],
  cid: CID,
  options?: object
): Promise<Uint8Array | undefined> {
  try {
    if (!(await blocks.has(cid, options))) return undefined
    const parts: Uint8Array[] = []
    for await (const part of blocks.get(cid, options)) parts.push(part)
    return parts.length === 1 ? parts[0] : Buffer.concat(parts)
  } catch {
    return undefined
  }
}

/** Version, codec, hash and its length: what a CID has before the digest. One of version 0 has only half of it. */
function prefixOf({ version, bytes, multihash }: CID): Uint8Array {
  if (version === 0) return Uint8Array.of(0, 0x70, 0x12, 32)
  return bytes.subarray(0, bytes.length - multihash.digest.length)
}

/** Who may hold a batch in memory. Attack: peers that read nothing hold all of the places; they have a few of them. */
class Turns {
  readonly #waiting: { readonly isSlow: boolean; readonly start: () => void }[] = []
  #running = 0
  #slow = 0

  async take(isSlow: boolean): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push({ isSlow, start: resolve })
    this.#next()
    await promise
    return () => {
      this.#running -= 1
      if (isSlow) this.#slow -= 1
      this.#next()
    }
  }

  #next(): void {
    const { batches, slowBatches } = LIMITS.bitswap
    while (this.#running < batches) {
      const at = this.#waiting.findIndex(({ isSlow }) => !isSlow || this.#slow < slowBatches)
      const [next] = at < 0 ? [] : this.#waiting.splice(at, 1)
      if (next === undefined) return
      this.#running += 1
      if (next.isSlow) this.#slow += 1
      next.start()
    }
  }
}

/** js bitswap gives no way to its lists: they are reached for. */
function wantListsOf(broker: unknown): WantLists {
  const lists = ['bitswap', 'peerWantLists'].reduce<unknown>(
    (at, name) => (typeof at === 'object' && at !== null ? Reflect.get(at, name) : undefined),
    broker
  )
  const has = (name: string, type: string): boolean =>
    typeof lists === 'object' && lists !== null && typeof Reflect.get(lists, name) === type
  if (has('receiveMessage', 'function') && has('ledgerMap', 'object') && has('network', 'object'))
    return lists as WantLists
  throw new RegistryError('INTERNAL', 'bitswap no longer keeps what peers want where it can be bounded')
}
