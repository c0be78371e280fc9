import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Clock } from '../../node/p2p/components.ts'
import { cut, Pieces } from '../../node/p2p/dag-pieces.ts'
import type { FramedStream } from '../../node/p2p/framed-stream.ts'
import { SharedThrottle } from '../../node/p2p/throttle.ts'
import { concatBytes } from '../../protocol/bytes.ts'
import { LIMITS } from '../../protocol/limits.ts'

const MiB = 2 ** 20
const { bitBytes, throttledBytes } = LIMITS.dag

/** Takes what is posted, and says when. */
function sink(clock: { readonly ms: number }): {
  readonly io: FramedStream
  readonly posted: { readonly bytes: Uint8Array; readonly at: number }[]
} {
  const posted: { readonly bytes: Uint8Array; readonly at: number }[] = []
  const io = { post: (bytes: Uint8Array) => posted.push({ bytes, at: clock.ms }) > 0 }
  return { io: io as unknown as FramedStream, posted }
}

/** Whoever waits goes on at once, and finds that so much time has passed. */
function leapingClock(): Clock & { ms: number } {
  const clock = {
    ms: 0,
    now: () => clock.ms,
    after: (ms: number, task: () => void) => {
      clock.ms += ms
      queueMicrotask(task)
      return () => undefined
    }
  }
  return clock
}

describe('what is sent', () => {
  test('goes in bits of one size and in its order, whatever it was put together from', () => {
    const sizes = [4, 100, 4, 1_000, 0, 3, 4, 250]
    const parts = sizes.map(size => randomBytes(size))
    const first = cut(parts, 100, false)
    expect(first.bits.map(({ length }) => length)).toEqual(Array.from({ length: 13 }, () => 100))
    const last = cut([...first.rest, Uint8Array.of(1)], 100, true)
    expect(last.bits.map(({ length }) => length)).toEqual([66])
    expect(concatBytes([...first.bits, ...last.bits])).toEqual(concatBytes([...parts, Uint8Array.of(1)]))
  })

  test('is not copied where it is a large block', () => {
    const block = new Uint8Array(randomBytes(1_000))
    const { bits } = cut([Uint8Array.of(0, 0, 0, 1), block], 100, true)
    expect(bits.filter(({ buffer }) => buffer === block.buffer)).toHaveLength(10)
  })

  test('is all of it, also what did not fill a bit', async () => {
    const clock = leapingClock()
    const { io, posted } = sink(clock)
    const pieces = new Pieces({ clock, throttle: undefined }, io)
    const blocks = Array.from({ length: 7 }, () => randomBytes(100_003))
    for (const block of blocks) await pieces.add([Uint8Array.of(0, 1, 134, 163), block])
    expect(posted.map(({ bytes }) => bytes.length)).toEqual(Array.from({ length: 9 }, () => bitBytes))
    await pieces.end([Uint8Array.of(2, 0, 0, 0)])
    const expected = blocks.flatMap(block => [Uint8Array.of(0, 1, 134, 163), block])
    expect(concatBytes(posted.map(({ bytes }) => bytes))).toEqual(concatBytes([...expected, Uint8Array.of(2, 0, 0, 0)]))
  })
})

describe('what an operator bounds', () => {
  test.each([64 * 1024, MiB, 20_000_000])('to %d bytes a second goes evenly', async bound => {
    const clock = leapingClock()
    const { io, posted } = sink(clock)
    const pieces = new Pieces({ clock, throttle: new SharedThrottle(bound, clock) }, io)
    clock.ms = 1_000
    await pieces.end([randomBytes(8 * MiB)])
    const step = Math.max(throttledBytes, bound / 100)
    const slack = (bound * LIMITS.dag.throttleSlackMs) / 1_000
    const at = [...new Set(posted.map(one => one.at))]
    for (const ms of at) {
      const sent = posted.filter(one => one.at <= ms).reduce((sum, { bytes }) => sum + bytes.length, 0)
      // Never more than the bound lets through, what timers may be late, and the step that is being sent.
      expect(sent).toBeLessThanOrEqual(((ms - 1_000) * bound) / 1_000 + slack + 2 * step)
    }
    expect(clock.ms - 1_000).toBeGreaterThan(((8 * MiB - slack - 2 * step) / bound) * 1_000)
    // Nobody who reads waits for longer than a step takes.
    const pauses = at.slice(1).map((ms, i) => ms - (at[i] ?? 0))
    expect(Math.max(...pauses)).toBeLessThanOrEqual((step / bound) * 1_000 + 1)
  })
})
