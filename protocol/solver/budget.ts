import { RegistryError } from '../errors.ts'

/** Counts the work of one search, so that a registry made to be hard can't hold a node up. */
export class Budget {
  readonly #limit: number
  readonly #perTurn: number
  #spent = 0
  #turn = 0

  constructor({ limit, perTurn }: { readonly limit: number; readonly perTurn: number }) {
    this.#limit = limit
    this.#perTurn = perTurn
  }

  /** @throws RegistryError LIMIT_EXCEEDED */
  spend(steps: number): void {
    this.#spent += steps
    this.#turn += steps
    if (this.#spent <= this.#limit) return
    throw new RegistryError('LIMIT_EXCEEDED', `no answer after ${this.#limit} steps of resolving`, {
      next: 'ask for fewer packages at once, or for exact versions of some of them'
    })
  }

  /** Whether so much was done since the last time that somebody else should get a turn. */
  isTurnOver(): boolean {
    if (this.#turn < this.#perTurn) return false
    this.#turn = 0
    return true
  }
}
