import { LIMITS } from '../protocol/limits.ts'

interface Reading {
  readonly key: string
  readonly resolve: (value: Uint8Array | undefined) => void
  readonly reject: (error: unknown) => void
}

export interface ReadsTogetherInit {
  readonly getMany: (keys: readonly string[]) => Promise<readonly (Uint8Array | undefined)[]>
  /** One that could not be read with others. */
  readonly get: (key: string) => Promise<Uint8Array | undefined>
}

/**
 * Single reads that are asked for in one turn of the thread go to the other thread and come back as one: whoever looks at fifty
 * packages at once waits for one answer and not for fifty. A read alone is as soon there as before.
 */
export class ReadsTogether {
  readonly #init: ReadsTogetherInit
  #waiting: Reading[] = []

  constructor(init: ReadsTogetherInit) {
    this.#init = init
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, resolve, reject })
      if (this.#waiting.length >= LIMITS.storage.readsTogether) this.#go()
      // After everything that what has just been answered leads to: that asks for more.
      else if (this.#waiting.length === 1) process.nextTick(() => this.#go())
    })
  }

  #go(): void {
    const readings = this.#waiting
    this.#waiting = []
    const [first, second] = readings
    if (first === undefined) return
    if (second === undefined) return this.#alone(readings)
    this.#init.getMany(readings.map(({ key }) => key)).then(
      values => readings.forEach(({ resolve }, i) => resolve(values[i])),
      // Whose record is damaged is told so, and the others have theirs.
      () => this.#alone(readings)
    )
  }

  #alone(readings: readonly Reading[]): void {
    for (const { key, resolve, reject } of readings) this.#init.get(key).then(resolve, reject)
  }
}
