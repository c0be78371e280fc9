import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { RegistryError } from '../protocol/errors.ts'

interface OwnPackage {
  readonly root: string
  readonly version: string
}

let found: OwnPackage | undefined

/**
 * The folder this program was installed to, and the version its package.json states: the one place where the version is kept.
 * Walks up from the running file, because the sources and the bundle lie at different depths.
 */
export function ownPackage(): OwnPackage {
  found ??= findOwnPackage(import.meta.dirname)
  return found
}

/** A file or folder that is shipped with the program: `packagePath('examples')`. */
export function packagePath(...segments: readonly string[]): string {
  return join(ownPackage().root, ...segments)
}

function findOwnPackage(from: string): OwnPackage {
  for (let folder = from; ; folder = dirname(folder)) {
    const file = join(folder, 'package.json')
    const version = existsSync(file) ? versionIn(file) : undefined
    if (version !== undefined) return { root: folder, version }
    if (folder === dirname(folder)) throw new RegistryError('INTERNAL', 'the package.json of ggen-node is missing')
  }
}

/** Undefined for the scope markers, which carry a module type and no name. */
function versionIn(file: string): string | undefined {
  const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'))
  if (typeof manifest !== 'object' || manifest === null) return undefined
  if (!('name' in manifest) || manifest.name !== 'ggen-node' || !('version' in manifest)) return undefined
  return typeof manifest.version === 'string' ? manifest.version : undefined
}
