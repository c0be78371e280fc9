import { describe, expect, test } from 'vitest'
import { Lifecycle } from '../../node/runtime/lifecycle.ts'
import type { Service } from '../../node/runtime/lifecycle.ts'

function recorder() {
  const log: string[] = []
  const service = (name: string, broken: 'start' | 'stop' | 'never' = 'never'): Service => ({
    name,
    start: async () => {
      log.push(`start ${name}`)
      if (broken === 'start') throw new Error(`${name} cannot start`)
    },
    stop: async () => {
      log.push(`stop ${name}`)
      if (broken === 'stop') throw new Error(`${name} cannot stop`)
    }
  })
  return { log, service }
}

function lifecycleOf(services: readonly Service[], init = {}): Lifecycle {
  const lifecycle = new Lifecycle(init)
  for (const service of services) lifecycle.add(service)
  return lifecycle
}

const never = () => new Promise<void>(() => undefined)

describe('a lifecycle', () => {
  test('starts in order and stops in reverse', async () => {
    const { log, service } = recorder()
    const lifecycle = lifecycleOf([service('a'), service('b'), service('c')])
    await lifecycle.start()
    await lifecycle.stop()
    expect(log).toEqual(['start a', 'start b', 'start c', 'stop c', 'stop b', 'stop a'])
  })

  test('stops every service although some fail, and loses no failure', async () => {
    const { log, service } = recorder()
    const lifecycle = lifecycleOf([service('a', 'stop'), service('b'), service('c', 'stop')])
    await lifecycle.start()
    const error = await lifecycle.stop().catch((caught: unknown) => caught)
    expect(log.slice(3)).toEqual(['stop c', 'stop b', 'stop a'])
    expect(error).toBeInstanceOf(AggregateError)
    expect((error as AggregateError).errors.map(String).join()).toMatch(/c cannot stop.*a cannot stop/)
  })

  test('a start that fails stops what was started before it, and nothing else', async () => {
    const { log, service } = recorder()
    const lifecycle = lifecycleOf([service('a'), service('b', 'start'), service('c')])
    await expect(lifecycle.start()).rejects.toThrow('b cannot start')
    expect(log).toEqual(['start a', 'start b', 'stop a'])
    expect(lifecycle.signal.aborted).toBe(true)
    await lifecycle.stop()
    expect(log).toHaveLength(3)
  })

  test('a start and a stop that both fail are both told', async () => {
    const { service } = recorder()
    const lifecycle = lifecycleOf([service('a', 'stop'), service('b', 'start')])
    const error = await lifecycle.start().catch((caught: unknown) => caught)
    expect((error as AggregateError).errors.map(String).join()).toMatch(/b cannot start.*a cannot stop/)
  })

  test('stopping in the middle of a start lets the running step end and starts nothing more', async () => {
    const { log, service } = recorder()
    let release: () => void = () => undefined
    const slow: Service = { ...service('slow'), start: () => new Promise<void>(resolve => (release = resolve)) }
    const lifecycle = lifecycleOf([slow, service('later')])
    const started = lifecycle.start().catch((caught: unknown) => caught)
    const stopped = lifecycle.stop()
    release()
    await stopped
    expect(await started).toMatchObject({ code: 'CANCELLED' })
    expect(log).toEqual(['stop slow'])
  })

  test('the signal is aborted before the first service is stopped, and only once is anything stopped', async () => {
    const { log, service } = recorder()
    let wasAborted = false
    const lifecycle = lifecycleOf([
      service('a'),
      { name: 'b', stop: () => void (wasAborted = lifecycle.signal.aborted) }
    ])
    await lifecycle.start()
    await Promise.all([lifecycle.stop(), lifecycle.stop(), lifecycle[Symbol.asyncDispose]()])
    expect([wasAborted, log]).toEqual([true, ['start a', 'stop a']])
  })

  test('a service that hangs is reported and left behind', async () => {
    const { log, service } = recorder()
    const lifecycle = lifecycleOf([service('a'), { name: 'hung', stop: never }], { stopMs: 5 })
    await lifecycle.start()
    await expect(lifecycle.stop()).rejects.toThrow(/stopping hung took more than 5 ms/)
    expect(log).toEqual(['start a', 'stop a'])
    await expect(lifecycleOf([{ name: 'slow', start: never }], { startMs: 5 }).start()).rejects.toMatchObject({
      code: 'TIMEOUT'
    })
  })
})
