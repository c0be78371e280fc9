const KiB = 1024

/** Bounds of statements in DSSE envelopes (docs/spec/attestation.md). `attest`, and `perRow` and `perAuthor`, are part of the format. */
export const ATTEST_LIMITS = Object.freeze({
  attest: Object.freeze({
    /** the envelope of a fact; one in a file may hold a predicate that a fact would have to refer to */
    envelopeBytes: 64 * KiB,
    fileBytes: 512 * KiB,
    signatures: 16,
    /** a file with one public key */
    pemBytes: 4 * KiB,
    /** signatures that are tried, each under each key that it may be of */
    tries: 64,
    keyidChars: 256,
    signatureBytes: 1 * KiB,
    payloadTypeChars: 256,
    subjects: 1_024,
    digestsPerSubject: 16,
    nameChars: 1_024,
    digestChars: 256,
    predicateTypeChars: 256,
    jsonDepth: 32,
    /** a predicate that is content of its own, and what one command takes */
    predicateBytes: 512 * KiB,
    /** of a list or a text in a predicate, as far as a summary tells of it */
    summaryItems: 64,
    summaryChars: 500,
    listItems: 16_384
  }),
  attestations: Object.freeze({
    /** of one digest in one registry: what a row holds, and of it what one author says; equal on all nodes */
    perRow: 1_024,
    perAuthor: 256,
    /** what one look-up over all registries answers with */
    shown: 4_096,
    /** releases whose statements are remembered as they were read, with so many in all, and for how long: what time changes is seen after that */
    readReleases: 4_096,
    readRecords: 262_144,
    rereadMs: 60_000,
    /** predicates that are fetched for one look-up */
    fetched: 16,
    /** registries and keys whose word is taken for something */
    trusted: 1_024,
    /** packages of one bill of materials */
    components: 4_096
  })
})
