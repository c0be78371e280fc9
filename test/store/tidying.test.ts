import { randomBytes } from 'node:crypto'
import { expect, test, vi } from 'vitest'
import { composeAttesting } from '../../node/attesting.ts'
import { bringTogether } from '../../node/content-together.ts'
import { FreshBlocks } from '../../node/fresh-blocks.ts'
import { Tidying } from '../../node/tidying.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { digestSubjectOf } from '../../protocol/subject.ts'
import { contentIdOf } from '../support/facts.ts'
import { registry, signal, storeWith } from './set-up.ts'

const full = new RegistryError('DISK_FULL', 'no space is left')

test('runs once at a time and once more for all who asked meanwhile', async () => {
  const { space } = await storeWith()
  const gates: (() => void)[] = []
  const tidying = new Tidying(() => new Promise(resolve => void gates.push(resolve)))
  const first = tidying.soon(space)
  const rest = Array.from({ length: 20 }, () => tidying.soon(space))
  expect(gates).toHaveLength(1)
  gates[0]?.()
  await first
  await expect.poll(() => gates.length).toBe(2)
  gates[1]?.()
  await Promise.all(rest)
  expect(gates).toHaveLength(2)
  const again = tidying.soon(space)
  expect(gates).toHaveLength(3)
  const stopped = tidying.stop()
  gates[2]?.()
  await Promise.all([again, stopped])
})

test('keeps nobody who gives up', async () => {
  const { space, keeper } = await storeWith()
  const gate = Promise.withResolvers<never[]>()
  Object.assign(space.stored, { shards: () => gate.promise })
  const abort = new AbortController()
  const waiting = keeper.tidyAfter(full, space, abort.signal)
  abort.abort()
  await waiting
  gate.resolve([])
  await keeper.stop()
})

test('is not asked for where the disk takes no writes, so that nothing was written', async () => {
  const { spaces, keeper, space } = await storeWith()
  const tidyAfter = vi.fn(() => Promise.resolve())
  const refusing = { assertWritable: () => {}, coming: () => Promise.reject(full), tidyAfter }
  const trail = {} as never
  const wanted = ['a', 'b'].map(name => ({ registry, root: contentIdOf(name), size: 10, trail }))
  const parts = { spaces, keeper: refusing, swarms: { of: () => ({}) }, disk: { note: () => {} }, meter: {} }
  expect(await bringTogether(parts as never, wanted, { fresh: new FreshBlocks(), signal })).toEqual(new Set())
  expect(tidyAfter).not.toHaveBeenCalled()
  const fetchTogether = () => Promise.reject(full)
  const writing = {
    ...parts,
    keeper: { ...refusing, coming: async () => ({ end: () => {} }) },
    swarms: { of: () => ({ fetchTogether }) }
  }
  expect(await bringTogether(writing as never, wanted, { fresh: new FreshBlocks(), signal })).toEqual(new Set())
  expect(tidyAfter).toHaveBeenCalledWith(full, space)
  await keeper.stop()
})

test('follows a predicate that found no room, too', async () => {
  const { spaces, keeper, unsaid, space, stored } = await storeWith()
  const disk = { assertWritable: () => {}, note: () => {} }
  Object.assign(space.blocks, { flush: () => Promise.reject(full) })
  const { attester } = composeAttesting({ spaces, keeper, unsaid, disk, authority: {} } as never)
  await expect(
    attester.store({ registry, subject: digestSubjectOf('00'.repeat(32)) }, randomBytes(500), signal)
  ).rejects.toThrow(full)
  expect((await stored.usage()).blocks).toBe(0)
})
