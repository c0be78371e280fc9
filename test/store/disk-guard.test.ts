import { afterEach, expect, test } from 'vitest'
import { DiskGuard } from '../../node/disk-guard.ts'
import { silentLog } from '../../node/runtime/log.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { openHome } from '../../storage/home.ts'
import type { Home } from '../../storage/home.ts'
import { tempDir } from '../support/temp-dir.ts'
import { testClock } from '../support/test-clock.ts'

let home: Home | undefined

afterEach(() => home?.close())

/** A guard of a disk with space, over a store that failed. */
async function guardOver(failure: RegistryError) {
  home = await openHome(await tempDir('home'))
  let failed: RegistryError | undefined = failure
  const store = {
    failure: () => failed,
    recover: () => {
      failed = undefined
      return Promise.resolve()
    }
  }
  return new DiskGuard({ home, store, clock: testClock(), log: silentLog(), signal: new AbortController().signal })
}

test('a store that found the disk full lets nobody write until it is opened again, which space brings', async () => {
  const guard = await guardOver(new RegistryError('DISK_FULL', 'no space is left'))
  expect(guard.isReadOnly).toBe(true)
  expect(() => guard.assertWritable()).toThrow('no space is left')
  await guard.check()
  expect(guard.isReadOnly).toBe(false)
  guard.assertWritable()
})

test('space does not mend a write that failed for another reason', async () => {
  const guard = await guardOver(new RegistryError('READ_ONLY', 'the disk said no'))
  await guard.check()
  expect(guard.isReadOnly).toBe(true)
  expect(() => guard.assertWritable()).toThrow('the disk said no')
})
