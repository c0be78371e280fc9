import type { Worker } from 'node:worker_threads'
import type { Clock } from '../runtime/clock.ts'

/** What a worker may take, see protocol/document/limits.ts. */
export type WorkerLimits = Readonly<
  Record<
    'heapMiB' | 'heapMaxMiB' | 'memoryBytes' | 'memoryMaxBytes' | 'stepMs' | 'wallMs' | 'lookMs' | 'queue' | 'idleMs',
    number
  >
>

/** What a worker took too much of. */
export type Overrun = 'processor time' | 'time' | 'memory'

export interface WatchInit {
  readonly worker: Pick<Worker, 'cpuUsage' | 'getHeapStatistics'>
  readonly clock: Clock
  readonly limits: WorkerLimits
  /** Until it has loaded what it needs, only the wall bounds it: how long that takes is not the fault of a call. */
  readonly isLoaded: () => boolean
  /** A number that changes whenever the worker got further. */
  readonly step: () => number
  /** Called once for each look that finds too much. */
  readonly onOverrun: (overrun: Overrun) => void
  /** Ends the watch. */
  readonly signal: AbortSignal
}

/**
 * Looks at a working thread at intervals. A thread that computes answers no message, but V8 lets it be asked for its
 * processor time and memory in the middle of any loop. One that answers not even that is bounded by the wall.
 *
 * Invariant: the time of one step is counted from the first look that saw it, so no step is ever blamed for the one before.
 */
export function watchThread({ worker, clock, limits, isLoaded, step, onOverrun, signal }: WatchInit): void {
  let seen: number | undefined
  let wallMs = 0
  let startedUs: number | undefined
  let looksBeyond = 0
  let asking = false

  const ask = async (): Promise<void> => {
    const at = seen
    const [cpu, heap] = await Promise.all([worker.cpuUsage(), worker.getHeapStatistics()])
    if (signal.aborted) return
    const isHeapBeyond = heap.used_heap_size > limits.heapMiB * 2 ** 20
    if (isHeapBeyond || heap.external_memory > limits.memoryMaxBytes) return onOverrun('memory')
    if (at !== step() || !isLoaded()) return
    const usedUs = cpu.user + cpu.system
    startedUs ??= usedUs
    looksBeyond = usedUs - startedUs > limits.stepMs * 1000 ? looksBeyond + 1 : 0
    // When the main thread was held up, a step that was reported in time may still be on its way: look once more.
    if (looksBeyond > 1) onOverrun('processor time')
  }

  const look = (): void => {
    if (seen !== step()) {
      seen = step()
      wallMs = 0
      startedUs = undefined
      looksBeyond = 0
    }
    wallMs += limits.lookMs
    if (wallMs > limits.wallMs) return onOverrun('time')
    if (asking) return
    asking = true
    const asked = () => void (asking = false)
    // Rejected when the thread ended: whoever runs it hears of that as well.
    void ask().then(asked, asked)
  }

  clock.every(limits.lookMs, look, signal)
}
