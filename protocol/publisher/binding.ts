import type { Principal } from '../did.ts'
import { LIMITS } from '../limits.ts'
import type { Domain } from './domain.ts'

/** Why no answer came. `too-large`: what came is beyond every bound, and so nothing. */
export type LookupFault = 'no-answer' | 'timeout' | 'too-large' | 'busy'

/** What came of one question. That a domain has no such record is an answer: no keys. */
export type Answer = { readonly keys: readonly Principal[] } | { readonly fault: LookupFault }

/** What is remembered of a domain. */
export interface DomainRecord {
  readonly domain: Domain
  /** The last answer that came. */
  readonly answer: { readonly keys: readonly Principal[]; readonly time: number } | null
  /** Since then nobody answered. */
  readonly failure: { readonly fault: LookupFault; readonly time: number } | null
}

/**
 * - `fresh`: as good as asked just now
 * - `stale`: it still holds, and should be asked again
 * - `expired`: nothing follows from it any more
 * - `unknown`: nobody ever answered
 */
export type AnswerAge = 'fresh' | 'stale' | 'expired' | 'unknown'

export function ageOf(record: DomainRecord | undefined, now: number): AnswerAge {
  if (record === undefined || record.answer === null) return 'unknown'
  // Attack: a clock that was set forward and back again must not make an answer hold for ever.
  const age = Math.abs(now - record.answer.time)
  if (age < LIMITS.publisher.freshMs) return 'fresh'
  return age < LIMITS.publisher.holdsMs ? 'stale' : 'expired'
}

/** Whether the domain should be asked now. After no answer nobody is asked for a while, however often somebody wants to know. */
export function isDue(record: DomainRecord | undefined, now: number): boolean {
  if (ageOf(record, now) === 'fresh') return false
  const failure = record?.failure ?? null
  return failure === null || Math.abs(now - failure.time) >= LIMITS.publisher.failedMs
}

/**
 * What is remembered after a question. An answer replaces what was there, also where it takes a key away. Attack: whoever keeps
 * answers back makes an old one hold for as long as `holdsMs`, and no longer.
 */
export function remember(
  domain: Domain,
  before: DomainRecord | undefined,
  { answer, now }: { readonly answer: Answer; readonly now: number }
): DomainRecord {
  if ('keys' in answer) return { domain, answer: { keys: answer.keys, time: now }, failure: null }
  return { domain, answer: before?.answer ?? null, failure: { fault: answer.fault, time: now } }
}

/**
 * How a domain that a key claims stands.
 * - `verified`: the domain names the key
 * - `refused`: it answers, and does not name the key
 * - `unanswered`: nobody answered, or not for too long
 * - `unasked`: it was not looked up yet, or must not be
 */
export type Standing = 'verified' | 'refused' | 'unanswered' | 'unasked'

export function standingOf(key: Principal, record: DomainRecord | undefined, now: number): Standing {
  switch (ageOf(record, now)) {
    case 'fresh':
    case 'stale':
      return record?.answer?.keys.includes(key) === true ? 'verified' : 'refused'
    case 'expired':
      return 'unanswered'
    case 'unknown':
      return record === undefined ? 'unasked' : 'unanswered'
  }
}
