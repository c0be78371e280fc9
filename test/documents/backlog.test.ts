import { expect, test } from 'vitest'
import { Backlog } from '../../node/services/documents/backlog.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import type { Subject } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { subject } from '../support/facts.ts'

const REGISTRY = 'a registry' as RegistryId
const subjects = (count: number): readonly Subject[] => Array.from({ length: count }, (_, i) => subject(`p${i}`))

/** Work that goes on when the test says so. */
function workshop(fails: (about: Subject) => boolean = () => false) {
  const failed: Subject[] = []
  const running = new Map<Subject, () => void>()
  const done: Subject[] = []
  let most = 0
  const backlog = new Backlog({
    todo: async () => [],
    work: async (_, about) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      running.set(about, resolve)
      most = Math.max(most, running.size)
      await promise
      running.delete(about)
      done.push(about)
      if (fails(about)) throw new Error('no')
    },
    onFailed: (_, about) => void failed.push(about)
  })
  const goOn = async (): Promise<void> => {
    let isSettled = false
    const settled = backlog.settled(REGISTRY).then(() => (isSettled = true))
    while (!isSettled) {
      for (const resolve of running.values()) resolve()
      await Promise.resolve()
    }
    await settled
  }
  return { backlog, done, failed, goOn, most: () => most }
}

test('brings a few subjects up to date side by side, each once, and no more than that at a time', async () => {
  const { backlog, done, goOn, most } = workshop()
  const all = subjects(3 * LIMITS.document.atOnce + 1)
  backlog.add(REGISTRY, all)
  await goOn()
  expect(done.toSorted()).toEqual(all.toSorted())
  expect(most()).toBe(LIMITS.document.atOnce)
})

test('one that fails takes none of those beside it along', async () => {
  const all = subjects(LIMITS.document.atOnce)
  const { backlog, done, failed, goOn } = workshop(about => about === all[1])
  backlog.add(REGISTRY, all)
  await goOn()
  expect(done.toSorted()).toEqual(all.toSorted())
  expect(failed).toEqual([all[1]])
})
