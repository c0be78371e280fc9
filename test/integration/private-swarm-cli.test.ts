import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import decodeQR from 'qr/decode.js'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { parseToken } from '../../protocol/membership/token.ts'
import { startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runCli } from '../support/spawn-cli.ts'
import { DARK, LIGHT, photograph } from '../support/terminal-photo.ts'
import { tempDir } from '../support/temp-dir.ts'

// Each test starts several processes, one after the other; on a busy machine that takes what it takes.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 })

const LOCAL = ['--listen', '/ip4/127.0.0.1/tcp/0']

/** Runs a command that must work, and answers with what it printed. */
async function ran(args: readonly string[], home: string, input?: string): Promise<string> {
  const { code, stdout, stderr } = await runCli(args, { home, ...(input === undefined ? {} : { input }) })
  expect({ args, code, stderr: code === 0 ? '' : stderr }).toEqual({ args, code: 0, stderr: '' })
  return stdout
}

async function ranJson(args: readonly string[], home: string): Promise<Record<string, unknown>> {
  return JSON.parse(await ran([...args, '--json'], home)) as Record<string, unknown>
}

describe('an invite', () => {
  test('is printed as a line and as a code that holds the same line', async () => {
    const home = await tempDir('home')
    await ran(['swarm', 'create', 'acme', ...LOCAL], home)
    const lines = (await ran(['invite', '--qr'], home)).split('\n')
    const token = lines.find(line => line.startsWith('ggen1')) ?? ''
    expect(parseToken(token)).toMatchObject({ kind: 'invite', name: 'acme' })
    const code = lines.filter(line => /^[ ▀▄█]+$/.test(line))
    expect(decodeQR(photograph(code, { ink: LIGHT, ground: DARK }))).toBe(token)
    expect(await ran(['invite'], home)).not.toMatch(/[▀▄█]/)
  })

  test('goes to a file that only its owner can read, and then nowhere else', async () => {
    const home = await tempDir('home')
    await ran(['swarm', 'create', 'acme', ...LOCAL], home)
    const file = join(home, 'token')
    const said = await ranJson(['invite', '--uses', '3', '--role', 'mirror', '--out-token', file], home)
    expect(said).toMatchObject({
      ok: true,
      token: null,
      tokenFile: file,
      uses: 3,
      role: 'mirror',
      member: null,
      missing: 0
    })
    const token = (await readFile(file, 'utf8')).trim()
    expect(parseToken(token).kind).toBe('invite')
    if (process.platform !== 'win32') expect((await stat(file)).mode & 0o777).toBe(0o600)
    const again = await runCli(['invite', '--out-token', file], { home })
    expect(again).toMatchObject({ code: 4, stdout: '' })
    // A file that is there already was seen before anything was signed.
    expect((await ranJson(['members'], home))['invites']).toHaveLength(1)
    expect(await runCli(['invite', '--scope', '?', '--out-token', join(home, 'other')], { home })).not.toMatchObject({
      code: 0
    })
    expect(await readdir(home)).not.toContain('other')
  })

  test('of a machine without a person holds the key that becomes a member', async () => {
    const home = await tempDir('home')
    await ran(['swarm', 'create', 'acme', ...LOCAL], home)
    const { token, member, uses } = await ranJson(['invite', '--ci', '--expires', '1d'], home)
    expect(parseToken(String(token)).kind).toBe('member')
    expect(uses).toBeNull()
    expect(await ran(['members', '--full'], home)).toContain(String(member))
  })
})

