import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { sipHash } from './sip-hash.ts'
import type { Hash64 } from './sip-hash.ts'

/** Bits of each coded value that are written as they are; one root in 2^8 that is not held looks as if it were. */
const REMAINDER_BITS = 8
const REMAINDERS = 2 ** REMAINDER_BITS

/**
 * A set of content roots in at most ten bits each: a Golomb-coded set. A root is a number below 256 times the number of
 * roots; the numbers ascend, and each is written as its distance from the one before, the part above 8 bits in ones and a
 * nought, then 8 bits.
 *
 * Invariants:
 * 1. The set holds exactly as many numbers as it says, and they fill one 256th of the space that follows from that. Attack:
 *    a filter that says yes to everything does not exist.
 * 2. One spelling: bytes that are read are the bytes that the numbers are written as.
 * 3. A look-up reads at most `rootsPerSkip` numbers.
 */
export class RootFilter {
  readonly salt: Uint8Array
  readonly roots: number
  readonly bytes: Uint8Array
  /** Of each so many numbers, the one before, and the bit where the next begins. */
  readonly #before: Uint32Array
  readonly #bit: Uint32Array

  private constructor(salt: Uint8Array, { roots, bytes }: { readonly roots: number; readonly bytes: Uint8Array }) {
    const { rootsPerSkip } = LIMITS.have
    this.salt = salt
    this.roots = roots
    this.bytes = bytes
    const skips = Math.ceil(roots / rootsPerSkip)
    this.#before = new Uint32Array(skips)
    this.#bit = new Uint32Array(skips)
  }

  /** @param hashes of all roots under the salt, in any order */
  static of(salt: Uint8Array, hashes: readonly Hash64[]): RootFilter {
    const roots = hashes.length
    const values = Uint32Array.from(hashes, hash => placeOf(hash, roots)).sort()
    return RootFilter.parse({ salt, roots, bytes: write(values) })
  }

  /** @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
  static parse({ salt, roots, bytes }: Pick<RootFilter, 'salt' | 'roots' | 'bytes'>): RootFilter {
    if (roots > LIMITS.have.roots) throw new RegistryError('LIMIT_EXCEEDED', `a filter of ${roots} roots`)
    const filter = new RootFilter(salt, { roots, bytes })
    filter.#index()
    return filter
  }

  /** Bytes in memory. */
  get weight(): number {
    return this.bytes.length + 8 * this.#before.length
  }

  has(hash: Hash64): boolean {
    if (this.roots === 0) return false
    const wanted = placeOf(hash, this.roots)
    const reader = new BitReader(this.bytes)
    const skip = this.#skipBefore(wanted)
    let value = this.#before[skip] ?? 0
    reader.at = this.#bit[skip] ?? 0
    const first = skip * LIMITS.have.rootsPerSkip
    const end = Math.min(this.roots, first + LIMITS.have.rootsPerSkip)
    for (let n = first; n < end; n++) {
      value += reader.distance()
      if (value >= wanted) return value === wanted
    }
    return false
  }

  /** The last skip whose numbers before are all smaller. */
  #skipBefore(wanted: number): number {
    let [low, high] = [0, this.#before.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#before[middle] ?? 0) < wanted) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Reads all of it once: what is not as it must be is never looked up. */
  #index(): void {
    const { rootsPerSkip } = LIMITS.have
    const reader = new BitReader(this.bytes)
    const space = this.roots * REMAINDERS
    let value = 0
    for (let n = 0; n < this.roots; n++) {
      if (n % rootsPerSkip === 0) {
        this.#before[n / rootsPerSkip] = value
        this.#bit[n / rootsPerSkip] = reader.at
      }
      value += reader.distance()
      if (value >= space) throw malformed()
    }
    if (!reader.isAtEnd()) throw malformed()
  }
}

/** The bytes of a delta for a root: six of the hash, as a number. */
export function shortHash({ high, low }: Hash64): number {
  return high * 2 ** 16 + (low >>> 16)
}

/** What is hashed of a root: its digest. */
export function rootHash(salt: Uint8Array, digest: Uint8Array): Hash64 {
  return sipHash(salt, digest)
}

/** A number below 256 times the number of roots; exact, as the product has 51 bits at most. */
function placeOf({ high, low }: Hash64, roots: number): number {
  return Math.floor((high * roots) / 2 ** 32) * REMAINDERS + (low & (REMAINDERS - 1))
}

function write(values: Uint32Array): Uint8Array {
  // The parts above 8 bits add up to less than the number of roots: ten bits for each are enough.
  const bytes = new Uint8Array(Math.ceil((values.length * (REMAINDER_BITS + 2)) / 8))
  let at = 0
  const bit = (isSet: boolean): void => {
    if (isSet) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (0x80 >> (at & 7))
    at += 1
  }
  let before = 0
  for (const value of values) {
    const distance = value - before
    before = value
    for (let n = distance >>> REMAINDER_BITS; n > 0; n--) bit(true)
    bit(false)
    for (let n = REMAINDER_BITS - 1; n >= 0; n--) bit(((distance >>> n) & 1) === 1)
  }
  return bytes.slice(0, Math.ceil(at / 8))
}

class BitReader {
  at = 0
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** The next number's distance from the one before. @throws RegistryError MALFORMED when there is none */
  distance(): number {
    let above = 0
    while (this.#bit() === 1) above += 1
    const byte = this.at >> 3
    if (this.at + REMAINDER_BITS > this.#bytes.length * 8) throw malformed()
    const both = ((this.#bytes[byte] ?? 0) << 8) | (this.#bytes[byte + 1] ?? 0)
    const remainder = (both >> (8 - (this.at & 7))) & 0xff
    this.at += REMAINDER_BITS
    return above * REMAINDERS + remainder
  }

  /** Whether nothing is left but the noughts that fill the last byte. */
  isAtEnd(): boolean {
    if (Math.ceil(this.at / 8) !== this.#bytes.length) return false
    while ((this.at & 7) !== 0) if (this.#bit() === 1) return false
    return true
  }

  #bit(): number {
    const byte = this.#bytes[this.at >> 3]
    if (byte === undefined) throw malformed()
    const bit = (byte >> (7 - (this.at & 7))) & 1
    this.at += 1
    return bit
  }
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'a filter of roots does not hold what it says')
}
