import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { errorOf, startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { matching } from '../support/like.ts'
import { describeWithMounts, fill, unmountAfter } from '../support/mounts.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

const run = promisify(execFile)
const fullError = { code: 'DISK_FULL', next: matching(/free|space|signed again/) }

describeWithMounts('a disk of 64 MiB that is full to the last byte', () => {
  let disk: string
  let home: string
  let filler: string
  let daemon: Daemon
  /** On a disk with room: what was made before. */
  let elsewhere: string
  let config: string

  const files = async () => {
    const all = await readdir(disk, { recursive: true })
    return all.filter(name => !/^home\/(store|blocks|heads)/.test(name)).toSorted()
  }

  /** Runs a command and answers with the error that it printed. Nothing came to be on the disk. */
  async function refused(...args: readonly string[]): Promise<unknown> {
    const before = await files()
    const { code, stdout } = await runCli(['--json', ...args], { home })
    expect([args.join(' '), code]).toEqual([args.join(' '), 8])
    expect(await files()).toEqual(before)
    return (JSON.parse(stdout) as { error: unknown }).error
  }

  beforeAll(async () => {
    elsewhere = await tempDir('elsewhere')
    disk = await tempDir('disk')
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'ggen-test', disk])
    home = join(disk, 'home')
    filler = join(disk, 'filler')
    await mkdir(home)
    daemon = await startDaemon({ home })
    const { client } = daemon
    await client.call('registryCreate', { name: 'small' })
    await client.call('publish', { folder: await packageFolder({ name: 'tool', files: { a: randomBytes(200_000) } }) })
    await client.call('backup', { file: join(elsewhere, 'b'), blocks: true, keys: [] })
    await client.call('mirrorExport', { registry: 'small', file: join(elsewhere, 'm'), private: false })
    await writeFile(join(elsewhere, 'passphrase'), 'a long passphrase of many words\n')
    await runCli(['config', 'set', 'log', 'warn'], { home })
    // What lets tests install what they like.
    await rm(join(home, 'policy.toml'))
    config = await readFile(join(home, 'config.toml'), 'utf8')
    await fill(filler)
    // It looks at the disk at intervals; until then what fits into a page that it has is written, and stays.
    const isReadOnly = async () => (await client.call('storeStat', {})).readOnly
    await vi.waitFor(async () => expect(await isReadOnly()).toBe(true), { timeout: 40_000, interval: 500 })
    await fill(filler)
  })

  afterAll(async () => {
    await unmountAfter(disk, async () => await daemon?.stop('SIGKILL'))
  })

  test('takes no key, setting, policy, secret, backup, restore or mirror file, says so, and leaves no half of one', async () => {
    const passphrase = ['--passphrase-file', join(elsewhere, 'passphrase')]
    for (const args of [
      ['key', 'new', 'second'],
      ['key', 'export', 'default', join(disk, 'key.txt'), ...passphrase],
      ['config', 'set', 'log', 'debug'],
      ['store', 'quota', '10GiB'],
      ['policy', 'init'],
      ['backup', join(disk, 'b')],
      ['--home', join(disk, 'restored'), 'restore', join(elsewhere, 'b')],
      ['mirror', 'export', 'small', join(disk, 'm')],
      ['mirror', 'import', join(elsewhere, 'm')],
      ['audit', 'tool', '--criteria', 'safe-to-run'],
      ['registry', 'create', 'other'],
      ['store', 'pin', 'tool']
    ])
      expect(await refused(...args), args.join(' ')).toMatchObject(fullError)
    expect(await readFile(join(home, 'config.toml'), 'utf8')).toBe(config)
  })

  test('takes no token, and signs no invite for one that could not be kept', async () => {
    const token = join(disk, 'token')
    expect(await refused('invite', '--out-token', token)).toMatchObject(fullError)
    expect(existsSync(token)).toBe(false)
  })

  test('takes no file of what is signed elsewhere, which is said to be signed all the same', async () => {
    const other = await startDaemon()
    const { client } = other
    await client.call('registryCreate', { name: 'roomy' })
    await client.call('publish', { folder: await packageFolder({ name: 'tool' }) })
    const out = join(disk, 'star.facts')
    const star = { reference: 'tool', type: 'star' }
    expect(await errorOf(client.call('attest', { ...star, out }))).toMatchObject({
      code: 'DISK_FULL',
      message: matching(/^what was signed is in the registry here, and not in the file/)
    })
    expect(existsSync(out)).toBe(false)
    expect(await client.call('attest', star)).toMatchObject({ isNew: false })
    await other.stop()
  })

  test('takes all of it when there is space again, and lost nothing', async () => {
    await rm(filler)
    const { client } = daemon
    const audit = { reference: 'tool', criteria: ['safe-to-run'], failed: false }
    await vi.waitFor(() => client.call('audit', audit), { timeout: 40_000, interval: 500 })
    for (const args of [
      ['key', 'new', 'second'],
      ['config', 'set', 'log', 'debug'],
      ['policy', 'init'],
      ['backup', join(disk, 'b'), '--blocks'],
      ['--home', join(disk, 'restored'), 'restore', join(disk, 'b')],
      ['mirror', 'export', 'small', join(disk, 'm')],
      ['store', 'pin', 'tool'],
      ['doctor', '--deep']
    ])
      expect(await runCli(args, { home }), args.join(' ')).toMatchObject({ code: 0 })
    expect((await readdir(disk)).map(name => basename(name)).toSorted()).toEqual(['b', 'home', 'm', 'restored'])
  })
})
