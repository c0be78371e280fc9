import type { StreamMiddleware } from '@libp2p/interface'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'

/**
 * Field numbers of a protobuf message that are messages themselves, and what is in those; of others, how long they may be.
 * What is not named is passed over.
 */
interface Shape {
  readonly [field: number]: Shape | number
}

interface Rules {
  readonly bytes: number
  /** Fields that may come at once: in one message, and in one piece of a stream however many messages are in it. */
  readonly fields: number
  readonly shape: Shape
}

const LEAF: Shape = Object.freeze({})
const { bitswap, dht, gossip } = LIMITS

/**
 * wantlist {entries {cid}}, blocks {prefix}, presences {cid}. Attack: a want is remembered by its CID, and an identity CID is
 * as long as a message.
 */
const BITSWAP: Rules = {
  bytes: bitswap.messageBytes,
  fields: bitswap.fields,
  shape: { 1: { 1: { 1: bitswap.cidBytes } }, 3: { 1: bitswap.cidBytes }, 4: { 1: bitswap.cidBytes } }
}
/** record, closer peers, providers */
const KAD: Rules = { bytes: dht.messageBytes, fields: dht.fields, shape: { 3: LEAF, 8: LEAF, 9: LEAF } }
/** subscriptions, messages, control {ihave, iwant, graft, prune, idontwant} */
const GOSSIP: Rules = {
  bytes: gossip.rpcBytes,
  fields: gossip.decode.fields,
  shape: { 1: LEAF, 2: LEAF, 3: { 1: LEAF, 2: LEAF, 3: LEAF, 4: { 2: LEAF }, 5: LEAF } }
}

interface Open {
  readonly end: number
  readonly shape: Shape
}

/**
 * Counts the fields of length-prefixed protobuf messages as they arrive, before anybody decodes them.
 *
 * Attack: the libraries bound a message in bytes and not in what is in it. 4 MiB of empty blocks are 400,000 blocks for
 * bitswap, each hashed and told to everybody: 4 s in which the node does nothing else.
 */
export class MessageScreen {
  readonly #rules: Rules
  readonly #open: Open[] = []
  #at = 0
  #skip = 0
  #fields = 0
  #isFresh = true
  #expects: 'length' | 'tag' | 'number' | 'size' = 'length'
  #field = 0
  #value = 0
  #scale = 1

  constructor(rules: Rules) {
    this.#rules = rules
  }

  /** Takes the next piece of a stream. @throws RegistryError LIMIT_EXCEEDED | MALFORMED */
  push(pieces: Iterable<Uint8Array>): void {
    if (this.#open.length === 0 && this.#expects === 'length') this.#fields = 0
    for (const piece of pieces) {
      for (let i = 0; i < piece.length;) {
        const step = Math.min(this.#skip, piece.length - i)
        this.#skip -= step
        this.#at += step
        i += step
        if (step === 0) this.#byte(piece[i++] ?? 0)
        if (this.#skip === 0) this.#closeEnded()
      }
    }
  }

  #byte(byte: number): void {
    this.#at += 1
    this.#isFresh = false
    // Ten bytes hold 64 bits; what does not fit into a number is larger than any bound here anyway.
    if (this.#scale > 2 ** 63) throw malformed('a number is too long')
    this.#value += (byte & 0x7f) * this.#scale
    this.#scale *= 128
    if (byte >= 0x80) return
    const value = this.#value
    this.#value = 0
    this.#scale = 1
    this.#isFresh = true
    this.#number(value)
  }

  #number(value: number): void {
    switch (this.#expects) {
      case 'length':
        if (value > this.#rules.bytes) throw exceeded(`a message of ${value} bytes`)
        // An empty message counts too: a stream may be nothing else.
        this.#count()
        this.#enter(value, this.#rules.shape)
        return
      case 'tag':
        this.#count()
        this.#tag(value)
        return
      case 'number':
        this.#expects = 'tag'
        return
      case 'size': {
        const inner = this.#top().shape[this.#field]
        if (typeof inner === 'object') return this.#enter(value, inner)
        if (inner !== undefined && value > inner) throw exceeded(`a field of ${value} bytes`)
        this.#skipOver(value)
      }
    }
  }

  #tag(tag: number): void {
    this.#field = Math.floor(tag / 8)
    switch (tag % 8) {
      case 0:
        this.#expects = 'number'
        return
      case 1:
        return this.#skipOver(8)
      case 2:
        this.#expects = 'size'
        return
      case 5:
        return this.#skipOver(4)
      default:
        throw malformed('a field is of no known kind')
    }
  }

  #enter(bytes: number, shape: Shape): void {
    const end = this.#within(bytes)
    this.#open.push({ end, shape })
    this.#expects = 'tag'
  }

  #skipOver(bytes: number): void {
    this.#within(bytes)
    this.#skip = bytes
    this.#expects = 'tag'
  }

  /** Where something of that size ends, which is not after what it is in. */
  #within(bytes: number): number {
    const end = this.#at + bytes
    if (end > (this.#open.at(-1)?.end ?? end)) throw malformed('a field is longer than what it is in')
    return end
  }

  #closeEnded(): void {
    for (let top = this.#open.at(-1); top !== undefined && this.#at >= top.end; top = this.#open.at(-1)) {
      if (this.#at > top.end || !this.#isFresh || this.#expects !== 'tag') throw malformed('a message ends too early')
      this.#open.pop()
    }
    if (this.#open.length > 0 || this.#expects !== 'tag') return
    this.#expects = 'length'
    this.#at = 0
  }

  #top(): Open {
    const top = this.#open.at(-1)
    if (top === undefined) throw malformed('a field is in no message')
    return top
  }

  #count(): void {
    this.#fields += 1
    if (this.#fields > this.#rules.fields) throw exceeded(`more than ${this.#rules.fields} fields at once`)
  }
}

/** The rules for a protocol of the libraries, or undefined when it is one of ours or bounded by its own small size. */
export function rulesFor(protocol: string): Rules | undefined {
  if (protocol.startsWith('/ipfs/bitswap')) return BITSWAP
  if (protocol.startsWith('/meshsub/')) return GOSSIP
  return /^\/ggen\/.*kad/.test(protocol) ? KAD : undefined
}

/**
 * Puts a screen before whoever reads a stream, in both directions: an answer comes from a stranger as much as a request.
 * What does not pass is never handed on, and the stream is gone.
 */
export function screenStreams(rules: Rules, onMalformed: (peer: string) => void): StreamMiddleware {
  return (stream, connection, next) => {
    const screen = new MessageScreen(rules)
    const dispatch = stream.dispatchEvent.bind(stream)
    stream.dispatchEvent = (event: Event): boolean => {
      if (event.type !== 'message' || !('data' in event)) return dispatch(event)
      try {
        const { data } = event
        screen.push(data instanceof Uint8Array ? [data] : (data as Iterable<Uint8Array>))
        return dispatch(event)
      } catch (error) {
        onMalformed(connection.remotePeer.toString())
        stream.abort(error instanceof Error ? error : malformed('a message cannot be read'))
        return false
      }
    }
    next(stream, connection)
  }
}

function exceeded(what: string): RegistryError {
  return new RegistryError('LIMIT_EXCEEDED', `${what} in a stream`)
}

function malformed(what: string): RegistryError {
  return new RegistryError('MALFORMED', `a stream holds no protobuf messages: ${what}`)
}
