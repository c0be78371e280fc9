import { beforeEach, describe, expect, test } from 'vitest'
import { parseSubmission } from '../../protocol/submission.ts'
import { clock, from, openDesk, refused } from '../support/desk.ts'
import { stranger } from '../support/submission.ts'

beforeEach(() => {
  clock.now = 1_700_000_000_000
})

describe('a name that comes near one of somebody else', () => {
  test.each(['nove1', 'n0ve1', 'novel-s', 'nvoel', 'novell', 'node-novel'])(
    'is given out by no machine: %s',
    async name => {
      const { desk, registry } = await openDesk('open')
      const owner = stranger()
      await desk.submit(owner.asks(registry, 'novel'), from('a'))
      const told = await desk.submit(stranger().asks(registry, name), from('b'))
      expect(told).toEqual(name.includes('1') ? refused('name-taken') : { type: 'waiting' })
      // Who has the name may have those around it.
      expect(await desk.submit(owner.asks(registry, name), from('a'))).toMatchObject({ type: 'granted' })
    }
  )

  test('is shown to whoever decides, and one that looks the same is given out only by somebody who says so', async () => {
    const { desk, registry } = await openDesk('curated')
    const [owner, other] = [stranger(), stranger()]
    const first = owner.asks(registry, 'novel')
    await desk.submit(first, from('a'))
    await desk.grant(registry, parseSubmission(first).id)
    const second = other.asks(registry, 'n-ove1')
    expect(await desk.submit(second, from('b'))).toEqual({ type: 'waiting' })
    expect(await desk.similar(registry, 'ggen/n-ove1', other.key)).toEqual(['ggen/novel'])
    expect(await desk.similar(registry, 'ggen/novells')).toEqual([])
    expect(await desk.similar(registry, 'ggen/n-ove1', owner.key)).toEqual([])
    const { id } = parseSubmission(second)
    await expect(desk.grant(registry, id)).rejects.toMatchObject({ code: 'NAME_TAKEN' })
    expect(await desk.grant(registry, id, { allowSimilar: true })).toMatchObject({ name: 'ggen/n-ove1' })
    // What is given out already is given to nobody else, whatever is said.
    const third = stranger().asks(registry, 'novel')
    expect(await desk.submit(third, from('c'))).toEqual(refused('name-taken'))
  })
})
