import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startChild } from '../support/child.ts'
import { tempDir } from '../support/temp-dir.ts'
import { closedHome, flipsIn, seeded } from './bit-rot.ts'
import type { Shape } from './bit-rot.ts'

/** As often as a store may take to be left behind, and once more. */
const STARTS = 5

/** Flips so many bits, each in a copy of its own, in a process beside the test. One outcome for each flip. */
export async function flipBits(shape: Shape, count: number, seed: number): Promise<readonly string[]> {
  const folder = await tempDir('bit-rot')
  const home = join(folder, 'home')
  await closedHome(home, shape)
  const flips = await flipsIn(home, count, seeded(seed))
  await writeFile(join(folder, 'flips.json'), JSON.stringify(flips))
  const outcomes: string[] = []
  for (let ended = 0; outcomes.length < flips.length;) {
    const child = startChild('bit-rot', [home, String(outcomes.length)])
    const before = outcomes.length
    try {
      for (let line = await child.line(); line !== 'done'; line = await child.line()) outcomes.push(line)
    } catch {
      ended = outcomes.length === before ? ended + 1 : 1
      if (ended < STARTS) continue
      throw new Error(`the process ended ${ended} times at ${JSON.stringify(flips[outcomes.length])}`)
    } finally {
      await child.kill()
    }
  }
  return outcomes
}
