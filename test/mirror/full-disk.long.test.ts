import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { errorOf } from '../support/daemon.ts'
import { matching } from '../support/like.ts'
import { localNode, stopLocalNodes } from '../support/local-node.ts'
import { describeWithMounts, unmountAfter } from '../support/mounts.ts'
import { packageFolder } from '../support/package-folder.ts'
import { tempDir } from '../support/temp-dir.ts'

const run = promisify(execFile)

describeWithMounts('an export to a disk that is too small for it', () => {
  let disk: string

  beforeAll(async () => {
    disk = await tempDir('disk')
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'ggen-test', disk])
  })

  afterAll(async () => {
    await unmountAfter(disk, stopLocalNodes)
  })

  test('is refused with what to do, leaves nothing there, and works where there is room', async () => {
    const node = await localNode()
    await node.call('registryCreate', { name: 'acme' })
    const files = { 'data.bin': randomBytes(2 * 1024 * 1024) }
    await node.call('publish', { folder: await packageFolder({ name: 'big', files }) })
    const params = { registry: 'acme', private: false }
    const error = await errorOf(node.call('mirrorExport', { ...params, file: join(disk, 'acme.mirror') }))
    expect(error).toMatchObject({ code: 'DISK_FULL', message: matching(/acme\.mirror/), next: matching(/free|space/) })
    expect(await readdir(disk)).toEqual([])
    // The disk of the node itself is another one, and is written to as before.
    await node.call('publish', { folder: await packageFolder({ name: 'small' }) })
    const file = join(await tempDir('files'), 'acme.mirror')
    expect(await node.call('mirrorExport', { ...params, file })).toMatchObject({ roots: 2, missing: 0 })
  })
})
