import { randomBytes } from 'node:crypto'
import { DIGEST_BYTES } from './record.ts'
import type { Place } from './record.ts'

const FIRST_SLOTS = 1 << 8
/** Entries of one page: the table grows without being copied. */
const PAGE = 1 << 10

/** Where a block is. */
export interface Located extends Place {
  readonly length: number
}

interface Page {
  readonly digests: Buffer
  /** Segment (0 in a free entry), offset and length of each. */
  readonly words: Uint32Array
}

/**
 * Where each small block is, by its digest: 44 bytes for an entry and 8 to 16 for its slot, and an answer without the disk.
 *
 * Attack: digests that were ground until all of them fall into one place of the table. Where they fall follows from a number
 * that nobody knows. The whole digest is compared, so two that begin alike are two.
 */
export class BlockIndex {
  /** The number of an entry, and 0 in a free slot; half full at most. */
  #slots = new Uint32Array(FIRST_SLOTS)
  readonly #pages: Page[] = []
  /** Entries that were deleted, to be taken again. */
  readonly #free: number[] = []
  #entries = 0
  #count = 0
  readonly #salt = randomBytes(4).readUInt32LE()

  get count(): number {
    return this.#count
  }

  get(digest: Uint8Array): Located | undefined {
    const entry = this.#slots[this.#find(digest)] ?? 0
    return entry === 0 ? undefined : this.#at(entry - 1)
  }

  set(digest: Uint8Array, { segment, offset, length }: Located): void {
    let slot = this.#find(digest)
    let entry = this.#slots[slot] ?? 0
    if (entry === 0) {
      if (2 * (this.#count + 1) > this.#slots.length) {
        this.#grow()
        slot = this.#find(digest)
      }
      entry = this.#take(digest) + 1
      this.#slots[slot] = entry
    }
    const { words } = this.#page(entry - 1)
    words.set([segment, offset, length], 3 * ((entry - 1) % PAGE))
  }

  delete(digest: Uint8Array): void {
    const slot = this.#find(digest)
    const entry = this.#slots[slot] ?? 0
    if (entry === 0) return
    this.#page(entry - 1).words.fill(0, 3 * ((entry - 1) % PAGE), 3 * ((entry - 1) % PAGE) + 3)
    this.#free.push(entry - 1)
    this.#count -= 1
    this.#close(slot)
  }

  /** The digests of the entries that are asked for, in the order in which they stand on the disk. */
  digests(wants: (firstByte: number, segment: number) => boolean): readonly Uint8Array[] {
    const found: { readonly digest: Uint8Array; readonly segment: number; readonly offset: number }[] = []
    for (let entry = 0; entry < this.#entries; entry++) {
      const { digests, words } = this.#page(entry)
      const [at, from] = [3 * (entry % PAGE), DIGEST_BYTES * (entry % PAGE)]
      const [segment = 0, offset = 0] = [words[at], words[at + 1]]
      if (segment === 0 || !wants(digests[from] ?? 0, segment)) continue
      found.push({ digest: Uint8Array.from(digests.subarray(from, from + DIGEST_BYTES)), segment, offset })
    }
    found.sort((a, b) => a.segment - b.segment || a.offset - b.offset)
    return found.map(({ digest }) => digest)
  }

  /** Where an entry is, or would be. */
  #find(digest: Uint8Array): number {
    const mask = this.#slots.length - 1
    let slot = this.#home(digest, 0)
    for (;;) {
      const entry = this.#slots[slot] ?? 0
      if (entry === 0 || this.#isAt(entry - 1, digest)) return slot
      slot = (slot + 1) & mask
    }
  }

  #isAt(entry: number, digest: Uint8Array): boolean {
    const from = DIGEST_BYTES * (entry % PAGE)
    return this.#page(entry).digests.compare(digest, 0, DIGEST_BYTES, from, from + DIGEST_BYTES) === 0
  }

  #at(entry: number): Located {
    const at = 3 * (entry % PAGE)
    const { words } = this.#page(entry)
    return { segment: words[at] ?? 0, offset: words[at + 1] ?? 0, length: words[at + 2] ?? 0 }
  }

  #take(digest: Uint8Array): number {
    const entry = this.#free.pop() ?? this.#entries++
    if (entry >= this.#pages.length * PAGE) {
      this.#pages.push({ digests: Buffer.alloc(PAGE * DIGEST_BYTES), words: new Uint32Array(3 * PAGE) })
    }
    this.#page(entry).digests.set(digest, DIGEST_BYTES * (entry % PAGE))
    this.#count += 1
    return entry
  }

  #page(entry: number): Page {
    const page = this.#pages[Math.floor(entry / PAGE)]
    if (page === undefined) throw new RangeError(`there is no entry ${entry}`)
    return page
  }

  #grow(): void {
    this.#slots = new Uint32Array(2 * this.#slots.length)
    const mask = this.#slots.length - 1
    for (let entry = 0; entry < this.#entries; entry++) {
      const { digests, words } = this.#page(entry)
      if (words[3 * (entry % PAGE)] === 0) continue
      let slot = this.#home(digests, DIGEST_BYTES * (entry % PAGE))
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
      this.#slots[slot] = entry + 1
    }
  }

  /** Entries after a gap that would not be found behind it move into it. */
  #close(from: number): void {
    const mask = this.#slots.length - 1
    let gap = from
    for (let slot = (gap + 1) & mask; ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot] ?? 0
      if (entry === 0) break
      const home = this.#home(this.#page(entry - 1).digests, DIGEST_BYTES * ((entry - 1) % PAGE))
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue
      this.#slots[gap] = entry
      gap = slot
    }
    this.#slots[gap] = 0
  }

  #home(digests: Uint8Array, from: number): number {
    const word = (at: number): number =>
      (digests[at] ?? 0) |
      ((digests[at + 1] ?? 0) << 8) |
      ((digests[at + 2] ?? 0) << 16) |
      ((digests[at + 3] ?? 0) << 24)
    let mixed = Math.imul(word(from) ^ this.#salt, 0x9e3779b1) ^ word(from + 4)
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    return (mixed ^ (mixed >>> 16)) & (this.#slots.length - 1)
  }
}
