const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000
const MINUTE = 60 * SECOND

/** Bounds of what hosts tell each other they hold. `roots` to `messageBytes` are part of the format. */
export const HAVE_LIMITS = Object.freeze({
  have: Object.freeze({
    /** roots in one filter; who holds more tells nothing, and is asked like anybody of whom nothing is known */
    roots: 2 ** 19,
    saltBytes: 16,
    /** in a delta: the first six bytes of the hash of a root */
    hashBytes: 6,
    /** roots that deltas may add to a filter and take from it, all together */
    changes: 4_096,
    /** a filter of ten bits a root, or a delta, and the map around it */
    messageBytes: (2 ** 19 * 10) / 8 + 256,

    /** changes wait so long for others, and go out together */
    changeMs: SECOND / 2,
    /** changes after which a new filter is made, or more where the filter is large: a part of its roots */
    changesUntilFilter: 256,
    changesPerRoot: 1 / 19,
    /** a host that has nothing new says so, and what it said is forgotten when it says nothing for longer */
    stillMs: 5 * MINUTE,
    silentMs: 12 * MINUTE,
    writeMs: 10 * SECOND,
    /** what one peer may send: messages and bytes at once, and a second */
    burstMessages: 600,
    messagesPerSecond: 4,
    burstBytes: 4 * MiB,
    bytesPerSecond: 32 * KiB,
    /** filters of all peers together; of whoever comes then nothing is kept */
    bytesInAll: 64 * MiB,
    /** a place in the filter is remembered every so many roots, so that a look-up reads no more than these */
    rootsPerSkip: 32,
    /** so often a peer may have said that it has what it had not, until that is more than one time in `wrongPart` */
    wrong: 8,
    wrongPart: 10,
    streams: 2
  })
})
