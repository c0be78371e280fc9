const SECOND = 1000
const DAY = 24 * 60 * 60 * SECOND

/** Bounds of observations (docs/spec/observation.md). The first three are part of the format. */
export const OBSERVATION_LIMITS = Object.freeze({
  observation: Object.freeze({
    /** releases of one package that one fact speaks of: 32 KiB of the 64 that a body has */
    releases: 512,
    /** keys that are heard of one release, those that were named first */
    observers: 16,
    /** what a row of the view holds of one package, the latest releases first */
    perRow: 4_096,
    /** what comes within so long is one statement for each package */
    gatherMs: 60 * SECOND,
    /** what came longer ago is older than any rule asks: it is told on request, and not by itself */
    backMs: 30 * DAY,
    /** packages that wait to be looked at, and facts that one round writes; the next round goes on */
    waiting: 65_536,
    factsPerRound: 256,
    /** facts that one command writes: asked for again it goes on */
    factsPerCommand: 1_024,
    /** releases that an answer names */
    named: 64
  })
})
