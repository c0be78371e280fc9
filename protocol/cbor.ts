import { CID } from 'multiformats/cid'
import { compareBytes, equalBytes, fromUtf8 } from './bytes.ts'
import { isPlainLink, linkOf } from './cid.ts'
import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'

export { encodeCbor } from './cbor-encode.ts'

/**
 * The value of bytes that are the one spelling of it, at most `depth` deep and with at most `items` heads of items. Every
 * fact is read so at least twice, so it is one pass: what is checked of the spelling is checked where it is read.
 * @throws RegistryError MALFORMED
 */
export function decodeCbor(bytes: Uint8Array, depth: number, items: number = LIMITS.fact.cborItems): unknown {
  const reader = new Reader(bytes, items)
  const value = reader.item(depth)
  if (reader.left > 0) throw malformed('bytes follow the value')
  return value
}

const LINK = 42
/** A text that begins so reads as another one in decoders that take this for a mark of the byte order. */
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const
/** Longer ones are left to the platform. */
const SHORT_TEXT = 64

/** Keys that were read, each at a place that follows from a few of its bytes. */
const KEYS = 509
const KEY_CHARS = 24
const keys: string[] = Array.from({ length: KEYS }, () => '')

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0
  #items: number

  constructor(bytes: Uint8Array, items: number) {
    // A Buffer too, whose `slice` would be no copy.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#items = items
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  item(depth: number): unknown {
    const first = this.#head()
    const major = first >> 5
    const info = first & 31
    if (major === 7) return this.#simple(info)
    const count = this.#argument(info)
    switch (major) {
      case 0:
        return count
      case 1:
        return typeof count === 'number' && count < Number.MAX_SAFE_INTEGER ? -1 - count : -1n - BigInt(count)
      case 2:
        return this.#take(count)
      case 3:
        return this.#text(count)
      case 4:
        return this.#list(this.#children(count, 1, depth), depth - 1)
      case 5:
        return this.#map(this.#children(count, 2, depth), depth - 1)
      default:
        return this.#link(count, depth)
    }
  }

  /** The first byte of an item. Attack: 1 MiB of empty lists is a million objects: 0.8 s in which nothing else is done. */
  #head(): number {
    const first = this.#bytes[this.#at]
    this.#at += 1
    this.#items -= 1
    if (first === undefined || this.#items < 0) throw malformed('it has too many items or is cut short')
    return first
  }

  /** In the shortest of its forms. More than a number holds exactly is a bigint. */
  #argument(info: number): number | bigint {
    if (info < 24) return info
    const at = this.#at
    const width = 2 ** (info - 24)
    if (info > 27 || width > this.left) throw malformed('a head is cut short, or of no such form')
    this.#at += width
    if (info === 24) return atLeast(this.#view.getUint8(at), 24)
    if (info === 25) return atLeast(this.#view.getUint16(at), 0x100)
    if (info === 26) return atLeast(this.#view.getUint32(at), 0x1_0000)
    const high = atLeast(this.#view.getUint32(at), 1)
    return high < 2 ** 21 ? high * 2 ** 32 + this.#view.getUint32(at + 4) : this.#view.getBigUint64(at)
  }

  /** Goes past so many bytes and returns where they end. Nothing is allocated for a count of 2^31. */
  #skip(count: number | bigint): number {
    if (count > this.left) throw malformed('a text or bytes are cut short')
    this.#at += Number(count)
    return this.#at
  }

  /** A copy: whoever reads a value keeps it, and not all that it came in. */
  #take(count: number | bigint): Uint8Array {
    const from = this.#at
    return this.#bytes.slice(from, this.#skip(count))
  }

  /** Attack: 64 KiB of nested lists is a call stack 65,536 deep in any recursive decoder. */
  #children(count: number | bigint, each: number, depth: number): number {
    if (count === 0) return 0
    if (depth <= 0) throw malformed('it is nested too deeply')
    if (typeof count === 'bigint' || count * each > this.left) throw malformed('a list or map is cut short')
    return count
  }

  #text(count: number | bigint): string {
    const from = this.#at
    const to = this.#skip(count)
    if (to - from <= SHORT_TEXT) {
      let text = ''
      let at = from
      for (; at < to; at++) {
        const byte = this.#bytes[at] ?? 0
        if (byte > 0x7f) break
        text += String.fromCharCode(byte)
      }
      if (at === to) return text
    }
    const text = fromUtf8(this.#bytes.subarray(from, to))
    if (text === undefined || BYTE_ORDER_MARK.every((byte, i) => this.#bytes[from + i] === byte && from + i < to))
      throw malformed('a text is not in its one spelling')
    return text
  }

  /** A text that was probably read before: the same string again is made faster, and is a faster key. */
  #key(count: number | bigint): string {
    const from = this.#at
    const length = Number(count)
    if (length === 0 || length > KEY_CHARS || length > this.left) return this.#text(count)
    const bytes = this.#bytes
    const place = (length + 31 * (bytes[from] ?? 0) + 7 * (bytes[from + length - 1] ?? 0)) % KEYS
    const known = keys[place] ?? ''
    let at = known.length === length ? 0 : -1
    while (at >= 0 && at < length) at = known.charCodeAt(at) === bytes[from + at] ? at + 1 : -1
    if (at === length) {
      this.#at += length
      return known
    }
    const key = this.#text(count)
    // Where two have one place the later one has it: a stranger's keys make nothing slower than it would be without this.
    if (key.length === length) keys[place] = key
    return key
  }

  #list(count: number, depth: number): unknown[] {
    const list: unknown[] = []
    for (let i = 0; i < count; i++) list.push(this.item(depth))
    return list
  }

  /** Keys ascend by length, then by bytes, so none is there twice. */
  #map(count: number, depth: number): Record<string, unknown> {
    const map: Record<string, unknown> = {}
    let before: { readonly from: number; readonly to: number } | undefined
    for (let i = 0; i < count; i++) {
      const head = this.#head()
      if (head >> 5 !== 3) throw malformed('a key is not text')
      const length = this.#argument(head & 31)
      const from = this.#at
      const key = this.#key(length)
      const to = this.#at
      if (before !== undefined && !this.#isAscending(before, { from, to })) throw malformed('keys are out of order')
      before = { from, to }
      const value = this.item(depth)
      // A plain assignment would set the prototype, and the key would be lost.
      if (key === '__proto__')
        Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true })
      else map[key] = value
    }
    if (Object.hasOwn(map, '/') && isOne(map['/'], map['bytes'])) throw malformed('a map that looks like a link')
    return map
  }

  #isAscending(a: { from: number; to: number }, b: { from: number; to: number }): boolean {
    const longer = b.to - b.from - (a.to - a.from)
    if (longer !== 0) return longer > 0
    return compareBytes(this.#bytes.subarray(a.from, a.to), this.#bytes.subarray(b.from, b.to)) < 0
  }

  /** A link inside a link is depth as well. */
  #link(tag: number | bigint, depth: number): CID {
    this.#children(1, 1, depth)
    const head = this.#head()
    if (tag !== LINK || head >> 5 !== 2) throw malformed('a tag that is no link')
    const bytes = this.#take(this.#argument(head & 31))
    if (bytes[0] !== 0) throw malformed('a link that does not begin with 0')
    const binary = bytes.subarray(1)
    // Nearly all links are of this one form, and it has nothing that would have to be looked at.
    if (isPlainLink(binary)) return linkOf(binary)
    let cid: CID
    try {
      cid = CID.decode(binary)
    } catch (cause) {
      throw new RegistryError('MALFORMED', 'cbor is not as it must be: a link cannot be read', { cause })
    }
    if (!equalBytes(cid.bytes, binary)) throw malformed('a link is not in its one spelling')
    return cid
  }

  /** Floats have no place in a record: what one is in two languages, and after a sum, is another question than which bytes it has. */
  #simple(info: number): unknown {
    if (info === 20) return false
    if (info === 21) return true
    if (info === 22) return null
    throw malformed('a value of a kind that does not exist here')
  }
}

/** Attack: other tools take a map with one value under "/" and "bytes" for a link, and write it as one. To them all empty bytes are one. */
function isOne(slash: unknown, bytes: unknown): boolean {
  if (slash instanceof Uint8Array && bytes instanceof Uint8Array) return slash.length + bytes.length === 0
  return slash !== null && slash === bytes
}

function atLeast(value: number, least: number): number {
  if (value < least) throw malformed('an integer or length is not in its shortest form')
  return value
}

function malformed(what: string): RegistryError {
  return new RegistryError('MALFORMED', `cbor is not as it must be: ${what}`)
}
