const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** Bounds of keys that are bound to domains (docs/spec/publisher.md). All of them are local but the first. */
export const PUBLISHER_LIMITS = Object.freeze({
  /** of a domain, so that the name that is asked for fits into a question */
  domainChars: 240,
  /** domains of one key, and keys of one domain, that are looked at; the lowest by their bytes */
  domainsPerKey: 8,
  keysPerDomain: 16,
  /** of one answer: more is no answer at all */
  records: 64,
  answerChars: 16 * 1024,
  /** one question, and how many are asked at a time and wait for their turn */
  lookupMs: 3 * SECOND,
  lookups: 8,
  waiting: 256,
  /** for how long an answer is as good as new, and for how long it holds where no other one is to be had */
  freshMs: DAY,
  holdsMs: 7 * DAY,
  /** for how long nobody is asked again after no answer came */
  failedMs: 10 * MINUTE,
  /** domains of which the answer is kept */
  remembered: 4_096,
  /** claims that one list shows */
  listed: 1_000
})
