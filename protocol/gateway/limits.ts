const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000
const MINUTE = 60 * SECOND

/** Bounds of plain HTTP: what is served to strangers, and what is asked of gateways that the configuration names. */
export const GATEWAY_LIMITS = Object.freeze({
  gateway: Object.freeze({
    listeners: 4,
    connections: 256,
    headerBytes: 8 * KiB,
    headers: 64,
    /** a CID, and a path whose every byte is percent-encoded */
    urlChars: 4 * KiB,
    acceptChars: 1 * KiB,
    /** of the name that a reader wants for its file; a longer one is not used */
    filenameChars: 255,
    acceptEntries: 16,
    requestsPerConnection: 1_000,
    headersMs: 10 * SECOND,
    /** between two requests of one connection */
    keepAliveMs: 5 * SECOND,
    /** answers under way: in all, to one /32 of IPv4 or /64 of IPv6, and to one loopback or private address, which may be a proxy or an office */
    answers: 64,
    answersPerAddress: 8,
    answersPerPrivateAddress: 48,
    perSecond: 50,
    burst: 200,
    perSecondPrivate: 2_000,
    burstPrivate: 4_000,
    tracked: 4_096,
    /** wrong tokens from one address */
    wrongTokensPerMinute: 10,
    tokenChars: 512,
    /** how long a token is good for unless told otherwise, and at most */
    tokenMs: 30 * 24 * 60 * MINUTE,
    tokenMaxMs: 365 * 24 * 60 * MINUTE,
    /** what is written at once, and below which rate a reader loses the connection */
    pieceBytes: 256 * KiB,
    idleMs: 5 * SECOND,
    bytesPerSecond: 16 * KiB,
    answerMs: 30 * MINUTE,
    /** shards that are read to find one name */
    shardsPerName: 2_048,
    /** how long a request waits to learn whether a block may be shown */
    lookMs: 10 * SECOND,
    /** the same where the answer was yes before there was news: after it, that is still the answer */
    staleMs: SECOND / 2,
    /** between two readings of all that registries hold: how long something may be shown that a revocation took out */
    rescanMs: 5 * SECOND,
    /** packages with news that are looked at one by one; with more, all are */
    notedPackages: 1_024,
    /** blocks that are known to be reachable, 16 bytes each */
    reachableBlocks: 4 * MiB,
    /** roots whose blocks are known, for whoever asks for parts of them; and those blocks, 16 to 32 bytes each */
    belowRoots: 1_024,
    belowBlocks: MiB,
    /** between two readings of a root that is not here as a whole */
    rereadMs: SECOND,
    closeMs: 2 * SECOND
  }),
  gatewaySource: Object.freeze({
    gateways: 8,
    urlChars: 512,
    headerBytes: 16 * KiB,
    /** what an error says for a person */
    errorChars: 120,
    carHeaderBytes: 8 * KiB,
    /** a CID in front of a block */
    cidBytes: 96,
    /** bytes of one answer that nobody had asked for */
    wastedBytes: 4 * MiB,
    connectMs: 5 * SECOND,
    /** until the first byte of an answer */
    answerMs: 10 * SECOND,
    /** below this rate over the window a gateway is left */
    bytesPerSecond: 16 * KiB,
    windowMs: 10 * SECOND,
    requests: 8,
    /** peers have so long before a gateway is asked beside them */
    hedgeMs: SECOND,
    /** who sent wrong bytes is not asked again for so long */
    liedMs: 60 * MINUTE
  })
})
