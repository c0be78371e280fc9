import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RateLimit } from '../../node/runtime/rate.ts'

function limited(init: { perSecond: number; burst: number; keys: number }) {
  const time = { now: 0 }
  return { time, rate: new RateLimit({ ...init, now: () => time.now }) }
}

describe('a rate limit', () => {
  test('allows a burst and then so many each second, for each key', () => {
    const { time, rate } = limited({ perSecond: 2, burst: 3, keys: 10 })
    const take = (key: string) => [1, 2, 3, 4].map(() => rate.take(key))
    expect(take('a')).toEqual([true, true, true, false])
    expect(take('b')).toEqual([true, true, true, false])
    expect(rate.waitMs('a')).toBe(500)
    time.now = 500
    expect(take('a')).toEqual([true, false, false, false])
  })

  test('never allows more than the burst and the rate together, whatever comes', () => {
    const steps = fc.array(fc.record({ wait: fc.nat(400), cost: fc.integer({ min: 1, max: 4 }) }), { maxLength: 60 })
    fc.assert(
      fc.property(steps, all => {
        const { time, rate } = limited({ perSecond: 5, burst: 10, keys: 1 })
        let spent = 0
        for (const { wait, cost } of all) {
          time.now += wait
          if (rate.take('a', cost)) spent += cost
          expect(spent).toBeLessThanOrEqual(10 + (time.now / 1000) * 5 + 1e-6)
        }
      })
    )
  })

  test('a clock that jumps back gives nothing, and one that goes on gives again', () => {
    const { time, rate } = limited({ perSecond: 1, burst: 1, keys: 1 })
    time.now = 10_000
    expect(rate.take('a')).toBe(true)
    time.now = 0
    expect(rate.take('a')).toBe(false)
    time.now = 1_000
    expect(rate.take('a')).toBe(true)
  })

  test('new names without end do not give a busy key a full bucket again', () => {
    const { time, rate } = limited({ perSecond: 1, burst: 2, keys: 3 })
    const drain = (key: string) => [rate.take(key), rate.take(key), rate.take(key)]
    expect(drain('busy')).toEqual([true, true, false])
    for (let i = 0; i < 100; i++) drain(`new-${i}`)
    expect([rate.size, rate.take('busy')]).toEqual([3, false])
    time.now = 2_000
    expect([rate.take('newcomer'), rate.size]).toEqual([true, 3])
  })

  test('a cost above the burst, or one that is no number, is never allowed', () => {
    const { rate } = limited({ perSecond: 1, burst: 2, keys: 3 })
    expect([rate.take('a', 3), rate.take('a', Number.NaN), rate.waitMs('a', 3)]).toEqual([false, false, Infinity])
  })
})
