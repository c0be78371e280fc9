import type { Clock } from './components.ts'

/** What became of asking one peer. */
export type Answer = 'nothing' | 'no' | 'busy' | 'some' | 'failed'

/** Whom a fetch has asked, and what they said: for whoever reads why something did not come. */
export class DagReport {
  readonly #clock: Pick<Clock, 'now'>
  readonly #answers = new Map<string, Answer>()
  readonly #since: number

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
    this.#since = clock.now()
  }

  asked(peer: string): void {
    if (!this.#answers.has(peer)) this.#answers.set(peer, 'nothing')
  }

  said(peer: string, answer: Exclude<Answer, 'nothing'>): void {
    this.#answers.set(peer, answer)
  }

  get peers(): readonly string[] {
    return [...this.#answers.keys()]
  }

  /** `asked 6 peers, 2 said no, 4 did not answer in 3 s` */
  toString(): string {
    const seconds = Math.round((this.#clock.now() - this.#since) / 100) / 10
    const parts: readonly (readonly [Answer, string])[] = [
      ['some', 'sent some of it'],
      ['no', 'said no'],
      ['busy', 'had no room'],
      ['failed', 'broke off'],
      ['nothing', `did not answer in ${seconds} s`]
    ]
    const counts = parts.map(([answer, text]) => {
      const count = [...this.#answers.values()].filter(given => given === answer).length
      return count === 0 ? '' : `, ${count} ${text}`
    })
    return `asked ${this.#answers.size} peers${counts.join('')}`
  }
}
