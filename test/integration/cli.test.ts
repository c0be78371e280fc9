import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { ERROR_CODES } from '../../protocol/errors.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import { startDaemon } from '../support/daemon.ts'
import { containing, matching, some } from '../support/like.ts'
import { packageFolder } from '../support/package-folder.ts'
import { describeWithShared } from '../support/shared.ts'
import { runCli, startCli } from '../support/spawn-cli.ts'
import type { CliOptions } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

interface Failure {
  readonly code: string
  readonly message: string
  readonly tried: readonly string[]
  readonly next: string
}

type Answer = Record<string, unknown> & { readonly ok: boolean; readonly error?: Failure }

/** Runs a command with --json: one object on the last line, and an exit code that fits it. */
async function json(args: readonly string[], options: CliOptions = {}): Promise<Answer> {
  const { code, stdout } = await runCli([...args, '--json'], options)
  expect(stdout.trimEnd().split('\n')).toHaveLength(1)
  const answer = JSON.parse(stdout) as Answer
  const failed = answer.error
  expect(code).toBe(failed === undefined ? 0 : ERROR_CODES[failed.code as ErrorCode].exit)
  expect(answer.ok).toBe(failed === undefined)
  return answer
}

/** The error of a command, which must say all that an error says, to people as well as to programs. */
async function refusal(args: readonly string[], options: CliOptions = {}): Promise<Failure> {
  const { error } = await json(args, options)
  expect(error).toEqual({
    code: some(String),
    message: matching(/^\S.*[^.]$/),
    tried: some(Array),
    next: matching(/./),
    detail: some(Object)
  })
  return error as Failure
}

/** A port of 127.0.0.1 that somebody else listens on until the test ends. */
async function takenPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

describe('a fresh home', () => {
  test('an install says that no registry is known and how to add one', async () => {
    const error = await refusal(['install', 'x'])
    expect(error).toMatchObject({ code: 'NO_REGISTRY', next: containing('registry add ID@ADDRESS') })
    const { code, stdout, stderr } = await runCli(['install', 'x'])
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    expect(stderr).toMatch(/^error NO_REGISTRY: .*\n( {2}tried: .*\n)* {2}next: {2}.*registry add ID@ADDRESS.*\n$/)
  })

  test('what only looks makes no data directory', async () => {
    const home = `${await tempDir('home')}/none`
    const options = { env: { GGEN_NODE_HOME: home } }
    expect(await refusal(['search', 'x'], options)).toMatchObject({ code: 'NO_REGISTRY' })
    expect(await refusal(['status'], options)).toMatchObject({ code: 'NO_REGISTRY', tried: [`looked for ${home}`] })
    expect(await readFile(home).catch((error: NodeJS.ErrnoException) => error.code)).toBe('ENOENT')
  })

  test('stop, key list, list, version and help work without anything', async () => {
    expect(await json(['stop'])).toEqual({ ok: true, v: 1, pid: null, stopped: false })
    expect(await json(['key', 'list'])).toEqual({ ok: true, v: 1, keys: [] })
    expect(await json(['list'])).toEqual({ ok: true, v: 1, installed: [] })
    expect(await json(['version'])).toMatchObject({ ok: true, version: some(String) })
    expect(await runCli(['help', 'install'])).toMatchObject({ code: 0, stdout: containing('--force') })
  })
})

