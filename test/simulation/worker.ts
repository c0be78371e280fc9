import { parentPort, workerData } from 'node:worker_threads'
import { REAL_PARTS } from './real-parts.ts'
import type { Lane } from './run.ts'
import { simulate } from './simulate.ts'
import type { Outcome } from './simulate.ts'

/** One of the threads of `run.ts`: every so manieth seed. */
const { from, seeds, nodes, lane, threads, isReversed = false } = workerData as Lane
const outcomes: Outcome[] = []
for (let at = lane; at < seeds; at += threads) {
  const seed = isReversed ? from + seeds - 1 - at : from + at
  outcomes.push(await simulate({ seed, parts: REAL_PARTS, ...(nodes === undefined ? {} : { nodes }) }))
}
parentPort?.postMessage(outcomes)
