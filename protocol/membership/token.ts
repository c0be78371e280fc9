import { sha256 } from '@noble/hashes/sha2.js'
import { base64url } from 'multiformats/bases/base64'
import { concatBytes, equalBytes, utf8 } from '../bytes.ts'
import { decodeCbor, encodeCbor } from '../cbor.ts'
import { factIdFromLink, toLink } from '../cid.ts'
import type { FactId, RegistryId } from '../cid.ts'
import { isRegistryError, RegistryError } from '../errors.ts'
import { recordOf } from '../fact.ts'
import { registryNameFault } from '../payload.ts'
import { MEMBERSHIP_LIMITS } from './limits.ts'
import { badRecord, parseRegistry, parseWhole } from './signed-record.ts'

interface Common {
  readonly registry: RegistryId
  /** What the registry calls itself. */
  readonly name: string
  /** The swarm secret, 32 bytes, and its number. */
  readonly secret: Uint8Array
  readonly epoch: number
  /** Whether connections are behind a pre-shared key too. */
  readonly psk: boolean
  /** Where to knock: multiaddrs that end in /p2p/ and a peer id, best first. Without one the local network is asked. */
  readonly addresses: readonly string[]
  /** The secret half, 32 bytes, of the invite's key or of the member's. */
  readonly key: Uint8Array
  /** When the invite, or the member's role, is over, in milliseconds since 1970: shown, and decided by the facts. */
  readonly expires: number
}

/** Lets its holder redeem an invite with a key of its own. */
export interface InviteToken extends Common {
  readonly kind: 'invite'
  readonly invite: FactId
}

/** Makes its holder the member that the key is: for machines that live for minutes. */
export interface MemberToken extends Common {
  readonly kind: 'member'
  readonly invite: null
}

/** All that it takes to join a private swarm. It is a secret, and must not be logged. */
export type Token = InviteToken | MemberToken

const PREFIX = 'ggen1'
const LENGTH_BYTES = 2
const CHECK_BYTES = 6
const KEYS = ['kind', 'registry', 'name', 'secret', 'epoch', 'psk', 'addresses', 'key', 'expires', 'invite'] as const

/**
 * The text of a token, docs/spec/membership.md section 7:
 *
 *   token = "ggen1" base64url(length || record || check)     no padding, at most 2,048 characters
 *
 * `length` is that of the record, two bytes, most significant first; `record` is deterministic dag-cbor;
 * `check` = first 6 bytes of sha2-256("ggen token" || length || record). It finds what got lost on the way, and keeps
 * nobody from making a token up.
 *
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED
 */
export function formatToken(token: Token): string {
  const { invite, registry, ...plain } = token
  const record = encodeCbor({
    ...plain,
    registry: toLink(registry),
    invite: invite === null ? null : toLink(invite)
  })
  parseRecord(record)
  const length = Uint8Array.of(record.length >> 8, record.length & 0xff)
  const text = spell(concatBytes([length, record, checkOf(length, record)]))
  if (text.length > MEMBERSHIP_LIMITS.tokenChars)
    throw new RegistryError('LIMIT_EXCEEDED', `a token has at most ${MEMBERSHIP_LIMITS.tokenChars} characters`)
  return text
}

/**
 * Reads a token. What went wrong is said in words for whoever pasted it; the text itself is in no message.
 * @throws RegistryError MALFORMED
 */
export function parseToken(text: string): Token {
  const bytes = bytesOf(text)
  const [high = 0, low = 0] = bytes
  const length = high * 256 + low
  const whole = LENGTH_BYTES + length + CHECK_BYTES
  if (bytes.length < LENGTH_BYTES || bytes.length < whole) throw cutShort()
  if (bytes.length > whole) throw fault('something stands behind the end of the token', COPY_AGAIN)
  const [head, record] = [bytes.subarray(0, LENGTH_BYTES), bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length)]
  if (!equalBytes(checkOf(head, record), bytes.subarray(LENGTH_BYTES + length)))
    throw fault('a character of the token was changed on the way: its checksum is wrong', COPY_AGAIN)
  try {
    return parseRecord(record)
  } catch (cause) {
    if (!isRegistryError(cause)) throw cause
    throw new RegistryError('MALFORMED', 'the token is whole, and says nothing that this version understands', {
      cause,
      next: 'ask for a new one, and use the version of ggen-node that made it or a newer one'
    })
  }
}

