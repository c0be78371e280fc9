import { createHash } from 'node:crypto'

/** What happened, line by line. Two runs of one seed have equal hashes, or the simulator is not deterministic. */
export class Trace {
  readonly #hash = createHash('sha256')
  readonly #print: ((line: string) => void) | undefined
  #lines = 0

  constructor(print?: (line: string) => void) {
    this.#print = print
  }

  get lines(): number {
    return this.#lines
  }

  add(at: number, line: string): void {
    const text = `${String(at).padStart(8)} ${line}`
    this.#hash.update(text).update('\n')
    this.#lines += 1
    this.#print?.(text)
  }

  digest(): string {
    return this.#hash.copy().digest('hex').slice(0, 16)
  }
}
