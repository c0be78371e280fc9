import { messageOf, RegistryError } from '../protocol/errors.ts'

/**
 * What a failed write means. Full disks get their own code, because there is something to do about them; any other
 * failed write makes the node read-only: after an error from the disk nobody knows what a second try would leave
 * ("fsyncgate": a retried fsync succeeds while the pages are gone).
 */
export function toWriteError(cause: unknown, what: string): RegistryError {
  if (cause instanceof RegistryError) return cause
  if (isDiskFull(cause)) {
    return new RegistryError('DISK_FULL', `no space is left to write ${what}`, {
      cause,
      next: 'free some space on this disk; reading goes on meanwhile'
    })
  }
  return new RegistryError('READ_ONLY', `writing ${what} failed: ${messageOf(cause)}`, {
    cause,
    next: 'check the disk and its permissions, then restart the node'
  })
}

/** Whether any error in a chain of causes says that the disk, or the quota on it, is full. */
export function isDiskFull(error: unknown): boolean {
  for (let depth = 0, at = error; depth < 4 && at instanceof Error; depth++, at = at.cause) {
    const code = codeOf(at)
    if (code === 'ENOSPC' || code === 'EDQUOT') return true
    // LevelDB hands its errors on as text only.
    if (/no space left on device|disk quota exceeded|not enough space on the disk/i.test(at.message)) return true
  }
  return false
}

/** The `code` of a system error, or undefined. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** The disk answers, and what it says is that the bytes are lost. */
export function isDamage(error: unknown): boolean {
  return ['EIO', 'EISDIR', 'EUCLEAN', 'EILSEQ'].includes(codeOf(error) ?? '')
}
