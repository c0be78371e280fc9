import { chmod, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { isNearlyFull } from '../../storage/disk-space.ts'
import { holderOf, takeHomeLock } from '../../storage/home-lock.ts'
import { openHome, openWithBallast, STORE_FORMAT } from '../../storage/home.ts'
import { startChild } from '../support/child.ts'
import { tempDir } from '../support/temp-dir.ts'

const MiB = 1024 * 1024
const small = { ballastBytes: 64 * 1024 }
const onPosix = test.skipIf(process.platform === 'win32')

describe('a data directory', () => {
  onPosix('is made for its owner only, and closed again when it was opened to others', async () => {
    const dir = join(await tempDir('home'), 'deep', 'home')
    await (await openHome(dir, small)).close()
    await chmod(dir, 0o755)
    const home = await openHome(dir, small)
    const modes = await Promise.all(
      [home.paths.dir, home.paths.keys].map(async path => (await stat(path)).mode & 0o777)
    )
    expect(modes).toEqual([0o700, 0o700])
    await home.close()
  })

  onPosix('in a folder that somebody uses for other things is not closed to them, but its keys are', async () => {
    const dir = await tempDir('shared')
    await writeFile(join(dir, 'theirs'), 'x')
    await chmod(dir, 0o755)
    const home = await openHome(dir, small)
    const modes = await Promise.all(
      [home.paths.dir, home.paths.keys].map(async path => (await stat(path)).mode & 0o777)
    )
    expect(modes).toEqual([0o755, 0o700])
    await home.close()
  })

  test('keeps its format and refuses one that it does not know, without holding on to the lock', async () => {
    const dir = await tempDir('home')
    await (await openHome(dir, small)).close()
    expect(await readFile(join(dir, 'format'), 'utf8')).toBe(`${STORE_FORMAT}\n`)
    for (const text of ['2\n', '1', '', '01\n']) {
      await writeFile(join(dir, 'format'), text)
      await expect(openHome(dir, small)).rejects.toMatchObject({ code: 'STORE_FORMAT' })
    }
    await writeFile(join(dir, 'format'), '1\n')
    await (await openHome(dir, small)).close()
  })

  test('clears what a dead process left half written, and leaves what a living one writes', async () => {
    const dir = await tempDir('home')
    await (await openHome(dir, small)).close()
    const child = startChild('take-lock', [dir])
    await child.line()
    await child.kill()
    await writeFile(join(dir, `.tmp-${child.pid}-00`), 'x')
    await writeFile(join(dir, 'keys', `.tmp-${child.pid}-00`), 'x')
    await writeFile(join(dir, `.tmp-${process.pid}-00`), 'x')
    await (await openHome(dir, small)).close()
    const left = [...(await readdir(dir)), ...(await readdir(join(dir, 'keys')))].filter(name =>
      name.startsWith('.tmp-')
    )
    expect(left).toEqual([`.tmp-${process.pid}-00`])
  })
})

describe('the ballast', () => {
  test('is laid on opening, given up once, and laid again', async () => {
    const dir = await tempDir('home')
    const home = await openHome(dir, small)
    const size = async () => (await stat(home.paths.ballast).catch(() => undefined))?.size
    expect(await size()).toBe(small.ballastBytes)
    expect([await home.releaseBallast(), await size(), await home.releaseBallast()]).toEqual([true, undefined, false])
    expect([await home.restoreBallast(), await size()]).toEqual([true, small.ballastBytes])
    await home.close()
  })

  test('is given up for a store that cannot open on a full disk, and for nothing else', async () => {
    const home = await openHome(await tempDir('home'), small)
    const failOnce = (error: Error) => {
      let calls = 0
      return async () => {
        calls += 1
        if (calls === 1) throw error
        return calls
      }
    }
    const locked = new RegistryError('HOME_LOCKED', 'taken')
    await expect(openWithBallast(home, failOnce(locked))).rejects.toBe(locked)
    const full = new Error('IO error: /x/000005.ldb: No space left on device')
    expect(await openWithBallast(home, failOnce(full))).toBe(2)
    await expect(openWithBallast(home, failOnce(full))).rejects.toBe(full)
    await home.close()
  })
})

describe('the lock', () => {
  test('is refused to a second opener, who is told the process that has it', async () => {
    const dir = await tempDir('home')
    const home = await openHome(dir, small)
    const refusal = {
      code: 'HOME_LOCKED',
      detail: { pid: process.pid },
      next: expect.stringContaining(`${process.pid}`) as unknown
    }
    await expect(openHome(dir, small)).rejects.toMatchObject(refusal)
    expect((await holderOf(dir))?.pid).toBe(process.pid)
    await home.close()
    expect(await holderOf(dir)).toBeUndefined()
    await (await openHome(dir, small)).close()
  })

  test('of a process that was killed passes to exactly one of many that want it, again and again', async () => {
    const dir = await tempDir('lock')
    for (let round = 0; round < 3; round++) {
      const children = Array.from({ length: 5 }, () => startChild('take-lock', [dir]))
      for (const child of children) await child.line()
      for (const child of children) child.send('go')
      const answers = await Promise.all(children.map(child => child.line()))
      expect(answers.toSorted()).toEqual(['HOME_LOCKED', 'HOME_LOCKED', 'HOME_LOCKED', 'HOME_LOCKED', 'taken'])
      expect((await holderOf(dir))?.pid).toBe(children[answers.indexOf('taken')]?.pid)
      for (const child of children) await child.kill()
    }
    await (await takeHomeLock(dir)).release()
    expect(await readdir(dir)).toEqual([])
  })

  test('of a holder that died in the middle of taking it over is taken over too', async () => {
    const dir = await tempDir('lock')
    const dead = startChild('take-lock', [dir])
    await dead.line()
    await dead.kill()
    const [first, second] = ['a', 'b'].map(letter => letter.repeat(32))
    await writeFile(join(dir, 'lock'), `${dead.pid} - ${first}\n`)
    await writeFile(join(dir, `lock.after-${first}`), `${dead.pid} - ${second}\n`)
    const lock = await takeHomeLock(dir)
    expect((await holderOf(dir))?.pid).toBe(process.pid)
    expect(await readdir(dir)).toEqual(['lock'])
    await lock.release()
  })

  test.skipIf(process.platform !== 'linux')('is not held by a later process with the same number', async () => {
    const dir = await tempDir('lock')
    await writeFile(join(dir, 'lock'), `${process.pid} 1@another-boot ${'a'.repeat(32)}\n`)
    await (await takeHomeLock(dir)).release()
  })

  test('that is not one of ours is left to a person', async () => {
    const dir = await tempDir('lock')
    for (const text of ['', 'garbage', '0 - ' + 'a'.repeat(32) + '\n', 'x'.repeat(LIMITS.storage.lockBytes + 1)]) {
      await writeFile(join(dir, 'lock'), text)
      await expect(takeHomeLock(dir)).rejects.toMatchObject({
        code: 'HOME_LOCKED',
        next: expect.stringContaining('remove') as unknown
      })
    }
    await rm(join(dir, 'lock'))
  })
})

describe('a disk', () => {
  test.each([
    [63 * MiB, 100_000 * MiB, true],
    [64 * MiB, 100_000 * MiB, false],
    [2 * MiB, 100 * MiB, false],
    [2 * MiB - 1, 100 * MiB, true]
  ])('with %d bytes free of %d is nearly full: %s', (freeBytes, totalBytes, nearly) => {
    expect(isNearlyFull({ freeBytes, totalBytes })).toBe(nearly)
  })

  test('is nearly full earlier when configured so', () => {
    const space = { freeBytes: 90 * MiB, totalBytes: 1_000 * MiB }
    expect([isNearlyFull(space), isNearlyFull(space, { freeBytes: 500 * MiB, freePercent: 10 })]).toEqual([false, true])
  })
})
