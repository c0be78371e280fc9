const KiB = 1024
const SECOND = 1000
const MINUTE = 60 * SECOND

/** Bounds of submissions (docs/spec/submit.md). */
export const SUBMIT_LIMITS = Object.freeze({
  /** A stranger asks for a name. `envelopeBytes` to `reasonChars` are part of the format. */
  submit: Object.freeze({
    envelopeBytes: 4 * KiB,
    keys: 8,
    /** the longest ecosystem, a slash and the longest name */
    nameChars: 214 + 16,
    noteChars: 500,
    reasonChars: 500,
    /** the envelope and the map around it */
    requestBytes: 4 * KiB + 256,
    answerBytes: 4 * KiB,
    /** submissions of one registry that wait for a person, and decided ones that are remembered for who asks */
    inbox: 256,
    decided: 256,
    openPerKey: 8,
    perPeerPerHour: 20,
    perKeyPerHour: 20,
    /** for a /24 of IPv4 or a /48 of IPv6, and for one loopback or private address: an office behind it */
    perRangePerHour: 60,
    perPrivateRangePerHour: 1_000,
    asksPerPeerPerHour: 600,
    /** peers, ranges or keys that each rate tells apart */
    tracked: 4_096,
    inFlight: 4,
    timeoutMs: 10 * SECOND,
    /** curators that one submit asks */
    asked: 16,
    /** how long the claim of a name that was granted is waited for */
    arrivalMs: 5 * SECOND,
    /** between two askings of what became of a submission */
    pollMs: 2 * SECOND,
    pollMaxMs: MINUTE,
    /** names that one command decides on */
    decisions: 256,
    /** names like one that are shown, and that are looked at to find them */
    similarShown: 8,
    similarLooked: 256,
    /** names of a registry that are compared one by one; of more, what comes near is looked up */
    similarCompared: 4_096
  })
})
