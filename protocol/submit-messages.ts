import { decodeCbor, encodeCbor } from './cbor.ts'
import { factIdFromLink, toLink } from './cid.ts'
import type { FactId, RegistryId } from './cid.ts'
import { RegistryError } from './errors.ts'
import { recordOf } from './fact.ts'
import { LIMITS } from './limits.ts'
import { textFault } from './manifest-text.ts'
import { submissionIdFromLink, submissionLink } from './submission.ts'
import type { SubmissionId } from './submission.ts'

/** A stranger asks a curator for a name: one request and one answer on a stream, docs/spec/submit.md section 2. */
export const SUBMIT_PROTOCOL = '/ggen/submit/1'

/** `submit` hands a submission in, any number of times; `ask` asks what became of an earlier one. */
export type SubmitRequest =
  | { readonly type: 'submit'; readonly envelope: Uint8Array }
  | { readonly type: 'ask'; readonly registry: RegistryId; readonly id: SubmissionId }

export const SUBMIT_REFUSALS = [
  'bad-name',
  'busy',
  'full',
  'name-taken',
  'not-a-curator',
  'over-rate',
  'unknown-registry',
  'unknown-submission'
] as const
export type SubmitRefusal = (typeof SUBMIT_REFUSALS)[number]

/** `granted` names the claim; `waiting` is decided by a person; `refused` says that nothing was kept. */
export type SubmitAnswer =
  | { readonly type: 'granted'; readonly fact: FactId }
  | { readonly type: 'waiting' }
  | { readonly type: 'denied'; readonly reason: string }
  | { readonly type: 'refused'; readonly reason: SubmitRefusal }

/** Heads of items in the largest request and answer: a map of three keys with two links. */
const MESSAGE_ITEMS = 9

export function encodeSubmitRequest(request: SubmitRequest): Uint8Array {
  return request.type === 'submit'
    ? encodeCbor(request)
    : encodeCbor({ type: 'ask', registry: toLink(request.registry), id: submissionLink(request.id) })
}

/** @throws RegistryError MALFORMED */
export function decodeSubmitRequest(bytes: Uint8Array): SubmitRequest {
  const value = decodeCbor(bytes, 2, MESSAGE_ITEMS)
  if (typeOf(value) === 'submit') {
    const { envelope } = recordOf(value, ['type', 'envelope'])
    if (!(envelope instanceof Uint8Array)) throw malformed()
    return { type: 'submit', envelope }
  }
  const { type, registry, id } = recordOf(value, ['type', 'registry', 'id'])
  if (type !== 'ask') throw malformed()
  return { type, registry: factIdFromLink(registry) as string as RegistryId, id: submissionIdFromLink(id) }
}

export function encodeSubmitAnswer(answer: SubmitAnswer): Uint8Array {
  return encodeCbor(answer.type === 'granted' ? { type: 'granted', fact: toLink(answer.fact) } : answer)
}

/** @throws RegistryError MALFORMED */
export function decodeSubmitAnswer(bytes: Uint8Array): SubmitAnswer {
  const value = decodeCbor(bytes, 2, MESSAGE_ITEMS)
  switch (typeOf(value)) {
    case 'granted':
      return { type: 'granted', fact: factIdFromLink(recordOf(value, ['type', 'fact']).fact) }
    case 'waiting':
      recordOf(value, ['type'])
      return { type: 'waiting' }
    case 'denied':
      return { type: 'denied', reason: parseReason(recordOf(value, ['type', 'reason']).reason) }
    case 'refused': {
      const { reason } = recordOf(value, ['type', 'reason'])
      const known = SUBMIT_REFUSALS.find(refusal => refusal === reason)
      if (known !== undefined) return { type: 'refused', reason: known }
    }
  }
  throw malformed()
}

/** Attack: what a curator says is printed on a terminal. One spelling of clean text, or nothing. */
function parseReason(reason: unknown): string {
  if (typeof reason !== 'string') throw malformed()
  if (reason !== '' && textFault(reason, LIMITS.submit.reasonChars) !== undefined) throw malformed()
  return reason
}

function typeOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'a message about a submission does not have its shape')
}
