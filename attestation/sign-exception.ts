import { publicKeyOf } from '../protocol/did.ts'
import { exceptionSignedBytes } from '../protocol/policy/exception.ts'
import type { ExceptionRecord, SignedException } from '../protocol/policy/exception.ts'
import { sign, verify } from './keys.ts'
import type { Secret } from './keys.ts'

/** An exception from a rule, in its author's word. */
export function signException(body: SignedException, secret: Secret): ExceptionRecord {
  return { body, signature: sign(secret, exceptionSignedBytes(body)) }
}

/** Whether its author signed exactly these fields. Whether his word counts is for the policy to say. */
export function verifyException({ body, signature }: ExceptionRecord): boolean {
  return verify(publicKeyOf(body.by), exceptionSignedBytes(body), signature)
}
