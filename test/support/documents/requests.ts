import type { ComposeRequest, UpdateRequest } from '../../../protocol/document/document.ts'
import { formatPrincipal } from '../../../protocol/did.ts'

/** What the stand-in for the worker does with a request. */
export type Deed =
  | 'answer'
  | 'size'
  | 'wait'
  | 'loop'
  | 'heap'
  | 'buffers'
  | 'wasm'
  | 'keep'
  | 'steps'
  | 'refuse'
  | 'throw'
  | 'crash later'
  | 'exit'

/** An update whose stored form is shared memory: both threads see that it began, and that it may go on. */
export function updateRequest(deed: Deed, made = 'made'): UpdateRequest {
  const saved = new Uint8Array(new SharedArrayBuffer(8))
  return { key: `doc-${made}`, subject: deed, made, from: undefined, saved, facts: [] }
}

/** The two numbers in it: whether it began, and whether it may go on. */
export function flagsOf({ saved }: UpdateRequest): Int32Array {
  if (saved === undefined) throw new TypeError('an update of the stand-in holds flags')
  return new Int32Array(saved.buffer)
}

export function composeRequest(key: string): ComposeRequest {
  const author = formatPrincipal(new Uint8Array(32).fill(7))
  return {
    key,
    made: 'made',
    saved: undefined,
    actor: 'aa'.repeat(32),
    author,
    chain: '0'.repeat(32),
    edits: []
  }
}
