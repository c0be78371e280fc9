import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { REAL_PARTS } from './real-parts.ts'
import type { Outcome } from './simulate.ts'
import { simulate } from './simulate.ts'

/** `npm run sim -- [--seeds N] [--from S] [--again N] [--seed N] [--trace] [--nodes N]`: docs/simulation.md */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '20' },
      from: { type: 'string', default: '1' },
      again: { type: 'string', default: '0' },
      seed: { type: 'string' },
      nodes: { type: 'string' },
      trace: { type: 'boolean', default: false }
    }
  })
  const nodes = values.nodes === undefined ? {} : { nodes: numberOf(values.nodes) }
  if (values.seed !== undefined) {
    const print = values.trace ? { print: (line: string): void => void process.stdout.write(`${line}\n`) } : {}
    const outcome = await simulate({ seed: numberOf(values.seed), parts: REAL_PARTS, ...nodes, ...print })
    process.stdout.write(
      `seed ${outcome.seed}: trace ${outcome.trace}, ${outcome.events} events, ${outcome.facts} facts\n`
    )
    if (outcome.violation !== undefined) fail(outcome, values.nodes)
    return
  }
  const from = numberOf(values.from)
  const { outcomes, ms } = await simulateMany({ from, seeds: numberOf(values.seeds), ...nodes })
  const failed = outcomes.filter(({ violation }) => violation !== undefined)
  const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((total, outcome) => total + of(outcome), 0)
  for (const outcome of failed) fail(outcome, values.nodes)
  const found = failed.length === 0 ? 'no invariant broken' : `${failed.length} seeds break an invariant`
  process.stdout.write(
    `${outcomes.length} seeds from ${from}, ${sum(({ events }) => events)} events, ${sum(({ facts }) => facts)} facts, ` +
      `${Math.round(ms / 1_000)} s: ${found}\n`
  )
  const simulatedMs = sum(({ weather, convergedMs }) => weather.lastsMs + convergedMs)
  const { user, system } = process.cpuUsage()
  process.stdout.write(
    `${Math.round(simulatedMs / ms)} simulated seconds for each real one, ` +
      `${Math.round((simulatedMs * 1_000) / (user + system))} for each of a processor\n`
  )
  const again = numberOf(values.again)
  if (again > 0) await replay({ from, seeds: again, ...nodes }, outcomes)
}

/**
 * The same seeds once more, the last one first, so that each runs in a thread that has run other ones before: each must take
 * the same way.
 */
async function replay(batch: Batch, before: readonly Outcome[]): Promise<void> {
  const { outcomes } = await simulateMany({ ...batch, isReversed: true })
  const other = outcomes.filter(({ trace }, index) => trace !== before[index]?.trace)
  for (const { seed, trace } of other) {
    process.stdout.write(`seed ${seed} went another way: trace ${trace}\n`)
    process.exitCode = 1
  }
  process.stdout.write(`${outcomes.length - other.length} of ${outcomes.length} seeds replay exactly\n`)
}

function fail({ seed, violation }: Outcome, nodes: string | undefined): void {
  const more = nodes === undefined ? '' : ` --nodes ${nodes}`
  process.stdout.write(
    `seed ${seed} breaks "${violation?.invariant}": ${violation?.message}\n` +
      `  replay: npm run sim -- --seed ${seed}${more} --trace\n`
  )
  process.exitCode = 1
}

export interface Batch {
  readonly from: number
  readonly seeds: number
  readonly nodes?: number
  readonly isReversed?: boolean
}

/** Many seeds, on as many threads as there are processors, up to two. */
export async function simulateMany(
  batch: Batch
): Promise<{ readonly outcomes: readonly Outcome[]; readonly ms: number }> {
  const start = performance.now()
  const threads = Math.min(2, availableParallelism(), batch.seeds)
  const parts = await Promise.all(Array.from({ length: threads }, (_, lane) => inThread({ ...batch, lane, threads })))
  const outcomes = parts.flat().toSorted((a, b) => a.seed - b.seed)
  return { outcomes, ms: performance.now() - start }
}

const YOUNG_MB = 192

export interface Lane extends Batch {
  readonly lane: number
  readonly threads: number
}

function inThread(lane: Lane): Promise<readonly Outcome[]> {
  return new Promise((resolve, reject) => {
    // What a run makes is soon of no use: in a small young generation most of it is looked at, and moved, in vain.
    const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_MB }
    const worker = new Worker(new URL('worker.ts', import.meta.url), { workerData: lane, resourceLimits })
    worker.once('message', (outcomes: readonly Outcome[]) => resolve(outcomes))
    worker.once('error', reject)
    worker.once('exit', code => reject(new Error(`a simulation thread ended with ${code}`)))
  })
}

function numberOf(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a number: ${text}`)
  return value
}

if (import.meta.main) await main()
