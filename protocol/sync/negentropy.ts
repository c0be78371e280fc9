import { concatBytes, equalBytes, toHex } from '../bytes.ts'
import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { BoundReader, BoundWriter, FIRST_BOUND, LAST_BOUND, boundAt, boundBetween } from './bound.ts'
import type { Bound, ItemSet } from './item-set.ts'
import { ByteReader, formatVarint } from './varint.ts'

/** Version 1 of the protocol. */
const VERSION = 0x61
const SKIP = 0
const FINGERPRINT = 1
const ID_LIST = 2

const BUCKETS = 16
const ID_BYTES = 32
const FINGERPRINT_BYTES = 16
/** More than one split range takes: 31 ids, or 16 bounds with fingerprints. */
const SPLIT_BYTES = 1_280
/** Room that is kept for a skip and for the fingerprint of all that did not fit. */
const RESERVED_BYTES = 200

/**
 * A part of the order in which the other side has these ids (in hex) and lacks everything else that we have. It holds
 * all of theirs, not only the common ones: by the time it is used we may have got them.
 */
export interface HaveRange {
  readonly from: Bound
  readonly to: Bound
  readonly except: ReadonlySet<string>
}

/** Digests that the other side has in one part of the order and we lack, in its order. */
export interface NeedRange {
  readonly from: Bound
  readonly ids: readonly Uint8Array[]
}

/** What the side that asks learns from one answer. */
export interface Learned {
  /** What to send next, or undefined when there is nothing left to compare. */
  readonly next: Uint8Array | undefined
  /** No digest twice. */
  readonly need: readonly NeedRange[]
  readonly have: readonly HaveRange[]
}

/** The first message about a set. */
export function initiate(set: ItemSet): Uint8Array {
  const out = new Output(LIMITS.sync.frameBytes)
  split(out, set, { lower: 0, upper: set.size, start: FIRST_BOUND, end: LAST_BOUND })
  return out.bytes()
}

/**
 * The answer of the side that was asked. It keeps nothing from one message to the next.
 * @throws RegistryError MALFORMED
 */
export function respond(set: ItemSet, message: Uint8Array, frameBytes: number = LIMITS.sync.frameBytes): Uint8Array {
  const out = new Output(frameBytes)
  const reader = new ByteReader(message)
  // Another version is answered with ours alone, and the other side may begin anew.
  if (!isOurVersion(reader)) return out.bytes()
  walk({ set, reader, out }, range => list(out, set, range))
  return out.bytes()
}

/**
 * What the side that asks makes of an answer, and what it asks next.
 * @throws RegistryError MALFORMED
 */
export function learn(set: ItemSet, message: Uint8Array, frameBytes: number = LIMITS.sync.frameBytes): Learned {
  const out = new Output(frameBytes)
  const reader = new ByteReader(message)
  if (!isOurVersion(reader)) throw malformed('another version of the reconciliation protocol')
  const need: NeedRange[] = []
  const named = new Set<string>()
  const have: HaveRange[] = []
  walk({ set, reader, out }, ({ lower, upper, start, end }, ids) => {
    const theirs = new Map(ids.map(id => [toHex(id), id]))
    const except = new Set(theirs.keys())
    let common = 0
    // The items are walked only where there is something to compare them with: a newcomer lists nothing, everywhere.
    for (const { id } of ids.length === 0 ? [] : set.items(lower, upper)) if (theirs.delete(toHex(id))) common += 1
    if (common < upper - lower) have.push({ from: start, to: end, except })
    const lacking = [...theirs].filter(([key]) => !named.has(key))
    for (const [key] of lacking) named.add(key)
    if (lacking.length > 0) need.push({ from: start, ids: lacking.map(([, id]) => id) })
    out.skip(end)
    return true
  })
  return { next: out.isEmpty ? undefined : out.bytes(), need, have }
}

interface Range {
  readonly lower: number
  readonly upper: number
  readonly start: Bound
  readonly end: Bound
}

interface Walk {
  readonly set: ItemSet
  readonly reader: ByteReader
  readonly out: Output
}

/** Goes through the ranges of a message until one does not fit: what is equal is skipped, what is not is split or listed. */
function walk({ set, reader, out }: Walk, onIds: (range: Range, ids: readonly Uint8Array[]) => boolean): void {
  const bounds = new BoundReader()
  let lower = 0
  let start = FIRST_BOUND
  for (let ranges = 0; reader.left > 0; ranges++) {
    if (ranges >= LIMITS.sync.rangesPerMessage) throw malformed('too many ranges')
    const end = bounds.parse(reader)
    const range: Range = { lower, upper: Math.max(lower, set.indexOf(end)), start, end }
    if (!visit({ set, reader, out }, range, onIds)) return
    lower = range.upper
    start = end
  }
}

