import type { Needle } from './needles.ts'

export interface Hit {
  readonly needle: Needle
  /** Where it begins, counted from the first byte that was pushed. */
  readonly offset: number
}

/** Looks for very many patterns at once, in bytes that come piece by piece. */
export class Scanner {
  /** Which pairs of first bytes any pattern has: nearly all positions end here. */
  readonly #pairs = new Uint8Array(0x1_0000)
  readonly #byHead = new Map<number, Needle[]>()
  readonly #longest: number

  constructor(needles: readonly Needle[]) {
    for (const needle of needles) {
      const { bytes } = needle
      this.#pairs[pairAt(bytes, 0)] = 1
      const head = headAt(bytes, 0)
      const same = this.#byHead.get(head) ?? []
      same.push(needle)
      this.#byHead.set(head, same)
    }
    this.#longest = Math.max(0, ...needles.map(({ bytes }) => bytes.length))
  }

  /** Takes the pieces of one stream in order and tells what each of them completes. */
  stream(): (bytes: Uint8Array) => readonly Hit[] {
    let carried: Uint8Array = new Uint8Array()
    let before = 0
    return bytes => {
      const joined = carried.length === 0 ? bytes : Buffer.concat([carried, bytes])
      const hits = this.#find(joined, before, carried.length)
      const keep = Math.min(joined.length, Math.max(0, this.#longest - 1))
      before += joined.length - keep
      carried = joined.slice(joined.length - keep)
      return hits
    }
  }

  /** @param old bytes at the beginning that were looked at before: what ends in there was told */
  #find(bytes: Uint8Array, before: number, old: number): readonly Hit[] {
    const hits: Hit[] = []
    for (let at = 0; at + HEAD_BYTES <= bytes.length; at++) {
      if (this.#pairs[pairAt(bytes, at)] === 0) continue
      for (const needle of this.#byHead.get(headAt(bytes, at)) ?? []) {
        const end = at + needle.bytes.length
        if (end > old && end <= bytes.length && matches(bytes, at, needle.bytes)) {
          hits.push({ needle, offset: before + at })
        }
      }
    }
    return hits
  }
}

const HEAD_BYTES = 4

function pairAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
}

function headAt(bytes: Uint8Array, at: number): number {
  return (pairAt(bytes, at) | (pairAt(bytes, at + 2) << 16)) >>> 0
}

function matches(bytes: Uint8Array, at: number, pattern: Uint8Array): boolean {
  for (let i = HEAD_BYTES; i < pattern.length; i++) if (bytes[at + i] !== pattern[i]) return false
  return true
}
