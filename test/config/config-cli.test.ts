import { lstat, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { SETTINGS } from '../../node/config-schema.ts'
import { startDaemon } from '../support/daemon.ts'
import { containing } from '../support/like.ts'
import { runCli, startCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

let home: string
let file: string

beforeEach(async () => {
  home = await tempDir('config')
  file = join(home, 'config.toml')
})

const json = async (
  args: readonly string[],
  env: Readonly<Record<string, string>> = {}
): Promise<Record<string, unknown>> => {
  const { code, stdout } = await runCli(['--json', 'config', ...args], { home, env })
  return { code, ...(JSON.parse(stdout) as Record<string, unknown>) }
}

describe('config', () => {
  test('list says every value and where it was said', async () => {
    await writeFile(file, 'keep = "all"\n[swarm.public]\nmdns = true\n')
    const { settings } = await json(['list'], { GGEN_NODE_LOG: 'info' })
    const said = (settings as { key: string; value: unknown; from: string }[]).map(({ key, value, from }) => [
      key,
      value,
      from
    ])
    expect(said).toEqual([
      ['home', home, 'environment'],
      ['keep', 'all', 'file'],
      ['leech', false, 'default'],
      ['upload', 'none', 'default'],
      ['download', 'none', 'default'],
      ['log', 'info', 'environment'],
      ['gateway.listen', '', 'default'],
      ['metrics.listen', '', 'default'],
      ['gateways', [], 'default'],
      ['dns.lookups', true, 'default'],
      ['dns.private', false, 'default'],
      ['dns.servers', [], 'default'],
      ['swarm.public.listen', ['/ip4/0.0.0.0/tcp/4917'], 'default'],
      ['swarm.public.bootstrap', [], 'default'],
      ['swarm.public.mdns', true, 'file'],
      ['swarm.public.relay', false, 'default'],
      ['swarm.public.allow_peers', [], 'default'],
      ['swarm.public.quota', 'none', 'default']
    ])
    const { stdout } = await runCli(['config', 'list'], { home, env: { GGEN_NODE_LOG: 'info' } })
    expect(stdout).toMatch(/^log +\$GGEN_NODE_LOG +info$/m)
  })

  test('set, get and unset change one line, and say what they did', async () => {
    await writeFile(file, '# ours\nkeep = "none" # for now\n')
    expect(await json(['set', 'keep', 'all'])).toMatchObject({ code: 0, value: 'all', path: file, changed: true })
    expect(await json(['set', 'keep', 'all'])).toMatchObject({ changed: false })
    await json(['set', 'swarm.public.listen', '/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/1'])
    expect(await readFile(file, 'utf8')).toBe(
      '# ours\nkeep = "all" # for now\n\n[swarm.public]\nlisten = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/1"]\n'
    )
    const got = await runCli(['config', 'get', 'swarm.public.listen'], { home })
    expect(got.stdout).toBe('/ip4/127.0.0.1/tcp/0\n/ip4/127.0.0.1/tcp/1\n')
    await json(['set', 'swarm.public.listen', ''])
    expect(await json(['get', 'swarm.public.listen'])).toMatchObject({ value: [], from: 'file' })
    await json(['unset', 'swarm.public.listen'])
    expect(await json(['get', 'swarm.public.listen'])).toMatchObject({ from: 'default' })
    expect((await readdir(home)).filter(name => name.startsWith('.tmp-'))).toEqual([])
  })

  test('a key that is mistyped is refused by all of them, with what comes near', async () => {
    for (const args of [
      ['get', 'swarm.public.mdsn'],
      ['set', 'swarm.public.mdsn', 'true']
    ]) {
      expect(await json(args)).toMatchObject({
        code: 2,
        error: { code: 'USAGE', next: 'perhaps you meant swarm.public.mdns' }
      })
    }
    expect(await json(['set', 'home', '/x'])).toMatchObject({ error: { next: containing('--home') } })
    await expect(stat(file)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('a value that cannot be used is refused before anything is written', async () => {
    expect(await json(['set', 'swarm.public.mdns', 'yes'])).toMatchObject({
      error: { message: containing('true or false') }
    })
    expect(await json(['set', 'keep', 'all', 'none'])).toMatchObject({
      error: { message: containing('takes one value') }
    })
    await expect(stat(file)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('a file with an unknown key can be mended by its commands', async () => {
    await writeFile(file, 'kepe = "all"\nkeep = "all"\n')
    expect(await json(['list'])).toMatchObject({ code: 2, error: { next: 'perhaps you meant keep' } })
    await json(['unset', 'kepe'])
    expect(await json(['get', 'keep'])).toMatchObject({ code: 0, value: 'all' })
  })

  test('a file that is kept elsewhere stays there', async () => {
    const elsewhere = join(await tempDir('dotfiles'), 'ggen.toml')
    await writeFile(elsewhere, 'log = "info"\n')
    await symlink(elsewhere, file)
    await json(['set', 'keep', 'all'])
    expect((await lstat(file)).isSymbolicLink()).toBe(true)
    expect(await readFile(elsewhere, 'utf8')).toBe('log = "info"\nkeep = "all"\n')
  })

  test('path says where the file is, also while there is none', async () => {
    expect(await json(['path'])).toMatchObject({ path: file, exists: false })
    await mkdir(home, { recursive: true })
    await writeFile(file, '')
    expect((await runCli(['config', 'path'], { home })).stdout).toBe(`${file}\n`)
  })
})

describe('start', () => {
  test('offers an option for every setting that has one, with its variable', async () => {
    const { stdout } = await runCli(['start', '--help'], { home })
    const text = stdout.replace(/\s+/g, ' ')
    for (const { flag, env, description } of SETTINGS) {
      if (flag === undefined) continue
      expect(text).toContain(`--${flag}`)
      expect(text).toContain(`${description} ($${env})`)
    }
  })

  test('takes an option before a variable before the file', async () => {
    await writeFile(file, 'keep = "all"\n[swarm.public]\nlisten = ["/ip4/192.0.2.1/tcp/1"]\nmdns = true\n')
    // What the file says can't be listened on, and what the variable says neither: the option is what counts.
    const env = { GGEN_NODE_LISTEN: '/ip4/192.0.2.2/tcp/1', GGEN_NODE_KEEP: 'none' }
    const listen = ['--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns']
    const node = await startCli(['--json', 'start', ...listen], { home, env })
    expect(JSON.parse(await node.line(/^\{/))).toMatchObject({
      ok: true,
      addresses: [containing('/ip4/127.0.0.1/tcp/')]
    })
    const { stdout } = await runCli(['--json', 'status'], { home })
    expect(JSON.parse(stdout)).toMatchObject({ keep: 'none' })
    await node.stop()
  })

  test('takes the file when nobody says anything else', async () => {
    await writeFile(file, 'keep = "all"\n')
    const node = await startDaemon({ home })
    expect(await node.client.call('status', {})).toMatchObject({ keep: 'all' })
    await node.stop()
  })

  test('a variable that cannot be used stops every command, and is named', async () => {
    const { code, stdout } = await runCli(['--json', 'start'], { home, env: { GGEN_NODE_LISTEN: 'here' } })
    expect(code).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'USAGE', message: containing('$GGEN_NODE_LISTEN') } })
  })
})
