import { publicKeyOf } from '../protocol/did.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { exceptionSignedBytes } from '../protocol/policy/exception.ts'
import type { ExceptionRecord, SignedException } from '../protocol/policy/exception.ts'
import { admitKey, sign, verify } from './keys.ts'
import type { Secret } from './keys.ts'

/** An exception from a rule, in its author's word. */
export function signException(body: SignedException, secret: Secret): ExceptionRecord {
  return { body, signature: sign(secret, exceptionSignedBytes(body)) }
}

/** Whether its author signed exactly these fields. Whether his word counts is for the policy to say. */
export function verifyException({ body, signature }: ExceptionRecord): boolean {
  const key = publicKeyOf(body.by)
  return verify(key, exceptionSignedBytes(body), signature) && isAdmissible(key)
}

/** Attack: a key under which one signature fits any exception. */
function isAdmissible(key: Uint8Array): boolean {
  try {
    admitKey(key)
    return true
  } catch (error) {
    if (isRegistryError(error)) return false
    throw error
  }
}
