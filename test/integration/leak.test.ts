import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Thing } from '../support/leak/needles.ts'
import { workInTown } from '../support/leak/traffic.ts'
import type { Traffic } from '../support/leak/traffic.ts'
import { LOOPBACK, buildTown, endTown, expelFormer, vaultThings } from '../support/leak/town.ts'
import type { Town } from '../support/leak/town.ts'
import { portOf, startWatchers, toldIn, unasked } from '../support/leak/watchers.ts'
import type { Watchers } from '../support/leak/watchers.ts'

// The scene of `leak.long.test.ts` on loopback, for seconds: the same people, the same claims. Where the long one records the
// cables, this one has the node itself write down whom it reaches out for.
let town: Town
let watchers: Watchers
let traffic: Traffic
let expelledAt: number
let heard: Awaited<ReturnType<Watchers['curious']['report']>>[]
let things: readonly Thing[]
let addresses: readonly string[]

beforeAll(async () => {
  town = await buildTown({ node: LOOPBACK, friend: LOOPBACK, member: LOOPBACK, former: LOOPBACK })
  watchers = await startWatchers(town, { curious: LOOPBACK, knowing: LOOPBACK })
  await watchers.visit()
  expelledAt = await expelFormer(town)
  traffic = await workInTown(town, { untilMs: 0, every: 1 })
  await watchers.visit()
  heard = [await watchers.curious.report(), await watchers.knowing.report()]
  await watchers.end()
  await endTown(town)
  things = await vaultThings(town, traffic.newcomers)
}, 180_000)

afterAll(async () => {
  await watchers?.end().catch(() => {})
})

describe('a node in a public and a private swarm', () => {
  test('was at work, and its member was told of it', async () => {
    expect(traffic).toMatchObject({ rounds: 1, published: 3, edited: 2, restarted: 1 })
    const lines = await toldIn(things, town.member.recordings)
    for (const kind of ['name', 'fact', 'content', 'block', 'key', 'chain', 'text', 'peer']) {
      expect(lines.filter(line => line.startsWith(`${kind} `)).length, kind).toBeGreaterThan(0)
    }
  })

  test('tells a stranger nothing, whatever he asks', async () => {
    expect(await toldIn(things, [watchers.curious.recording])).toEqual([])
    expect(await toldIn(unasked(things, watchers.rumours), [watchers.knowing.recording])).toEqual([])
  })
})
