import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto'
import { fromHex, toHex, utf8 } from '../protocol/bytes.ts'
import { parsePrincipal } from '../protocol/did.ts'
import type { Principal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'

/** A key on its way to another machine. The principal says which key it is, to whoever finds the file. */
export interface ExportedKey {
  readonly principal: Principal
  readonly secret: Uint8Array
}

const FORMAT = 'ggen-node-key/1'
const SCRYPT_N = 2 ** 17
const SCRYPT_R = 8
const SALT_BYTES = 32
const NONCE_BYTES = 12
const SEALED_BYTES = 32 + 16

interface KeyDocument {
  readonly principal: Principal
  readonly n: number
  readonly salt: Uint8Array
  readonly nonce: Uint8Array
  readonly sealed: Uint8Array
}

/**
 * A key under a passphrase, as text:
 *
 *   {
 *     "format": "ggen-node-key/1",
 *     "principal": "did:key:z6Mk…",
 *     "kdf": { "name": "scrypt", "n": 131072, "r": 8, "p": 1, "salt": "<32 bytes, hex>" },
 *     "cipher": { "name": "aes-256-gcm", "nonce": "<12 bytes, hex>" },
 *     "sealed": "<secret and tag, 48 bytes, hex>"
 *   }
 *
 * The lines before `sealed` are the authenticated data, so nothing in the file can be changed without the passphrase.
 */
export async function exportKey({ principal, secret }: ExportedKey, passphrase: string): Promise<string> {
  if (secret.length !== 32) throw new RegistryError('MALFORMED', 'an Ed25519 secret has 32 bytes')
  const header = { principal, n: SCRYPT_N, salt: randomBytes(SALT_BYTES), nonce: randomBytes(NONCE_BYTES) }
  const cipher = createCipheriv('aes-256-gcm', await deriveKey(passphrase, header), header.nonce)
  cipher.setAAD(authenticatedData(header))
  const sealed = Buffer.concat([cipher.update(secret), cipher.final(), cipher.getAuthTag()])
  return formatDocument({ ...header, sealed })
}

/**
 * The key in an export. Whether the principal is that of the secret only the caller can tell: it needs the curve.
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED | BAD_PASSPHRASE
 */
export async function importKey(text: string, passphrase: string): Promise<ExportedKey> {
  const document = parseDocument(text)
  const decipher = createDecipheriv('aes-256-gcm', await deriveKey(passphrase, document), document.nonce)
  decipher.setAAD(authenticatedData(document))
  decipher.setAuthTag(document.sealed.subarray(32))
  try {
    const secret = Buffer.concat([decipher.update(document.sealed.subarray(0, 32)), decipher.final()])
    return { principal: document.principal, secret: Uint8Array.from(secret) }
  } catch (cause) {
    throw new RegistryError('BAD_PASSPHRASE', 'the passphrase is wrong or the key file was changed', {
      cause,
      next: 'try again, or export the key once more where it came from'
    })
  }
}

/** The same passphrase typed on two systems may come in two compositions of its accents: NFC makes them one. */
function deriveKey(passphrase: string, { n, salt }: Pick<KeyDocument, 'n' | 'salt'>): Promise<Buffer> {
  if (passphrase.length === 0 || passphrase.length > LIMITS.keys.passphraseChars) {
    throw new RegistryError('BAD_PASSPHRASE', `a passphrase has 1 to ${LIMITS.keys.passphraseChars} characters`)
  }
  const memory = 128 * n * SCRYPT_R
  return new Promise((resolve, reject) => {
    const options = { N: n, r: SCRYPT_R, p: 1, maxmem: memory + 1024 * 1024 }
    scrypt(passphrase.normalize('NFC'), salt, 32, options, (error, key) =>
      error === null ? resolve(key) : reject(error)
    )
  })
}

function formatDocument({ sealed, ...header }: KeyDocument): string {
  return `${formatHeader(header)},\n  "sealed": "${toHex(sealed)}"\n}\n`
}

function authenticatedData(header: Omit<KeyDocument, 'sealed'>): Uint8Array {
  return utf8(formatHeader(header))
}

function formatHeader({ principal, n, salt, nonce }: Omit<KeyDocument, 'sealed'>): string {
  return [
    '{',
    `  "format": "${FORMAT}",`,
    `  "principal": "${principal}",`,
    `  "kdf": { "name": "scrypt", "n": ${n}, "r": ${SCRYPT_R}, "p": 1, "salt": "${toHex(salt)}" },`,
    `  "cipher": { "name": "aes-256-gcm", "nonce": "${toHex(nonce)}" }`
  ].join('\n')
}

const FIELDS =
  /"principal": "(did:key:[1-9A-HJ-NP-Za-km-z]+)".*"n": ([1-9][0-9]{0,11}),.*"salt": "([0-9a-f]{64})".*"nonce": "([0-9a-f]{24})".*"sealed": "([0-9a-f]{96})"/s

function parseDocument(text: string): KeyDocument {
  if (text.length > LIMITS.keys.fileBytes) throw new RegistryError('LIMIT_EXCEEDED', 'the key file is too large')
  const [, principal, n, salt, nonce, sealed] = FIELDS.exec(text) ?? []
  if (principal === undefined || sealed === undefined) throw malformed()
  const document = {
    principal: parsePrincipal(principal),
    n: Number(n),
    salt: fromHex(salt ?? '') ?? new Uint8Array(0),
    nonce: fromHex(nonce ?? '') ?? new Uint8Array(0),
    sealed: fromHex(sealed) ?? new Uint8Array(0)
  }
  // One spelling: whatever the fields were found between, it must be exactly what we would have written.
  if (document.sealed.length !== SEALED_BYTES || formatDocument(document) !== text) throw malformed()
  // Attack: a file that makes whoever imports it reserve gigabytes, or that sells a cost too low to protect anything.
  const { scryptMinN, scryptMaxN } = LIMITS.keys
  const isPowerOfTwo = Number.isInteger(Math.log2(document.n))
  if (!isPowerOfTwo || document.n < scryptMinN || document.n > scryptMaxN) {
    throw new RegistryError(
      'LIMIT_EXCEEDED',
      `the cost of the passphrase must lie between ${scryptMinN} and ${scryptMaxN}`
    )
  }
  return document
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'not a ggen-node key export', {
    next: 'copy the file as it is: every character of it counts'
  })
}
