import type { CID } from 'multiformats/cid'
import { DAG_PROTOCOL } from '../../protocol/dag/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { firstFew, peersText, shortPeer } from '../../protocol/peer-text.ts'
import type { Clock } from './components.ts'

/** What peers brought: every block of it was verified and is stored, and nothing else was. */
export interface DagFetched {
  readonly stored: readonly CID[]
  readonly bytes: number
  /** All of it is in `stored`: nothing is missing, and nothing was here before. */
  readonly isAll: boolean
  /** Peers that were asked and had not got all of what is missing still. */
  readonly lacking: readonly string[]
  /** Whom the DHT has named for it; undefined when it was not asked. */
  readonly found: readonly string[] | undefined
  /** Who was asked, and what they said; undefined when nobody needed to be. */
  readonly report: string | undefined
  /** The same by their names, for whoever wants to know who it was. */
  readonly answers: string
}

/** What became of asking one peer. */
export type Answer = 'nothing' | 'no' | 'busy' | 'some' | 'failed'

const WORDS: Readonly<Record<Answer, string>> = {
  some: 'sent some of it',
  no: 'said no',
  busy: 'had no room',
  failed: 'broke off',
  nothing: 'did not answer'
}

/** Whom a fetch has asked, and what they said: for whoever reads why something did not come. */
export class DagReport {
  readonly #clock: Pick<Clock, 'now'>
  readonly #answers = new Map<string, Answer>()
  /** Who was named for it, and is not here. */
  readonly #unreached = new Set<string>()
  readonly #since: number
  /** Why who broke off was left. */
  readonly #reasons = new Map<string, string>()

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
    this.#since = clock.now()
  }

  asked(peer: string): void {
    this.#unreached.delete(peer)
    if (!this.#answers.has(peer)) this.#answers.set(peer, 'nothing')
  }

  /** Somebody named it, and it could not be reached. */
  unreached(peer: string): void {
    if (!this.#answers.has(peer) && this.#unreached.size < LIMITS.dag.namedPeers) this.#unreached.add(peer)
  }

  said(peer: string, answer: Exclude<Answer, 'nothing'>, reason?: string): void {
    this.#answers.set(peer, answer)
    if (reason === undefined) this.#reasons.delete(peer)
    else this.#reasons.set(peer, reason.slice(0, LIMITS.dag.reasonChars))
  }

  get peers(): readonly string[] {
    return [...this.#answers.keys()]
  }

  /** `asked 6 peers, 2 said no, 4 did not answer in 3 s, 1 more was named and could not be reached` */
  toString(): string {
    const seconds = Math.round((this.#clock.now() - this.#since) / 100) / 10
    const counts = Object.entries(WORDS).map(([answer, text]) => {
      const count = [...this.#answers.values()].filter(given => given === answer).length
      const when = answer === 'nothing' ? ` in ${seconds} s` : ''
      return count === 0 ? '' : `, ${count} ${text}${when}`
    })
    const more = this.#unreached.size
    const gone = more === 0 ? '' : `, ${more} more ${more === 1 ? 'was' : 'were'} named and could not be reached`
    return `asked ${peersText(this.#answers.size)}${counts.join('')}${gone}`
  }

  /** `12D3…3fXk9QpZ said no, 12D3…aTq8Ywbn broke off: a peer that sends too slowly` */
  get answers(): string {
    return this.#words(() => true)
  }

  /** What those said who sent nothing, in a line; empty when there are none. */
  get others(): string {
    const words = this.#words(answer => answer !== 'some')
    return words === '' ? '' : `over ${DAG_PROTOCOL}: ${words}`
  }

  #words(isMeant: (answer: Answer) => boolean): string {
    const meant = [...this.#answers].filter(([, answer]) => isMeant(answer))
    const said = meant.map(([peer, answer]) => {
      const reason = this.#reasons.get(peer)
      return `${shortPeer(peer)} ${WORDS[answer]}${reason === undefined ? '' : `: ${reason}`}`
    })
    const unreached = [...this.#unreached].map(peer => `${shortPeer(peer)} could not be reached`)
    return firstFew([...said, ...unreached], LIMITS.fetch.namedPeers)
  }
}
