import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { parseEnvelope } from '../../protocol/fact.ts'
import { FactStore } from '../../storage/fact-store.ts'
import { homePaths } from '../../storage/home.ts'
import { openLevel } from '../../storage/level-key-value.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { caughtUp, registryStatus, startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { HEARD_MS } from '../support/heard.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runCli } from '../support/spawn-cli.ts'
import type { CliResult } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

const SLOW = 120_000

let home: string
let registry: string
let folder: string
let passphraseFile: string
let full: string

/** Runs a command on a data directory and answers with its JSON. */
async function cli(at: string, ...args: readonly string[]): Promise<Record<string, unknown>> {
  const result = await runCli(['--json', ...args], { home: at })
  return parse(result)
}

function parse(result: CliResult): Record<string, unknown> {
  const said = JSON.parse(result.stdout) as Record<string, unknown>
  if (said['ok'] !== true) throw new Error(`${result.stdout} ${result.stderr}`)
  return said
}

async function publish(at: string, name: string, version: string): Promise<void> {
  await cli(at, 'publish', await packageFolder({ name, version, files: { 'who.txt': `${at} ${version}` } }))
}

/** Author, chain and position of every fact in a store that no process has open. */
async function positions(at: string): Promise<readonly string[]> {
  const kv = await openLevel(homePaths(at).store)
  try {
    const facts = new FactStore(kv)
    const id = registry as RegistryId
    await facts.open(id)
    const found: string[] = []
    for await (const subject of facts.subjects(id)) {
      for (const [, bytes] of await facts.factsOf(id, subject)) {
        const { body } = parseEnvelope(bytes)
        if (body.registry !== null) found.push(`${subject} ${body.author} ${body.chain} ${body.seq}`)
      }
    }
    return found.toSorted()
  } finally {
    await kv.close()
  }
}

const versionsOf = async (node: Daemon, name: string) =>
  (await node.client.call('show', { reference: name })).versions.map(({ version, state, contents }) => ({
    version,
    state,
    marks: contents.flatMap(({ marks }) => marks)
  }))

beforeAll(async () => {
  home = await tempDir('original')
  folder = await tempDir('backups')
  passphraseFile = join(folder, 'passphrase')
  await writeFile(passphraseFile, 'correct horse\nsecond line\n')
  const made = await cli(home, 'init', '--name', 'office')
  registry = (made['registry'] as { id: string }).id
  await cli(home, 'config', 'set', 'log', 'error')
  await cli(home, 'policy', 'init', '--preset', 'open')
  await publish(home, 'alpha', '1.0.0')
  full = join(folder, 'full.backup')
  const keys = ['--with-keys', '--passphrase-file', passphraseFile]
  expect(await cli(home, 'backup', full, '--blocks', ...keys)).toMatchObject({
    keys: 2,
    registries: 1,
    roots: 1,
    skipped: []
  })
}, SLOW)

describe('a backup', () => {
  test('is for its owner alone, and holds neither the chain nor any secret in the clear', async () => {
    expect((await stat(full)).mode & 0o777).toBe(0o600)
    const bytes = await readFile(full)
    const chain = (await readFile(join(home, 'chain'), 'utf8')).trim()
    // The chain's name is in the facts that were signed under it; its file is not, so nobody goes on with it.
    expect(bytes.includes(`${chain}\n`)).toBe(false)
    const secret = /-----\n(.*)\n-----/s.exec(await readFile(join(home, 'keys', 'default.pem'), 'utf8'))?.[1] ?? ''
    expect(secret.length).toBeGreaterThan(40)
    expect(bytes.includes(secret)).toBe(false)
    expect(bytes.includes('swarm-')).toBe(false)
  })

  test('never replaces a file', async () => {
    const result = await runCli(['--json', 'backup', full], { home })
    expect(result.code).toBe(4)
    expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: 'ALREADY_EXISTS' } })
  })

  test(
    'without keys restores what is known, under a new key',
    async () => {
      const file = join(folder, 'plain.backup')
      expect(await cli(home, 'backup', file)).toMatchObject({ keys: 0, roots: 0 })
      const fresh = join(await tempDir('restored'), 'deep', 'home')
      const said = parse(await runCli(['--json', '--home', fresh, 'restore', file]))
      expect(said).toMatchObject({ registries: 1, keys: [], roots: 0, waiting: 0 })
      const original = await cli(home, 'key', 'show')
      expect(said['key']).not.toBe(original['key'])
    },
    SLOW
  )

  test(
    'never mixes with what is there',
    async () => {
      const result = await runCli(['--json', 'restore', full, '--passphrase-file', passphraseFile], { home })
      expect(result.code).toBe(4)
      expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: 'ALREADY_EXISTS' } })
    },
    SLOW
  )

  test(
    'opens its keys with the right passphrase only, and leaves nothing otherwise',
    async () => {
      const wrong = join(folder, 'wrong')
      await writeFile(wrong, 'incorrect horse\n')
      const around = await tempDir('restored')
      const options = ['--passphrase-file', wrong]
      const result = await runCli(['--json', '--home', join(around, 'home'), 'restore', full, ...options])
      expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: 'BAD_PASSPHRASE' } })
      expect(await readdir(around)).toEqual([])
    },
    SLOW
  )
})

