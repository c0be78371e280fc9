import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'

/** What is seen of a connection below its encryption: that bytes came, and its end. */
export interface Heard {
  addEventListener(type: 'message', listener: () => void): void
  addEventListener(type: 'close', listener: () => void, options: { once: true }): void
  abort(error: Error): void
}

/**
 * Ends a connection on which nothing comes any more, and no other. Both sides of every connection ask each other every
 * `aliveEveryMs` whether they are there (yamux pings, muxer.ts), so something comes on each that is alive; what it is does not
 * matter. Attack, or a cable that was cut: a connection that is open for good and holds a place.
 *
 * libp2p's own monitor opens a stream for each question and wants its answer by a deadline. On a machine that is busy the
 * answer waits behind the bytes that are moving, and the monitor cut the connections of whole crowds at once
 * (docs/decisions/0026-who-cuts-a-crowd.md).
 *
 * Looks are counted and not time: a process that did not run for a minute has looked once, and before it says that nothing came
 * it has read what was waiting for it.
 */
export function endWhenSilent(connection: Heard, lookMs: number, after: Clock['after'] = afterReal): void {
  const { aliveLooks } = LIMITS.connections
  let left: number = aliveLooks
  let isOver = false
  let cancel: () => void = () => undefined
  const judge = (): void => {
    if (isOver) return
    left -= 1
    if (left > 0) return next()
    connection.abort(new RegistryError('TIMEOUT', 'nothing came any more'))
  }
  // Timers run before sockets are read, and this after it.
  const next = (): void => void (cancel = after(lookMs, () => setImmediate(judge)))
  connection.addEventListener('message', () => (left = aliveLooks))
  connection.addEventListener(
    'close',
    () => {
      isOver = true
      cancel()
    },
    { once: true }
  )
  next()
}

/** A socket knows no other time than that of the machine: a clock that is moved says nothing of what comes on it. */
function afterReal(ms: number, task: () => void): () => void {
  const timer = setTimeout(task, ms)
  return () => clearTimeout(timer)
}
