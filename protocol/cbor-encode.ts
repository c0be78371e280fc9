import { CID } from 'multiformats/cid'
import { compareBytes, utf8 } from './bytes.ts'

/**
 * Deterministic dag-cbor (IPLD dag-cbor specification, strictness section): map keys sorted by length then bytes,
 * shortest integers, no floats, no undefined, and no text that begins with a byte order mark: what nobody may read is not written.
 */
export function encodeCbor(value: unknown): Uint8Array {
  const writer = spare ?? new Writer()
  // Whatever calls this from inside, by a getter, writes into another one.
  spare = undefined
  writer.item(value)
  const bytes = writer.take()
  spare = writer
  return bytes
}

let spare: Writer | undefined

const FIRST_BYTES = 4_096
/** What was large once does not stay so. */
const KEPT_BYTES = 65_536
/** Bytes of a head, and more than any other part that is written without asking for room. */
const HEAD_BYTES = 16
/** Longer texts are left to the platform. */
const SHORT_TEXT = 64

const encoder = new TextEncoder()

class Writer {
  #bytes = new Uint8Array(FIRST_BYTES)
  #view = new DataView(this.#bytes.buffer)
  #at = 0

  /** A copy of what was written, in memory of its own. */
  take(): Uint8Array {
    const bytes = this.#bytes.slice(0, this.#at)
    // What it wrote may have been secret.
    this.#bytes.fill(0, 0, this.#at)
    this.#at = 0
    if (this.#bytes.length > KEPT_BYTES) this.#resize(FIRST_BYTES)
    return bytes
  }

  item(value: unknown): void {
    switch (typeof value) {
      case 'string':
        return this.#text(value)
      case 'number':
        return this.#number(value)
      case 'boolean':
        return this.#byte(value ? 0xf5 : 0xf4)
      case 'bigint':
        return value < 0n ? this.#head(1, -1n - value) : this.#head(0, value)
      case 'object':
        return this.#object(value)
      case 'function':
      case 'symbol':
      case 'undefined':
        throw new TypeError(`dag-cbor has no ${typeof value}`)
    }
  }

  #object(value: object | null): void {
    if (value === null) return this.#byte(0xf6)
    if (value instanceof Uint8Array) {
      this.#head(2, value.length)
      return this.#raw(value)
    }
    if (Array.isArray(value)) {
      this.#head(4, value.length)
      // By index: a hole is as little a value as undefined is.
      for (let i = 0; i < value.length; i++) this.item(value[i])
      return
    }
    // Not `CID.asCID`, which takes a map with what a CID has for one.
    if (value instanceof CID) {
      this.#head(6, 42)
      this.#head(2, value.bytes.length + 1)
      this.#byte(0)
      return this.#raw(value.bytes)
    }
    if (Object.prototype.toString.call(value) !== '[object Object]') throw new TypeError('dag-cbor has no such object')
    this.#map(value as Readonly<Record<string, unknown>>)
  }

  #map(map: Readonly<Record<string, unknown>>): void {
    const keys = Object.keys(map)
    this.#head(5, keys.length)
    for (const key of inOrder(keys)) {
      this.#text(key)
      this.item(map[key])
    }
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value)) return value < 0 ? this.#head(1, -1 - value) : this.#head(0, value)
    throw new TypeError(`a record has no ${value}`)
  }

  #text(text: string): void {
    const { length } = text
    this.#room(HEAD_BYTES + 3 * length)
    if (length <= SHORT_TEXT) {
      const start = this.#at
      this.#head(3, length)
      let i = 0
      for (; i < length; i++) {
        const unit = text.charCodeAt(i)
        if (unit > 0x7f) break
        this.#bytes[this.#at] = unit
        this.#at += 1
      }
      if (i === length) return
      this.#at = start
    }
    if (text.startsWith('\ufeff')) throw new TypeError('a text of a record begins with no byte order mark')
    const bytes = encoder.encode(text)
    this.#head(3, bytes.length)
    this.#raw(bytes)
  }

  #head(major: number, count: number | bigint): void {
    this.#room(HEAD_BYTES)
    const type = major << 5
    if (count < 24) return this.#byte(type | Number(count))
    if (count < 0x100) {
      this.#byte(type | 24)
      return this.#byte(Number(count))
    }
    if (count < 0x1_0000) {
      this.#byte(type | 25)
      this.#view.setUint16(this.#at, Number(count))
      this.#at += 2
    } else if (count < 2 ** 32) {
      this.#byte(type | 26)
      this.#view.setUint32(this.#at, Number(count))
      this.#at += 4
    } else {
      if (count > 0xffff_ffff_ffff_ffffn) throw new TypeError('dag-cbor has no integer as large as that')
      this.#byte(type | 27)
      this.#view.setBigUint64(this.#at, BigInt(count))
      this.#at += 8
    }
  }

  #byte(byte: number): void {
    if (this.#at === this.#bytes.length) this.#room(1)
    this.#bytes[this.#at] = byte
    this.#at += 1
  }

  #raw(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes
    if (needed > this.#bytes.length) this.#resize(Math.max(needed, 2 * this.#bytes.length))
  }

  #resize(length: number): void {
    const bytes = new Uint8Array(length)
    bytes.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer)
  }
}

/** By their bytes, shorter ones first. Of ASCII, that is the order of texts. */
function inOrder(keys: string[]): readonly string[] {
  return keys.sort(keys.every(isAscii) ? byText : byBytes)
}

function byText(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : 1)
}

function byBytes(a: string, b: string): number {
  const [x, y] = [utf8(a), utf8(b)]
  return x.length - y.length || compareBytes(x, y)
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}
