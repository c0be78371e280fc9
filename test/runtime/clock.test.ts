import { describe, expect, test } from 'vitest'
import { systemClock } from '../../node/runtime/clock.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { testClock } from '../support/test-clock.ts'

describe('a clock that is moved', () => {
  test('runs what comes due in the order of its time, and nothing else', async () => {
    const clock = testClock(0)
    const ran: string[] = []
    clock.after(30, () => void ran.push(`third at ${clock.now()}`))
    clock.after(10, () => void ran.push(`first at ${clock.now()}`))
    clock.after(10, () => void ran.push(`second at ${clock.now()}`))
    clock.after(31, () => void ran.push('never'))
    await clock.advance(30)
    expect(ran).toEqual(['first at 10', 'second at 10', 'third at 30'])
    expect(clock.now()).toBe(30)
  })

  test('a repeating task never overlaps itself and ends with its signal', async () => {
    const clock = testClock(0)
    const controller = new AbortController()
    const started: number[] = []
    let release: () => void = () => undefined
    const task = () => {
      started.push(clock.now())
      return new Promise<void>(resolve => (release = resolve))
    }
    clock.every(10, task, controller.signal)
    await clock.advance(100)
    expect(started).toEqual([10])
    release()
    await clock.advance(10)
    expect(started).toEqual([10, 110])
    controller.abort()
    release()
    await clock.advance(100)
    expect(started).toHaveLength(2)
    expect(clock.pending()).toBe(0)
  })

  test('a task that fails is reported and runs again', async () => {
    const errors: unknown[] = []
    const clock = testClock(0, error => errors.push(error))
    const controller = new AbortController()
    const failure = new Error('planned')
    clock.every(10, () => Promise.reject(failure), controller.signal)
    await clock.advance(30)
    expect(errors).toEqual([failure, failure, failure])
    controller.abort()
  })

  test('an aborted timer and an aborted sleep leave nothing behind', async () => {
    const clock = testClock(0)
    const controller = new AbortController()
    const reason = new RegistryError('CANCELLED', 'enough')
    let ran = false
    clock.after(10, () => void (ran = true), controller.signal)
    const slept = clock.sleep(10, controller.signal)
    controller.abort(reason)
    await expect(slept).rejects.toBe(reason)
    await expect(clock.sleep(10, controller.signal)).rejects.toBe(reason)
    await clock.advance(20)
    expect([ran, clock.pending()]).toEqual([false, 0])
  })
})

describe('the system clock', () => {
  test.each([LIMITS.timers.delayMs + 1, -1, Number.NaN])(
    'refuses the delay %d, which setTimeout would turn into 1 ms',
    ms => {
      const clock = systemClock(() => undefined)
      expect(() => clock.after(ms, () => undefined)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
    }
  )

  test('runs tasks in real time and hands their failures on', async () => {
    const failure = new Error('planned')
    const error = await new Promise(resolve => systemClock(resolve).after(1, () => Promise.reject(failure)))
    expect(error).toBe(failure)
  })
})