const COPY_AGAIN = 'copy the whole line again, from its first character to its last'

function bytesOf(text: string): Uint8Array {
  const version = /^ggen(?<digits>[1-9][0-9]{0,8})/.exec(text)?.groups?.['digits']
  if (version === undefined) throw fault('this is no token: a token begins with ggen1', COPY_AGAIN)
  // What follows the version is never a digit in a token of this one: the first byte of the length is small.
  if (version !== '1') throw fault('the token was made by a newer version', 'update ggen-node, then join again')
  if (text.length > MEMBERSHIP_LIMITS.tokenChars)
    throw fault(`a token has at most ${MEMBERSHIP_LIMITS.tokenChars} characters`, COPY_AGAIN)
  const body = text.slice(PREFIX.length)
  if (/\s/.test(body)) throw fault('the token holds spaces or line breaks', 'put it on one line, as it was printed')
  if (!/^[A-Za-z0-9_-]*$/.test(body)) throw fault('the token holds a character that no token has', COPY_AGAIN)
  let bytes: Uint8Array
  try {
    bytes = base64url.baseDecode(body)
  } catch (cause) {
    throw cutShort(cause)
  }
  // One spelling per value: bits behind the last byte.
  if (spell(bytes) !== text) throw cutShort()
  return bytes
}

function spell(bytes: Uint8Array): string {
  return `${PREFIX}${base64url.baseEncode(bytes)}`
}

function checkOf(length: Uint8Array, record: Uint8Array): Uint8Array {
  return sha256(concatBytes([utf8('ggen token'), length, record])).slice(0, CHECK_BYTES)
}

/** @throws RegistryError MALFORMED */
function parseRecord(bytes: Uint8Array): Token {
  const record = recordOf(decodeCbor(bytes, 2), KEYS)
  const { kind, name, psk, addresses } = record
  if (typeof name !== 'string' || registryNameFault(name) !== undefined) throw badRecord()
  if (typeof psk !== 'boolean' || !Array.isArray(addresses)) throw badRecord()
  if (addresses.length > MEMBERSHIP_LIMITS.tokenAddresses || new Set(addresses).size < addresses.length)
    throw badRecord()
  const common = {
    registry: parseRegistry(record.registry),
    name,
    secret: parseSecretBytes(record.secret),
    epoch: parseWhole(record.epoch),
    psk,
    addresses: addresses.map(parseAddress),
    key: parseSecretBytes(record.key),
    expires: parseWhole(record.expires)
  }
  if (kind === 'invite') return { ...common, kind, invite: factIdFromLink(record.invite) }
  if (kind === 'member' && record.invite === null) return { ...common, kind, invite: null }
  throw badRecord()
}

function parseSecretBytes(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== 32) throw badRecord()
  return value
}

function parseAddress(value: unknown): string {
  if (typeof value !== 'string' || !isTokenAddress(value)) throw badRecord()
  return value
}

/** By shape alone; what the network makes of it is seen when it is dialled. */
export function isTokenAddress(text: string): boolean {
  // Attack: an address with escape codes would write over the terminal of whoever joins.
  const isShaped = /^(?:\/[A-Za-z0-9._:%-]+)+\/p2p\/12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/.test(text)
  return isShaped && text.length <= MEMBERSHIP_LIMITS.tokenAddressChars
}

function cutShort(cause?: unknown): RegistryError {
  return new RegistryError('MALFORMED', 'the token is cut short', { cause, next: COPY_AGAIN })
}

function fault(message: string, next: string): RegistryError {
  return new RegistryError('MALFORMED', message, { next })
}
