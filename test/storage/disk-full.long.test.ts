import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { openBlocks } from '../../storage/block-store.ts'
import { openHome, openWithBallast } from '../../storage/home.ts'
import { writeKey } from '../../storage/key-files.ts'
import { openLevel } from '../../storage/level-key-value.ts'
import { tempDir } from '../support/temp-dir.ts'
import { blockOf } from './blocks.contract.ts'

const MiB = 1024 * 1024
const mounted: string[] = []

afterAll(() => {
  for (const dir of mounted) execFileSync('umount', [dir])
})

/** A real, small disk; undefined where this user may not mount one. */
async function smallDisk(sizeMiB: number): Promise<string | undefined> {
  const dir = await tempDir('disk')
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m`, 'tmpfs', dir], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  mounted.push(dir)
  return dir
}

async function fill(file: string): Promise<void> {
  for (let i = 0; ; i++) {
    try {
      await writeFile(`${file}-${i}`, randomBytes(MiB), { flag: 'wx' })
    } catch {
      // The last piece is cut where the disk ends, which leaves nothing free.
      return
    }
  }
}

describe('a full disk', () => {
  test('loses nothing that was acknowledged, goes on reading, opens again on its ballast and recovers', async ({
    skip
  }) => {
    const dir = await smallDisk(30)
    if (dir === undefined) return skip('this user may not mount a file system')
    const home = await openHome(join(dir, 'home'), { ballastBytes: 8 * MiB })
    const first = await openLevel(home.paths.store)
    const acknowledged: string[] = []
    const writeUntilFull = async (): Promise<unknown> => {
      for (let i = 0; i < 20_000; i++) {
        const key = `k${String(i).padStart(6, '0')}`
        const error = await first
          .batch([{ type: 'put', key, value: randomBytes(4_000) }], { sync: true })
          .catch((caught: unknown) => caught)
        if (error !== undefined) return error
        acknowledged.push(key)
      }
      return undefined
    }
    expect(await writeUntilFull()).toMatchObject({ code: 'DISK_FULL' })
    await fill(join(dir, 'other'))
    await expect(first.batch([{ type: 'del', key: 'x' }])).rejects.toMatchObject({ code: 'DISK_FULL' })
    for (const key of acknowledged) expect((await first.get(key))?.length).toBe(4_000)
    await first.close()

    await expect(openLevel(home.paths.store)).rejects.toMatchObject({ code: 'DISK_FULL' })
    const second = await openWithBallast(home, () => openLevel(home.paths.store))
    for (const key of acknowledged) expect((await second.get(key))?.length).toBe(4_000)

    await rm(join(dir, 'other-0'), { force: true })
    await second.recover()
    await second.batch([{ type: 'put', key: 'after', value: Uint8Array.of(1) }], { sync: true })
    expect(second.failure()).toBeUndefined()
    await second.close()
    await home.close()
  })

  test('refuses blocks and keys with DISK_FULL and leaves no part of them', async ({ skip }) => {
    const dir = await smallDisk(4)
    if (dir === undefined) return skip('this user may not mount a file system')
    const blocks = await openBlocks(join(dir, 'blocks'))
    const kept = blockOf(randomBytes(100_000))
    await blocks.put(kept.cid, kept.bytes)
    const [small, gone] = [blockOf(Uint8Array.from(randomBytes(10_000))), blockOf(randomBytes(200))]
    for (const { cid, bytes } of [small, gone]) await blocks.put(cid, bytes)
    await fill(join(dir, 'other'))
    const refused = blockOf(randomBytes(MiB))
    await expect(blocks.put(refused.cid, refused.bytes)).rejects.toMatchObject({ code: 'DISK_FULL' })
    expect([await blocks.has(refused.cid), (await blocks.read(kept.cid))?.length]).toEqual([false, 100_000])
    // Small ones share a file, and what the disk took of one is cut off again.
    const little = blockOf(randomBytes(10_000))
    await expect(blocks.put(little.cid, little.bytes)).rejects.toMatchObject({ code: 'DISK_FULL' })
    expect([await blocks.has(little.cid), await blocks.read(small.cid)]).toEqual([false, small.bytes])
    // Deleting needs no room, and makes some.
    expect(blocks.sweep(gone.cid, () => true)).toBe(200)
    await expect(writeKey(dir, 'laptop', new Uint8Array(32))).rejects.toMatchObject({ code: 'DISK_FULL' })
    for (const freed of ['other-0', 'other-1']) await rm(join(dir, freed))
    await blocks.put(refused.cid, refused.bytes)
    await blocks.put(little.cid, little.bytes)
    await blocks.compact({ isThorough: true })
    await blocks.close()
    const again = await openBlocks(join(dir, 'blocks'))
    expect(await Promise.all([small, little, gone].map(({ cid }) => again.has(cid)))).toEqual([true, true, false])
    expect((await again.read(small.cid))?.length).toBe(10_000)
    await again.close()
    await writeKey(dir, 'laptop', new Uint8Array(32))
  })
})
