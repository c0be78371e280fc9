import { publicKeyOf } from '../protocol/did.ts'
import { encodeSubmission, encodeSubmissionEnvelope, submissionSignedBytes } from '../protocol/submission.ts'
import type { Submission, SubmissionEnvelope } from '../protocol/submission.ts'
import { admitKey, principalOf, sign, verify } from './keys.ts'
import type { Secret } from './keys.ts'

/** The wire form of a submission, signed by one of the keys it names. */
export function signSubmission(body: Submission, secret: Secret): Uint8Array {
  const bodyBytes = encodeSubmission(body)
  return encodeSubmissionEnvelope(bodyBytes, principalOf(secret), sign(secret, submissionSignedBytes(bodyBytes)))
}

/**
 * Whether the author signed exactly these bytes. A stranger's key is one of those that the submission names, so a valid
 * answer says something only after `admitSubmissionKeys` let them all in.
 */
export function verifySubmission({ bodyBytes, author, signature }: SubmissionEnvelope): boolean {
  return verify(publicKeyOf(author), submissionSignedBytes(bodyBytes), signature)
}

/** Attack: a claim that names a key which proves nothing. At most eight, and only under a signature that holds. */
export function admitSubmissionKeys({ body }: SubmissionEnvelope): void {
  for (const key of body.keys) admitKey(publicKeyOf(key))
}
