import type { FactId } from './cid.ts'
import type { VerifiedFact } from './chains.ts'

export type PendingReason = 'author-unnamed' | 'predecessor-missing'

/** Not the sender's fault: nobody loses anything by it, sync offers the fact again. */
export type IgnoreReason =
  | 'seen'
  | 'unknown-registry'
  | 'over-rate'
  | 'pending-full'
  | 'read-only'
  /** Signed by a key that had lost its roles: known, and in no set. */
  | 'revoked'

/** The sender's fault, and a matter of the bytes alone: every node says the same of the same bytes. */
export type RejectReason =
  'too-large' | 'malformed' | 'bad-signature' | 'wrong-position' | 'wrong-registry' | 'inadmissible-key'

/** What the gate says of one fact. `accept` means that it is durable. */
export type Admission =
  | { readonly verdict: 'accept'; readonly id: FactId; readonly fact: VerifiedFact }
  | { readonly verdict: 'pending'; readonly id: FactId; readonly reason: PendingReason }
  | { readonly verdict: 'ignore'; readonly id?: FactId; readonly reason: IgnoreReason }
  | { readonly verdict: 'reject'; readonly id?: FactId; readonly reason: RejectReason }