test('a token is printed by nobody who joins with it, and is in no log', async () => {
  const [ann, bob] = [await startDaemon({ args: ['--log', 'debug'] }), await startDaemon({ args: ['--log', 'debug'] })]
  try {
    await ran(['swarm', 'create', 'acme', ...LOCAL], ann.home)
    await ran(['publish', await packageFolder({ name: 'tool' }), '--registry', 'acme'], ann.home)
    const { token } = await ranJson(['invite', '--uses', '2'], ann.home)
    const text = String(token)
    const { key } = parseToken(text)
    const broken = `${text.slice(0, 40)}x${text.slice(41)}`
    const refused = await runCli(['join', broken], { home: bob.home })
    expect(refused.code).toBe(6)
    const joined = await runCli(['join', text, ...LOCAL], { home: bob.home })
    expect(joined.code).toBe(0)
    expect(joined.stdout).toContain('other users of this machine can see a command line')
    const again = await runCli(['join', '-', '--json'], { home: bob.home, input: `${text}\n` })
    expect(again).toMatchObject({ code: 0 })
    expect(JSON.parse(again.stdout)).toMatchObject({
      ok: true,
      already: true,
      alias: 'acme',
      packages: 1,
      warnings: []
    })
    const ended = [await ann.stop(), await bob.stop()]
    const everything = [refused, joined, again, ...ended].map(({ stdout, stderr }) => stdout + stderr).join('\n')
    expect(everything).toContain('acme')
    const secrets = [
      text,
      broken,
      text.slice(20, 60),
      ...['hex', 'base64url'].map(as => Buffer.from(key).toString(as as 'hex'))
    ]
    for (const secret of secrets) expect(everything).not.toContain(secret)
  } finally {
    await Promise.all([ann.stop(), bob.stop()])
  }
})

describe('beside a public registry', () => {
  let node: Daemon
  beforeAll(async () => {
    node = await startDaemon()
    await node.client.call('registryCreate', { name: 'open' })
    await node.client.call('swarmCreate', { name: 'acme.tools', alias: 'tools', psk: true, listen: [LOCAL[1] ?? ''] })
  })
  afterAll(async () => void (await node.stop()))

  test('a private one shows in lists, by the name that it has here', async () => {
    const { home } = node
    expect(await ran(['swarm', 'list'], home)).toMatch(/^tools +running +0 +0, psk /m)
    expect(await ran(['registry', 'list'], home)).toMatch(/^tools \(private\) +acme\.tools /m)
    expect(await ran(['status'], home)).toMatch(/^Swarm +tools: running, 0 peers, certificate 29 d left$/m)
    expect(await ranJson(['status'], home)).toMatchObject({ swarms: [{ alias: 'tools', psk: true, running: true }] })
    expect(await ran(['doctor'], home)).toMatch(/^ok +swarm tools: 0 connected, certificate good for 29 days$/m)
  })

  test('a shell offers it, and whoever could be expelled', async () => {
    const { home, client } = node
    expect(await ran(['__complete', 'swarms'], home)).toBe('tools\n')
    expect(await ran(['__complete', 'registries'], home)).toBe('open\ntools\n')
    const { member } = await client.call('invite', { ci: true, registry: 'tools' })
    // This node expels others; itself it leaves.
    expect(await ran(['__complete', 'members'], home)).toBe(`${String(member)}\n`)
    expect(await ran(['expel', String(member), '--registry', 'tools'], home)).toContain('Keeps what it already has')
    expect(await ran(['__complete', 'members'], home)).toBe('')
  })

  test('the public one is none that anybody is invited to, expelled from or leaves', async () => {
    for (const line of [
      'members --registry open',
      'expel did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK --registry open',
      'invite --registry open',
      'rotate --registry open',
      'leave open'
    ]) {
      const { code, stdout, stderr } = await runCli([...line.split(' '), '--json'], { home: node.home })
      expect({ line, code, stderr }).toEqual({ line, code: 2, stderr: '' })
      expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'USAGE' } })
    }
  })

  test('what lets this node in is gone when it has left', async () => {
    const { home } = node
    const keys = async (): Promise<readonly string[]> =>
      (await readdir(join(home, 'keys'))).filter(name => name.includes('tools'))
    expect(await keys()).toEqual(['secret-tools.pem', 'swarm-tools.pem'])
    expect(await ran(['leave', 'tools'], home)).toContain('Left tools')
    expect(await keys()).toEqual([])
    expect(await ran(['__complete', 'swarms'], home)).toBe('')
  })
})

test('a token that a file holds beside a token on the line is refused before either is looked at', async () => {
  const home = await tempDir('home')
  const file = join(home, 'token')
  await writeFile(file, 'x')
  expect(await runCli(['join', 'y', '--token-file', file], { home })).toMatchObject({ code: 2, stdout: '' })
})
