import { constants } from 'node:fs'
import { open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { equalBytes } from '../protocol/bytes.ts'
import { messageOf, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { codeOf, toWriteError } from './disk-errors.ts'
import { syncDir, writeDurably } from './durable.ts'

const SUFFIX = '.pem'

/** PKCS#8 of RFC 8410 up to the 32 bytes of the seed, so that `openssl pkey -in` reads our files. */
const PKCS8_PREFIX = Uint8Array.from(Buffer.from('302e020100300506032b657004220420', 'hex'))
const BEGIN = '-----BEGIN PRIVATE KEY-----\n'
const END = '\n-----END PRIVATE KEY-----\n'

/** Names of the keys in a folder, in order. */
export async function listKeys(dir: string): Promise<readonly string[]> {
  let entries: string[]
  try {
    entries = await readdir(dir)
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return []
    throw new RegistryError('UNKNOWN_FILE', `the key folder cannot be read: ${messageOf(cause)}`, { cause })
  }
  return entries
    .filter(entry => entry.endsWith(SUFFIX))
    .map(entry => entry.slice(0, -SUFFIX.length))
    .filter(isKeyName)
    .sort()
}

/**
 * The 32-byte secret of that name.
 * @throws RegistryError KEY_NOT_FOUND | UNSAFE_PERMISSIONS | MALFORMED | INVALID_NAME
 */
export async function readKey(dir: string, name: string): Promise<Uint8Array> {
  const file = fileOf(dir, name)
  let handle
  try {
    // No symbolic links: what is checked must be what is read, and it must be in this folder.
    handle = await open(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
  } catch (cause) {
    const known = codeOf(cause) === 'ENOENT' ? await listKeys(dir) : []
    throw new RegistryError('KEY_NOT_FOUND', `no key ${name} can be read: ${messageOf(cause)}`, {
      cause,
      next: known.length === 0 ? 'make a key first' : `choose one of ${known.join(', ')}`
    })
  }
  try {
    const stats = await handle.stat()
    if (!stats.isFile() || stats.size > LIMITS.keys.fileBytes) throw malformed(name)
    // Attack: whoever can read the file is the publisher. A key that others could read is not used until somebody has looked.
    if (process.platform !== 'win32' && (stats.mode & 0o077) !== 0) {
      throw new RegistryError('UNSAFE_PERMISSIONS', `key ${name} can be read by other users of this machine`, {
        next: `chmod 600 ${file}, and replace the key if others may have read it`
      })
    }
    return parseKeyFile(name, await handle.readFile('latin1'))
  } finally {
    await handle.close()
  }
}

/**
 * Stores a secret under a new name, durably. A crash leaves the whole key or no key of that name.
 * @throws RegistryError ALREADY_EXISTS | INVALID_NAME | LIMIT_EXCEEDED | DISK_FULL
 */
export async function writeKey(dir: string, name: string, secret: Uint8Array): Promise<void> {
  const file = fileOf(dir, name)
  if (secret.length !== 32) throw new RegistryError('MALFORMED', 'an Ed25519 secret has 32 bytes')
  if ((await listKeys(dir)).length >= LIMITS.keys.files) {
    throw new RegistryError('LIMIT_EXCEEDED', `a data directory holds at most ${LIMITS.keys.files} keys`)
  }
  try {
    await writeDurably(file, formatKeyFile(secret), { mode: 0o600, exclusive: true })
  } catch (cause) {
    if (codeOf(cause) !== 'EEXIST') throw toWriteError(cause, `key ${name}`)
    throw new RegistryError('ALREADY_EXISTS', `a key ${name} is there already`, { cause, next: 'choose another name' })
  }
}

/** Stores a secret in place of whatever was there under that name, durably. Not for keys that people sign with. */
export async function writeSecretOver(dir: string, name: string, secret: Uint8Array): Promise<void> {
  const file = fileOf(dir, name)
  try {
    const before = await readKey(dir, name).catch(() => undefined)
    if (before !== undefined && equalBytes(before, secret)) return
    await writeDurably(file, formatKeyFile(secret), { mode: 0o600 })
  } catch (cause) {
    throw toWriteError(cause, `key ${name}`)
  }
}

/** Removes a key for good. @throws RegistryError KEY_NOT_FOUND */
export async function removeKey(dir: string, name: string): Promise<void> {
  try {
    await rm(fileOf(dir, name))
    await syncDir(dir)
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') throw new RegistryError('KEY_NOT_FOUND', `there is no key ${name}`, { cause })
    throw toWriteError(cause, `the removal of key ${name}`)
  }
}

function fileOf(dir: string, name: string): string {
  if (!isKeyName(name)) {
    const rule = `a key name has 1 to ${LIMITS.keys.nameChars} of a-z, 0-9 and -, and does not begin with -`
    throw new RegistryError('INVALID_NAME', rule)
  }
  return join(dir, `${name}${SUFFIX}`)
}

function isKeyName(name: string): boolean {
  return name.length <= LIMITS.keys.nameChars && /^[a-z0-9][a-z0-9-]*$/.test(name)
}

function formatKeyFile(secret: Uint8Array): string {
  return `${BEGIN}${Buffer.concat([PKCS8_PREFIX, secret]).toString('base64')}${END}`
}

function parseKeyFile(name: string, text: string): Uint8Array {
  const der = Uint8Array.from(Buffer.from(text.slice(BEGIN.length, -END.length), 'base64'))
  const secret = der.slice(PKCS8_PREFIX.length)
  const isOurs = secret.length === 32 && equalBytes(der.subarray(0, PKCS8_PREFIX.length), PKCS8_PREFIX)
  // One spelling: lax base64, other line lengths and trailing bytes all fail here.
  if (!isOurs || formatKeyFile(secret) !== text) throw malformed(name)
  return secret
}

function malformed(name: string): RegistryError {
  return new RegistryError('MALFORMED', `the file of key ${name} does not hold one Ed25519 key`)
}
