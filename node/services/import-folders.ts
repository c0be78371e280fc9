import { basename } from 'node:path'
import type { RegistryId } from '../../protocol/cid.ts'
import { isRegistryError, messageOf } from '../../protocol/errors.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import type { Publish, Published } from './publish.ts'

export interface Refused {
  readonly folder: string
  readonly code: ErrorCode
  readonly reason: string
}

export interface ImportResult {
  readonly published: readonly (Published & { readonly folder: string })[]
  readonly refused: readonly Refused[]
}

/** Faults of the node, not of a package: they end the import instead of filling the table. */
const FATAL: readonly ErrorCode[] = [
  'CANCELLED',
  'DISK_FULL',
  'READ_ONLY',
  'STORE_CORRUPT',
  'UNKNOWN_REGISTRY',
  'PENDING',
  'INTERNAL'
]

/**
 * Publishes every folder it can and says of each other one why not: nothing is dropped in silence, and one bad folder
 * never stops the rest.
 */
export async function importFolders(
  publish: Publish,
  registry: RegistryId,
  {
    folders,
    signal,
    onProgress
  }: { folders: readonly string[]; signal: AbortSignal; onProgress: (done: number) => void }
): Promise<ImportResult> {
  const published: (Published & { folder: string })[] = []
  const refused: Refused[] = []
  for (const [done, path] of folders.entries()) {
    signal.throwIfAborted()
    const folder = basename(path)
    try {
      published.push({ ...(await publish(registry, path, signal)), folder })
    } catch (error) {
      if (!isRegistryError(error) || FATAL.includes(error.code)) throw error
      refused.push({ folder, code: error.code, reason: messageOf(error) })
    }
    onProgress(done + 1)
  }
  return { published, refused }
}
