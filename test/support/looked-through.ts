import { join } from 'node:path'
import { openLevel } from '../../storage/level-key-value.ts'
import { ScrubRecords } from '../../storage/scrub-records.ts'

/**
 * Writes down that the blocks of the public space were looked through just now. A node that has run for a while looks through
 * them by itself, and would repair what a test has damaged before the test gets to it.
 */
export async function lookedThrough(scrubs: ScrubRecords): Promise<void> {
  await scrubs.putLast('public', { time: Date.now(), blocks: 0, bytes: 0, damaged: 0, broken: 0, repaired: 0 })
}

/** The same for the data directory of a node that does not run. */
export async function lookedThroughAt(home: string): Promise<void> {
  const store = await openLevel(join(home, 'store'))
  try {
    await lookedThrough(new ScrubRecords(store))
  } finally {
    await store.close()
  }
}
