import { concatBytes } from '../../protocol/bytes.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Throttle } from './components.ts'
import { deadline } from './deadline.ts'
import type { FramedStream } from './framed-stream.ts'

export interface PiecesComponents {
  readonly clock: Clock
  /** What an operator bounds the bytes to that are sent. */
  readonly throttle: Throttle | undefined
}

/**
 * Gathers what is sent into pieces. While one is on its way the next is made; a reader too slow for it loses the stream.
 *
 * A piece goes in bits that fill a message each on their way through the layers below. Bits of a large block are views of it: what is
 * joined is small blocks, and the edges of large ones. What does not fill a bit goes with the next piece.
 */
export class Pieces {
  readonly #clock: Clock
  readonly #throttle: Throttle | undefined
  readonly #io: FramedStream
  readonly #bitBytes: number
  #parts: Uint8Array[] = []
  #bytes = 0
  #sending: Promise<void> = Promise.resolve()

  constructor({ clock, throttle }: PiecesComponents, io: FramedStream) {
    this.#clock = clock
    this.#throttle = throttle
    this.#io = io
    this.#bitBytes = Math.min(LIMITS.dag.bitBytes, stepBytes(throttle))
  }

  async add(parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) {
      this.#parts.push(part)
      this.#bytes += part.length
    }
    if (this.#bytes >= LIMITS.dag.pieceBytes) await this.#send(false)
  }

  async end(parts: readonly Uint8Array[]): Promise<void> {
    await this.add(parts)
    await this.#send(true)
    await this.#sending
  }

  async #send(isLast: boolean): Promise<void> {
    const { bits, rest } = cut(this.#parts, this.#bitBytes, isLast)
    this.#parts = rest
    this.#bytes = bytesOf(rest)
    await this.#sending
    if (bits.length === 0) return
    this.#sending = this.#throttle === undefined ? this.#write(bits) : this.#trickle(bits, this.#throttle)
    // A failure is thrown when the next piece is sent; until then it must not end the process as an unhandled one.
    this.#sending.catch(() => undefined)
  }

  /** Most of it is taken at once by whoever sends it on: there is a deadline only where somebody has to be waited for. */
  async #write(bits: readonly Uint8Array[]): Promise<void> {
    const { idleMs, bytesPerSecond } = LIMITS.dag
    let time: ReturnType<typeof deadline> | undefined
    try {
      for (const bit of bits) {
        if (this.#io.post(bit)) continue
        time ??= deadline(this.#clock, idleMs + (bytesOf(bits) / bytesPerSecond) * 1_000)
        await this.#io.sent(time.signal)
      }
    } finally {
      time?.clear()
    }
  }

  /** In little steps: who reads must not take a pause for silence. */
  async #trickle(bits: readonly Uint8Array[], throttle: Throttle): Promise<void> {
    const most = stepBytes(throttle)
    for (let from = 0, to = 0; from < bits.length; from = to) {
      let bytes = 0
      do bytes += bits[to++]?.length ?? 0
      while (to < bits.length && bytes + (bits[to]?.length ?? 0) <= most)
      await throttle.turn(bytes)
      await this.#write(bits.slice(from, to))
    }
  }
}

/** What a bound lets through in a moment: timers are not finer than that, and waking up costs more than what is sent. */
function stepBytes(throttle: Throttle | undefined): number {
  const { throttledBytes, throttledMs } = LIMITS.dag
  if (throttle === undefined) return Number.POSITIVE_INFINITY
  return Math.max(throttledBytes, Math.floor((throttle.bytesPerSecond * throttledMs) / 1_000))
}

/** Bits of one size, of which the last may be smaller when nothing comes after it. Only what is across two parts is copied. */
export function cut(
  parts: readonly Uint8Array[],
  bitBytes: number,
  isLast: boolean
): { readonly bits: Uint8Array[]; readonly rest: Uint8Array[] } {
  const bits: Uint8Array[] = []
  let open: Uint8Array[] = []
  let missing = bitBytes
  const close = (): void => {
    const [only] = open
    bits.push(open.length === 1 && only !== undefined ? only : concatBytes(open))
    open = []
    missing = bitBytes
  }
  for (const part of parts) {
    for (let at = 0; at < part.length;) {
      const some = part.subarray(at, at + missing)
      open.push(some)
      at += some.length
      missing -= some.length
      if (missing === 0) close()
    }
  }
  if (isLast && open.length > 0) close()
  return { bits, rest: open }
}

function bytesOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0)
}
