import { decodeCbor, encodeCbor } from './cbor.ts'
import { factIdFromLink, toLink } from './cid.ts'
import type { FactId } from './cid.ts'
import { RegistryError } from './errors.ts'
import { recordOf } from './fact.ts'
import { parseSubmission } from './submission.ts'
import type { SubmissionEnvelope } from './submission.ts'

/** What became of a submission. */
export type SubmissionState =
  | { readonly type: 'waiting' }
  | { readonly type: 'granted'; readonly fact: FactId }
  | { readonly type: 'denied'; readonly reason: string }

/** A submission as its curator keeps it: whose it is, through whom it came, and what became of it. */
export interface KeptSubmission {
  readonly envelope: SubmissionEnvelope
  /** By our clock, in milliseconds since 1970. */
  readonly arrived: number
  readonly peer: string
  /** The block of addresses that it came from. */
  readonly range: string
  readonly state: SubmissionState
}

/** dag-cbor `{envelope, arrived, peer, range, state, fact, reason}`. */
export function encodeKeptSubmission({ envelope, arrived, peer, range, state }: KeptSubmission): Uint8Array {
  return encodeCbor({
    envelope: envelope.bytes,
    arrived,
    peer,
    range,
    state: state.type,
    fact: state.type === 'granted' ? toLink(state.fact) : null,
    reason: state.type === 'denied' ? state.reason : ''
  })
}

/** @throws RegistryError MALFORMED */
export function parseKeptSubmission(bytes: Uint8Array): KeptSubmission {
  const raw = recordOf(decodeCbor(bytes, 2), ['envelope', 'arrived', 'peer', 'range', 'state', 'fact', 'reason'])
  const { envelope, arrived, peer, range } = raw
  if (!(envelope instanceof Uint8Array) || typeof arrived !== 'number') throw malformed()
  if (typeof peer !== 'string' || typeof range !== 'string') throw malformed()
  return { envelope: parseSubmission(envelope), arrived, peer, range, state: parseState(raw) }
}

function parseState({ state, fact, reason }: Record<'state' | 'fact' | 'reason', unknown>): SubmissionState {
  switch (state) {
    case 'waiting':
      return { type: 'waiting' }
    case 'granted':
      return { type: 'granted', fact: factIdFromLink(fact) }
    case 'denied':
      if (typeof reason === 'string') return { type: 'denied', reason }
  }
  throw malformed()
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'the record of a submission cannot be read')
}
