import { open, rm, writeFile } from 'node:fs/promises'
import { RegistryError, isRegistryError } from '../protocol/errors.ts'
import { readSmallFile } from '../storage/small-file.ts'

/** Writes a secret to a new file that only its owner can read. @throws RegistryError ALREADY_EXISTS | UNKNOWN_FILE */
export async function writeSecretText(file: string, text: string): Promise<void> {
  try {
    const handle = await open(file, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw new RegistryError('UNKNOWN_FILE', `${file} cannot be written`, { cause })
    }
    throw new RegistryError('ALREADY_EXISTS', `${file} is there already`, {
      cause,
      next: 'choose a file that does not exist'
    })
  }
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

/** @throws RegistryError ALREADY_EXISTS | UNKNOWN_FILE */
export async function reserveSecretFile(file: string): Promise<SecretFile> {
  await writeSecretText(file, '')
  return {
    file,
    fill: text => writeFile(file, text, { mode: 0o600, flush: true }),
    discard: () => rm(file, { force: true })
  }
}
