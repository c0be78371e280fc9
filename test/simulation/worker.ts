import { parentPort, workerData } from 'node:worker_threads'
import { REAL_PARTS } from './real-parts.ts'
import type { Lane } from './run.ts'
import { simulate } from './simulate.ts'
import type { Outcome } from './simulate.ts'

/** One of the threads of `run.ts`: every so manieth seed. */
const { from, seeds, nodes, lane, threads } = workerData as Lane
const outcomes: Outcome[] = []
for (let seed = from + lane; seed < from + seeds; seed += threads) {
  outcomes.push(await simulate({ seed, parts: REAL_PARTS, ...(nodes === undefined ? {} : { nodes }) }))
}
parentPort?.postMessage(outcomes)
