const WORDS = 2
const FIRST = 1_024

/**
 * Which sha2-256 digests are in it, in 16 bytes for each. The first 8 bytes of a digest stand for it.
 *
 * Attack: who wants a digest to be taken for one that is in it has to find bytes whose digest begins with the same 64 bits;
 * and then he has to want that somebody is shown those bytes, which he made himself.
 */
export class DigestSet {
  readonly #most: number
  #slots = new Uint32Array(FIRST * WORDS)
  #size = 0
  /** Two words of nought mark an empty slot, so the digest that begins with them has a place of its own. */
  #hasNought = false

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#size + (this.#hasNought ? 1 : 0)
  }

  has(digest: Uint8Array): boolean {
    const [high, low] = wordsOf(digest)
    if (high === 0 && low === 0) return this.#hasNought
    return this.#slots[this.#slotOf(high, low)] === high && this.#slots[this.#slotOf(high, low) + 1] === low
  }

  /** False when it is new and there is no room for it. */
  add(digest: Uint8Array): boolean {
    const [high, low] = wordsOf(digest)
    if (this.has(digest)) return true
    if (this.size >= this.#most) return false
    if (high === 0 && low === 0) {
      this.#hasNought = true
      return true
    }
    // Half of the slots stay empty, so that a search is short.
    if ((this.#size + 1) * WORDS * 2 > this.#slots.length) this.#grow()
    this.#put(high, low)
    this.#size += 1
    return true
  }

  #put(high: number, low: number): void {
    const at = this.#slotOf(high, low)
    this.#slots[at] = high
    this.#slots[at + 1] = low
  }

  #grow(): void {
    const before = this.#slots
    this.#slots = new Uint32Array(before.length * 2)
    for (let at = 0; at < before.length; at += WORDS) {
      const [high = 0, low = 0] = before.subarray(at, at + WORDS)
      if (high !== 0 || low !== 0) this.#put(high, low)
    }
  }

  /** Where these words are, or would be. */
  #slotOf(high: number, low: number): number {
    const mask = this.#slots.length / WORDS - 1
    let at = (low & mask) * WORDS
    while (this.#slots[at] !== 0 || this.#slots[at + 1] !== 0) {
      if (this.#slots[at] === high && this.#slots[at + 1] === low) return at
      at = (at + WORDS) % this.#slots.length
    }
    return at
  }
}

function wordsOf(digest: Uint8Array): readonly [high: number, low: number] {
  const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength)
  return [view.getUint32(0), view.getUint32(4)]
}
