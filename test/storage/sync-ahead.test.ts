import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { SyncAhead } from '../../storage/sync-ahead.ts'
import { tempDir } from '../support/temp-dir.ts'

interface Sync {
  readonly file: string
  readonly end: (error?: Error) => void
}

async function ahead() {
  const dir = await tempDir('sync')
  const syncs: Sync[] = []
  const of = new SyncAhead(
    file =>
      new Promise((resolve, reject) =>
        syncs.push({ file, end: error => (error === undefined ? resolve() : reject(error)) })
      )
  )
  const write = async (name: string): Promise<string> => {
    const file = join(dir, name)
    await writeFile(file, name)
    of.begin(file)
    return file
  }
  return { of, syncs, write }
}

describe('a file that is synced while others are written', () => {
  test('is waited for, and not synced a second time', async () => {
    const { of, syncs, write } = await ahead()
    const file = await write('a')
    const finished = of.finish(file)
    syncs[0]?.end()
    await finished
    expect(syncs).toHaveLength(1)
  })

  test('is synced again when it was written again in the meantime', async () => {
    const { of, syncs, write } = await ahead()
    const file = await write('a')
    await write('a')
    syncs[0]?.end()
    const finished = of.finish(file)
    let isOver = false
    void finished.then(() => (isOver = true))
    await new Promise(setImmediate)
    expect(isOver).toBe(false)
    syncs[1]?.end()
    await finished
  })

  test('is not said to be durable when it was deleted since', async () => {
    const { of, syncs, write } = await ahead()
    const file = await write('a')
    syncs[0]?.end()
    await new Promise(setImmediate)
    await rm(file)
    await expect(of.finish(file)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('fails all that come after when the disk did not keep it: a second sync would say nothing', async () => {
    const { of, syncs, write } = await ahead()
    const [a, b] = [await write('a'), await write('b')]
    syncs[0]?.end(Object.assign(new Error('lost'), { code: 'EIO' }))
    syncs[1]?.end()
    await expect(of.finish(a)).rejects.toMatchObject({ code: 'EIO' })
    await expect(of.finish(b)).rejects.toMatchObject({ code: 'EIO' })
    expect(syncs).toHaveLength(2)
  })

  test('is one of a few: the others are synced when they are waited for', async () => {
    const { of, syncs, write } = await ahead()
    const files = []
    for (let i = 0; i <= LIMITS.storage.syncsAhead; i++) files.push(await write(`${i}`))
    expect(syncs).toHaveLength(LIMITS.storage.syncsAhead)
    const finished = of.finish(files.at(-1) ?? '')
    await new Promise(setImmediate)
    expect(syncs).toHaveLength(LIMITS.storage.syncsAhead + 1)
    for (const { end } of syncs) end()
    await finished
  })
})
