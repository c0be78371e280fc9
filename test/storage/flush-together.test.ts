import { randomBytes } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { FlushTogether } from '../../storage/flush-together.ts'
import type { FlushFailures } from '../../storage/flush-together.ts'
import { openBlocks } from '../../storage/block-store.ts'
import { tempDir } from '../support/temp-dir.ts'
import { blockOf } from './blocks.contract.ts'

interface Turn {
  readonly cids: readonly CID[]
  readonly end: (failures?: FlushFailures) => void
  readonly fail: (error: Error) => void
}

function together() {
  const turns: Turn[] = []
  const flusher = new FlushTogether(cids => {
    const { promise, resolve, reject } = Promise.withResolvers<FlushFailures>()
    turns.push({ cids, end: (failures = new Map()) => resolve(failures), fail: reject })
    return promise
  })
  const [a, b, c] = [1, 2, 3].map(() => blockOf(randomBytes(9)).cid) as [CID, CID, CID]
  return { turns, flusher, a, b, c }
}

const soon = (): Promise<void> => new Promise(resolve => void setImmediate(resolve))

describe('blocks that several want durable', () => {
  test('are one turn for all who ask while another one is under way, and none of them is in that one', async () => {
    const { turns, flusher, a, b, c } = together()
    const first = flusher.flush([a])
    await soon()
    const [second, third] = [flusher.flush([b]), flusher.flush([c, b])]
    await soon()
    expect(turns.map(({ cids }) => cids)).toEqual([[a]])
    turns[0]?.end()
    await first
    await soon()
    expect(turns.map(({ cids }) => cids)).toEqual([[a], [b, c]])
    let isOver = false
    void second.then(() => (isOver = true))
    await soon()
    expect(isOver).toBe(false)
    turns[1]?.end()
    await Promise.all([second, third])
  })

  test('that are missing fail whoever asked for them, and nobody else', async () => {
    const { turns, flusher, a, b } = together()
    const [one, other] = [flusher.flush([a]), flusher.flush([b])]
    await soon()
    const error = new Error('gone')
    turns[0]?.end(new Map([[a.toString(), error]]))
    await expect(one).rejects.toBe(error)
    await other
  })

  test('of a turn that fails as a whole are durable for nobody, and the next turn comes all the same', async () => {
    const { turns, flusher, a, b } = together()
    const one = flusher.flush([a])
    await soon()
    const next = flusher.flush([b])
    turns[0]?.fail(new Error('the folder'))
    await expect(one).rejects.toThrow('the folder')
    await soon()
    turns[1]?.end()
    await next
  })

  test('on a disk: one that is not there does not keep the others from being durable', async () => {
    const blocks = await openBlocks(await tempDir('flush'))
    const [here, gone] = [blockOf(randomBytes(100)), blockOf(randomBytes(100))]
    await blocks.put(here.cid, here.bytes)
    const [kept, lost] = [blocks.flush([here.cid]), blocks.flush([gone.cid])]
    await expect(lost).rejects.toMatchObject({ code: 'CONTENT_UNAVAILABLE' })
    await kept
  })
})
