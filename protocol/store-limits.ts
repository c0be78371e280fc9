const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000
const MINUTE = 60 * SECOND

/** Bounds of keeping the bytes of packages: pins, the quota, garbage collection and the look through all blocks. */
export const STORE_LIMITS = Object.freeze({
  store: Object.freeze({
    pins: 4_096,
    /** projects whose packages are pinned; of more, the one that was installed longest ago is forgotten */
    projects: 4_096,
    projectPathChars: 4_096,
    /** roots of one space that one collection tells apart */
    roots: 1_000_000,
    /** blocks that one collection remembers as reached: 8 bytes each, at most half full, and half as much again while it grows */
    marks: 16_000_000,
    /** the smallest quota: what the largest file of one chunk and its nodes need */
    quotaMinBytes: 4 * MiB,
    quotaMaxBytes: 2 ** 50,
    /** of a quota, percent that a collection it made necessary leaves in use, so that the next fetch does not need another one */
    quotaTargetPercent: 90,
    /** after a collection that made too little room, whatever does not fit is refused at once for so long */
    fullMs: 30 * SECOND,
    /** between two writings of when a root was last used: what a crash forgets of it is no more */
    usedEveryMs: 10 * MINUTE,
    /** blocks that are counted, marked or deleted before others have a turn */
    blocksPerTurn: 128,
    /** folders of one store that are counted at a time */
    countsAtOnce: 4,
    /** times that a folder is counted again because it changed meanwhile */
    countAttempts: 3,
    /** damaged or missing content that one report names */
    named: 20,
    /** bytes that the look in the background reads, on average: 4 GiB in 70 minutes */
    scrubBytesPerSecond: 1 * MiB,
    /** what a small block, and one that is only looked for, counts as: a look at the disk costs more than the bytes */
    scrubLookBytes: 1 * KiB,
    /** between the end of one look through all blocks and the begin of the next */
    scrubEveryMs: 24 * 60 * MINUTE,
    /** how often it is looked whether that time has come */
    scrubLookMs: 60 * MINUTE,
    /** for how long content that was lost, and that nothing pins, is asked for again */
    lostMs: 24 * 60 * MINUTE,
    scrubRecordBytes: 4 * KiB,
    /** facts that are to name one content and are not written: of more, the content stays whatever becomes of them */
    unsaidBy: 64,
    /** room that is made for a secret before it is: no token is as large */
    secretFileBytes: 16 * KiB
  }),
  segments: Object.freeze({
    /** a block up to this size lives in a file with others; a larger one has a file of its own */
    blockBytes: 64 * KiB,
    /** a file takes no more once it has so many bytes or records */
    fileBytes: 16 * MiB,
    fileRecords: 65_536,
    /** blocks of one store whose places are remembered, 60 bytes each; what comes then has files of its own */
    blocks: 1_000_000,
    /** files of one store that are open at a time */
    openFiles: 16,
    /** of a file, percent that deletions left in it before a collection writes the rest of it anew */
    deadPercent: 25,
    /** what is written since its index is, before closing writes the index again: as much is read when the store opens */
    unindexedBytes: 1 * MiB,
    /** parts that a walk over small blocks goes through: what is listed at once */
    parts: 32
  }),
  trace: Object.freeze({
    /** contents of one space of which it is remembered how they came */
    roots: 1_024,
    /** peers and gateways that one of them tells apart, and how long what names one may be */
    sources: 32,
    fromChars: 512,
    /** what others said, line by line */
    lines: 16,
    lineChars: 1_024
  }),
  mirror: Object.freeze({
    /** nobody has written to a half written file for so long: the process that did is gone */
    leftoverMs: 60 * MINUTE,
    /** how many may be asked to hold one content */
    factor: 64,
    /** between a change and the look that it makes necessary: a thousand facts are one look */
    planMs: SECOND / 4,
    /** between two looks when nothing is told: peers say of their own accord what they hold, and nobody is told of it */
    lookMs: 30 * SECOND,
    /** questions to the DHT, one after the other: ten thousand contents are asked about in a day */
    lookupsPerMinute: 12,
    /** contents of which it is remembered whom the DHT named, and how long before it is asked again */
    lookups: 10_000,
    lookupFreshMs: 60 * MINUTE,
    /** between two announcements of one content that too few hold, and how many of them one look makes */
    provideAgainMs: 30 * MINUTE,
    providesPerLook: 64,
    /** contents of a registry of which is written down since when a mirror waits for them, the longest first */
    missingRemembered: 512,
    /** facts, or contents, of the files that an export is based on: 200 MB while it is written */
    baseEntries: 1_000_000,
    /** contents whose last failure is remembered */
    failures: 1_024,
    /** of what was tried for it, so many lines */
    tried: 16,
    /** peers that were seen to leave: what the DHT still says of them counts for nothing */
    gone: 1_024,
    /** contents that a report names */
    named: 20
  }),
  /** Rows that are kept as they were read: so many, so many bytes of them, and none that is larger than that. */
  openRows: Object.freeze({ rows: 1_024, bytes: 1 * MiB, rowBytes: 64 * KiB })
})
