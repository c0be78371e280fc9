import type { Brand } from './brand.ts'
import { isRegistryError, RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'

/**
 * An Ed25519 public key as a `did:key` (W3C CCG did:key, section 3.1.3): `did:key:z6Mk…`, 56 characters.
 * Says nothing about whether the key is admissible: that needs the curve (`attestation/keys.ts`).
 */
export type Principal = Brand<string, 'Principal'>

const PREFIX = 'did:key:z'
const ED25519_PUB = 0xed01
const PRINCIPAL_CHARS = 56

export function formatPrincipal(publicKey: Uint8Array): Principal {
  if (publicKey.length !== 32) throw new RegistryError('MALFORMED', 'an Ed25519 public key has 32 bytes')
  const words = [ED25519_PUB]
  for (let at = 0; at < 32; at += 2) words.push((publicKey[at] ?? 0) * 0x100 + (publicKey[at + 1] ?? 0))
  return `${PREFIX}${base58Of(words)}` as Principal
}

/** @throws RegistryError MALFORMED */
export function parsePrincipal(text: string): Principal {
  keyIn(text)
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
  return keyIn(principal).slice()
}

/** Keys that were read lately: a few people say most of what there is, and all of them over and over. */
const read = new Map<string, Uint8Array>()

function keyIn(text: string): Uint8Array {
  const before = read.get(text)
  if (before !== undefined) return before
  // A number has one spelling of so many digits, so nothing has to be formatted again and compared.
  const [, ...words] = wordsOf(text)
  const key = new Uint8Array(32)
  for (const [i, word] of words.entries()) {
    key[2 * i] = word >>> 8
    key[2 * i + 1] = word & 0xff
  }
  // Attack: keys without end. They cost what they would cost without this.
  if (read.size >= LIMITS.keys.cachedVerifiers) read.clear()
  read.set(text, key)
  return key
}

/*
 * Every fact names its author so, and the base58 of any number of bytes takes as long as all else that is read of a fact. These
 * are always 34 bytes that begin with 0xed01: 17 words of 16 bits, and 47 digits of which the first is not 0.
 */

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const CODES = Array.from(ALPHABET, digit => digit.charCodeAt(0))
const DIGIT_OF = new Map(CODES.map((code, digit) => [code, digit]))
const DIGITS = PRINCIPAL_CHARS - PREFIX.length
const WORDS = 17
/** So many digits are dealt with at once: times a word, their numbers are still exact. */
const GROUP = 5
const GROUP_BASE = 58 ** GROUP

function base58Of(words: number[]): string {
  const codes = Array.from({ length: DIGITS }, () => 0)
  let first = 0
  for (let end = DIGITS; end > 0; end -= GROUP) {
    let rest = 0
    for (let i = first; i < WORDS; i++) {
      const value = rest * 0x1_0000 + (words[i] ?? 0)
      const quotient = Math.floor(value / GROUP_BASE)
      words[i] = quotient
      rest = value - quotient * GROUP_BASE
    }
    while (words[first] === 0) first += 1
    for (let at = end - 1; at >= Math.max(0, end - GROUP); at--) {
      const next = Math.floor(rest / 58)
      codes[at] = CODES[rest - next * 58] ?? 0
      rest = next
    }
  }
  return String.fromCharCode(...codes)
}

/** The words of a key, what comes before it included. @throws RegistryError MALFORMED */
function wordsOf(text: string): readonly number[] {
  if (text.length !== PRINCIPAL_CHARS || !text.startsWith(`${PREFIX}6Mk`)) throw malformed()
  const words = Array.from({ length: WORDS }, () => 0)
  for (let from = PREFIX.length; from < PRINCIPAL_CHARS; from += GROUP) {
    let carry = 0
    let base = 1
    for (let at = from; at < Math.min(from + GROUP, PRINCIPAL_CHARS); at++) {
      const digit = DIGIT_OF.get(text.charCodeAt(at))
      if (digit === undefined) throw malformed()
      carry = carry * 58 + digit
      base *= 58
    }
    for (let i = WORDS - 1; i >= 0; i--) {
      const value = (words[i] ?? 0) * base + carry
      carry = Math.floor(value / 0x1_0000)
      words[i] = value - carry * 0x1_0000
    }
    if (carry !== 0) throw malformed()
  }
  if (words[0] !== ED25519_PUB) throw malformed()
  return words
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'not an Ed25519 did:key')
}
