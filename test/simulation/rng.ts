import { createHash } from 'node:crypto'

/**
 * A stream of numbers that is the same for the same seed. `split` makes an independent stream by name: what one part draws
 * never shifts what another part draws, so that a seed goes on meaning nearly the same run when the simulator changes.
 */
export class Rng {
  readonly #path: string
  readonly #state: Uint32Array

  constructor(path: string) {
    this.#path = path
    const digest = createHash('sha256').update(path).digest()
    this.#state = Uint32Array.from([0, 4, 8, 12], at => digest.readUInt32LE(at))
  }

  split(name: string | number): Rng {
    return new Rng(`${this.#path}/${name}`)
  }

  /** 0 to 2^32 - 1, by xoshiro128**. */
  next(): number {
    const state = this.#state
    const [a = 0, b = 0, c = 0, d = 0] = state
    const scrambled = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const third = c ^ a
    const fourth = d ^ b
    state[1] = b ^ third
    state[0] = a ^ fourth
    state[2] = third ^ (b << 9)
    state[3] = rotate(fourth, 11)
    return scrambled
  }

  /** 0 to `below` - 1. */
  int(below: number): number {
    return Math.floor((this.next() / 2 ** 32) * below)
  }

  between(low: number, high: number): number {
    return low + this.int(high - low + 1)
  }

  chance(probability: number): boolean {
    return this.next() / 2 ** 32 < probability
  }

  pick<T>(list: readonly T[]): T | undefined {
    return list[this.int(list.length)]
  }

  shuffle<T>(list: readonly T[]): readonly T[] {
    return list
      .map(value => [this.next(), value] as const)
      .toSorted(([a], [b]) => a - b)
      .map(([, value]) => value)
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.next() & 255)
  }
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}
