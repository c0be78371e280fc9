import { randomBytes } from 'node:crypto'
import { admitKey, generateSecret, parseSecret, principalFromPem, principalOf, publicPem } from '../attestation/keys.ts'
import { publicKeyOf } from '../protocol/did.ts'
import type { Principal } from '../protocol/did.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { homePaths, prepareHome } from '../storage/home.ts'
import { exportKey, importKey } from '../storage/key-export.ts'
import { listKeys as listKeyFiles, readKey, writeKey } from '../storage/key-files.ts'
import { readSmallFile } from '../storage/small-file.ts'
import { homePath } from './config.ts'
import { readSecretText, writeSecretText } from './secret-file.ts'

/** A key of the data directory by its name here and its public half. */
export interface NamedKey {
  readonly name: string
  readonly key: Principal
}

export async function listKeys(flag: string | undefined): Promise<readonly NamedKey[]> {
  const { keys } = homePaths(homePath(flag))
  const names = await listKeyFiles(keys)
  return Promise.all(names.map(async name => ({ name, key: await principalIn(keys, name) })))
}

export async function showKey(flag: string | undefined, name: string): Promise<NamedKey> {
  return { name, key: await principalIn(homePaths(homePath(flag)).keys, name) }
}

/** The same key for other tools: SubjectPublicKeyInfo in PEM. */
export function pemOf({ key }: NamedKey): string {
  return publicPem(key)
}

/** A signer as people name it: a did:key, or a file with a public key in PEM. @throws RegistryError UNKNOWN_FILE | MALFORMED */
export async function signerFrom(text: string): Promise<string> {
  // Who knows keys says whether this is one.
  if (text.startsWith('did:')) return text
  try {
    const bytes = await readSmallFile(text, { maxBytes: LIMITS.attest.pemBytes, followLinks: true })
    return principalFromPem(bytes.toString('latin1'))
  } catch (cause) {
    const next = 'a signer is did:key:z6Mk…, or a file with an Ed25519 public key in PEM'
    if (isRegistryError(cause)) throw new RegistryError(cause.code, `${text}: ${cause.message}`, { cause, next })
    throw new RegistryError('UNKNOWN_FILE', `${text} can't be read`, { cause, next })
  }
}

export async function createKey(flag: string | undefined, name: string): Promise<NamedKey> {
  const { keys } = await prepareHome(homePath(flag))
  const secret = generateSecret(randomBytes(32))
  await writeKey(keys, name, secret)
  return { name, key: principalOf(secret) }
}

/** Which key, to or from which file, under which passphrase. */
export interface KeyTransfer {
  readonly name: string
  readonly file: string
  readonly passphrase: string
}

/** Writes a key to a new passphrase-protected file. The chain of this device is not in it. */
export async function exportKeyFile(
  flag: string | undefined,
  { name, file, passphrase }: KeyTransfer
): Promise<NamedKey> {
  checkPassphrase(passphrase)
  const secret = parseSecret(await readKey(homePaths(homePath(flag)).keys, name))
  const principal = principalOf(secret)
  const text = await exportKey({ principal, secret }, passphrase)
  await writeSecretText(file, text)
  return { name, key: principal }
}

/** Reads a key from such a file. @throws RegistryError BAD_PASSPHRASE | MALFORMED | ALREADY_EXISTS | INADMISSIBLE_KEY */
export async function importKeyFile(
  flag: string | undefined,
  { name, file, passphrase }: KeyTransfer
): Promise<NamedKey> {
  const text = await readSecretText(file, LIMITS.keys.fileBytes)
  const { keys } = await prepareHome(homePath(flag))
  return importSealedKey(keys, { name, text, passphrase })
}

/** A key under a passphrase, as `key export` writes it. */
export interface SealedKey {
  readonly name: string
  readonly text: string
}

/** Opens a sealed key and stores it. @throws RegistryError BAD_PASSPHRASE | MALFORMED | ALREADY_EXISTS | INADMISSIBLE_KEY */
export async function importSealedKey(
  keys: string,
  { name, text, passphrase }: SealedKey & { readonly passphrase: string }
): Promise<NamedKey> {
  const { principal, secret } = await importKey(text, passphrase)
  const parsed = parseSecret(secret)
  if (principalOf(parsed) !== principal)
    throw new RegistryError('MALFORMED', 'the key file names another key than it holds')
  admitKey(publicKeyOf(principal))
  await writeKey(keys, name, parsed)
  return { name, key: principal }
}

/** Every key that people sign with, sealed. A swarm's key stays: two machines that answer to one peer id meet nobody. */
export async function sealKeys(flag: string | undefined, passphrase: string): Promise<readonly SealedKey[]> {
  checkPassphrase(passphrase)
  const { keys } = homePaths(homePath(flag))
  const sealed: SealedKey[] = []
  // One after the other: each takes 128 MiB of memory while it is sealed.
  for (const name of await listKeyFiles(keys)) {
    if (name.startsWith('swarm-')) continue
    const secret = parseSecret(await readKey(keys, name))
    sealed.push({ name, text: await exportKey({ principal: principalOf(secret), secret }, passphrase) })
  }
  return sealed
}

/** The first line of a file. */
export async function readPassphraseFile(file: string): Promise<string> {
  const text = await readSecretText(file, LIMITS.keys.fileBytes)
  return text.split('\n')[0]?.replace(/\r$/, '') ?? ''
}

function checkPassphrase(passphrase: string): void {
  if (passphrase.length === 0 || passphrase.length > LIMITS.keys.passphraseChars) {
    throw new RegistryError('BAD_PASSPHRASE', `a passphrase has 1 to ${LIMITS.keys.passphraseChars} characters`)
  }
}

async function principalIn(keys: string, name: string): Promise<Principal> {
  return principalOf(parseSecret(await readKey(keys, name)))
}
