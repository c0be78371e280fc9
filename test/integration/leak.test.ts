import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PLANTS, aDay, claims, isFound, reopen } from '../support/leak/claims.ts'
import type { Day } from '../support/leak/claims.ts'
import { LOOPBACK, buildTown } from '../support/leak/town.ts'
import { workInTown } from '../support/leak/traffic.ts'
import { startWatchers } from '../support/leak/watchers.ts'

// The scene of `leak.long.test.ts` on loopback, for seconds: the same people, the same claims. Where the long one records
// the cables, this one has the node itself write down whom it reaches out for.
let day: Day

beforeAll(async () => {
  const town = await buildTown({ node: LOOPBACK, friend: LOOPBACK, member: LOOPBACK, former: LOOPBACK })
  const watchers = await startWatchers(town, { curious: LOOPBACK, knowing: LOOPBACK })
  day = await aDay(town, watchers, () => workInTown(town, { untilMs: 0, every: 2 }))
}, 240_000)

afterAll(async () => {
  await day?.watchers.end()
})

describe('of a node in a public and a private swarm', () => {
  claims(() => day)

  test('no connection and no question goes anywhere but to its neighbours', async () => {
    const lines = (await Promise.all(day.town.node.outgoing.map(file => readFile(file, 'utf8')))).join('')
    expect(lines).toContain('tcp 127.0.0.1:')
    expect(lines.split('\n').filter(line => line !== '' && !line.startsWith('tcp 127.0.0.1:'))).toEqual([])
  })
})

// One that is told and one that is asked: all of them are in `leak.long.test.ts`.
const SOME = PLANTS.filter(([name]) => /topic|asked for/.test(name))

describe('a leak that is planted is found', () => {
  beforeAll(async () => {
    await reopen(day.town)
  })

  afterAll(async () => {
    for (const { daemon } of [day.town.node, day.town.friend]) await daemon.stop('SIGKILL')
  })

  test.each(SOME)(
    '%s',
    async (_, order) => {
      expect(await isFound(day, order(day))).not.toEqual([])
    },
    120_000
  )
})
