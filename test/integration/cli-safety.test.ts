import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { containing } from '../support/like.ts'
import { startDaemon } from '../support/daemon.ts'
import { packageFolder } from '../support/package-folder.ts'
import { PROGRAM } from '../support/program.ts'
import { runCli, startCli } from '../support/spawn-cli.ts'
import type { CliProcess } from '../support/spawn-cli.ts'
import { blockWith, flipBitIn } from '../support/stored-blocks.ts'
import { tempDir } from '../support/temp-dir.ts'
import { openLevel } from '../../storage/level-key-value.ts'

async function homeWithRegistry(): Promise<string> {
  const home = await tempDir('home')
  expect(await runCli(['init'], { home })).toMatchObject({ code: 0 })
  return home
}

async function publish(home: string, spec: Parameters<typeof packageFolder>[0]): Promise<void> {
  expect(await runCli(['publish', await packageFolder(spec)], { home })).toMatchObject({ code: 0 })
}

describe('keys', () => {
  test('a key goes to another machine under a passphrase, and only under that one', async () => {
    const [here, there] = [await tempDir('home'), await tempDir('home')]
    const file = join(here, 'ci.export')
    const right = join(here, 'right')
    const wrong = join(here, 'wrong')
    await writeFile(right, 'correct horse\n')
    await writeFile(wrong, 'battery staple\n')
    const { stdout } = await runCli(['key', 'new', 'ci', '--json'], { home: here })
    const { key } = JSON.parse(stdout) as { key: string }
    expect(key).toMatch(/^did:key:z6Mk/)
    expect(await runCli(['key', 'list'], { home: here })).toMatchObject({ stdout: `ci  ${key}\n` })

    expect(await runCli(['key', 'export', 'ci', file], { home: here })).toMatchObject({ code: 2 })
    const exported = await runCli(['key', 'export', 'ci', file, '--passphrase-file', right], { home: here })
    expect(exported).toMatchObject({ code: 0, stderr: '' })
    expect(await runCli(['key', 'export', 'ci', file, '--passphrase-file', right], { home: here })).toMatchObject({
      code: 4
    })
    const refused = await runCli(['key', 'import', 'ci', file, '--passphrase-file', wrong], { home: there })
    expect(refused).toMatchObject({ code: 3, stderr: containing('BAD_PASSPHRASE') })
    expect(await runCli(['key', 'show', 'ci'], { home: there })).toMatchObject({ code: 3 })
    expect(await runCli(['key', 'import', 'ci', file, '--passphrase-file', right], { home: there })).toMatchObject({
      code: 0
    })
    expect(await runCli(['key', 'show', 'ci'], { home: there })).toMatchObject({ code: 0, stdout: `${key}\n` })
    for (const secret of ['correct horse', 'battery staple'])
      expect(exported.stdout + refused.stderr).not.toContain(secret)
  })
})

describe('what other people wrote', () => {
  test('never reaches the terminal as an escape sequence', async () => {
    const { home, client } = await startDaemon()
    await client.call('registryCreate', { name: 'mine' })
    const evil = '\u001b[2J\u001b]0;owned\u0007 \u009b31mred \u202Ereversed'
    const folder = await packageFolder({ name: 'evil', description: `a ${evil} thing` })
    await client.call('publish', { folder })
    await client.call('yank', { reference: 'evil@1.0.0', reason: evil })
    const project = await tempDir('project')
    for (const args of [
      ['search', 'thing'],
      ['show', 'evil'],
      ['install', 'evil', '--dir', project],
      ['search', evil],
      ['install', `${evil}@1.0.0`],
      ['list', '--dir', project],
      ['publish', join(project, evil)]
    ]) {
      for (const form of [args, [...args, '--json']]) {
        const { stdout, stderr } = await runCli(form, { home })
        // eslint-disable-next-line no-control-regex
        expect(stdout + stderr, form.join(' ')).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/)
      }
    }
  })
})

test('ends what it began when nobody reads what it prints any more', async () => {
  const home = join(await tempDir('unread'), 'home')
  const script = `"${process.execPath}" "${PROGRAM}" --home "${home}" init --name acme | true; echo "\${PIPESTATUS[0]}"`
  const { stdout, stderr } = await promisify(execFile)('bash', ['-c', script])
  expect({ stdout, stderr }).toEqual({ stdout: '0\n', stderr: '' })
  expect(JSON.parse((await runCli(['registry', 'list', '--json'], { home })).stdout)).toMatchObject({ ok: true })
})

