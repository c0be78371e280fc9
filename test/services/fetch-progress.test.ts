import { expect, test } from 'vitest'
import { FetchProgress } from '../../node/services/fetch-progress.ts'
import { LIMITS } from '../../protocol/limits.ts'

const MiB = 1024 * 1024

function made() {
  const clock = { ms: 1_000 }
  const progress = new FetchProgress({ now: () => clock.ms, total: 40 * MiB, isRelayed: peer => peer === 'a' })
  return { clock, progress }
}

test('progress names what comes, how much of it, how fast, and who sends', () => {
  const { clock, progress } = made()
  const { trail } = progress.begin('acme:x@1.2.0')
  clock.ms += 500
  trail.block('dag', 'a', 2 * MiB)
  trail.block('dag', 'b', MiB)
  trail.block('gateway', 'https://gateway.example', 10)
  trail.here(9 * MiB)
  expect(progress.read()).toEqual({
    text: 'fetching acme:x@1.2.0',
    bytes: 3 * MiB + 10,
    total: 40 * MiB,
    peers: 3,
    bytesPerSecond: 6 * MiB + 20,
    from: { name: 'a', relayed: true, others: 2 }
  })
})

test('who sends no more is no longer named, and the rate is that of the last seconds', () => {
  const { clock, progress } = made()
  const first = progress.begin('x@1.0.0')
  first.trail.block('dag', 'a', 8 * MiB)
  first.end()
  const second = progress.begin('y@1.0.0')
  for (let i = 0; i <= LIMITS.fetch.progressSamples; i++) {
    clock.ms += LIMITS.fetch.tellMs
    second.trail.block('bitswap', 'b', MiB / 2)
    progress.read()
  }
  clock.ms += LIMITS.fetch.tellMs
  second.trail.block('bitswap', 'b', MiB / 2)
  const { text, bytesPerSecond, from } = progress.read()
  expect([text, bytesPerSecond, from]).toEqual(['fetching y@1.0.0', MiB, { name: 'b', relayed: false, others: 0 }])
})

test('with several at once one is named, and how many there are beside it', () => {
  const { progress } = made()
  expect(progress.read()).toMatchObject({ text: 'fetching', bytes: 0 })
  for (const name of ['x@1.0.0', 'y@1.0.0', 'z@1.0.0']) progress.begin(name)
  expect(progress.read().text).toBe('fetching x@1.0.0 and 2 more')
  expect(progress.read()).not.toHaveProperty('from')
})