describe('a command line that cannot be read', () => {
  test.each([
    { args: ['instal', 'x'], says: 'Did you mean install?' },
    { args: ['start', '--lisen', 'x'], says: 'Did you mean --listen?' },
    { args: ['search', '--nonsense'], says: 'unknown option' },
    { args: ['show'], says: 'missing required argument' },
    { args: ['registry'], says: '' },
    { args: [], says: '' }
  ])('$args ends with 2 and help', async ({ args, says }) => {
    const { code, stdout, stderr } = await runCli(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(says)
    expect(stderr).toMatch(/--help/)
    expect(await refusal(args)).toMatchObject({ code: 'USAGE', message: containing(says) })
  })
})

describe('bad input', () => {
  let home: string

  beforeAll(async () => {
    // Against a running node, where most commands cost a fifth of a second; without one they are asked elsewhere.
    const node = await startDaemon()
    home = node.home
    await node.client.call('registryCreate', { name: 'office' })
  })

  const missing = '/no/such/folder'
  const nobody = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWMJ44T8GLnJiC4jZmxdgbP1NZCacbo26xz5mafaT1iXTE'
  test.each<[readonly string[], ErrorCode]>([
    [['init', '--name', 'office'], 'ALREADY_EXISTS'],
    [['init', '--name', 'Not A Name'], 'INVALID_NAME'],
    [['install', 'Bad Name'], 'INVALID_NAME'],
    [['install', 'name@'], 'INVALID_REFERENCE'],
    [['install', 'elsewhere:name'], 'UNKNOWN_REGISTRY'],
    [['show', 'no-such-package'], 'UNKNOWN_PACKAGE'],
    [['publish', missing], 'UNKNOWN_FILE'],
    [['import', missing], 'UNKNOWN_FILE'],
    [['search', 'x', '--limit', '0'], 'USAGE'],
    [['yank', 'no-such-package'], 'INVALID_REFERENCE'],
    [['yank', 'no-such-package@1.0.0'], 'UNKNOWN_PACKAGE'],
    [['unyank', 'no-such-package@1.0.0'], 'UNKNOWN_PACKAGE'],
    [['registry', 'add', 'nonsense'], 'UNKNOWN_REGISTRY'],
    [['connect', 'nonsense'], 'USAGE'],
    [['connect', nobody], 'PEER_UNREACHABLE'],
    [['key', 'show', 'nobody'], 'KEY_NOT_FOUND'],
    [['edit', 'no-such-package'], 'USAGE'],
    [['edit', 'no-such-package', '--keyword', 'web'], 'INVALID_EDIT'],
    [['edit', 'no-such-package', '--file', missing], 'UNKNOWN_FILE'],
    [['edit', 'no-such-package', '--file', missing, '--keyword', '-y'], 'USAGE'],
    [['show', 'no-such-package', '--limit', '3'], 'USAGE'],
    [['show', 'no-such-package', '--history', '--limit', '0'], 'USAGE'],
    [['show', 'no-such-package', '--history', '--conflicts'], 'USAGE'],
    [['bundle', 'create', 'starter', '--min-score', '101'], 'USAGE'],
    [['bundle', 'add', 'starter'], 'USAGE'],
    [['announce'], 'USAGE']
  ])('%s', async (args, code) => {
    expect(await refusal(args, { home })).toMatchObject({ code })
  })

  test('a folder that is no package', async () => {
    expect(await refusal(['publish', await tempDir('empty')], { home })).toMatchObject({ code: 'NO_MANIFEST' })
  })

  test('a manifest that is not valid TOML', async () => {
    const folder = await packageFolder({ name: 'x', files: { 'package.toml': '[package\nname = "x"\n' } })
    expect(await refusal(['publish', folder], { home })).toMatchObject({ code: 'INVALID_TOML' })
  })

  const manifestOf = (name: string, version: string) =>
    packageFolder({ name: 'x', files: { 'package.toml': `[package]\nname = "${name}"\nversion = "${version}"\n` } })

  test('a package whose name is none', async () => {
    const folder = await manifestOf('../evil', '1.0.0')
    expect(await refusal(['publish', folder], { home })).toMatchObject({ code: 'INVALID_NAME' })
  })

  test('a package whose version is none', async () => {
    const folder = await manifestOf('x', 'one')
    expect(await refusal(['publish', folder], { home })).toMatchObject({ code: 'INVALID_VERSION' })
  })

  test('a package that the registry does not hold', async () => {
    const project = await tempDir('project')
    const error = await refusal(['install', 'no-such-package', '--dir', project], { home })
    expect(error).toMatchObject({ code: 'UNKNOWN_PACKAGE', message: containing('no-such-package') })
    expect(await readdir(project)).toEqual([])
  })
})

describe('a node from its start to its end', () => {
  let home: string
  const listen = ['--listen', '/ip4/127.0.0.1/tcp/0']

  test('start --detach, status, peers, connect, stop', async () => {
    home = await tempDir('home')
    const other = await startDaemon()
    await json(['init'], { home })
    const started = await json(['start', '--detach', ...listen], { home })
    expect(started).toMatchObject({ pid: some(Number), addresses: [matching(/^\/ip4\/127/)] })
    try {
      const { registries, ...status } = await json(['status'], { home })
      expect(status).toMatchObject({ running: true, pid: started['pid'], peers: 0, keep: 'none', readOnly: false })
      expect(registries).toMatchObject([{ alias: 'mine', packages: 0, facts: 1, pending: 0 }])
      expect(await json(['peers'], { home })).toEqual({ ok: true, v: 1, peers: [] })
      expect(await json(['connect', other.address], { home })).toMatchObject({ peerId: other.peerId })
      expect(await json(['peers'], { home })).toMatchObject({
        peers: [{ id: other.peerId, direction: 'outbound', verdict: 'connected' }]
      })
      const text = await runCli(['peers'], { home })
      expect(text.stdout).toContain(other.peerId)
      expect(await refusal(['start', '--detach', ...listen], { home })).toMatchObject({ code: 'HOME_LOCKED' })
    } finally {
      expect(await json(['stop'], { home })).toEqual({ ok: true, v: 1, pid: started['pid'], stopped: true })
    }
    expect(() => process.kill(started['pid'] as number, 0)).toThrow('ESRCH')
    expect(await json(['status'], { home })).toMatchObject({ running: false })
    await other.stop()
  })

  test.each([
    { flag: '--listen', value: 'nonsense', says: 'write it like /ip4/' },
    { flag: '--keep', value: 'some', says: 'all, none' }
  ])('a start with $flag $value is refused', async ({ flag, value, says }) => {
    expect(await refusal(['start', flag, value])).toMatchObject({
      code: 'USAGE',
      message: containing(says)
    })
  })

  test('a second one on the same home is told who has it', async () => {
    const first = await startDaemon()
    const second = await refusal(['start', ...listen], { home: first.home })
    expect(second).toMatchObject({ code: 'HOME_LOCKED', message: containing(String(first.pid)) })
    expect((await first.stop()).code).toBe(0)
  })

  test('one on a port that is taken says which', async () => {
    const port = await takenPort()
    expect(await refusal(['start', '--listen', `/ip4/127.0.0.1/tcp/${port}`])).toMatchObject({
      code: 'PORT_IN_USE',
      message: containing(String(port))
    })
  })

  test('Ctrl-C ends a node in order, and it says so', async () => {
    const cli = await startCli(['start', ...listen])
    await cli.line(/stop it with/)
    expect(await cli.stop('SIGINT')).toMatchObject({ code: 0, stdout: matching(/Stopped process \d+\n$/), stderr: '' })
  })
})

describe('publish, find, install, yank', () => {
  let home: string
  let project: string

  beforeAll(async () => {
    home = await tempDir('home')
    project = await tempDir('project')
    await json(['init'], { home })
  })

  test('publish', async () => {
    const base = await packageFolder({ name: 'base' })
    expect(await json(['publish', base], { home })).toMatchObject({
      name: 'ggen/base',
      version: '1.0.0',
      cid: matching(/^bafybei/),
      already: false
    })
    const again = await runCli(['publish', base], { home })
    expect(again).toMatchObject({ code: 0, stdout: matching(/^ +Unchanged base@1\.0\.0 .*\n +bafybei/) })
    const top = await packageFolder({ name: 'top', dependencies: { base: '^1' } })
    expect(await runCli(['publish', '.'], { home, cwd: top })).toMatchObject({ code: 0, stderr: '' })
    await packageFolder({ name: 'base', files: { 'more.txt': 'x' } }, `${base}/..`)
    expect(await refusal(['publish', base], { home })).toMatchObject({ code: 'VERSION_EXISTS' })
  })

  test('search and show', async () => {
    expect(await json(['search', 'base'], { home })).toMatchObject({ results: [{ name: 'ggen/base' }] })
    expect((await runCli(['search', 'top'], { home })).stdout).toMatch(/^top@1\.0\.0 {2}the package top$/m)
    expect((await runCli(['search', 'zzz'], { home })).stdout).toContain('Nothing found')
    expect(await json(['show', 'top'], { home })).toMatchObject({
      name: 'ggen/top',
      versions: [{ version: '1.0.0', state: 'ok' }]
    })
    expect((await runCli(['show', 'top'], { home })).stdout).toMatch(/^Needs +base \^1/m)
  })

  test('install and list, in an empty project and again', async () => {
    const first = await json(['install', 'top', '--dir', project], { home })
    expect(first).toMatchObject({ installed: [{ name: 'base' }, { name: 'top', unchanged: false }], left: [] })
    const second = await runCli(['install', 'top'], { home, cwd: project })
    expect(second.stdout).toBe('   Unchanged 2 packages\n')
    expect(await json(['list', '--dir', project])).toMatchObject({ installed: [{ id: 'base' }, { id: 'top' }] })
  })

  test('yank and unyank', async () => {
    expect(await json(['yank', 'top@1.0.0', '--reason', 'why not'], { home })).toMatchObject({ yanked: true })
    expect((await runCli(['show', 'top'], { home })).stdout).toContain('yanked, why not')
    const fresh = await tempDir('project')
    expect(await refusal(['install', 'top', '--dir', fresh], { home })).toMatchObject({ code: 'UNKNOWN_VERSION' })
    expect(await json(['unyank', 'top@1.0.0'], { home })).toMatchObject({ yanked: false })
    expect(await runCli(['unyank', 'top@1.0.0'], { home })).toMatchObject({
      code: 0,
      stdout: matching(/^ +Unchanged top/)
    })
  })

  test('registry add and list', async () => {
    const { registries } = await json(['registry', 'list'], { home })
    expect(registries).toMatchObject([{ alias: 'mine', isDefault: true, packages: 2 }])
    const [{ id = '' } = {}] = registries as { id?: string }[]
    const other = await tempDir('home')
    expect(await json(['registry', 'add', id, '--alias', 'theirs'], { home: other })).toMatchObject({
      alias: 'theirs',
      isDefault: true,
      facts: 0
    })
    expect((await runCli(['registry', 'list'], { home: other })).stdout).toContain('(genesis not here yet)')
    expect(await refusal(['publish', await packageFolder({ name: 'x' })], { home: other })).toMatchObject({
      code: 'PENDING',
      next: containing('connect')
    })
  })

  test('doctor finds nothing wrong', async () => {
    const { findings } = await json(['doctor', '--deep'], { home })
    expect((findings as { ok: boolean }[]).every(({ ok }) => ok)).toBe(true)
    const text = await runCli(['doctor'], { home })
    expect(text.code).toBe(0)
    expect(text.stdout).not.toContain('FAIL')
  })
})

describeWithShared('data/ggen-marketplace/packages', 'import of the sample marketplace', folder => {
  test('publishes 76 packages and says of 10 folders why not', async () => {
    const home = await tempDir('home')
    await json(['init'], { home })
    const { counts, refused, published } = await json(['import', folder], { home, timeoutMs: 100_000 })
    expect(counts).toEqual({ published: 76, refused: 10 })
    const why = (refused as { folder: string; code: string; reason: string }[]).map(entry => entry.code)
    expect(why.filter(code => code === 'NO_MANIFEST')).toHaveLength(9)
    expect(refused).toContainEqual({ folder: 'rest-api-template', code: 'INVALID_TOML', reason: some(String) })
    expect(published).toHaveLength(76)
    const again = await runCli(['import', folder], { home, timeoutMs: 100_000 })
    expect(again.stdout).toMatch(/76 published, 10 refused\n$/)
    expect(again.stdout.match(/^ +Unchanged /gm)).toHaveLength(76)
  })
})

describeWithShared('data/ggen-packs', 'import of the newer packs', folder => {
  test('publishes 4', async () => {
    const home = await tempDir('home')
    await json(['init'], { home })
    expect(await json(['import', folder], { home })).toMatchObject({ counts: { published: 4, refused: 0 } })
  })
})
