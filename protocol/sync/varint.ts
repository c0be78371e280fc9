import { RegistryError } from '../errors.ts'

/** A varint of more digits would pass 2^53. */
const MAX_DIGITS = 8

/**
 * A number as base-128 digits, the most significant first, all but the last with the high bit set.
 *
 *   0 -> 00, 127 -> 7f, 128 -> 81 00
 */
export function formatVarint(value: number): Uint8Array {
  const digits = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) digits.push((rest % 128) + 128)
  return Uint8Array.from(digits.reverse())
}

/** Reads bytes of a message from front to back; what runs past the end is malformed. */
export class ByteReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  /** The next bytes, a view. @throws RegistryError MALFORMED */
  take(length: number): Uint8Array {
    if (length > this.left) throw new RegistryError('MALFORMED', 'a reconciliation message that ends too early')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  /** One spelling per number: no leading zero digit, nothing above 2^53 - 1. @throws RegistryError MALFORMED */
  varint(): number {
    let value = 0
    for (let digits = 0; digits < MAX_DIGITS; digits++) {
      const [byte = 0] = this.take(1)
      if (digits === 0 && byte === 0x80) break
      value = value * 128 + (byte & 0x7f)
      if (value > Number.MAX_SAFE_INTEGER) break
      if (byte < 0x80) return value
    }
    throw new RegistryError('MALFORMED', 'a number in a reconciliation message that nobody writes so')
  }
}
