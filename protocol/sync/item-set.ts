import { sha256 } from '@noble/hashes/sha2.js'
import { compareBytes, concatBytes } from '../bytes.ts'
import { formatVarint } from './varint.ts'

/** What reconciliation knows of a fact: the time its author gave, and the sha2-256 digest inside its id. */
export interface Item {
  readonly time: number
  /** 32 bytes */
  readonly id: Uint8Array
}

/** A place in the order of items: before every item that is not smaller. Bytes that the prefix lacks are zero. */
export interface Bound {
  /** `Infinity` is behind everything. */
  readonly time: number
  /** 0 to 32 bytes */
  readonly prefix: Uint8Array
}

const ID_BYTES = 32
const ITEM_BYTES = 8 + ID_BYTES
const LEAF_ITEMS = 128
/** Room is left so that the first inserts after a bulk build do not split every leaf. */
const BUILT_ITEMS = 96
const WORDS = 8
const FINGERPRINT_BYTES = 16

interface Leaf {
  /** Packed items, ascending: 8 bytes of time, big-endian, then the id, so that bytes compare as items do. */
  readonly bytes: Uint8Array
  count: number
  /** Of the ids as little-endian numbers, mod 2^256. */
  readonly sum: Uint32Array
}

/** Counts and sums of everything before each leaf. */
interface Totals {
  readonly counts: Uint32Array
  readonly sums: Uint32Array
}

/**
 * The items of one registry in order of (time, id), with fingerprints of any range at the cost of one leaf.
 *
 * Invariants:
 * 1. Leaves are never empty, each is ascending, and so are they among each other; no item is there twice.
 * 2. `sum()` is the sum over all leaves; the totals before each leaf are dropped with every change and made when asked for.
 */
export class ItemSet {
  readonly #leaves: Leaf[] = []
  readonly #sum = new Uint32Array(WORDS)
  #size = 0
  #totals: Totals | undefined

