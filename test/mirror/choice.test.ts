import { describe, expect, test } from 'vitest'
import { Replication, placeOf } from '../../node/replication.ts'
import { choose } from '../../node/services/store/mirror-choice.ts'
import type { MirroredContent } from '../../node/services/store/mirror-choice.ts'
import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parsePackageName } from '../../protocol/package-name.ts'
import { parseSemver } from '../../protocol/version.ts'
import { contentIdOf } from '../support/facts.ts'

const registry = 'bafyreitest' as RegistryId
const signal = new AbortController().signal

const content = (name: string, time: number, size = 10): MirroredContent => ({
  root: contentIdOf(name),
  size,
  time,
  name: parsePackageName('ggen/tool'),
  version: parseSemver('1.0.0')
})

describe('what a quota holds', () => {
  const [old, mid, late] = [content('old', 1), content('mid', 2), content('late', 3)]
  const all = [mid, late, old]
  const nothing = { isNeeded: () => false, held: new Set<ContentId>() }
  const rootsOf = (list: readonly MirroredContent[]) => list.map(({ root }) => root)

  test('is all of it without one, and the latest with one', () => {
    expect(rootsOf(choose(all, { ...nothing, quotaBytes: null }).kept)).toEqual(rootsOf([late, mid, old]))
    const { kept, leftOut } = choose(all, { ...nothing, quotaBytes: 25 })
    expect([rootsOf(kept), rootsOf(leftOut)]).toEqual([rootsOf([late, mid]), rootsOf([old])])
  })

  test('is what is needed before what is later, and of that what is here', () => {
    const isNeeded = (root: ContentId) => root === old.root || root === late.root
    const of = (held: readonly MirroredContent[], quotaBytes: number) =>
      rootsOf(choose(all, { quotaBytes, isNeeded, held: new Set(rootsOf(held)) }).kept)
    expect(of([], 20)).toEqual(rootsOf([late, old]))
    expect(of([old], 10)).toEqual([old.root])
    expect(of([mid], 10)).toEqual([late.root])
  })

  test('passes over what is too large for what is left, and counts a content of two releases once', () => {
    const huge = content('huge', 9, 1_000)
    const { kept, leftOut } = choose([...all, huge, { ...old, time: 8 }], { ...nothing, quotaBytes: 20 })
    expect(rootsOf(kept)).toEqual(rootsOf([old, late]))
    expect(rootsOf(leftOut)).toEqual(rootsOf([huge, mid]))
  })
})

describe('who holds a content', () => {
  function replication() {
    const world = {
      now: 0,
      here: [] as string[],
      holders: [] as string[],
      named: [] as string[],
      asked: 0
    }
    const swarm = {
      name: 'public',
      peerId: 'self',
      holders: () => world.holders.filter(peer => world.here.includes(peer)),
      haveChanges: () => 0,
      peers: () => world.here.map(id => ({ id, connected: true })),
      findProviders: () => {
        world.asked += 1
        return Promise.resolve(world.named)
      }
    }
    const found = new Replication({
      swarms: { all: [swarm], of: () => swarm } as never,
      clock: { now: () => world.now }
    })
    return { world, found }
  }
  const root = contentIdOf('a')

  test('is who says so here, and whom the dht names elsewhere until he is seen to leave', async () => {
    const { world, found } = replication()
    Object.assign(world, { here: ['a', 'b'], holders: ['a'], named: ['a', 'b', 'far'] })
    found.notice()
    expect(found.others(registry, root)).toEqual(['a'])
    await found.lookUp(registry, [root], signal)
    // Whoever is here and does not say that he has it has not got it, whatever the dht says.
    expect(found.others(registry, root)).toEqual(['a', 'far'])
    world.here = ['b']
    expect(found.notice()).toBe(true)
    expect(found.notice()).toBe(false)
    expect(found.others(registry, root)).toEqual(['far'])
    world.here = ['a', 'b']
    found.notice()
    expect(found.others(registry, root)).toEqual(['a', 'far'])
  })

  test('is asked of the dht again when the clock was set back', async () => {
    const { world, found } = replication()
    Object.assign(world, { here: ['a'], now: 4 * LIMITS.mirror.lookupFreshMs })
    await found.lookUp(registry, [root], signal)
    world.now = LIMITS.mirror.lookupFreshMs
    await found.lookUp(registry, [root], signal)
    expect(world.asked).toBe(2)
  })

  test('is asked of the dht so many times a minute, and again when the answer is old', async () => {
    const { world, found } = replication()
    world.here = ['a']
    const roots = Array.from({ length: 100 }, (_, i) => contentIdOf(`root ${i}`))
    await found.lookUp(registry, roots, signal)
    expect(world.asked).toBe(LIMITS.mirror.lookupsPerMinute)
    world.now += 60_000
    await found.lookUp(registry, roots, signal)
    expect(world.asked).toBe(LIMITS.mirror.lookupsPerMinute * 2)
    world.now += 60_000
    await found.lookUp(registry, roots.slice(0, 1), signal)
    expect(world.asked).toBe(LIMITS.mirror.lookupsPerMinute * 2)
    world.now += LIMITS.mirror.lookupFreshMs
    await found.lookUp(registry, roots.slice(0, 1), signal)
    expect(world.asked).toBe(LIMITS.mirror.lookupsPerMinute * 2 + 1)
  })

  test('is not asked of the dht while nobody is here', async () => {
    const { world, found } = replication()
    expect(await found.lookUp(registry, [root], signal)).toBe(false)
    expect(world.asked).toBe(0)
  })

  test('decides who is needed: whoever lacks it while too few have it, and of those who have it the first few', () => {
    const peers = ['a', 'b', 'c', 'd', 'self']
    const { world, found } = replication()
    const needed = (others: readonly string[], isHeld: boolean) => {
      world.here = [...others]
      world.holders = [...others]
      return found.isNeeded({ registry, root }, { factor: 2, isHeld })
    }
    expect(needed([], false)).toBe(true)
    expect(needed(['a'], false)).toBe(true)
    expect(needed(['a', 'b'], false)).toBe(false)
    expect(needed(['a'], true)).toBe(true)
    const place = peers.toSorted((x, y) => (placeOf(x, root) < placeOf(y, root) ? -1 : 1)).indexOf('self')
    expect(needed(['a', 'b', 'c', 'd'], true)).toBe(place < 2)
    // Whatever the root, two of those who hold it stay.
    for (let i = 0; i < 50; i++) {
      const other = contentIdOf(`root ${i}`)
      const stay = peers.filter(peer => peers.filter(each => placeOf(each, other) < placeOf(peer, other)).length < 2)
      expect(stay).toHaveLength(2)
    }
  })
})
