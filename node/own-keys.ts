import { parseSecret, principalOf } from '../attestation/keys.ts'
import type { Principal } from '../protocol/did.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { homePaths } from '../storage/home.ts'
import { listKeys, readKey } from '../storage/key-files.ts'

/**
 * The keys that people sign with on this node: its own, and those of its data directory. They are read anew, because `key create` asks no
 * daemon. One that can't be read here signs nothing here, so what it signed elsewhere is somebody else's.
 */
export async function ownKeys(home: string, own: Principal): Promise<ReadonlySet<Principal>> {
  const { keys } = homePaths(home)
  const names = (await listKeys(keys)).filter(name => !name.startsWith('swarm-'))
  const found = await Promise.all(names.map(name => principalIn(keys, name)))
  return new Set([own, ...found.filter(key => key !== undefined)])
}

async function principalIn(folder: string, name: string): Promise<Principal | undefined> {
  try {
    return principalOf(parseSecret(await readKey(folder, name)))
  } catch (error) {
    if (isRegistryError(error)) return undefined
    throw error
  }
}
