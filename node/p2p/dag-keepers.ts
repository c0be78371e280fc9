import type { DagPlan } from '../../protocol/dag/plan.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'

/**
 * Those who have what one fetch wants and keep it back, because others have it from them who are to be asked first.
 *
 * They are asked again for it only when those others bring nothing, and then for a little at a time: one who is slow like all the
 * rest of a crowd costs its source a leaf, and one whom nobody else reaches has everything after a few questions.
 */
export class Keepers {
  readonly #plan: Pick<DagPlan, 'insist'>
  readonly #clock: Clock
  readonly #keepers = new Set<string>()
  #leaves = 1
  #progressAt: number

  constructor(plan: Pick<DagPlan, 'insist'>, clock: Clock) {
    this.#plan = plan
    this.#clock = clock
    this.#progressAt = clock.now()
  }

  has(peer: string): boolean {
    return this.#keepers.has(peer)
  }

  add(peer: string): void {
    this.#keepers.add(peer)
  }

  /** A block came that was missing. */
  brought(peer: string): void {
    this.#progressAt = this.#clock.now()
    if (!this.#keepers.has(peer)) this.#leaves = 1
  }

  /** One of them may be asked again. @param isAlone there is nobody else who has it or is getting it */
  onDue(peer: string, isAlone: boolean): void {
    if (!isAlone && this.#clock.now() - this.#progressAt < LIMITS.dag.lonelyMs) return
    this.#plan.insist(peer, this.#leaves)
    this.#leaves = Math.min(this.#leaves * 2, LIMITS.dag.leavesPerRequest)
  }
}
