import type { Writable } from 'node:stream'

/** Fulfilled when a stream takes more, or never will again. */
export function drained(stream: Writable): Promise<void> {
  return new Promise(resolve => {
    if (stream.destroyed || !stream.writableNeedDrain) return resolve()
    const done = (): void => {
      stream.off('drain', done)
      stream.off('close', done)
      resolve()
    }
    stream.on('drain', done)
    stream.on('close', done)
  })
}
