import { describe, expect, test } from 'vitest'
import { fanOut, Queue } from '../../node/runtime/queue.ts'
import { RegistryError } from '../../protocol/errors.ts'

/** Tasks that end when told to, and how many ran at once. */
function workshop() {
  const open: (() => void)[] = []
  const seen = { now: 0, most: 0, order: [] as number[] }
  const task = (name: number) => async () => {
    seen.order.push(name)
    seen.now += 1
    seen.most = Math.max(seen.most, seen.now)
    await new Promise<void>(resolve => open.push(resolve))
    seen.now -= 1
    return name
  }
  const finishAll = async (done: Promise<unknown>) => {
    let isDone = false
    const marked = done.finally(() => (isDone = true)).catch(() => undefined)
    while (!isDone) {
      open.shift()?.()
      await new Promise(resolve => setImmediate(resolve))
    }
    await marked
  }
  return { seen, task, finishAll }
}

describe('a queue', () => {
  test('runs at most so many at once, in order', async () => {
    const { seen, task, finishAll } = workshop()
    const queue = new Queue({ concurrency: 2, capacity: 10 })
    const all = Promise.all([1, 2, 3, 4, 5].map(name => queue.run(task(name))))
    await finishAll(all)
    expect(await all).toEqual([1, 2, 3, 4, 5])
    expect(seen).toMatchObject({ most: 2, order: [1, 2, 3, 4, 5] })
  })

  test('refuses what it cannot hold and goes on', async () => {
    const { task, finishAll } = workshop()
    const queue = new Queue({ concurrency: 1, capacity: 1 })
    const held = Promise.all([queue.run(task(1)), queue.run(task(2))])
    await expect(queue.run(task(3))).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    await finishAll(held)
    expect(queue.size).toBe(0)
  })

  test('a failing task frees its place', async () => {
    const queue = new Queue({ concurrency: 1, capacity: 1 })
    await expect(queue.run(() => Promise.reject(new Error('planned')))).rejects.toThrow('planned')
    expect(await queue.run(async () => 'next')).toBe('next')
  })

  test('an aborted wait leaves the queue and is never run', async () => {
    const { seen, task, finishAll } = workshop()
    const queue = new Queue({ concurrency: 1, capacity: 2 })
    const controller = new AbortController()
    const reason = new RegistryError('CANCELLED', 'enough')
    const first = queue.run(task(1))
    const second = queue.run(task(2), controller.signal)
    const third = queue.run(task(3))
    controller.abort(reason)
    await expect(second).rejects.toBe(reason)
    await expect(queue.run(task(4), controller.signal)).rejects.toBe(reason)
    await finishAll(Promise.all([first, third]))
    expect(seen.order).toEqual([1, 3])
  })

  test('is idle when nothing runs and nothing waits', async () => {
    const { seen, task, finishAll } = workshop()
    const queue = new Queue({ concurrency: 1, capacity: 2 })
    await queue.idle()
    void queue.run(task(1))
    void queue.run(task(2))
    await finishAll(queue.idle())
    expect(seen).toMatchObject({ now: 0, order: [1, 2] })
  })
})

describe('fanOut', () => {
  test('takes the next item only when there is room for it', async () => {
    let taken = 0
    let ended = 0
    let most = 0
    async function* items() {
      for (let i = 0; i < 20; i++) {
        taken += 1
        yield i
      }
    }
    await fanOut(items(), { concurrency: 3 }, async () => {
      most = Math.max(most, taken - ended)
      await new Promise(resolve => setImmediate(resolve))
      ended += 1
    })
    expect(ended).toBe(20)
    expect(most).toBeLessThanOrEqual(4)
  })

  test('the first failure aborts the others, is thrown, and nothing more is taken', async () => {
    const begun: number[] = []
    let sawAbort = false
    const done = fanOut([1, 2, 3, 4], { concurrency: 2 }, async (item, signal) => {
      begun.push(item)
      if (item === 2) throw new Error('planned')
      await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
      sawAbort = true
    })
    await expect(done).rejects.toThrow('planned')
    expect([begun, sawAbort]).toEqual([[1, 2], true])
  })

  test('an aborted signal ends it with its reason, and an iterator that fails ends it with its error', async () => {
    const reason = new RegistryError('CANCELLED', 'enough')
    const signal = AbortSignal.abort(reason)
    await expect(fanOut([1], { concurrency: 1, signal }, async () => undefined)).rejects.toBe(reason)
    async function* broken() {
      yield 1
      throw new Error('source is gone')
    }
    await expect(fanOut(broken(), { concurrency: 1 }, async () => undefined)).rejects.toThrow('source is gone')
  })
})
