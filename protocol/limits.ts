import { ADVISORY_LIMITS } from './advisory/limits.ts'
import { OBSERVATION_LIMITS } from './observation/limits.ts'
import { ATTEST_LIMITS } from './attest/limits.ts'
import { CONNECTION_LIMITS } from './connection-limits.ts'
import { DAG_LIMITS } from './dag/limits.ts'
import { DHT_LIMITS } from './dht-limits.ts'
import { DOCUMENT_LIMITS } from './document/limits.ts'
import { FOREIGN_LIMITS } from './foreign/limits.ts'
import { GATEWAY_LIMITS } from './gateway/limits.ts'
import { HAVE_LIMITS } from './have/limits.ts'
import { MEMBERSHIP_LIMITS } from './membership/limits.ts'
import { POLICY_LIMITS } from './policy/limits.ts'
import { PUBLISHER_LIMITS } from './publisher/limits.ts'
import { REACH_LIMITS } from './reach-limits.ts'
import { SOLVER_LIMITS } from './solver/limits.ts'
import { STORE_LIMITS } from './store-limits.ts'
import { SUBMIT_LIMITS } from './submit-limits.ts'
import { SYNC_LIMITS } from './sync/limits.ts'

const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000
const MINUTE = 60 * SECOND

/**
 * Every bound the node enforces. A loop, queue, buffer, message or file without an entry here is a bug.
 * Units are last in the name. Shape limits (`fact`, `names`, `content`) are part of the wire format: they are
 * constants over the bytes, equal on all nodes. The rest is local and may be tightened without a new version.
 */
