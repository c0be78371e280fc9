const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000

/** The part of `LIMITS` that is about documents of descriptive metadata. Read it there. */
export const DOCUMENT_LIMITS = Object.freeze({
  /** one change; it travels in a fact and is never compressed */
  changeBytes: 60 * KiB,
  /** of one change */
  edits: 256,
  deps: 64,
  /** values that one operation replaces: it settles so many at most */
  predecessors: 1_024,
  /** other actors that one change mentions */
  actorsPerChange: 256,
  /** edits that one follows, or a rollover folds */
  after: 64,
  /** changes that stand for an edit: never more than another one may follow */
  stands: 64,
  keyBytes: 256,
  segments: 3,
  /** of a link */
  urlChars: 2_048,
  /** operations, bytes of changes, and actors of one document, until an owner rolls it over */
  ops: 100_000,
  bytes: 1 * MiB,
  actors: 1_000,
  /** parts of that, of all and of one author: for edits that put something, and for these and deletions together */
  roomForPuts: Object.freeze({ all: 0.75, one: 0.5 }),
  roomForDeletes: Object.freeze({ all: 1, one: 0.75 }),
  /** rollovers of one document that are followed */
  epochs: 100,
  /** documents that are kept ready to be changed, and what their saved forms add up to */
  hot: 1_000,
  /** one document that is full takes ten times its saved form; a thousand usual ones are 4 MiB */
  hotBytes: 8 * MiB,
  /** facts whose standing is kept in memory, of all documents together */
  knownFacts: 200_000,
  /** documents that wait to be brought up to date, in memory; the rest wait on the disk */
  queue: 4_096,
  /** of those, how many are brought up to date side by side */
  atOnce: 4,
  /**
   * of the worker: its heap, where V8 ends it at the latest (the nearer that is, the more often V8 collects: four times as
   * often at 256), what WebAssembly may take before it is started anew, and how long one step may take
   */
  heapMiB: 256,
  heapMaxMiB: 1_024,
  memoryBytes: 256 * MiB,
  stepMs: 500,
  /** the same on the wall: a machine may be busy */
  wallMs: 20 * SECOND,
  /** what WebAssembly and buffers may take in the middle of a request; beyond it the worker is ended at once */
  memoryMaxBytes: 512 * MiB,
  /** between two looks at a worker that works, and between two of its messages that it got a step further */
  lookMs: 100,
  stepMessageMs: 50,
  /** failures of one document until it is left alone while its facts stay the same */
  strikes: 2,
  /** a worker that has nothing to do ends after so long */
  idleMs: 60 * SECOND,
  /** how long a digest waits for documents that are behind */
  patienceMs: 10 * SECOND,
  /** what is shown of a history */
  historyEntries: 10_000,
  /** of a file of edits */
  fileBytes: 256 * KiB
})
