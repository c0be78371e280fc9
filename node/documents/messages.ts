import type { ErrorCode } from '../../protocol/errors.ts'
import type { ComposeRequest, ComposeResult, UpdateRequest, UpdateResult } from '../../protocol/document/document.ts'

/** What a worker is asked, one call at a time. */
export type DocumentCall =
  | { readonly kind: 'update'; readonly request: UpdateRequest }
  | { readonly kind: 'compose'; readonly request: ComposeRequest }

/** A document that may hold tens of thousands of keys crosses as the bytes that it is stored as: to clone it takes longer than the main thread has. */
export type SentUpdate =
  Omit<Extract<UpdateResult, { kind: 'updated' }>, 'state'> | Exclude<UpdateResult, { kind: 'updated' }>

/** What became of a call, named as the call is. */
export type DocumentAnswer =
  | { readonly kind: 'update'; readonly result: SentUpdate }
  | { readonly kind: 'compose'; readonly result: ComposeResult }

/** Everything that a worker says. */
export type WorkerMessage =
  /** It has loaded all that it needs. Until then it was given nothing. */
  | { readonly kind: 'ready' }
  /** The call takes long and got further: its time begins anew. */
  | { readonly kind: 'step' }
  /** `memoryBytes` is what lies outside the heap: WebAssembly and buffers. */
  | { readonly kind: 'answer'; readonly answer: DocumentAnswer; readonly memoryBytes: number }
  /** The call was refused, and the worker is as good as before. */
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly message: string; readonly memoryBytes: number }
  /** Something broke that should not: what the worker holds cannot be trusted any more. */
  | { readonly kind: 'broken'; readonly message: string }