export const LIMITS = Object.freeze({
  fact: Object.freeze({
    bodyBytes: 64 * KiB,
    /** body + 64 bytes of signature + the map around them */
    envelopeBytes: 64 * KiB + 256,
    seq: 9_999,
    chainsPerAuthorAndSubject: 16,
    cborDepth: 16,
    /** heads of items in one payload; the largest manifest has 3,500 */
    cborItems: 8_192,
    keysPerList: 64,
    reasonChars: 500,
    yanksPerUnyank: 64,
    resolvedFacts: 64
  }),
  names: Object.freeze({
    nameChars: 214,
    versionChars: 128,
    rangeChars: 256,
    referenceChars: 512,
    aliasChars: 64,
    registryNameChars: 64
  }),
  manifest: Object.freeze({
    fileBytes: 256 * KiB,
    titleChars: 200,
    descriptionChars: 4_096,
    keywords: 64,
    keywordChars: 64,
    authors: 64,
    authorChars: 200,
    urlChars: 2_048,
    licenseChars: 200,
    dependencies: 256,
    notes: 64,
    noteChars: 300,
    executables: 256,
    tomlDepth: 32
  }),
  content: Object.freeze({
    chunkBytes: 1 * MiB,
    blockBytes: 2 * MiB,
    fileBytes: 256 * MiB,
    packageBytes: 512 * MiB,
    entries: 50_000,
    depth: 32,
    segmentBytes: 255,
    pathBytes: 1_024,
    /** children of one UnixFS file node (profile unixfs-v1-2025) */
    fileLinks: 1_024,
    /** a directory, a shard or a file node; only raw leaves are larger (profile unixfs-v1-2025) */
    nodeBytes: 256 * KiB,
    /** a 64-bit hash, 8 bits a level */
    shardDepth: 8,
    /** parsed nodes that one walk keeps for the next visit */
    nodesRemembered: 64,
    /** visits of blocks in one walk over a package, repeated ones included */
    blocks: 131_072
  }),
  /** Archives that others made. */
  foreign: FOREIGN_LIMITS,
  pending: Object.freeze({
    facts: 1_024,
    bytes: 4 * MiB,
    factsPerSource: 256,
    bytesPerSource: 1 * MiB
  }),
  /** A file of facts that people hand to each other (docs/spec/fact-file.md). */
  factFile: Object.freeze({
    bytes: 4 * MiB,
    facts: 4_096,
    /** readings of one file, until nothing in it waits for something else in it */
    passes: 64
  }),
  /** A file that proves a fork to anybody (docs/spec/proof.md). */
  proof: Object.freeze({ bytes: 4 * MiB, facts: 64 }),
  /** What one command writes about who may do what. */
  authoring: Object.freeze({
    /** revocations of one key, each over its part of the names */
    revokes: 256,
    /** changes below each other that all wait for signatures */
    waitingChanges: 64,
    /** packages in which a key is replaced by another */
    packages: 10_000
  }),
  /** A package's row of the view: constants, because the row must be equal on all nodes. */
  view: Object.freeze({
    /** contents and yanks of all versions, about; the lowest versions are left out first */
    versionsBytes: 4 * MiB,
    contentsPerVersion: 8,
    yanksPerVersion: 64,
    quarantinesPerVersion: 16,
    setAside: 1_024,
    /** facts of one author about one subject with which the fold throws, before all are set aside; of all authors, and facts folded to find them, before it fails */
    unfoldable: Object.freeze({ perAuthor: 4, rounds: 64, folded: 1_000_000 }),
    grants: 16_384,
    forks: 256,
    factsPerFork: 8
  }),
  admission: Object.freeze({
    factsPerBatch: 256,
    queuedBatches: 64,
    /** what one write may hold: more facts, keys or bytes of rows go into the next */
    factsPerWrite: 512,
    factBytesPerWrite: 16 * MiB,
    keysPerWrite: 4_096,
    rowBytesPerWrite: 16 * MiB,
    /** facts from one peer that are looked at per second, and in one burst; sync offers the others again */
    factsPerPeerPerSecond: 5_000,
    burstPerPeer: 20_000,
    peersTracked: 1_024
  }),
  gossip: Object.freeze({
    rpcBytes: 256 * KiB,
    messageBytes: 64 * KiB,
    /** a larger fact is announced by its id and fetched by whoever lacks it */
    inlineFactBytes: 32 * KiB,
    decode: Object.freeze({
      subscriptions: 64,
      messages: 64,
      control: 64,
      ihaveIds: 500,
      iwantIds: 500,
      idontwantIds: 256,
      peerInfos: 16,
      /** all fields of an RPC, whatever they are */
      fields: 4_096
    }),
    seenMs: 10 * MINUTE,
    /** messages kept for whoever subscribes next, when nobody had yet; the oldest go first, and come when sets are compared */
    untold: 64,
    /** facts of one page of a comparison that are told on; more is what somebody who was away catches up with */
    toldOn: 8,
    outboundBufferBytes: 4 * MiB,
    topicBytesPerPeer: 64 * KiB,
    validationsInFlight: 64
  }),
  hello: Object.freeze({
    messageBytes: 8 * KiB,
    registries: 64,
    versions: 8,
    agentChars: 128,
    timeoutMs: 5 * SECOND,
    /**
     * Streams of one connection that may wait for the verdict, and bytes that each may pile up meanwhile. A host has 18
     * protocols, and whoever was let in a moment before us opens one of each: fewer would break off what an honest peer asks.
     */
    waitingStreams: 24,
    waitingBytes: 64 * KiB
  }),
  ...SYNC_LIMITS,
  ...DAG_LIMITS,
  ...STORE_LIMITS,
  ...GATEWAY_LIMITS,
  ...HAVE_LIMITS,
  ...ATTEST_LIMITS,
  ...ADVISORY_LIMITS,
  ...OBSERVATION_LIMITS,
  ...SUBMIT_LIMITS,
  connections: CONNECTION_LIMITS,
  streams: Object.freeze({
    yamuxInbound: 64,
    yamuxOutbound: 128,
    yamuxWindowBytes: 1 * MiB,
    readBufferBytes: 4 * MiB,
    writeBufferBytes: 4 * MiB,
    hello: 2,
    facts: 4,
    submit: 2,
    /** one, and the one that follows it when it broke */
    sync: 2,
    kad: 16,
    bitswap: 32,
    identify: 2,
    ping: 2,
    gossip: 2
  }),
  bitswap: Object.freeze({
    messageBytes: 4 * MiB - 18,
    /** wants of one peer that are remembered; beyond them those go first that are not here */
    wantsPerPeer: 1_024,
    /** what is read for one peer and sent before the next is, and for how many at once; for those who read slowly, for few */
    batchBytes: MiB,
    batches: 12,
    slowBatches: 4,
    /** below that rate, and after that time, somebody is slow */
    bytesPerSecond: 16 * KiB,
    graceMs: 2 * SECOND,
    /** nothing is sent twice to one peer within that time */
    resendMs: 5 * SECOND,
    /** a block that is smaller than this is sent to who asks whether it is here */
    inlineBytes: KiB,
    cidBytes: 168,
    /** fields in one message; one with 1,024 wants has 6,200 */
    fields: 8_192
  }),
  ...DHT_LIMITS,
  fetch: Object.freeze({
    /** a peer that has not answered by then is no longer the only one asked */
    hedgeMs: SECOND,
    /** js bitswap does not send one block to one peer twice within 5 s, so asking sooner is useless */
    reaskMs: 6 * SECOND,
    blockTimeoutMs: 30 * SECOND,
    packageTimeoutMs: 10 * MINUTE,
    /** neighbours that are asked for one block, and peers that the DHT names for it */
    providers: 16,
    /** how often a call tells how far it is, and over how many of those the rate is taken */
    tellMs: SECOND / 2,
    progressSamples: 8,
    /** peers that a message about a fetch names */
    namedPeers: 8,
    /** so many silent ones, and the DHT is asked beside the next */
    askedBeforeLookup: 4,
    concurrentBlocks: 32,
    /** directories of one package that are asked for at once, 256 KiB each at most */
    nodesAhead: 16,
    concurrentPackages: 4,
    /** the same with those that have come and are being made durable */
    packagesUnderWay: 32,
    mirrorQueue: 100_000,
    /** between the arrival of a peer and the next try for what nobody had */
    retryMs: 500,
    /** what nobody sent is asked for again after so long, and after twice as long each time that nothing came */
    retryFailedMs: 15 * SECOND,
    retryFailedMaxMs: 10 * MINUTE
  }),
  /** folders read at a time; each has four chunks of 1 MiB in memory */
  publish: Object.freeze({ concurrentFolders: 4 }),
  install: Object.freeze({ packages: 1_000, depth: 100, lockfileBytes: 16 * MiB }),
  project: Object.freeze({
    /** `.ggen/project.toml`, or the `ggen.toml` that it may be in */
    fileBytes: 1 * MiB,
    overrides: 256,
    journalBytes: 1 * MiB,
    /** what the last install knows of its own files, so that the next one need not read them */
    stateBytes: 64 * MiB,
    /** files that one message names */
    namedFiles: 20,
    warnings: 1_000,
    /** files that are looked at before others have a turn */
    statsPerTurn: 512,
    /** how long a command waits for another one that works on the same project */
    lockWaitMs: 60 * SECOND,
    lockPollMs: 50,
    /** a file changed so shortly before it was looked at may change again without its times showing it */
    raceMs: 20
  }),
  solver: SOLVER_LIMITS,
  document: DOCUMENT_LIMITS,
  membership: MEMBERSHIP_LIMITS,
  policy: POLICY_LIMITS,
  publisher: PUBLISHER_LIMITS,
  reach: REACH_LIMITS,
  search: Object.freeze({ queryChars: 200, results: 100, completions: 500, nearNames: 6 }),
  localApi: Object.freeze({
    requestBytes: 1 * MiB,
    responseBytes: 64 * MiB,
    connections: 256,
    timeoutMs: 15 * MINUTE,
    connectTimeoutMs: 5 * SECOND
  }),
  peers: Object.freeze({
    bootstrap: 64,
    remembered: 256,
    identifyBytes: 8 * KiB,
    identifyMessages: 10,
    /** records of peers in memory, and how long a change waits to be written */
    cached: 1_024,
    /** records of peers on disk, of all that ever connected */
    stored: 10_000,
    /** of those that a registry was reconciled with, what is remembered: that there is more than one */
    sources: 2,
    /** How long a private registry counts as read after it was last compared with somebody to the end. */
    heardMs: 24 * 60 * MINUTE,
    /** Between two writes of when a registry was last compared: what a crash loses of it is no more. */
    heardEveryMs: 10 * MINUTE,
    writeLaterMs: 5 * SECOND
  }),
  /** What is known of a registry outside its set: facts of revoked authors. What is beyond is forgotten. */
  cut: Object.freeze({ facts: 4_096, bytes: 8 * MiB }),
  takedown: Object.freeze({ blocks: 1_000_000 }),
  /** The look through all that is stored, after a start: a little at a time, one part in ten of a processor. */
  scrub: Object.freeze({ afterMs: 30 * SECOND, workMs: 5, restMs: 45 }),
  storage: Object.freeze({
    /** facts that are read before others have a turn */
    readAtOnce: 128,
    /** single reads that go to the disk as one */
    readsTogether: 64,
    readAheadEntries: 1_000,
    readAheadBytes: 128 * KiB,
    headFileBytes: 1 * KiB,
    startsFileBytes: 16,
    /** starts in a row whose process ended within `settledMs` and without closing the store, until it moves to new files */
    startsUntilRebuild: 3,
    settledMs: 10 * MINUTE,
    /** how far that file may be behind writes that nobody waits for */
    headLaterMs: 2 * SECOND,
    ballastBytes: 16 * MiB,
    readOnlyFreeBytes: 64 * MiB,
    /** percent of the whole disk; the smaller of the two bounds holds, see storage/disk-space.ts */
    readOnlyFreePercent: 2,
    freeCheckMs: 10 * SECOND,
    /** how long reading and writing small files keeps the thread before others have a turn */
    turnMs: 5,
    /** a block up to this size is written without going to another thread */
    writeNowBytes: 64 * KiB,
    /**
     * A larger one too, so that a process that is killed has lost no block that came whole; until so many more took longer than this than
     * did not: then as many are left to another thread
     */
    writeNowMs: 20,
    slowWrites: 4,
    writesElsewhere: 32,
    /** large blocks that are made durable while others are written, and those of which it is remembered that they are */
    syncsAhead: 4,
    syncedRemembered: 1_024,
    keyChars: 1_024,
    valueBytes: 16 * MiB,
    batchOperations: 65_536,
    batchBytes: 64 * MiB,
    quarantinedBlocks: 16,
    /** files of one package on their way to the disk; each holds a handle */
    syncsInFlight: 16,
    lockAttempts: 16,
    lockBytes: 1 * KiB,
    subjectCacheEntries: 4_096,
    /** payload bytes of the facts in that cache; what they take in memory is a few times as much */
    subjectCacheBytes: 24 * MiB
  }),
  keys: Object.freeze({
    fileBytes: 4 * KiB,
    passphraseChars: 1_024,
    nameChars: 64,
    files: 256,
    /** imported public keys kept by the verifier: about 1 KiB each */
    cachedVerifiers: 4_096,
    scryptMinN: 2 ** 15,
    scryptMaxN: 2 ** 18
  }),
  doctor: Object.freeze({
    /** facts that came last, whose times are compared with the clock */
    recentFacts: 512,
    recentBytes: 4 * MiB,
    /** countings of a store, until no write comes in between */
    attempts: 5,
    /** how long a look at one port may take */
    portMs: 2 * SECOND,
    /** processes that are asked whether they hold a port */
    processes: 4_096
  }),
  backup: Object.freeze({
    /** one record of a backup file: a block, or a page of facts */
    recordBytes: 4 * MiB,
    records: 2 ** 32,
    factsPerRecord: 512,
    factBytesPerRecord: 1 * MiB,
    addressChars: 1_024,
    /** blocks that are remembered as written, so that files shared between packages are written once */
    blocksRemembered: 1_000_000,
    /** readings of a backup, until nothing in it waits for something else in it */
    passes: 64
  }),
  config: Object.freeze({ fileBytes: 256 * KiB, registries: 64, swarms: 16 }),
  /** what a program that embeds a node may have open at a time */
  embedding: Object.freeze({ calls: 256, listeners: 64 }),
  lifecycle: Object.freeze({ stopMs: 10 * SECOND, startMs: 60 * SECOND, detachMs: 10 * MINUTE }),
  timers: Object.freeze({ delayMs: 2 ** 31 - 1 }),
  metrics: Object.freeze({ series: 256, librarySeries: 256, labelValues: 64, sampleMs: 5 * SECOND, samples: 13 }),
  log: Object.freeze({ messageChars: 2_048 }),
  clockSkewMs: 5 * MINUTE
})
