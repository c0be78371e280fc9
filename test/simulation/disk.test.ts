import { describe, expect, test } from 'vitest'
import { keyValueContract } from '../storage/key-value.contract.ts'
import { SimDisk } from './disk.ts'
import { Rng } from './rng.ts'

keyValueContract('a simulated disk', () => new SimDisk(new Rng('disk')).open())

const put = (key: string) => [{ type: 'put', key, value: Uint8Array.of(1) }] as const

describe('a simulated disk', () => {
  test('the death of the machine takes a run of the last unsynced batches, never one from the middle, never a synced one', async () => {
    const seen = new Set<number>()
    for (let seed = 0; seed < 60; seed++) {
      const disk = new SimDisk(new Rng(`disk ${seed}`))
      const kv = await disk.open()
      await kv.batch(put('0'))
      await kv.batch(put('1'), { sync: true })
      for (const key of ['2', '3', '4']) await kv.batch(put(key))
      const lost = await disk.powerCut()
      seen.add(lost)
      const keys: string[] = []
      for await (const [key] of (await disk.open()).iterate()) keys.push(key)
      expect(keys).toEqual(['0', '1', '2', '3', '4'].slice(0, 5 - lost))
    }
    expect(seen).toEqual(new Set([0, 1, 2, 3]))
  })

  test('the death of the process takes nothing', async () => {
    const disk = new SimDisk(new Rng('disk'))
    await (await disk.open()).batch(put('a'))
    await disk.kill()
    expect(await (await disk.open()).has('a')).toBe(true)
  })

  test('a full disk fails for a while and keeps nothing of what failed', async () => {
    const disk = new SimDisk(new Rng('disk'))
    const kv = await disk.open()
    disk.arm('full', 1, 2)
    await kv.batch(put('a'))
    await expect(kv.batch(put('b'))).rejects.toMatchObject({ code: 'DISK_FULL' })
    await expect(kv.batch(put('b'))).rejects.toMatchObject({ code: 'DISK_FULL' })
    await kv.batch(put('c'))
    expect([await kv.has('a'), await kv.has('b'), await kv.has('c')]).toEqual([true, false, true])
  })

  test('a write whose answer was lost has landed', async () => {
    const disk = new SimDisk(new Rng('disk'))
    const kv = await disk.open()
    disk.arm('answer-lost', 0)
    await expect(kv.batch(put('a'))).rejects.toMatchObject({ code: 'DISK_FULL' })
    expect(await kv.has('a')).toBe(true)
  })

  test('a write in limbo is not seen, nothing is written after it, and the next start shows what became of it', async () => {
    const outcomes = new Set<boolean>()
    for (let seed = 0; seed < 20; seed++) {
      const disk = new SimDisk(new Rng(`disk ${seed}`))
      const kv = await disk.open()
      disk.arm('limbo', 0)
      await expect(kv.batch(put('a'))).rejects.toMatchObject({ code: 'DISK_FULL' })
      await expect(kv.batch(put('b'))).rejects.toMatchObject({ code: 'DISK_FULL' })
      expect([await kv.has('a'), await kv.has('b')]).toEqual([false, false])
      const again = await disk.open()
      outcomes.add(await again.has('a'))
      expect(await again.has('b')).toBe(false)
    }
    expect(outcomes).toEqual(new Set([true, false]))
  })

  test.each([
    ['dies-before', false],
    ['dies-after', true]
  ] as const)('a machine that %s has written: %s', async (fault, isThere) => {
    const disk = new SimDisk(new Rng('disk'))
    const kv = await disk.open()
    disk.arm(fault, 0)
    await expect(kv.batch(put('a'), { sync: true })).rejects.toThrow('the machine died')
    expect(disk.isDead).toBe(true)
    await disk.powerCut()
    expect(await (await disk.open()).has('a')).toBe(isThere)
  })
})
