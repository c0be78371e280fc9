import { createHash } from 'node:crypto'

/** Lines are hashed so many at a time: a call for each takes longer than the hashing. */
const HASHED_CHARS = 16_384

/** What happened, line by line. Two runs of one seed have equal hashes, or the simulator is not deterministic. */
export class Trace {
  readonly #hash = createHash('sha256')
  readonly #print: ((line: string) => void) | undefined
  #lines = 0
  #waiting = ''

  constructor(print?: (line: string) => void) {
    this.#print = print
  }

  get lines(): number {
    return this.#lines
  }

  add(at: number, line: string): void {
    const text = `${String(at).padStart(8)} ${line}`
    this.#waiting += `${text}\n`
    if (this.#waiting.length > HASHED_CHARS) this.#settle()
    this.#lines += 1
    this.#print?.(text)
  }

  digest(): string {
    this.#settle()
    return this.#hash.copy().digest('hex').slice(0, 16)
  }

  #settle(): void {
    this.#hash.update(this.#waiting)
    this.#waiting = ''
  }
}
