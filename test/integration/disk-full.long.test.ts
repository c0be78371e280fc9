import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { errorOf, startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { containing, matching, some } from '../support/like.ts'
import { describeWithMounts, fill, unmountAfter } from '../support/mounts.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

const run = promisify(execFile)

describeWithMounts('a disk of 64 MiB that fills up', () => {
  let disk: string
  let home: string
  /** Somebody else's file, which grows and goes. */
  let filler: string
  let daemon: Daemon
  let registry: string
  const acknowledged = new Map<string, string>()

  const publish = async (n: number) => {
    const files = { 'data.bin': randomBytes(1024 * 1024) }
    const folder = await packageFolder({ name: `p${n}`, files })
    const { cid } = await daemon.client.call('publish', { folder, registry })
    await rm(folder, { recursive: true })
    acknowledged.set(`p${n}`, cid)
  }

  /** Everything that was acknowledged, by name and content, as a reader finds it. */
  const published = async () => {
    const found = new Map<string, string>()
    for (const { name } of await daemon.client.call('search', { query: '', registry, limit: 100 })) {
      const { versions } = await daemon.client.call('show', { reference: name })
      found.set(name.replace('ggen/', ''), versions[0]?.contents[0]?.cid ?? '')
    }
    return found
  }

  beforeAll(async () => {
    disk = await tempDir('disk')
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'ggen-test', disk])
    home = join(disk, 'home')
    filler = join(disk, 'filler')
    await writeFile(filler, new Uint8Array(8 * 1024 * 1024))
    await mkdir(home)
    daemon = await startDaemon({ home })
    registry = (await daemon.client.call('registryCreate', { name: 'small' })).id
  })

  afterAll(async () => {
    await unmountAfter(disk, async () => await daemon?.stop('SIGKILL'))
  })

  test('a publish that no longer fits is refused, and what was acknowledged stays', async () => {
    const error = await errorOf(
      (async () => {
        for (let n = 0; n < 100; n++) await publish(n)
      })()
    )
    expect(error).toMatchObject({ code: 'DISK_FULL', next: matching(/free|space/) })
    expect(acknowledged.size).toBeGreaterThan(10)
    expect(await published()).toEqual(acknowledged)
    // What did not fit is not what keeps the disk full.
    expect(await daemon.client.call('storeGc', { all: false, dryRun: true })).toMatchObject({
      spaces: [{ roots: 0, blocks: 0 }]
    })
  })

  test('reading goes on when not a byte is left', async () => {
    await fill(filler)
    expect(await daemon.client.call('status', {})).toMatchObject({ registries: [{ packages: some(Number) }] })
    expect(await published()).toEqual(acknowledged)
    const project = await tempDir('project')
    const { installed } = await daemon.client.call('install', { references: ['p1'], project, force: false })
    expect(installed).toMatchObject([{ cid: acknowledged.get('p1') }])
    expect(await runCli(['list', '--dir', project, '--json'])).toMatchObject({
      code: 0,
      stdout: containing('p1')
    })
    expect(await errorOf(publish(200))).toMatchObject({ code: 'DISK_FULL' })
  })

  test('when there is space again it goes on by itself', async () => {
    await rm(filler)
    // It looks at the disk at intervals.
    await vi.waitFor(() => publish(300), { timeout: 40_000, interval: 500 })
    expect(await published()).toEqual(acknowledged)
    expect((await daemon.client.call('doctor', { deep: true })).filter(finding => !finding.ok)).toEqual([])
  })

  test('a node that is restarted on the full disk starts, thanks to its reserve, and lays it again later', async () => {
    const ballast = join(home, 'ballast')
    await daemon.stop()
    await fill(filler)
    expect(existsSync(ballast)).toBe(true)
    daemon = await startDaemon({ home })
    expect(await published()).toEqual(acknowledged)
    expect(existsSync(ballast)).toBe(false)
    await daemon.stop('SIGKILL')
    daemon = await startDaemon({ home })
    expect(await published()).toEqual(acknowledged)
    await rm(filler)
    await vi.waitFor(() => expect(existsSync(ballast)).toBe(true), { timeout: 40_000, interval: 500 })
    await publish(400)
    expect(await published()).toEqual(acknowledged)
  })
})
