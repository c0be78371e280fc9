import { lstatSync } from 'node:fs'
import type { Stats } from 'node:fs'
import type { CID } from 'multiformats/cid'
import { isRegistryError } from '../protocol/errors.ts'
import type { FolderState } from './services/project/project.ts'

/** What is in a folder where a package may be; reads every file. */
export async function readFolder(
  folder: string,
  signal: AbortSignal,
  onFile?: (file: string, cid: CID) => void
): Promise<FolderState> {
  // Loaded when it is needed: `list` and its like read no package.
  const { importFolder } = await import('../storage/content/import-folder.ts')
  try {
    const { root } = await importFolder(folder, { put: (cid: CID) => cid }, { signal, isInstalled: true, onFile })
    return { type: 'folder', root }
  } catch (cause) {
    if (!isRegistryError(cause)) throw cause
    if (cause.code === 'UNKNOWN_FILE') return { type: 'missing' }
    return { type: 'strange', why: cause.message }
  }
}

/** At once, without another thread: most packages of an install are not there yet. What can't be looked at is not there either. */
export function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}
