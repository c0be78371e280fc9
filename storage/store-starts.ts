import { rm, writeFile } from 'node:fs/promises'
import { LIMITS } from '../protocol/limits.ts'
import { readSmallFile } from './small-file.ts'

/**
 * How often a store was opened since one of its owners closed it, in a file beside it.
 *
 * LevelDB trusts the keys in its tables when it merges them: where a flipped bit put two of them out of order, it ends the
 * whole process, and again after each start. Nothing in the process can catch that, so the next owner has to see it.
 * Several starts in a row that ended so soon mean that the files are better left behind.
 */
export async function startsOf(dir: string): Promise<number> {
  try {
    const text = (await readSmallFile(fileOf(dir), { maxBytes: LIMITS.storage.startsFileBytes })).toString('utf8')
    return /^[0-9]{1,6}$/.test(text) ? Number(text) : 0
  } catch {
    return 0
  }
}

/** Best effort: on a full disk the count stays as it is. */
export async function noteStarts(dir: string, starts: number): Promise<void> {
  await writeFile(fileOf(dir), String(starts), { mode: 0o600 }).catch(() => undefined)
}

/** The store was closed, or has been in use for long enough. */
export async function forgetStarts(dir: string): Promise<void> {
  await rm(fileOf(dir), { force: true }).catch(() => undefined)
}

function fileOf(dir: string): string {
  return `${dir}.starts`
}
