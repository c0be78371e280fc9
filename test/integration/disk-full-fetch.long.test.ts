import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { caughtUp, errorOf, startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { matching } from '../support/like.ts'
import { packageFolder } from '../support/package-folder.ts'
import { tempDir } from '../support/temp-dir.ts'

const run = promisify(execFile)
const isRoot = process.platform === 'linux' && process.getuid?.() === 0
const why = isRoot ? '' : ' (skipped: only root can mount a small disk)'
const MiB = 1024 * 1024

describe.skipIf(!isRoot)(`a disk of 96 MiB that fills up while content comes${why}`, () => {
  let disk: string
  let publisher: Daemon
  let daemon: Daemon
  let registry: string

  const install = async (name: string) =>
    daemon.client.call('install', { references: [name], project: await tempDir('project') })
  const stat = async () => (await daemon.client.call('storeStat', {})).spaces[0]

  beforeAll(async () => {
    disk = await tempDir('disk')
    await run('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'ggen-test', disk])
    await mkdir(join(disk, 'home'))
    publisher = await startDaemon()
    registry = (await publisher.client.call('registryCreate', { name: 'small' })).id
    for (const [name, size] of [
      ['little', MiB],
      ['large', 60 * MiB]
    ] as const) {
      const folder = await packageFolder({ name, files: { 'data.bin': randomBytes(size) } })
      await publisher.client.call('publish', { folder, registry })
      await rm(folder, { recursive: true })
    }
    daemon = await startDaemon({ home: join(disk, 'home') })
    await daemon.client.call('registryAdd', { id: registry, peer: publisher.address, isDefault: true })
    await caughtUp(publisher, daemon, registry)
    await writeFile(join(disk, 'filler'), new Uint8Array(40 * MiB))
  })

  afterAll(async () => {
    await Promise.all([publisher.stop('SIGKILL'), daemon.stop('SIGKILL')])
    await run('umount', ['--lazy', disk])
  })

  test('refuses what does not fit in the middle of it, says so, and claims nothing half to be here', async () => {
    await install('little')
    expect(await errorOf(install('large'))).toMatchObject({ code: 'DISK_FULL', next: matching(/free|space/) })
    expect(await stat()).toMatchObject({ roots: 1, broken: [] })
    expect((await daemon.client.call('storeStat', {})).readOnly).toBe(true)
    expect(await errorOf(daemon.client.call('storePin', { what: 'little' }))).toMatchObject({ code: 'DISK_FULL' })
    await install('little')
  })

  test('a collection gives back what had come of it, and what is pinned stays', async () => {
    const before = await stat()
    const { spaces } = await daemon.client.call('storeGc', { all: true, dryRun: false })
    expect(spaces[0]?.bytes).toBeGreaterThan(10 * MiB)
    expect((await stat())?.bytes).toBeLessThan((before?.bytes ?? 0) - 10 * MiB)
    expect(await install('little')).toMatchObject({ installed: [{ bytes: 0 }] })
  })

  test('when there is space again it comes as a whole', async () => {
    await rm(join(disk, 'filler'))
    await vi.waitFor(() => install('large'), { timeout: 60_000, interval: 500 })
    expect(await stat()).toMatchObject({ roots: 2, broken: [] })
    expect((await daemon.client.call('storeVerify', {})).spaces).toMatchObject([{ damaged: 0, broken: 0 }])
  })
})
