import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { RegistryError } from '../../protocol/errors.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runningNode, stopRunningNodes } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'

afterAll(stopRunningNodes)

test('a row of a view that cannot be read costs no backup: nothing in it is then said to be unpinned', async () => {
  const node = await runningNode()
  await node.found('open')
  await node.call('publish', { folder: await packageFolder({ name: 'named', files: { a: 'a' } }) })
  await node.call('storeUnpin', { what: 'named' })
  await node.call('storePin', { what: 'named' })
  Object.assign(node.parts.view, {
    packages: () => {
      throw new RegistryError('STORE_CORRUPT', 'a row is damaged', { next: 'ggen-node doctor' })
    }
  })
  const file = join(await tempDir('backups'), 'damaged.backup')
  const said = await node.call('backup', { file, blocks: true, keys: [] })
  expect(said.roots).toBe(1)
  expect(said.skipped).toEqual([expect.stringMatching(/^public: .*pinned.*a row is damaged/)])
  expect((await readFile(file)).includes('pinned')).toBe(false)
})
