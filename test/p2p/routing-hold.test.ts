import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { expect, test } from 'vitest'
import type { Host } from '../../node/p2p/libp2p.ts'
import { ContentRouting } from '../../node/p2p/routing.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { testClock } from '../support/test-clock.ts'

const log = { debug: () => {}, info: () => {}, warn: () => {} }

const roots = [1, 2, 3].map(byte => CID.createV1(0x55, create(0x12, new Uint8Array(32).fill(byte))))

/** Announcements on their way, the first first; each takes until it is ended. */
function routingOf() {
  const clock = testClock()
  const begun: { readonly cid: CID; readonly end: () => void }[] = []
  const provide = (cid: CID): Promise<void> =>
    new Promise(resolve => {
      begun.push({ cid, end: resolve })
    })
  const host = { contentRouting: { provide } } as unknown as Host
  const after = (ms: number, task: () => void): (() => void) => {
    const cancel = new AbortController()
    clock.after(ms, task, cancel.signal)
    return () => cancel.abort()
  }
  const routing = new ContentRouting(host, { clock: { now: () => clock.now(), after }, log })
  const endNext = async (): Promise<void> => {
    begun.at(-1)?.end()
    await clock.advance(0)
  }
  return { routing, clock, begun, endNext }
}

test('while one is held what has begun ends, and nothing new begins', async () => {
  const { routing, begun, clock, endNext } = routingOf()
  for (const cid of roots) routing.provide(cid)
  await clock.advance(0)
  expect(begun.map(({ cid }) => cid)).toEqual(roots.slice(0, 1))
  const [first, second] = [routing.hold(), routing.hold()]
  await endNext()
  expect(begun).toHaveLength(1)
  // Letting go twice counts once.
  first()
  first()
  await clock.advance(0)
  expect(begun).toHaveLength(1)
  second()
  await clock.advance(0)
  expect(begun.map(({ cid }) => cid)).toEqual(roots.slice(0, 2))
  await endNext()
  await endNext()
  expect(begun.map(({ cid }) => cid)).toEqual(roots)
  await routing.stop()
  expect(clock.pending()).toBe(0)
})

test('whoever never lets go holds it for a while', async () => {
  const { routing, begun, clock, endNext } = routingOf()
  routing.hold()
  for (const cid of roots) routing.provide(cid)
  await clock.advance(LIMITS.dht.holdMs - 1)
  expect(begun).toHaveLength(0)
  await clock.advance(1)
  expect(begun).toHaveLength(1)
  for (const _ of roots) await endNext()
  expect(begun).toHaveLength(roots.length)
  await routing.stop()
})

test('a network that stops waits for nobody who holds it', async () => {
  const { routing, begun, clock } = routingOf()
  routing.hold()
  for (const cid of roots) routing.provide(cid)
  await clock.advance(0)
  await routing.stop()
  expect(begun).toHaveLength(0)
})
