import { setTimeout as pause } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

export interface Resident {
  growthMb(): number
  stop(): void
}

const SAMPLE_MS = 20
const SETTLE_MS = 2_000

/** The most that this process takes from now on, against what it takes now, with the garbage collected. */
export async function watchResident(): Promise<Resident> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  await pause(SETTLE_MS)
  collect()
  const before = process.memoryUsage.rss()
  let most = before
  const look = (): void => void (most = Math.max(most, process.memoryUsage.rss()))
  const timer = setInterval(look, SAMPLE_MS)
  return {
    growthMb() {
      look()
      return (most - before) / 2 ** 20
    },
    stop: () => clearInterval(timer)
  }
}
