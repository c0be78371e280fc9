const KiB = 1024

/** Bounds of advisories (docs/spec/advisory.md). All but the last four are part of the format. */
export const ADVISORY_LIMITS = Object.freeze({
  advisory: Object.freeze({
    /** a record in a fact, beside the key, the head and the position */
    recordBytes: 60 * KiB,
    idChars: 128,
    summaryChars: 500,
    /** packages that one record is about, and the ranges, events and versions of one of them */
    affected: 256,
    ranges: 64,
    events: 512,
    versions: 4_096,
    aliases: 64,
    severities: 16,
    /** what a row of the view holds of one package, lowest id first */
    perRow: 512,
    rowBytes: 512 * KiB,
    /** a record in a file: white space and packages of other ecosystems are left out of the fact */
    fileBytes: 1024 * KiB,
    /** files that one command reads */
    files: 4_096,
    /** registries that are read for one release, and advisories told of it */
    registries: 256,
    told: 256,
    /** other versions of one package that are looked at, and attempts to move to them */
    alternatives: 64,
    attempts: 3
  })
})
