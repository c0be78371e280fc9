const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000
const MINUTE = 60 * SECOND

/** The part of `LIMITS` that is about keeping sets equal. Read it there. */
export const SYNC_LIMITS = Object.freeze({
  /** Facts by their ids, for what gossip announced. */
  facts: Object.freeze({
    requestBytes: 8 * KiB,
    idsPerRequest: 128,
    responseBytes: 1 * MiB,
    /** room in a response for the map and the length of each fact */
    overheadBytes: 16 * KiB,
    requestsPerStream: 2_000,
    timeoutMs: 20 * SECOND,
    servedInFlight: 16,
    /** of those, for one peer */
    servedPerPeer: 3
  }),
  sync: Object.freeze({
    /** one reconciliation message; a message about facts has up to `pageBytes` */
    frameBytes: 64 * KiB,
    /** of one reconciliation message; the largest that is written has 3,500 */
    rangesPerMessage: 4_096,
    pageBytes: 1 * MiB,
    /** room in a page for the map and the length of each fact */
    overheadBytes: 16 * KiB,
    /** facts in one message, and ids in one request */
    pageFacts: 128,
    /** facts that are pushed in one go; a side that lacks more asks for them itself */
    pushFacts: 8,
    intervalMs: 60 * SECOND,
    /** a command waits so long for the first comparison of a registry */
    patienceMs: MINUTE,
    /** how long a reason to reconcile waits for others like it */
    soonMs: SECOND,
    /** the side that was dialled opens a session when it hears nothing for so long */
    listenMs: 5 * SECOND,
    /** after a refusal for lack of room */
    retryMs: 5 * SECOND,
    /** for one answer */
    answerMs: 20 * SECOND,
    /** a session that others wait for gives its place up after so long, and goes on in its turn */
    sessionMs: 20 * SECOND,
    sessionsInFlight: 4,
    /** of those, with one peer */
    sessionsPerPeerInFlight: 2,
    /** a session of a peer that says nothing for so long is forgotten */
    idleMs: MINUTE,
    /** comparisons in one session, with a transfer after each: 2,000 facts each way */
    roundsPerSession: 1_024,
    /** ids that are gathered before facts are moved */
    gathered: 16_384,
    /** answers in one session without one of the facts that were asked for */
    emptyAnswers: 16,
    /** ids in one session that are not asked for again */
    passedOver: 16_384,
    /** sessions of one peer that are answered, and messages that compare: in a burst, and per second */
    sessionsPerPeer: 64,
    comparisonsBurst: 128,
    comparisonsPerSecond: 20,
    /** pages under way to or from the store for others */
    servedInFlight: 16,
    /** answers to sessions that were given up; more are not believed */
    abandoned: 64
  }),
  /** A newcomer's first reading of a registry, as one CAR stream. */
  snapshot: Object.freeze({
    headerBytes: 256,
    bytes: 4 * 1024 * MiB,
    facts: 4_000_000,
    /** between two pieces, on both sides */
    chunkMs: 20 * SECOND,
    chunkBytes: 256 * KiB,
    /** what must have come on the whole, once the first seconds are over */
    bytesPerSecond: 32 * KiB,
    graceMs: 20 * SECOND,
    /** facts of one batch for the gate */
    batchFacts: 256,
    batchBytes: 1 * MiB,
    served: 2,
    tries: 3,
    /** how long others wait for one that is under way */
    aloneMs: 60 * SECOND,
    /** facts that the gate has no room for, or that are invalid, until the rest is left to reconciliation */
    refused: 256
  })
})
