import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Kills } from './kills.ts'

/** A daemon whose work takes so long, and fails when it is killed. */
function daemonOf(workMs: number) {
  const killed = Promise.withResolvers<never>()
  killed.promise.catch(() => undefined)
  const stop = async () => {
    killed.reject(new Error('killed'))
    return await Promise.resolve({ code: null, signal: null, stdout: '', stderr: '' } as never)
  }
  return { stop, work: async () => await Promise.race([delay(workMs), killed.promise]) }
}

const once = async (kills: Kills, workMs: number): Promise<void> => {
  const daemon = daemonOf(workMs)
  await kills.during(daemon, daemon.work)
}

test('a kill that comes late brings the next ones to the end of the work, and no further to its beginning', async () => {
  const kills = new Kills(() => 1, 400)
  await once(kills, 40)
  expect(kills.interrupted).toBe(0)
  expect(kills.wholeMs).toBeGreaterThanOrEqual(39)
})

test('where kills come early they come later and later', async () => {
  const kills = new Kills(() => 0, 10)
  for (let n = 0; n < 5; n++) await once(kills, 60_000)
  expect(kills.interrupted).toBe(5)
  expect(kills.wholeMs).toBeGreaterThan(15)
})
