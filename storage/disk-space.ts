import { statfs } from 'node:fs/promises'
import { LIMITS } from '../protocol/limits.ts'

/** Space on the disk that holds a folder. */
export interface DiskSpace {
  /** What an ordinary user may still write. */
  readonly freeBytes: number
  readonly totalBytes: number
}

export interface NearlyFullRule {
  readonly freeBytes?: number
  readonly freePercent?: number
}

/** The space on the disk that holds this folder. */
export async function diskSpace(dir: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(dir)
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
}

/**
 * Whether a node should stop taking writes while it still can: less free than 64 MiB, or than 2 % on a disk so small that
 * 64 MiB would be more. (2 % of a large disk would leave a mirror read-only with gigabytes to spare.)
 */
export function isNearlyFull(
  { freeBytes, totalBytes }: DiskSpace,
  {
    freeBytes: least = LIMITS.storage.readOnlyFreeBytes,
    freePercent = LIMITS.storage.readOnlyFreePercent
  }: NearlyFullRule = {}
): boolean {
  return freeBytes < Math.min(least, (totalBytes * freePercent) / 100)
}
