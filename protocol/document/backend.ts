import type { DocumentValue } from './edits.ts'

/** One operation on the root of a document. */
export interface PlainOp {
  readonly key: string
  /** Undefined: the key is deleted. */
  readonly value: DocumentValue | undefined
  /** The operations that it replaces, `counter@actor`. */
  readonly pred: readonly string[]
}

/** A change before it is encoded. Hashes and actors are lower-case hex. */
export interface PlainChange {
  readonly actor: string
  readonly seq: number
  readonly startOp: number
  /** Ascending. */
  readonly deps: readonly string[]
  readonly ops: readonly PlainOp[]
}

/** What a build needs of the library that merges: one document. */
export interface DocumentBackend {
  encode(change: PlainChange): { readonly bytes: Uint8Array; readonly hash: string }
  /** `keys`: what it changes. */
  apply(change: Uint8Array, keys: readonly string[]): void
  /** Ascending. */
  heads(): readonly string[]
  /** By key, ascending; of several values the one that is shown comes first. */
  content(): readonly {
    readonly key: string
    readonly values: readonly { readonly value: DocumentValue; readonly op: string }[]
  }[]
}