  /** Builds the set at once; doubles are dropped. */
  static fromUnsorted(items: Iterable<Item>): ItemSet {
    const sorted = [...items].sort((a, b) => a.time - b.time || compareBytes(a.id, b.id))
    const set = new ItemSet()
    let leaf: Leaf | undefined
    let last: Item | undefined
    for (const item of sorted) {
      if (last !== undefined && last.time === item.time && compareBytes(last.id, item.id) === 0) continue
      last = item
      if (leaf === undefined || leaf.count === BUILT_ITEMS) {
        leaf = newLeaf()
        set.#leaves.push(leaf)
      }
      writeTime(leaf.bytes, leaf.count * ITEM_BYTES, item.time)
      leaf.bytes.set(item.id, leaf.count * ITEM_BYTES + 8)
      leaf.count += 1
      add(leaf.sum, item.id, 0)
      set.#size += 1
    }
    for (const each of set.#leaves) addWords(set.#sum, each.sum)
    return set
  }

  get size(): number {
    return this.#size
  }

  /** Was it new? */
  insert(item: Item): boolean {
    const key = pack(item)
    const place = this.#find(key)
    if (place.found) return false
    let { leaf, at } = place
    if (leaf === undefined) {
      leaf = newLeaf()
      this.#leaves.push(leaf)
    } else if (leaf.count === LEAF_ITEMS) {
      const upper = split(leaf)
      this.#leaves.splice(place.index + 1, 0, upper)
      if (at > leaf.count) {
        at -= leaf.count
        leaf = upper
      }
    }
    leaf.bytes.copyWithin((at + 1) * ITEM_BYTES, at * ITEM_BYTES, leaf.count * ITEM_BYTES)
    leaf.bytes.set(key, at * ITEM_BYTES)
    leaf.count += 1
    add(leaf.sum, item.id, 0)
    add(this.#sum, item.id, 0)
    this.#size += 1
    this.#totals = undefined
    return true
  }

  /** Was it there? */
  delete(item: Item): boolean {
    const { leaf, index, at, found } = this.#find(pack(item))
    if (!found || leaf === undefined) return false
    leaf.bytes.copyWithin(at * ITEM_BYTES, (at + 1) * ITEM_BYTES, leaf.count * ITEM_BYTES)
    leaf.count -= 1
    subtract(leaf.sum, item.id)
    subtract(this.#sum, item.id)
    if (leaf.count === 0) this.#leaves.splice(index, 1)
    this.#size -= 1
    this.#totals = undefined
    return true
  }

  has(item: Item): boolean {
    return this.#find(pack(item)).found
  }

  /** The item at a position. @throws RangeError */
  itemAt(index: number): Item {
    const { leaf, at } = this.#locate(index)
    if (leaf === undefined || at >= leaf.count) throw new RangeError(`no item ${index} in a set of ${this.#size}`)
    return unpack(leaf, at)
  }

  /** Position of the first item that is not below the bound. */
  indexOf({ time, prefix }: Bound): number {
    if (time === Infinity) return this.#size
    const key = new Uint8Array(ITEM_BYTES)
    writeTime(key, 0, time)
    key.set(prefix, 8)
    const { leaf, index, at } = this.#find(key)
    return leaf === undefined ? 0 : (this.#before().counts[index] ?? 0) + at
  }

  /** Of the items from one position up to, but not including, another one: 16 bytes, as negentropy v1 says. */
  fingerprint(from: number, to: number): Uint8Array {
    const sum = this.#sumBefore(to)
    subtract(sum, toBytes(this.#sumBefore(from)))
    return sha256(concatBytes([toBytes(sum), formatVarint(to - from)])).subarray(0, FINGERPRINT_BYTES)
  }

  /** The 32-byte sum of all ids as little-endian numbers, mod 2^256. */
  sum(): Uint8Array {
    return toBytes(this.#sum)
  }

  /** Copies of the items from one position up to, but not including, another one. */
  items(from: number, to: number): Item[] {
    const found: Item[] = []
    const end = Math.min(to, this.#size)
    let { leaf, index, at } = this.#locate(from)
    while (leaf !== undefined && from + found.length < end) {
      if (at === leaf.count) {
        index += 1
        at = 0
        leaf = this.#leaves[index]
        continue
      }
      found.push(unpack(leaf, at))
      at += 1
    }
    return found
  }

  /** Where a key is, or would be: in the last leaf that does not begin behind it. */
  #find(key: Uint8Array): { leaf: Leaf | undefined; index: number; at: number; found: boolean } {
    let low = 0
    let high = this.#leaves.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const leaf = this.#leaves[middle]
      if (leaf !== undefined && compareAt(leaf, 0, key) <= 0) low = middle + 1
      else high = middle
    }
    const index = Math.max(0, low - 1)
    const leaf = this.#leaves[index]
    if (leaf === undefined) return { leaf, index, at: 0, found: false }
    let at = 0
    let end = leaf.count
    while (at < end) {
      const middle = (at + end) >>> 1
      if (compareAt(leaf, middle, key) < 0) at = middle + 1
      else end = middle
    }
    return { leaf, index, at, found: at < leaf.count && compareAt(leaf, at, key) === 0 }
  }

  /** The leaf that holds a position; the end of the set is behind the last item of the last leaf. */
  #locate(position: number): { leaf: Leaf | undefined; index: number; at: number } {
    const { counts } = this.#before()
    let low = 0
    let high = this.#leaves.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((counts[middle] ?? 0) <= position) low = middle + 1
      else high = middle
    }
    const index = Math.max(0, low - 1)
    const leaf = this.#leaves[index]
    return { leaf, index, at: Math.min(position - (counts[index] ?? 0), leaf?.count ?? 0) }
  }

  #sumBefore(position: number): Uint32Array {
    const { leaf, index, at } = this.#locate(position)
    const sum = this.#before().sums.slice(index * WORDS, (index + 1) * WORDS)
    if (leaf === undefined) return new Uint32Array(WORDS)
    for (let each = 0; each < at; each++) add(sum, leaf.bytes, each * ITEM_BYTES + 8)
    return sum
  }

  #before(): Totals {
    if (this.#totals !== undefined) return this.#totals
    const counts = new Uint32Array(this.#leaves.length)
    const sums = new Uint32Array(this.#leaves.length * WORDS)
    const sum = new Uint32Array(WORDS)
    let count = 0
    for (const [index, leaf] of this.#leaves.entries()) {
      counts[index] = count
      sums.set(sum, index * WORDS)
      count += leaf.count
      addWords(sum, leaf.sum)
    }
    this.#totals = { counts, sums }
    return this.#totals
  }
}

/** Orders items and bounds: by time, then by bytes, where missing bytes are zero. */
export function compareBounds(a: Bound, b: Bound): number {
  if (a.time !== b.time) return a.time < b.time ? -1 : 1
  const length = Math.max(a.prefix.length, b.prefix.length)
  for (let index = 0; index < length; index++) {
    const difference = (a.prefix[index] ?? 0) - (b.prefix[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function newLeaf(): Leaf {
  return { bytes: new Uint8Array(LEAF_ITEMS * ITEM_BYTES), count: 0, sum: new Uint32Array(WORDS) }
}

/** Leaves the lower half in place and returns the upper one. */
function split(leaf: Leaf): Leaf {
  const half = leaf.count >>> 1
  const upper = newLeaf()
  upper.bytes.set(leaf.bytes.subarray(half * ITEM_BYTES, leaf.count * ITEM_BYTES))
  upper.count = leaf.count - half
  leaf.count = half
  for (let at = 0; at < upper.count; at++) {
    const id = upper.bytes.subarray(at * ITEM_BYTES + 8, (at + 1) * ITEM_BYTES)
    add(upper.sum, id, 0)
    subtract(leaf.sum, id)
  }
  return upper
}

function pack({ time, id }: Item): Uint8Array {
  const key = new Uint8Array(ITEM_BYTES)
  writeTime(key, 0, time)
  key.set(id, 8)
  return key
}

function unpack({ bytes }: Leaf, at: number): Item {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at * ITEM_BYTES, 8)
  const start = at * ITEM_BYTES + 8
  return { time: view.getUint32(0) * 2 ** 32 + view.getUint32(4), id: bytes.slice(start, start + ID_BYTES) }
}

/** Eight bytes, big-endian. Byte by byte, because a view of each leaf would cost more than the rest of a bulk build. */
function writeTime(bytes: Uint8Array, at: number, time: number): void {
  const high = Math.floor(time / 2 ** 32)
  const low = time % 2 ** 32
  for (let index = 0; index < 4; index++) {
    bytes[at + index] = high >>> (24 - 8 * index)
    bytes[at + 4 + index] = low >>> (24 - 8 * index)
  }
}

function compareAt({ bytes }: Leaf, at: number, key: Uint8Array): number {
  const start = at * ITEM_BYTES
  for (let index = 0; index < ITEM_BYTES; index++) {
    const difference = (bytes[start + index] ?? 0) - (key[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** The word of a little-endian number. */
function littleWord(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0
  )
}

function add(sum: Uint32Array, bytes: Uint8Array, from: number): void {
  let carry = 0
  for (let word = 0; word < WORDS; word++) {
    const next = (sum[word] ?? 0) + littleWord(bytes, from + word * 4) + carry
    sum[word] = next
    carry = next > 0xffffffff ? 1 : 0
  }
}

function subtract(sum: Uint32Array, bytes: Uint8Array): void {
  let borrow = 0
  for (let word = 0; word < WORDS; word++) {
    const next = (sum[word] ?? 0) - littleWord(bytes, word * 4) - borrow
    sum[word] = next
    borrow = next < 0 ? 1 : 0
  }
}

function addWords(sum: Uint32Array, other: Uint32Array): void {
  let carry = 0
  for (let word = 0; word < WORDS; word++) {
    const next = (sum[word] ?? 0) + (other[word] ?? 0) + carry
    sum[word] = next
    carry = next > 0xffffffff ? 1 : 0
  }
}

function toBytes(sum: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(ID_BYTES)
  const view = new DataView(bytes.buffer)
  for (let word = 0; word < WORDS; word++) view.setUint32(word * 4, sum[word] ?? 0, true)
  return bytes
}
