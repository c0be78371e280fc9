import { randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { generateSecret, parseSecret, principalOf } from '../attestation/keys.ts'
import type { Secret } from '../attestation/keys.ts'
import type { Principal } from '../protocol/did.ts'
import { RegistryError, isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { homePaths, openHome, prepareHome } from '../storage/home.ts'
import type { Home } from '../storage/home.ts'
import { readSmallFile } from '../storage/small-file.ts'
import { listKeys, readKey, writeKey } from '../storage/key-files.ts'
import { DEFAULT_CONFIG, homePath, parseConfig } from './config.ts'
import type { Config } from './config.ts'

/** The key that a node signs with unless told otherwise. */
export const DEFAULT_KEY = 'default'

/** The key that outranks all others of the registries made here. Belongs on another medium. */
export const RECOVERY_KEY = 'recovery'

export interface InitialisedHome {
  readonly path: string
  readonly key: Principal
  readonly recoveryFile: string
}

/** Makes a data directory with a key, or finds both there. */
export async function initHome(flag: string | undefined): Promise<InitialisedHome> {
  const paths = await prepareHome(homePath(flag))
  const secret = await readOrMakeKey(paths.keys, DEFAULT_KEY)
  return { path: paths.dir, key: principalOf(secret), recoveryFile: join(paths.keys, `${RECOVERY_KEY}.pem`) }
}

/** Whether a data directory was ever made there. */
export async function homeExists(path: string): Promise<boolean> {
  try {
    return (await stat(homePaths(path).keys)).isDirectory()
  } catch {
    return false
  }
}

/** Opens and locks a data directory; makes its key when it has none. */
export async function takeHome(path: string): Promise<Home> {
  const home = await openHome(path)
  try {
    await readOrMakeKey(home.paths.keys, DEFAULT_KEY)
    return home
  } catch (error) {
    await home.close()
    throw error
  }
}

export async function readConfig({ paths }: Home): Promise<Config> {
  let text: string
  try {
    text = (await readSmallFile(paths.config, { maxBytes: LIMITS.config.fileBytes, followLinks: true })).toString(
      'utf8'
    )
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return DEFAULT_CONFIG
    if (isRegistryError(cause)) throw cause
    throw new RegistryError('UNKNOWN_FILE', `${paths.config} cannot be read`, { cause })
  }
  return parseConfig(text)
}

/** The public half of the recovery key, which is made on first use. */
export async function recoveryKey(home: string): Promise<Principal> {
  return principalOf(await readOrMakeKey(homePaths(home).keys, RECOVERY_KEY))
}

/** The secret of that name; a new one when there is none. Two processes at a time agree: the first file stays. */
export async function readOrMakeKey(keys: string, name: string): Promise<Secret> {
  if (!(await listKeys(keys)).includes(name)) {
    try {
      await writeKey(keys, name, generateSecret(randomBytes(32)))
    } catch (error) {
      if (!isRegistryError(error) || error.code !== 'ALREADY_EXISTS') throw error
    }
  }
  return parseSecret(await readKey(keys, name))
}
