import { expect, test } from 'vitest'
import type { ContentId } from '../../protocol/cid.ts'
import { keptRoots } from '../../storage/kept-roots.ts'
import type { KeptRoot } from '../../storage/kept-roots.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'

const [A, B, C] = ['a', 'b', 'c'] as unknown as readonly [ContentId, ContentId, ContentId]

const isFree = ({ pinned, whole }: KeptRoot): boolean => !pinned && !whole

test('what became pinned or whole between a look at the records and letting go stays', async () => {
  const kept = keptRoots(memoryKeyValue(), 'kept!', () => 1)
  for (const root of [A, B, C]) {
    await kept.markKept(root)
    await kept.lostKept(root)
  }
  // Each change that was begun before is done before: a publish of the same content, and a fetch that ends.
  const changes = [kept.markKept(A, { pinned: true }), kept.markKept(B)]
  const went = kept.letGo([A, B, C], isFree)
  await Promise.all(changes)
  expect(await went).toEqual([C])
  expect(await Promise.all([A, B, C].map(root => kept.keptEntry(root)))).toMatchObject([
    { pinned: true, whole: true },
    { pinned: false, whole: true },
    undefined
  ])
})

test('what is let go of without a look goes, whatever its record says', async () => {
  const kept = keptRoots(memoryKeyValue(), 'kept!', () => 1)
  await kept.markKept(A, { pinned: true })
  expect(await kept.letGo([A, B])).toEqual([A, B])
  expect(await kept.keptEntry(A)).toBeUndefined()
})