/** One range; false when the message is full. */
function visit(
  { set, reader, out }: Walk,
  range: Range,
  onIds: (range: Range, ids: readonly Uint8Array[]) => boolean
): boolean {
  const mode = reader.varint()
  switch (mode) {
    case SKIP:
      out.skip(range.end)
      return true
    case FINGERPRINT: {
      const theirs = reader.take(FINGERPRINT_BYTES)
      if (!equalBytes(theirs, set.fingerprint(range.lower, range.upper))) return split(out, set, range)
      out.skip(range.end)
      return true
    }
    case ID_LIST: {
      const count = reader.varint()
      // Attack: a count of 2^31. Nothing is allocated for it.
      if (count > reader.left / ID_BYTES) throw malformed('more ids than bytes')
      return onIds(
        range,
        Array.from({ length: count }, () => reader.take(ID_BYTES))
      )
    }
    default:
      throw malformed('a range of a kind that does not exist')
  }
}

/** Few items are listed, many are told in buckets by their fingerprints. */
function split(out: Output, set: ItemSet, range: Range): boolean {
  const { lower, upper, end } = range
  if (out.room < SPLIT_BYTES) return stop(out, set, lower)
  const count = upper - lower
  if (count < 2 * BUCKETS) return list(out, set, range)
  const size = Math.floor(count / BUCKETS)
  let at = lower
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const next = at + size + (bucket < count % BUCKETS ? 1 : 0)
    const bound = next === upper ? end : boundBetween(set.itemAt(next - 1), set.itemAt(next))
    out.range(bound, FINGERPRINT, set.fingerprint(at, next))
    at = next
  }
  return true
}

/** All our ids of a range, or as many as fit. */
function list(out: Output, set: ItemSet, { lower, upper, end }: Range): boolean {
  const fits = Math.max(0, Math.floor((out.room - 2 * ID_BYTES) / ID_BYTES))
  const reached = Math.min(upper, lower + fits)
  if (reached === lower && upper > lower) return stop(out, set, lower)
  const ids = set.items(lower, reached).map(({ id }) => id)
  const bound = reached === upper ? end : boundAt(set.itemAt(reached))
  out.range(bound, ID_LIST, concatBytes([formatVarint(ids.length), ...ids]))
  return reached === upper ? true : stop(out, set, reached)
}

/** The message is full: the fingerprint of everything that is left lets the other side ask again. */
function stop(out: Output, set: ItemSet, from: number): false {
  out.range(LAST_BOUND, FINGERPRINT, set.fingerprint(from, set.size))
  return false
}

/** A message being written. Ranges that are skipped are written when another one follows, as one. */
class Output {
  readonly #parts: Uint8Array[] = [Uint8Array.of(VERSION)]
  readonly #bounds = new BoundWriter()
  readonly #frameBytes: number
  #length = 1
  #skipped: Bound | undefined

  constructor(frameBytes: number) {
    this.#frameBytes = frameBytes
  }

  get isEmpty(): boolean {
    return this.#length === 1
  }

  get room(): number {
    return this.#frameBytes - this.#length - RESERVED_BYTES
  }

  skip(end: Bound): void {
    this.#skipped = end
  }

  range(end: Bound, mode: number, payload: Uint8Array): void {
    if (this.#skipped !== undefined) this.#add([...this.#bounds.format(this.#skipped), formatVarint(SKIP)])
    this.#skipped = undefined
    this.#add([...this.#bounds.format(end), formatVarint(mode), payload])
  }

  bytes(): Uint8Array {
    return concatBytes(this.#parts)
  }

  #add(parts: readonly Uint8Array[]): void {
    for (const part of parts) {
      this.#parts.push(part)
      this.#length += part.length
    }
  }
}

/** @throws RegistryError MALFORMED when it is no message of this protocol, of whatever version */
function isOurVersion(reader: ByteReader): boolean {
  const [version = 0] = reader.take(1)
  if (version < 0x60 || version > 0x6f) throw malformed('not a reconciliation message')
  return version === VERSION
}

function malformed(text: string): RegistryError {
  return new RegistryError('MALFORMED', text)
}