/**
 * An install of `large` that stands still with some of its files written, fewer than `most`. One that was further when this
 * process had its turn is let go to its end, and another one is begun elsewhere.
 */
async function heldInstall(
  home: string,
  most: number
): Promise<{ readonly cli: CliProcess; readonly project: string }> {
  for (let tries = 0; tries < 20; tries++) {
    const project = await tempDir('project')
    const cli = await startCli(['install', 'large', '--dir', project], { home })
    const written = join(project, '.ggen', 'packages', '.large.ggen-new', 'src')
    let isOver = false
    const over = cli.exited.then(() => (isOver = true))
    while (!existsSync(written) && !isOver) await setImmediate()
    if (isOver) continue
    process.kill(cli.pid, 'SIGSTOP')
    if (existsSync(written) && (await readdir(written)).length < most) return { cli, project }
    process.kill(cli.pid, 'SIGCONT')
    await over
  }
  throw new Error('no install was seen with some of its files written')
}

describe('Ctrl-C in the middle of an install', () => {
  test('leaves whole packages only, and says that it was interrupted', async () => {
    const home = await homeWithRegistry()
    const files = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`src/${i}.txt`, `file ${i}\n`]))
    await publish(home, { name: 'small' })
    await publish(home, { name: 'large', files, dependencies: { small: '^1' } })
    const { cli, project } = await heldInstall(home, 300)
    const packages = join(project, '.ggen', 'packages')
    const interrupted = cli.stop('SIGINT')
    process.kill(cli.pid, 'SIGCONT')
    const { code, stdout, stderr } = await interrupted
    expect({ code, stdout }).toEqual({ code: 130, stdout: '' })
    expect(stderr).toMatch(/error CANCELLED/)
    // The other one may have been put in place before, and then it is whole.
    for (const name of await readdir(packages)) {
      expect(name).toBe('small')
      expect((await readdir(join(packages, name))).toSorted()).toEqual(['README.md', 'package.toml'])
    }
    expect(await runCli(['install', 'large', '--dir', project], { home })).toMatchObject({ code: 0 })
    expect((await readdir(packages)).toSorted()).toEqual(['large', 'small'])
    expect(await readdir(join(packages, 'large', 'src'))).toHaveLength(600)
  })
})

describe('doctor', () => {
  let home: string

  beforeAll(async () => {
    home = await homeWithRegistry()
    await publish(home, { name: 'patient', files: { 'data.txt': 'a text that is only here' } })
  })

  test('finds a damaged fact, and one that is missing', async () => {
    const store = await openLevel(join(home, 'store'))
    const bodies: (readonly [string, Uint8Array])[] = []
    for await (const entry of store.iterate({ gte: 'body!', lt: 'body!~' })) bodies.push(entry)
    const [first, second] = bodies.filter(([key]) => key.includes('ggen/patient'))
    if (first === undefined || second === undefined) throw new Error('the store holds no facts of the package')
    const put = (key: string, value: Uint8Array) => store.batch([{ type: 'put', key, value }], { sync: true })
    const forged = first[1].slice()
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1
    await put(first[0], forged)
    await store.close()
    const { code, stdout } = await runCli(['doctor', '--deep'], { home })
    expect(code).toBe(8)
    expect(stdout).toMatch(/^FAIL facts of mine: 1 damaged, 0 missing of 4, first bafyrei/m)
    expect(stdout).toMatch(/^ {7}next: /m)

    const again = await openLevel(join(home, 'store'))
    await again.batch([
      { type: 'put', key: first[0], value: first[1] },
      { type: 'del', key: second[0] }
    ])
    await again.close()
    // A loss is noticed when the store is opened, before anybody asks.
    expect((await runCli(['doctor'], { home })).stderr).toMatch(/the store lost records/)
  })

  test('finds every damaged package and every package with a missing block, at once', async () => {
    await publish(home, { name: 'second', files: { 'data.txt': 'and this is there '.repeat(8_000) } })
    await flipBitIn(await blockWith(join(home, 'blocks'), 'a text that is only here'))
    // Large enough for a file of its own.
    await rm((await blockWith(join(home, 'blocks'), 'and this is there')).file)
    const { code, stdout } = await runCli(['doctor', '--deep', '--json'], { home })
    expect(code).toBe(8)
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'STORE_CORRUPT' } })
    expect(stdout).toContain('blocks: 2 packages damaged, first bafybei')
  })
})
