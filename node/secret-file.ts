import { open, rm } from 'node:fs/promises'
import { RegistryError, isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { isDiskFull, toWriteError } from '../storage/disk-errors.ts'
import { readSmallFile } from '../storage/small-file.ts'

/** Writes a secret to a new file that only its owner can read. @throws RegistryError ALREADY_EXISTS | DISK_FULL | UNKNOWN_FILE */
export async function writeSecretText(file: string, text: string): Promise<void> {
  let handle
  try {
    handle = await open(file, 'wx', 0o600)
  } catch (cause) {
    throw (cause as NodeJS.ErrnoException).code === 'EEXIST' ? isThere(file, cause) : notWritten(file, cause)
  }
  try {
    await handle.writeFile(text)
    await handle.sync()
    await handle.close()
  } catch (cause) {
    await handle.close().catch(() => undefined)
    // A part of a secret is none, and would be in the way of the next try.
    await rm(file, { force: true })
    throw notWritten(file, cause)
  }
}

function isThere(file: string, cause: unknown): RegistryError {
  return new RegistryError('ALREADY_EXISTS', `${file} is there already`, {
    cause,
    next: 'choose a file that does not exist'
  })
}

function notWritten(file: string, cause: unknown): RegistryError {
  if (isDiskFull(cause)) return toWriteError(cause, file)
  return new RegistryError('UNKNOWN_FILE', `${file} cannot be written`, { cause })
}

/** The text of a small file or pipe. @throws RegistryError UNKNOWN_FILE | LIMIT_EXCEEDED */
export async function readSecretText(file: string, maxBytes: number): Promise<string> {
  try {
    return (await readSmallFile(file, { maxBytes, followLinks: true, anyKind: true })).toString('utf8')
  } catch (cause) {
    if (isRegistryError(cause)) throw cause
    throw new RegistryError('UNKNOWN_FILE', `${file} cannot be read`, { cause })
  }
}

/** A new file that is there already and will hold a secret: what can't be written is known before the secret is made. */
export interface SecretFile {
  readonly file: string
  fill(text: string): Promise<void>
  /** Takes the empty file away again. */
  discard(): Promise<void>
}

/**
 * Holds room for the secret: on a disk that is full this fails, and not the writing of a secret that is made once.
 * @throws RegistryError ALREADY_EXISTS | DISK_FULL | UNKNOWN_FILE
 */
export async function reserveSecretFile(file: string): Promise<SecretFile> {
  await writeSecretText(file, ' '.repeat(LIMITS.store.secretFileBytes))
  return {
    file,
    fill: text => fillReserved(file, text),
    discard: () => rm(file, { force: true })
  }
}

/** In place: what is emptied first may find that its room was taken meanwhile. */
async function fillReserved(file: string, text: string): Promise<void> {
  const bytes = Buffer.from(text)
  try {
    const handle = await open(file, 'r+')
    try {
      await handle.write(bytes, 0, bytes.length, 0)
      await handle.truncate(bytes.length)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (cause) {
    throw notWritten(file, cause)
  }
}
