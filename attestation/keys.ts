import { createPrivateKey, createPublicKey, sign as signWithNode, verify as verifyWithNode } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import * as ed25519 from '@noble/ed25519'
import { base58btc } from 'multiformats/bases/base58'
import type { Brand } from '../protocol/brand.ts'
import { concatBytes } from '../protocol/bytes.ts'
import { formatPrincipal, publicKeyOf } from '../protocol/did.ts'
import type { Principal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'

/** The 32-byte seed of RFC 8032 section 5.1.5. Only `parseSecret` and `generateSecret` make one. */
export type Secret = Brand<Uint8Array, 'Secret'>

/** What was found out about keys lately, least recently used first. */
class Recent<Value> {
  readonly #found = new Map<string, Value>()
  readonly #size: number

  constructor(size: number) {
    this.#size = size
  }

  get(name: string): Value | undefined {
    const value = this.#found.get(name)
    if (value === undefined) return undefined
    this.#found.delete(name)
    this.#found.set(name, value)
    return value
  }

  set(name: string, value: Value): void {
    const oldest = this.#found.size < this.#size ? undefined : this.#found.keys().next().value
    if (oldest !== undefined) this.#found.delete(oldest)
    this.#found.set(name, value)
  }
}

/** A new secret from 32 bytes of the caller's randomness. */
export function generateSecret(random: Uint8Array): Secret {
  // Attack: a broken source of randomness. Zeros are what a forgotten or failed one returns.
  if (random.every(byte => byte === 0)) throw new RegistryError('INTERNAL', 'the randomness for a key is all zeros')
  return parseSecret(random)
}

/** The bytes as a secret. @throws RegistryError MALFORMED */
export function parseSecret(bytes: Uint8Array): Secret {
  if (bytes.length !== 32) throw new RegistryError('MALFORMED', 'an Ed25519 secret has 32 bytes')
  return Uint8Array.from(bytes) as Secret
}

/**
 * The public name of a secret. It is admitted with that: a multiple of the base point in its one encoding, and never the
 * neutral element, because a clamped scalar is a multiple of 8 below 8L.
 */
export function principalOf(secret: Secret): Principal {
  const known = principals.get(secret)
  if (known !== undefined) return known
  const publicKey = publicKeyFrom(secret)
  admitted.set(nameOf(publicKey), true)
  const principal = formatPrincipal(publicKey)
  principals.set(secret, principal)
  return principal
}

/** Asked for with every signature. */
const principals = new WeakMap<Secret, Principal>()

/**
 * The libp2p peer id of the host that has this secret (libp2p specs, peer-ids): base58btc of the identity multihash over the
 * protobuf of the public key.
 */
export function peerIdOf(secret: Uint8Array): string {
  const head = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)
  return base58btc.baseEncode(concatBytes([head, publicKeyFrom(parseSecret(secret))]))
}

/** The 64-byte Ed25519 signature of a message (RFC 8032 section 5.1.6): deterministic, 0.05 ms. */
export function sign(secret: Secret, message: Uint8Array): Uint8Array {
  return Uint8Array.from(signWithNode(null, message, privateKeyOf(secret)))
}

/** PrivateKeyInfo of RFC 8410 up to the seed itself. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** OpenSSL's form of a secret lives no longer than the secret. */
const privateKeys = new WeakMap<Secret, KeyObject>()

function privateKeyOf(secret: Secret): KeyObject {
  const known = privateKeys.get(secret)
  if (known !== undefined) return known
  const der = Buffer.concat([PKCS8_PREFIX, secret])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  privateKeys.set(secret, key)
  return key
}

function publicKeyFrom(secret: Secret): Uint8Array {
  return Uint8Array.from(createPublicKey(privateKeyOf(secret)).export({ format: 'der', type: 'spki' }).subarray(-32))
}

/** Which keys were admitted is a fact about their bytes, and holds for every registry and for ever. */
const admitted = new Recent<true>(LIMITS.keys.cachedVerifiers)

/**
 * Refuses public keys that signatures cannot be trusted under. Done when a fact names a key, because it costs
 * curve arithmetic (0.8 to 2.5 ms) that strangers must not be able to cause; `verify` relies on it having been done.
 *
 * @throws RegistryError INADMISSIBLE_KEY
 */
export function admitKey(publicKey: Uint8Array): void {
  const name = nameOf(publicKey)
  if (admitted.get(name) !== undefined) return
  assertAdmissible(publicKey)
  admitted.set(name, true)
}

