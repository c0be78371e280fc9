import { expect, test } from 'vitest'
import type { RegistryId } from '../../protocol/cid.ts'
import { Mirror } from '../../node/services/mirror.ts'
import type { MirrorComponents, Wanted } from '../../node/services/mirror.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { contentIdOf } from '../support/facts.ts'

const registry = 'bafyreitest' as RegistryId
const wanted = (name: string): Wanted => ({ registry, root: contentIdOf(name), size: 1 })

function mirrorWith(overrides: Partial<MirrorComponents> = {}) {
  const fetched: string[] = []
  const tasks: { readonly ms: number; readonly task: () => void }[] = []
  const done = Promise.withResolvers<void>()
  const mirror: Mirror = new Mirror({
    placeOf: () => ({
      name: 'public',
      isKept: () => Promise.resolve(false),
      markKept: () => Promise.resolve()
    }),
    fetch: ({ root }) => {
      fetched.push(root)
      return Promise.resolve()
    },
    later: (ms, task) => void tasks.push({ ms, task }),
    onKept: () => {
      if (mirror.fetching <= 1) done.resolve()
    },
    ...overrides
  })
  return { mirror, fetched, tasks, done: done.promise }
}

test('several facts about one package are one look at the view, and what it lists is fetched once', async () => {
  const { mirror, fetched, done } = mirrorWith()
  let looks = 0
  for (let i = 0; i < 5; i++) {
    mirror.consider('alpha', () => {
      looks += 1
      return Promise.resolve([wanted('a')])
    })
  }
  expect(mirror.fetching).toBeGreaterThan(0)
  await done
  await mirror.stop()
  expect(looks).toBeLessThanOrEqual(2)
  expect(fetched).toEqual([contentIdOf('a')])
})

test('what the view does not count is never fetched', async () => {
  const looked = Promise.withResolvers<void>()
  const { mirror, fetched } = mirrorWith({ onLooked: () => looked.resolve() })
  mirror.consider('alpha', () => Promise.resolve([]))
  await looked.promise
  expect(mirror.fetching).toBe(0)
  await mirror.stop()
  expect(fetched).toEqual([])
})

test('peers that come and go have what is missing asked for again once, not once for each of them', async () => {
  const failed = Promise.withResolvers<void>()
  let tries = 0
  const { mirror, tasks } = mirrorWith({
    fetch: () => {
      tries += 1
      return Promise.reject(new Error('nobody has it'))
    },
    onFailed: () => failed.resolve()
  })
  mirror.want(wanted('a'))
  await failed.promise
  for (let i = 0; i < 100; i++) mirror.retry()
  const soon = tasks.filter(({ ms }) => ms === LIMITS.fetch.retryMs)
  expect(soon).toHaveLength(1)
  soon[0]?.task()
  await mirror.stop()
  expect(tries).toBe(2)
})

test('what nobody sent is asked for again after a while, a longer one each time, until it is there', async () => {
  const { retryFailedMs } = LIMITS.fetch
  const outcomes = [false, false, true].map(ok => ({ ok, over: Promise.withResolvers<void>() }))
  let tries = 0
  const { mirror, tasks } = mirrorWith({
    fetch: () => (outcomes[tries++]?.ok === true ? Promise.resolve() : Promise.reject(new Error('nobody has it'))),
    onFailed: () => outcomes[tries - 1]?.over.resolve(),
    onKept: () => outcomes[tries - 1]?.over.resolve()
  })
  mirror.want(wanted('a'))
  for (const [index, { over }] of outcomes.entries()) {
    await over.promise
    expect(tasks).toHaveLength(Math.min(index + 1, 2))
    tasks[index]?.task()
  }
  expect(tasks.map(({ ms }) => ms)).toEqual([retryFailedMs, retryFailedMs * 2])
  expect(mirror.kept).toBe(1)
  await mirror.stop()
  expect(tries).toBe(3)
})

test('a look that fails is told and does not end the looking', async () => {
  const told: string[] = []
  const { mirror, fetched, done } = mirrorWith({ onLookFailed: subject => void told.push(subject) })
  mirror.consider('broken', () => Promise.reject(new Error('no row')))
  mirror.consider('alpha', () => Promise.resolve([wanted('a')]))
  await done
  await mirror.stop()
  expect(told).toEqual(['broken'])
  expect(fetched).toEqual([contentIdOf('a')])
})

test('who comes while something is asked for in vain has it asked for again, although nobody comes after', async () => {
  const asked = Promise.withResolvers<void>()
  const failed = Promise.withResolvers<void>()
  let tries = 0
  const { mirror, tasks } = mirrorWith({
    fetch: async () => {
      tries += 1
      if (tries > 1) return
      await asked.promise
      throw new Error('nobody has it')
    },
    onFailed: () => failed.resolve()
  })
  mirror.want(wanted('a'))
  mirror.retry()
  asked.resolve()
  await failed.promise
  const soon = tasks.filter(({ ms }) => ms === LIMITS.fetch.retryMs)
  expect(soon).toHaveLength(1)
  soon[0]?.task()
  await mirror.stop()
  expect(tries).toBe(2)
})

test('what nobody wants any more while it is on its way is not asked for again, unless somebody wants it again', async () => {
  for (const isWantedAgain of [false, true]) {
    const answer = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    const failed = Promise.withResolvers<void>()
    const { mirror, tasks } = mirrorWith({
      fetch: () => (asked.resolve(), answer.promise),
      onFailed: () => failed.resolve()
    })
    const root = contentIdOf('a')
    mirror.want(wanted('a'))
    await asked.promise
    mirror.unwant('public', root)
    if (isWantedAgain) mirror.want(wanted('a'))
    answer.reject(new Error('nobody has it'))
    await failed.promise
    expect(mirror.wants('public', root)).toBe(isWantedAgain)
    expect(tasks.length > 0).toBe(isWantedAgain)
    await mirror.stop()
  }
})
