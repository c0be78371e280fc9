import { base58btc } from 'multiformats/bases/base58'
import type { Brand } from './brand.ts'
import { isRegistryError, RegistryError } from './errors.ts'

/**
 * An Ed25519 public key as a `did:key` (W3C CCG did:key, section 3.1.3): `did:key:z6Mk…`, 56 characters.
 * Says nothing about whether the key is admissible: that needs the curve (`attestation/keys.ts`).
 */
export type Principal = Brand<string, 'Principal'>

const PREFIX = 'did:key:'
const ED25519_PUB = [0xed, 0x01] as const
const PRINCIPAL_CHARS = 56

export function formatPrincipal(publicKey: Uint8Array): Principal {
  if (publicKey.length !== 32) throw new RegistryError('MALFORMED', 'an Ed25519 public key has 32 bytes')
  return `${PREFIX}${base58btc.encode(Uint8Array.from([...ED25519_PUB, ...publicKey]))}` as Principal
}

/** @throws RegistryError MALFORMED */
export function parsePrincipal(text: string): Principal {
  if (formatPrincipal(publicKeyOf(text as Principal)) !== text) throw new RegistryError('MALFORMED', 'not a did:key')
  return text as Principal
}

export function isPrincipal(text: string): text is Principal {
  try {
    parsePrincipal(text)
    return true
  } catch (error) {
    if (isRegistryError(error)) return false
    throw error
  }
}

/** The 32 bytes of the key. @throws RegistryError MALFORMED */
export function publicKeyOf(principal: Principal): Uint8Array {
  if (principal.length !== PRINCIPAL_CHARS || !principal.startsWith(`${PREFIX}z6Mk`)) {
    throw new RegistryError('MALFORMED', 'not an Ed25519 did:key')
  }
  try {
    const bytes = base58btc.decode(principal.slice(PREFIX.length))
    if (bytes.length === 34 && bytes[0] === ED25519_PUB[0] && bytes[1] === ED25519_PUB[1]) return bytes.slice(2)
  } catch (cause) {
    throw new RegistryError('MALFORMED', 'not an Ed25519 did:key', { cause })
  }
  throw new RegistryError('MALFORMED', 'not an Ed25519 did:key')
}
