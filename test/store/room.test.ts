import { describe, expect, test } from 'vitest'
import { Room } from '../../node/services/store/room.ts'
import { contentIdOf } from '../support/facts.ts'

const signal = new AbortController().signal
const content = (size: number) => ({ root: contentIdOf(String(size)), size })

function roomOf({ quota = 1_000, used = 0, free = 0, here = 0 } = {}) {
  const state = { used, free, here, now: 0, collections: 0 }
  const room = new Room(
    {
      swarm: 'public',
      usedBytes: async () => state.used,
      bytesHere: async () => state.here,
      shrinkTo: async bytes => {
        state.collections += 1
        const gone = Math.min(state.free, Math.max(0, state.used - bytes))
        state.used -= gone
        state.free -= gone
      },
      now: () => state.now
    },
    quota
  )
  return { room, state }
}

describe('room for what is about to come', () => {
  test('is there without a quota, and below it', async () => {
    const { room, state } = roomOf({ used: 900 })
    await room.reserve(content(100), signal)
    room.quotaBytes = undefined
    await room.reserve(content(1_000_000), signal)
    expect(state.collections).toBe(0)
  })

  test('is made of what is not pinned, and a little more than is needed', async () => {
    const { room, state } = roomOf({ used: 1_000, free: 600 })
    await room.reserve(content(20), signal)
    expect(state).toMatchObject({ used: 900, collections: 1 })
  })

  test('is refused with a code when nothing is free to go, and not looked for again for every content', async () => {
    const { room, state } = roomOf({ used: 950 })
    await expect(room.reserve(content(100), signal)).rejects.toMatchObject({
      code: 'QUOTA_EXCEEDED',
      detail: { needed: 100, quota: 1_000, used: 950 }
    })
    await expect(room.reserve(content(101), signal)).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
    expect(state.collections).toBe(1)
    // Somebody unpinned something.
    state.free = 500
    room.changed()
    await room.reserve(content(100), signal)
    expect(state.collections).toBe(2)
  })

  test('is looked for again when the clock was set back', async () => {
    const { room, state } = roomOf({ used: 950 })
    state.now = 3_600_000
    await expect(room.reserve(content(100), signal)).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
    state.now = 0
    state.free = 500
    await room.reserve(content(100), signal)
    expect(state.collections).toBe(2)
  })

  test('is refused at once for what is larger than the quota', async () => {
    const { room, state } = roomOf()
    await expect(room.reserve(content(1_001), signal)).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
    expect(state.collections).toBe(0)
  })

  test('is needed only for what is not here yet', async () => {
    const { room } = roomOf({ used: 950, here: 900 })
    await room.reserve(content(940), signal)
  })

  test('that was promised counts until it has come: two that fit alone and not together are one after the other', async () => {
    const { room, state } = roomOf()
    const first = await room.reserve(content(700), signal)
    const second = room.reserve(content(600), signal)
    let isSettled = false
    void second.catch(() => undefined).then(() => (isSettled = true))
    for (let i = 0; i < 10; i++) await Promise.resolve()
    expect(isSettled).toBe(false)
    state.used = 700
    first.end()
    await expect(second).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
  })

  test('is waited for no longer than the one who needs it', async () => {
    const { room } = roomOf()
    await room.reserve(content(700), signal)
    const abort = new AbortController()
    const second = room.reserve(content(600), abort.signal)
    abort.abort(new Error('enough'))
    await expect(second).rejects.toThrow('enough')
  })
})
