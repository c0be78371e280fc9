import { RegistryError } from '../errors.ts'

/** A safe integer has 53 bits: eight groups of seven hold it, and a ninth only what is refused. */
const LEB_BYTES = 8

/**
 * Bytes that are read from front to back. Numbers are LEB128 in their one, shortest spelling, and safe integers.
 * Every method throws MALFORMED where the bytes do not hold what was asked for.
 */
export class ByteReader {
  readonly #bytes: Uint8Array
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** How many bytes are not read yet. */
  get left(): number {
    return this.#bytes.length - this.#offset
  }

  /** A view on the next bytes. */
  take(length: number): Uint8Array {
    // Before anything is made: a length is whatever the sender wrote.
    if (length > this.left) throw new RegistryError('MALFORMED', 'a change is cut short')
    this.#offset += length
    return this.#bytes.subarray(this.#offset - length, this.#offset)
  }

  uint(): number {
    return this.#leb(false)
  }

  int(): number {
    return this.#leb(true)
  }

  #leb(signed: boolean): number {
    let value = 0
    let scale = 1
    let before = 0
    for (let i = 0; i < LEB_BYTES; i++) {
      const [byte = 0] = this.take(1)
      const bits = byte & 0x7f
      if (byte === bits) {
        // One spelling per value: a last group that only repeats the sign could be left out.
        if (i > 0 && bits === (signed && before >= 0x40 ? 0x7f : 0))
          throw new RegistryError('MALFORMED', 'a number in a change takes more bytes than it needs')
        // Exact, or beyond the safe integers: the lower groups are below `scale`, and this is a multiple of it.
        value += (signed && bits >= 0x40 ? bits - 0x80 : bits) * scale
        if (Number.isSafeInteger(value)) return value
        break
      }
      value += bits * scale
      scale *= 0x80
      before = bits
    }
    throw new RegistryError('MALFORMED', 'a number in a change is beyond 2^53')
  }
}