function assertAdmissible(publicKey: Uint8Array): void {
  let point: ed25519.Point
  try {
    // Attack: two spellings of one key count as two keys. Strict decoding takes y < p only, and no negative zero.
    point = ed25519.Point.fromBytes(publicKey, false)
  } catch (cause) {
    throw new RegistryError('INADMISSIBLE_KEY', 'the public key is not the canonical encoding of a point', { cause })
  }
  // Attack: under a key of small order one constant signature holds for any message (threats F8).
  if (point.isSmallOrder()) throw new RegistryError('INADMISSIBLE_KEY', 'the public key is of small order')
  // Attack: a torsion component makes verifiers with and without the cofactor disagree (threats F9).
  if (!point.isTorsionFree()) throw new RegistryError('INADMISSIBLE_KEY', 'the public key is not torsion-free')
}

/**
 * Whether the signature over the message is that of an admitted key: the one verifier of the whole program.
 * The check is the one without the cofactor, [S]B = R + [k]A (RFC 8032 section 5.1.7), with S < L and neither A nor R of
 * small order. Another verifier anywhere would be a split that an attacker triggers at will: node:crypto and
 * @noble/ed25519 disagree on known vectors even under admitted keys.
 */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!isUnambiguous(publicKey, signature)) return false
  const key = importedKey(publicKey)
  return key !== undefined && verifyWithNode(null, message, key, signature)
}

/** The rules that the version of OpenSSL must not decide, whatever the message is. */
export function isUnambiguous(publicKey: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  // Attack: malleability. Adding L to S makes a second signature out of one.
  if (!isBelowGroupOrder(signature.subarray(32))) return false
  // Attack: a split between builds. OpenSSL 3.5.8 refuses points of small order and 3.0 takes them, so they are refused
  // before it is asked (docs/decisions/0006-low-order-r-refused.md).
  return !isSmallOrder(publicKey) && !isSmallOrder(signature.subarray(0, 32))
}

/** The y of every point of small order, and the two that have a second spelling (p, p + 1); the sign bit is left out. */
const SMALL_ORDER = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'
])

function isSmallOrder(encoded: Uint8Array): boolean {
  const y = Buffer.from(encoded)
  y[31] = (y[31] ?? 0) & 0x7f
  return SMALL_ORDER.has(y.toString('hex'))
}

/** SubjectPublicKeyInfo of RFC 8410 up to the key itself. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** Importing a key costs a third of checking a signature. */
const imported = new Recent<KeyObject>(LIMITS.keys.cachedVerifiers)

function importedKey(publicKey: Uint8Array): KeyObject | undefined {
  const name = nameOf(publicKey)
  const known = imported.get(name)
  if (known !== undefined) return known
  try {
    const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' })
    imported.set(name, key)
    return key
  } catch {
    // OpenSSL takes any 32 bytes today; a version that looks closer refuses only what cannot verify anyway.
    return undefined
  }
}

function nameOf(publicKey: Uint8Array): string {
  return Buffer.from(publicKey).toString('latin1')
}

/** L = 2^252 + 27742317777372353535851937790883648493, most significant byte first. */
const GROUP_ORDER = Buffer.from('1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed', 'hex')

function isBelowGroupOrder(scalar: Uint8Array): boolean {
  for (let i = 0; i < 32; i++) {
    const difference = (scalar[31 - i] ?? 0) - (GROUP_ORDER[i] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}

/** A public key as other tools take it: SubjectPublicKeyInfo in PEM (RFC 8410). */
export function publicPem(principal: Principal): string {
  const base64 = Buffer.concat([SPKI_PREFIX, publicKeyOf(principal)]).toString('base64')
  return `-----BEGIN PUBLIC KEY-----\n${base64}\n-----END PUBLIC KEY-----\n`
}

/** The Ed25519 key in PEM that holds that and nothing else. @throws RegistryError MALFORMED */
export function principalFromPem(text: string): Principal {
  const [, base64 = ''] =
    /^-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*$/.exec(text) ?? []
  const bytes = Buffer.from(base64, 'base64')
  const isEd25519 =
    bytes.length === SPKI_PREFIX.length + 32 && bytes.subarray(0, SPKI_PREFIX.length).equals(SPKI_PREFIX)
  if (!isEd25519) throw new RegistryError('MALFORMED', 'this is not an Ed25519 public key in PEM')
  return formatPrincipal(Uint8Array.from(bytes.subarray(SPKI_PREFIX.length)))
}
