import { basename } from 'node:path'
import { isRegistryError, messageOf } from '../../protocol/errors.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { fanOut } from '../runtime/queue.ts'
import type { Publish, PublishRequest, Published } from './publish.ts'

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
 * never stops the rest. A few folders are read at a time; which of two that clash is refused depends on their order alone.
 */
export async function importFolders(
  publish: Publish,
  to: Pick<PublishRequest, 'registry' | 'key'>,
  {
    folders,
    signal,
    onProgress
  }: { folders: readonly string[]; signal: AbortSignal; onProgress: (done: number) => void }
): Promise<ImportResult> {
  const outcomes = new Map<string, ImportResult['published'][number] | Refused>()
  const concurrency = LIMITS.publish.concurrentFolders
  await fanOut(folders, { concurrency, signal }, async (path, abort) => {
    const folder = basename(path)
    try {
      outcomes.set(path, { ...(await publish({ ...to, folder: path }, abort)), folder })
    } catch (error) {
      if (!isRegistryError(error) || FATAL.includes(error.code)) throw error
      outcomes.set(path, { folder, code: error.code, reason: messageOf(error) })
    }
    onProgress(outcomes.size)
  })
  const inOrder = folders.flatMap(path => outcomes.get(path) ?? [])
  return {
    published: inOrder.filter(outcome => 'fact' in outcome),
    refused: inOrder.filter(outcome => 'reason' in outcome)
  }
}
