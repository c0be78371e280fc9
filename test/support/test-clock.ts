import { TimerClock } from '../../node/runtime/clock.ts'
import type { Clock, OnTaskError } from '../../node/runtime/clock.ts'

/** A clock that stands still until it is moved. */
export interface TestClock extends Clock {
  /** Moves time on and runs what comes due, in order, waiting for what the tasks await of resolved promises. */
  advance(ms: number): Promise<void>
  /** How many timers are set: what is left after a stop is a leak. */
  pending(): number
}

interface Entry {
  readonly at: number
  readonly run: () => void
}

const rethrow: OnTaskError = error => {
  throw error
}

/** A clock for tests and simulations. A failing task fails the test, unless the test says where errors go. */
export function testClock(startMs = 1_700_000_000_000, onTaskError: OnTaskError = rethrow): TestClock {
  let now = startMs
  const entries = new Set<Entry>()
  const clock = new TimerClock(
    {
      now: () => now,
      set: (ms, run) => {
        const entry = { at: now + ms, run }
        entries.add(entry)
        return () => void entries.delete(entry)
      }
    },
    onTaskError
  )

  const nextDue = (until: number): Entry | undefined => {
    let next: Entry | undefined
    // The set keeps the order of insertion, so that equal times run first come, first served.
    for (const entry of entries) if (entry.at <= until && (next === undefined || entry.at < next.at)) next = entry
    return next
  }

  const advance = async (ms: number): Promise<void> => {
    const until = now + ms
    await settled()
    for (let entry = nextDue(until); entry !== undefined; entry = nextDue(until)) {
      entries.delete(entry)
      now = entry.at
      entry.run()
      await settled()
    }
    now = until
    await settled()
  }

  return {
    now: () => clock.now(),
    after: (ms, task, signal) => clock.after(ms, task, signal),
    every: (ms, task, signal) => clock.every(ms, task, signal),
    sleep: (ms, signal) => clock.sleep(ms, signal),
    advance,
    pending: () => entries.size
  }
}

/** One turn of the event loop: every chain of resolved promises has run by then. */
function settled(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
