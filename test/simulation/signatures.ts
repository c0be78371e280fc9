import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import type { KeyObject } from 'node:crypto'

/** Of the facts of a few runs. */
const REMEMBERED = 50_000

/** Answers by the hash of key, signature and message. */
const answers = new Map<string, boolean>()
const names = new WeakMap<KeyObject, Uint8Array>()
const verifyWithNode = crypto.verify

/**
 * All nodes of a run are in one process, and each of them verifies each signature: half of its time. What OpenSSL said of
 * a key, a message and a signature is true of these three wherever they come from, so it is asked once. Only OpenSSL is stood
 * in for: what the verifier of the program (`attestation/keys.ts`) asks itself before, it asks each time.
 */
export function shareSignatures(): void {
  crypto.verify = verify as typeof crypto.verify
  syncBuiltinESMExports()
}

function verify(...args: Parameters<typeof crypto.verify>): unknown {
  const [algorithm, message, key, signature, callback] = args
  const isPlain = algorithm === null && isBytes(message) && isBytes(signature) && signature.length === 64
  if (!isPlain || callback !== undefined || !(key instanceof crypto.KeyObject)) return verifyWithNode(...args)
  // Key and signature have each one length, so the whole is read in one way.
  const name = crypto.hash('sha256', Buffer.concat([nameOf(key), signature, message]), 'base64')
  const known = answers.get(name)
  if (known !== undefined) return known
  const answer = verifyWithNode(null, message, key, signature)
  if (answers.size >= REMEMBERED) answers.clear()
  answers.set(name, answer)
  return answer
}

function nameOf(key: KeyObject): Uint8Array {
  let name = names.get(key)
  if (name === undefined) names.set(key, (name = key.export({ format: 'der', type: 'spki' })))
  return name
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array
}
