const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1000

/** Bounds of archives that others made. What is unpacked has those of `LIMITS.content` besides. */
export const FOREIGN_LIMITS = Object.freeze({
  /** the file as it is handed over */
  fileBytes: 100 * MiB,
  /** what comes out of it: files, headers and padding */
  unpackedBytes: 640 * MiB,
  /** and not more than so many times what went in, once `freeBytes` are exceeded */
  ratio: 100,
  freeBytes: 1 * MiB,
  /** headers of all kinds: each entry may have two that say something about it */
  headers: 160_000,
  /** what is said about one entry or all of them: pax records, a long name */
  metaBytes: 64 * KiB,
  /** bytes of a file in one frame between the two processes */
  frameBytes: 64 * KiB,
  /** old generation of the process that reads */
  heapMiB: 64,
  /** the whole of it, from the start of the process to its end */
  deadlineMs: 120 * SECOND,
  /** archives that are unpacked side by side */
  atOnce: 2,
  /** archives that wait for their turn */
  waiting: 16,
  /** the first bytes, which say what a file is */
  sniffedBytes: 512,
  /** what a refusal may say */
  messageChars: 400
})
