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
  /** When a block came last, and when anything did. */
  #progressAt: number
  #fedAt: number

  constructor(plan: Pick<DagPlan, 'insist'>, clock: Clock) {
    this.#plan = plan
    this.#clock = clock
    this.#progressAt = clock.now()
    this.#fedAt = this.#progressAt
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

  /** Somebody sends as fast as he must: the block that he is sending is on its way, however busy all of them are. */
  fed(): void {
    this.#fedAt = this.#clock.now()
  }

  /** One of them may be asked again. @param isAlone there is nobody else who has it or is getting it */
  onDue(peer: string, isAlone: boolean): void {
    if (!isAlone && !this.#isLonely) return
    this.#plan.insist(peer, this.#leaves)
    this.#leaves = Math.min(this.#leaves * 2, LIMITS.dag.leavesPerRequest)
  }

  /** For how long nothing has come. */
  get idleMs(): number {
    return this.#clock.now() - Math.max(this.#progressAt, this.#fedAt)
  }

  /** Attack: one who sends just enough not to be left, so that nobody else is asked. */
  get #isLonely(): boolean {
    const { lonelyMs, lonelyMostMs } = LIMITS.dag
    return this.#clock.now() - this.#progressAt >= lonelyMostMs || this.idleMs >= lonelyMs
  }
}
