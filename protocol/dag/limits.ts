const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000

/** Bounds of the stream that carries content. `wants`, `requestBytes` and `busyBytes` to `addressChars` are part of the format. */
export const DAG_LIMITS = Object.freeze({
  dag: Object.freeze({
    /** CIDs that one request names */
    wants: 4_096,
    /** the wants, 33 bytes each, and the map around them */
    requestBytes: 4_096 * 33 + 256,
    /** the peers that are named to whom there was no room for */
    busyBytes: 4 * KiB,
    peers: 8,
    peerChars: 64,
    addressesPerPeer: 2,
    addressChars: 192,
    requestsPerStream: 4_096,

    /** content of at most so many bytes is asked for as a whole, nodes and leaves in one go */
    eagerBytes: 64 * KiB,
    /**
     * Several contents as small as that, of one registry, are asked for with one request: so many of them, and the bytes that
     * their releases declare together. What does not come that way comes in its own
     */
    rootsTogether: 128,
    togetherBytes: 1 * MiB,
    /** what comes of it with all nodes, and what the nodes of one of them may have: more is fetched alone */
    togetherAllowedBytes: 4 * MiB,
    togetherNodeBytes: 256 * KiB,
    /** how long all of such an answer may take, before each is asked for alone */
    togetherMs: 10 * SECOND,
    /** bytes of blocks of such contents that are remembered from their arrival until they are put in their places */
    freshBytes: 8 * MiB,
    /** leaves that one request names, and the bytes that they are thought to have: what one peer has in hand at a time */
    leavesPerRequest: 512,
    leafBytesPerRequest: 4 * MiB,
    /** requests of one stream that wait for their answer, so that the peer is never idle */
    requestsAhead: 2,
    /** leaves that are looked up on the own disk at once */
    lookupsAtOnce: 32,
    /** peers that send parts of one content at once, where this much at least is free for another one */
    peersAtOnce: 3,
    spreadBytes: 8 * MiB,
    /** blocks on their way to the disk: at once, and bytes after which the peers are held back until half is written */
    writesAtOnce: 8,
    writeAheadBytes: 4 * MiB,

    /** below this rate a peer is passed over after a look, and left after the window */
    bytesPerSecond: 16 * KiB,
    windowMs: 10 * SECOND,
    /** until a stream is open: others are asked meanwhile, and one that is given up was work for nothing on both sides */
    openMs: 15 * SECOND,
    /** what is told of why a peer was left */
    reasonChars: 80,
    /** strikes for bytes that are not the block they stand for: enough to be cut at once */
    lieStrikes: 8,
    /** who had no room is asked again after so long, and twice as long each time up to this; until nothing came for the last of them */
    busyMs: SECOND / 2,
    busyMostMs: 4 * SECOND,
    busyGiveUpMs: 60 * SECOND,
    /**
     * peers that were named: in all, how many are dialled, in all and of one answer, and for how long; those whom somebody without room
     * names are here, and as busy as he is
     */
    namedPeers: 64,
    namedDials: 16,
    namedDialsAtOnce: 3,
    namedDialMs: 3 * SECOND,
    crowdDialMs: 8 * SECOND,

    /** who broke off is sought again: so often, so many at once, after a pause that doubles, and so long a dial on a busy machine */
    lostTries: 3,
    lostAtOnce: 4,
    lostPauseMs: SECOND,
    lostDialMs: 10 * SECOND,

    /** another peer is asked too after so many times what four in five answers took, and not sooner than this */
    hedgeFactor: 4,
    hedgeLeastMs: 100,
    /** the same while nobody has shown anything */
    hedgeUnknownMs: SECOND / 2,
    /** when nobody answers for so long, the content is looked for in other ways */
    giveUpMs: 3 * SECOND,
    /** peers that are asked at once while none of them answers: twice as many after each wait, up to this */
    hedgedAtOnce: 4,
    /** whoever did not answer in time is among the last to be asked for so long */
    silentMs: 60 * SECOND,
    peersShown: 1_024,
    /** what a slow peer waits for is asked of one that is so many times faster, when there is nothing else to ask it for */
    stealFactor: 2,
    /** the least that a request is for, where several peers share what is left */
    shareBytes: 1 * MiB,

    /** what is served: in all, to one peer, and of one root, to one peer once */
    uploads: 16,
    uploadsPerPeer: 4,
    uploadsPerRoot: 3,
    /** streams of one connection: one for each package that is fetched at once, and one each that is just ending */
    streams: 8,
    /** small blocks are gathered into pieces of about so much */
    pieceBytes: 256 * KiB,
    /** which are sent in bits of so much: with the header of a frame of yamux they fill one message of noise */
    bitBytes: 65_519 - 12,
    /** where an operator bounds what is sent: so much at once, or what goes in so many milliseconds where that is more */
    throttledBytes: 32 * KiB,
    throttledMs: 10,
    /** what may be sent after its time: how much later than they were set timers are in a process that has much to do */
    throttleSlackMs: 100,
    /** a block above this is read from the disk without holding up anybody else */
    readNowBytes: 64 * KiB,
    /** until the first request on a stream, which has no place before: who has just opened it may have much else to do */
    firstMs: 30 * SECOND,
    /** between two requests on a stream, and what is added to the time that a piece may take */
    idleMs: 10 * SECOND,
    /** how long a request waits to learn what of it may be sent, after a start with many packages */
    lookMs: 5 * SECOND,
    /** roots of which it is remembered who got what of them from here; of each so many leaves, and leaves that were kept from somebody */
    rootsRemembered: 64,
    leavesRemembered: 4_096,
    refusalsRemembered: 16_384,
    /**
     * Content that many ask for: more than there are places for it, at once or within this time. While that lasts, each leaf goes to so
     * many peers, and others are sent to those. Little content is not worth the way.
     */
    crowdMs: 30 * SECOND,
    crowdBytes: 4 * MiB,
    copies: 3,
    /** whoever was sent elsewhere gets it here too when it asks again for the same after so long */
    referMs: 5 * SECOND,
    /** and asks for it when nobody has sent anything for so long, or no whole block for the longer time, or when there is nobody else */
    lonelyMs: 10 * SECOND,
    lonelyMostMs: 30 * SECOND,
    /** the least that an operator may bound uploads or downloads to, a second */
    leastRate: 64 * KiB
  })
})
