import { execFile } from 'node:child_process'
import { mkdir, readdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { openBlocks } from '../../storage/block-store.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { describeWithMounts, unmountAfter } from '../support/mounts.ts'
import { tempDir } from '../support/temp-dir.ts'
import { blockOf } from './blocks.contract.ts'

const textBlock = (text: string) => blockOf(new Uint8Array(Buffer.from(text)))
const one = textBlock('one')
const two = textBlock('two')

/** A folder with one segment, closed. */
async function folderWithOne(): Promise<string> {
  const dir = await tempDir('blocks')
  const blocks = await openBlocks(dir)
  await blocks.put(one.cid, one.bytes)
  await blocks.flush([one.cid])
  await blocks.close()
  return dir
}

/** It opens, holds what is not damaged, takes what comes, and does so again after it was closed. */
async function expectUsable(dir: string, isOneHere: boolean): Promise<void> {
  for (let opened = 0; opened < 2; opened++) {
    const blocks = await openBlocks(dir)
    expect(await blocks.has(one.cid)).toBe(isOneHere)
    await blocks.put(two.cid, two.bytes)
    await blocks.flush([two.cid])
    expect(await blocks.read(two.cid)).toEqual(two.bytes)
    await blocks.close()
  }
}

describe('a folder of blocks opens', () => {
  test('with a folder where a segment should be', async () => {
    const dir = await folderWithOne()
    await mkdir(join(dir, 'small', '0000000009.segment'))
    await writeFile(join(dir, 'small', '0000000009.segment', 'inside'), 'x')
    await expectUsable(dir, true)
    expect(await readdir(join(dir, '.quarantine'))).toEqual(['0000000009.segment'])
  })

  test('with a folder where an index should be', async () => {
    const dir = await folderWithOne()
    await mkdir(join(dir, 'small', '0000000001.index'))
    await expectUsable(dir, true)
  })

  test('with a segment of which nothing can be told, where nothing can be set aside', async () => {
    const dir = await folderWithOne()
    await truncate(join(dir, 'small', '0000000001.segment'), 3)
    await writeFile(join(dir, '.quarantine'), 'a file in the way')
    await expectUsable(dir, false)
  })

  test('with more folders set aside than are kept', async () => {
    const dir = await folderWithOne()
    for (let n = 0; n <= LIMITS.storage.quarantinedBlocks; n++) {
      await mkdir(join(dir, '.quarantine', `aside-${n}`), { recursive: true })
      await writeFile(join(dir, '.quarantine', `aside-${n}`, 'inside'), 'x')
    }
    await truncate(join(dir, 'small', '0000000001.segment'), 3)
    await expectUsable(dir, false)
    expect((await readdir(join(dir, '.quarantine'))).length).toBeLessThanOrEqual(LIMITS.storage.quarantinedBlocks)
  })

  test('with an index of a segment that is gone, and with one that has the highest number there is', async () => {
    const dir = await folderWithOne()
    await writeFile(join(dir, 'small', '0000000007.index'), 'x')
    await writeFile(join(dir, 'small', '4294967295.segment'), 'x')
    await expectUsable(dir, true)
  })
})

describeWithMounts('a disk that takes no writes', () => {
  test('gives what is in it, and says why it takes nothing', async () => {
    const dir = await folderWithOne()
    const run = promisify(execFile)
    await run('mount', ['--bind', dir, dir])
    await unmountAfter(dir, async () => {
      await run('mount', ['-o', 'remount,ro,bind', dir])
      const blocks = await openBlocks(dir)
      expect(await blocks.read(one.cid)).toEqual(one.bytes)
      await expect(blocks.put(two.cid, two.bytes)).rejects.toMatchObject({ code: 'READ_ONLY' })
      expect(await blocks.read(one.cid)).toEqual(one.bytes)
      await blocks.close()
    })
    await expectUsable(dir, true)
  })
})
