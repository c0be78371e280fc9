const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000

/** Bounds of the DHT: what strangers may leave in it, and how long it is asked. Part of `LIMITS`. */
export const DHT_LIMITS = Object.freeze({
  dht: Object.freeze({
    /** peers in a bucket, closest ones that a query ends with, and nodes that a record is told to */
    bucket: 20,
    /** the same among members, of whom each is told about new content anyway: every query connects to as many */
    bucketOfMembers: 8,
    recordsPerPeer: 1_000,
    providersPerKey: 20,
    records: 100_000,
    recordBytes: 8 * KiB,
    totalBytes: 64 * MiB,
    provideQueue: 10_000,
    /** what was installed is announced so long after that */
    provideAfterMs: 2_000,
    provideMs: 30 * SECOND,
    /** so long somebody may keep a node from announcing anything new */
    holdMs: 30 * SECOND,
    lookupMs: 3 * SECOND,
    messageBytes: 256 * KiB,
    /** fields in one message; one with 20 closer peers and 20 providers, 16 addresses each, has 800 */
    fields: 2_048
  })
})