test(
  'a backup restored elsewhere with the same key is no equivocation, whoever publishes what',
  async () => {
    // The original goes on after the backup; the copy, which knows nothing of that, publishes too: the same package.
    await publish(home, 'alpha', '1.1.0')
    const copy = join(await tempDir('restored'), 'home')
    const restored = parse(
      await runCli(['--json', '--home', copy, 'restore', full, '--passphrase-file', passphraseFile])
    )
    expect(restored).toMatchObject({
      registries: 1,
      roots: 1,
      waiting: 0,
      key: (await cli(home, 'key', 'show'))['key']
    })
    for (const name of ['config.toml', 'policy.toml'])
      expect(await readFile(join(copy, name), 'utf8')).toBe(await readFile(join(home, name), 'utf8'))
    expect(await readFile(join(copy, 'chain'), 'utf8')).not.toBe(await readFile(join(home, 'chain'), 'utf8'))
    await publish(copy, 'alpha', '1.2.0')
    await publish(copy, 'beta', '1.0.0')

    const a = await startDaemon({ home })
    const b = await startDaemon({ home: copy })
    expect(b.peerId).not.toBe(a.peerId)
    await b.client.call('connect', { address: a.address })
    // Before the backup: genesis, claim, 1.0.0 and its words. Then 1.1.0 here; 1.2.0, and beta's claim, release and words, there.
    for (const node of [a, b]) {
      await node.client.call('waitFor', { registry, facts: 9, peers: 1, kept: false, timeoutMs: HEARD_MS })
    }
    // While both run, the original publishes once more, on top of what came from the copy.
    await a.client.call('publish', { folder: await packageFolder({ name: 'alpha', version: '1.3.0' }), registry })
    await caughtUp(a, b, registry)
    const [ours, theirs] = [await registryStatus(a, registry), await registryStatus(b, registry)]
    expect(theirs.digest).toBe(ours.digest)
    expect(ours).toMatchObject({ facts: 10, packages: 2, releases: 5, pending: 0 })
    for (const node of [a, b]) {
      expect(await versionsOf(node, 'alpha')).toEqual(
        ['1.3.0', '1.2.0', '1.1.0', '1.0.0'].map(version => ({ version, state: 'ok', marks: [] }))
      )
    }
    await Promise.all([a.stop(), b.stop()])
    const all = await positions(home)
    expect(new Set(all).size).toBe(all.length)
    expect(await positions(copy)).toEqual(all)
  },
  SLOW
)

test(
  'a running node backs itself up, and what it restores installs without any network',
  async () => {
    const node = await startDaemon({ home })
    const file = join(folder, 'live.backup')
    expect(await cli(home, 'backup', file, '--blocks')).toMatchObject({ registries: 1 })
    await node.stop()
    const copy = join(await tempDir('restored'), 'home')
    parse(await runCli(['--json', '--home', copy, 'restore', file]))
    const project = await tempDir('project')
    const installed = await cli(copy, 'install', 'alpha@=1.1.0', '--dir', project)
    expect(installed['installed']).toMatchObject([{ name: 'alpha', version: '1.1.0', from: [] }])
    expect(await readFile(join(project, '.ggen/packages/alpha/who.txt'), 'utf8')).toBe(`${home} 1.1.0`)
    // The machine that it came from may be gone: what was published there goes for no room.
    const roots = await rootsIn(copy)
    await cli(copy, 'store', 'gc', '--all')
    expect(await cli(copy, 'store', 'stat')).toMatchObject({ spaces: [{ roots, pinned: { roots } }] })
  },
  SLOW
)

const rootsIn = async (at: string): Promise<number | undefined> =>
  ((await cli(at, 'store', 'stat'))['spaces'] as { roots: number }[])[0]?.roots

test(
  'what nothing had pinned but a mirror may go from what is restored, what somebody pinned by name stays',
  async () => {
    const from = await tempDir('unpinned')
    await cli(from, 'init', '--name', 'mirrored')
    await publish(from, 'held', '1.0.0')
    await publish(from, 'named', '1.0.0')
    await publish(from, 'own', '1.0.0')
    for (const name of ['held', 'named']) await cli(from, 'store', 'unpin', name)
    await cli(from, 'store', 'pin', 'named')
    await cli(from, 'mirror', 'add', 'mirrored')
    const file = join(folder, 'mirrored.backup')
    expect(await cli(from, 'backup', file, '--blocks')).toMatchObject({ roots: 3 })
    const copy = join(await tempDir('restored'), 'home')
    parse(await runCli(['--json', '--home', copy, 'restore', file]))
    expect(await rootsIn(copy)).toBe(3)
    await cli(copy, 'store', 'gc', '--all')
    expect(await cli(copy, 'store', 'stat')).toMatchObject({ spaces: [{ roots: 2, pinned: { roots: 2 } }] })
  },
  SLOW
)
