import { afterEach, expect, test, vi } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { openBlocks } from '../../storage/block-store.ts'
import type { VerifiedBlocks } from '../../storage/verified-blocks.ts'
import { tempDir } from '../support/temp-dir.ts'
import { blockOf, filled } from './blocks.contract.ts'

afterEach(() => void vi.restoreAllMocks())

const { writeNowBytes, writeNowMs, slowWrites, writesElsewhere, turnMs } = LIMITS.storage
const isHere = (blocks: VerifiedBlocks, { cid }: ReturnType<typeof blockOf>): boolean =>
  blocks.sizeOf(cid) !== undefined

/** All that can happen before anything else comes: before the next bytes from a socket, say. */
async function atOnce(): Promise<void> {
  for (let n = 0; n < 50; n++) await Promise.resolve()
}

/** A machine on which each look at the time is so much later than the one before. */
function eachTakes(ms: number): void {
  let now = performance.now()
  vi.spyOn(performance, 'now').mockImplementation(() => (now += ms))
}

test('a small block that comes from outside is written before anything else comes, however long the thread was kept', async () => {
  const blocks = await openBlocks(await tempDir('blocks'))
  eachTakes(turnMs + 1)
  const [coming, made] = [blockOf(filled(1_000, 1)), blockOf(filled(1_000, 2))]
  const written = [blocks.put(coming.cid, coming.bytes, { atOnce: true }), blocks.put(made.cid, made.bytes)]
  await atOnce()
  // Who makes blocks as fast as it can lets others have their turn.
  expect([coming, made].map(block => isHere(blocks, block))).toEqual([true, false])
  await Promise.all(written)
})

test('a large block is written before anything else comes, until the disk was slow most of the time', async () => {
  const blocks = await openBlocks(await tempDir('blocks'))
  let made = 0
  const putLarge = async (): Promise<boolean> => {
    const block = blockOf(filled(writeNowBytes + 1, made++))
    const written = blocks.put(block.cid, block.bytes)
    await atOnce()
    const isNow = isHere(blocks, block)
    await written
    return isNow
  }
  // Now and then a write takes long on any machine.
  for (const ms of [writeNowMs + 1, 0, writeNowMs + 1, 0]) {
    eachTakes(ms)
    expect(await putLarge()).toBe(true)
  }
  eachTakes(writeNowMs + 1)
  for (let n = 0; n < slowWrites; n++) expect(await putLarge()).toBe(true)
  for (let n = 0; n < writesElsewhere; n++) expect(await putLarge()).toBe(false)
  expect(await putLarge()).toBe(true)
})
