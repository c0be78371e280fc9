import { randomBytes } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'

const FIRST_SLOTS = 1 << 12

/**
 * Blocks that were met, by the first 8 bytes of their digests: 16 MiB for a million of them. That two blocks share those
 * bytes makes one stay that nobody needs, and never the other way round.
 *
 * Attack: digests that were ground until all of them fall into one place of the table. Where they fall follows from a number
 * that nobody knows.
 */
export class BlockMarks {
  /** Two words for each place; both 0 in a free one. */
  #words = new Uint32Array(2 * FIRST_SLOTS)
  #count = 0
  readonly #salt = randomBytes(4).readUInt32LE()

  get size(): number {
    return this.#count
  }

  has(cid: CID): boolean {
    const at = this.#find(...wordsOf(cid))
    return this.#words[at] !== 0 || this.#words[at + 1] !== 0
  }

  /** False when it was met before. @throws RegistryError LIMIT_EXCEEDED */
  add(cid: CID): boolean {
    const [low, high] = wordsOf(cid)
    const at = this.#find(low, high)
    if (this.#words[at] !== 0 || this.#words[at + 1] !== 0) return false
    if (this.#count >= LIMITS.store.marks) {
      throw new RegistryError('LIMIT_EXCEEDED', `a block store keeps at most ${LIMITS.store.marks} blocks`)
    }
    this.#words[at] = low
    this.#words[at + 1] = high
    this.#count += 1
    if (4 * this.#count > this.#words.length) this.#grow()
    return true
  }

  /** Where a digest is, or would be. */
  #find(low: number, high: number): number {
    const mask = this.#words.length / 2 - 1
    let slot = mix(low ^ this.#salt, high) & mask
    for (;;) {
      const at = 2 * slot
      const [first, second] = [this.#words[at], this.#words[at + 1]]
      if ((first === 0 && second === 0) || (first === low && second === high)) return at
      slot = (slot + 1) & mask
    }
  }

  #grow(): void {
    const before = this.#words
    this.#words = new Uint32Array(2 * before.length)
    for (let from = 0; from < before.length; from += 2) {
      const [low = 0, high = 0] = [before[from], before[from + 1]]
      if (low === 0 && high === 0) continue
      const at = this.#find(low, high)
      this.#words[at] = low
      this.#words[at + 1] = high
    }
  }
}

/** A block whose digest begins with zeros has a place of its own. */
function wordsOf({ multihash: { digest } }: CID): [number, number] {
  const word = (at: number): number =>
    ((digest[at] ?? 0) |
      ((digest[at + 1] ?? 0) << 8) |
      ((digest[at + 2] ?? 0) << 16) |
      ((digest[at + 3] ?? 0) << 24)) >>>
    0
  const [low, high] = [word(0), word(4)]
  return low === 0 && high === 0 ? [0, 1] : [low, high]
}

function mix(low: number, high: number): number {
  let mixed = Math.imul(low, 0x9e3779b1) ^ high
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
