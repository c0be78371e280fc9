import type { FactId } from '../cid.ts'
import type { Principal } from '../did.ts'
import type { DocumentValue, Edit } from './edits.ts'
import type { ScannedChange } from './change.ts'

/** What a `metadata` fact says to a document, and whether it counts. Plain data: it crosses to a worker. */
export interface MetadataFact {
  readonly id: FactId
  readonly author: Principal
  /** 32 hex characters. */
  readonly chain: string
  readonly seq: number
  /** What the fold of the registry or the package says. */
  readonly counts: boolean
  readonly epoch: FactId | null
  /** The edits that it follows, beside the one before it in its chain. */
  readonly after: readonly FactId[]
  readonly edits: readonly Edit[]
  /** Null in a rollover. Its hash says all of its bytes. */
  readonly change: Pick<ScannedChange, 'hash' | 'actor' | 'deps'> | null
}

/** How a fact is part of a document. */
export type FactStatus =
  /** Its change was applied as it is. */
  | 'native'
  /** Its edits were applied by an actor that is derived from its own. */
  | 'derived'
  /** It began the current epoch, or one before it. */
  | 'rollover'
  /** A rollover took it into its base. */
  | 'folded'
  /** The registry does not count it. */
  | 'aside'
  | 'change-disagrees'
  | 'document-full'
  /** A rollover that another one of the same epoch won over, or that folds what is not here. */
  | 'no-effect'

/** How a fact stands: whether the registry counts it, and what the document made of it. */
export interface Standing {
  readonly status: FactStatus
  readonly counts: boolean
}

/** One value that a key holds, and the fact that said so. */
export interface HeldValue {
  readonly value: DocumentValue
  readonly fact: FactId
}

/** A key of a document. More than one value is a conflict; the first is the one Automerge would show. */
export interface HeldKey {
  readonly key: string
  readonly values: readonly HeldValue[]
}

/** What a document says. Equal facts give equal states on every node. */
export interface DocumentState {
  /** Fingerprint of the facts that it was made of, 64 hex characters. */
  readonly made: string
  readonly epoch: FactId | null
  /** Ascending, 64 hex characters each. */
  readonly heads: readonly string[]
  /** By key, ascending. */
  readonly content: readonly HeldKey[]
}

/** A document as it is kept between two uses: the saved form and how each fact became part of it. Opaque outside the engine. */
export type SavedDocument = Uint8Array

export interface UpdateRequest {
  /** Which document: the engine keeps the ones used last. */
  readonly key: string
  /** Fingerprint of all facts after the update. */
  readonly made: string
  /** What the document was made of before; undefined: it is made anew from `facts`, which are all of them. */
  readonly from: string | undefined
  /** The stored form that belongs to `from`, for an engine that does not have it any more. */
  readonly saved?: SavedDocument | undefined
  /** In any order: all of them, or those that `from` did not have. */
  readonly facts: readonly MetadataFact[]
}

export type UpdateResult =
  | {
      readonly kind: 'updated'
      readonly state: DocumentState
      /** The state as it is stored (`openState` reads it). */
      readonly sealed: Uint8Array
      readonly saved: SavedDocument
      /** Of the facts that were given. */
      readonly standings: readonly (readonly [FactId, Standing])[]
    }
  /** Ask again, with `saved`. */
  | { readonly kind: 'cold' }
  /** Ask again, with all facts: the new ones change what the old ones are. */
  | { readonly kind: 'anew' }

export interface ComposeRequest {
  readonly key: string
  /** What the document is made of; undefined: of nothing yet. */
  readonly made: string | undefined
  readonly saved: SavedDocument | undefined
  /** `actorOf` the chain that will hold it. */
  readonly actor: string
  readonly author: Principal
  readonly chain: string
  readonly edits: readonly Edit[]
}

/** An edit ready to be signed. */
export interface Composed {
  readonly epoch: FactId | null
  readonly after: readonly FactId[]
  /** Without deletions of what is not there. */
  readonly edits: readonly Edit[]
  /** Undefined when nothing is left to be done. */
  readonly change: Uint8Array | undefined
}

export type ComposeResult =
  | ({ readonly kind: 'composed' } & Composed)
  /** Ask again, with `saved`. */
  | { readonly kind: 'cold' }

/** What makes documents of facts. A worker, or in a simulation the same code inline. */
export interface DocumentEngine {
  /** @throws RegistryError DOCUMENT_FAILED when it takes too long or too much memory */
  update(request: UpdateRequest): Promise<UpdateResult>
  /** The change that says these edits on top of a document. */
  compose(request: ComposeRequest): Promise<ComposeResult>
  close(): Promise<void>
}
