import type { RejectReason } from '../protocol/admission.ts'
import type { ErrorCode } from '../protocol/errors.ts'

const CODES: Readonly<Partial<Record<RejectReason, ErrorCode>>> = {
  'bad-signature': 'BAD_SIGNATURE',
  'inadmissible-key': 'INADMISSIBLE_KEY',
  'too-large': 'LIMIT_EXCEEDED',
  'wrong-position': 'WRONG_POSITION',
  'wrong-registry': 'WRONG_REGISTRY'
}

/** What a fact out of a file is refused with. */
export function codeOfRefusal(reason: RejectReason): ErrorCode {
  return CODES[reason] ?? 'MALFORMED'
}
