import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { caughtUp, errorOf, startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { matching } from '../support/like.ts'
import { describeWithMounts, unmountAfter } from '../support/mounts.ts'
import { packageFolder } from '../support/package-folder.ts'
import { tempDir } from '../support/temp-dir.ts'

const run = promisify(execFile)
const MiB = 1024 * 1024

describeWithMounts('a disk of 96 MiB that fills up while content comes', () => {
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
    await unmountAfter(disk, () => Promise.all([publisher?.stop('SIGKILL'), daemon?.stop('SIGKILL')]))
  })

  test('refuses what does not fit in the middle of it, says so, and claims nothing half to be here', async () => {
    await install('little')
    expect(await errorOf(install('large'))).toMatchObject({ code: 'DISK_FULL', next: matching(/free|space/) })
    expect(await stat()).toMatchObject({ roots: 1, broken: [] })
    await install('little')
  })

  test('what had come of it is not what keeps the disk full, however often it is tried', async () => {
    const { bytes: before = 0 } = (await stat()) ?? {}
    expect(before).toBeLessThan(5 * MiB)
    const own = (await daemon.client.call('registryCreate', { name: 'own' })).id
    for (let tries = 1; tries <= 2; tries++) {
      const folder = await packageFolder({ name: `own-${tries}` })
      // The disk takes writes again with the next look at it.
      await vi.waitFor(() => daemon.client.call('publish', { folder, registry: own }), {
        timeout: 30_000,
        interval: 500
      })
      expect(await errorOf(install('large'))).toMatchObject({ code: 'DISK_FULL' })
    }
    expect((await stat())?.bytes).toBeLessThan(before + MiB)
    expect(await install('little')).toMatchObject({ installed: [{ bytes: 0 }] })
  })

  test('nor is what had come of a file that is imported', async () => {
    const file = join(await tempDir('mirror'), 'small.mirror')
    await publisher.client.call('mirrorExport', { registry, file, private: false })
    const { bytes: before = 0 } = (await stat()) ?? {}
    const take = () => daemon.client.call('mirrorImport', { file })
    await vi.waitFor(async () => expect((await daemon.client.call('storeStat', {})).readOnly).toBe(false), {
      timeout: 30_000,
      interval: 500
    })
    expect(await errorOf(take())).toMatchObject({ code: 'DISK_FULL' })
    expect((await stat())?.bytes).toBeLessThan(before + MiB)
    expect(await stat()).toMatchObject({ broken: [] })
  })

  test('when there is space again it comes as a whole', async () => {
    await rm(join(disk, 'filler'))
    await vi.waitFor(() => install('large'), { timeout: 60_000, interval: 500 })
    // And the two packages of this node.
    expect(await stat()).toMatchObject({ roots: 4, broken: [] })
    expect((await daemon.client.call('storeVerify', {})).spaces).toMatchObject([{ damaged: 0, broken: 0 }])
  })
})
