import type { DocumentValue } from './edits.ts'

/** One operation of a change, on the root of the document. */
export interface ScannedOp {
  readonly key: string
  /** Undefined: the key is deleted. */
  readonly value: DocumentValue | undefined
}

/** What a change says, read without Automerge. Hashes and actors are lower-case hex. */
export interface ScannedChange {
  /** sha2-256 of the chunk, as Automerge computes it. */
  readonly hash: string
  readonly actor: string
  readonly seq: number
  readonly startOp: number
  /** Ascending, distinct. */
  readonly deps: readonly string[]
  readonly ops: readonly ScannedOp[]
}
