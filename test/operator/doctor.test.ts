import { chmod, cp, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { existsSync } from 'node:fs'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { loadSigner } from '../../node/identity.ts'
import { signFact } from '../../attestation/sign-fact.ts'
import { parseSecret } from '../../attestation/keys.ts'
import { homePaths, openHome } from '../../storage/home.ts'
import { readKey } from '../../storage/key-files.ts'
import { openLevel } from '../../storage/level-key-value.ts'
import { startDaemon } from '../support/daemon.ts'
import { freePort } from '../support/free-port.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

const SLOW = 120_000
const PEER = '12D3KooWGRUVh2vPMGeGhkUKNXoFqPrtUXVQ3vQbdyHyTxmAeYGv'

interface Said {
  readonly code: number | null
  readonly findings: readonly { check: string; ok: boolean; text: string; next?: string }[]
  readonly error?: { code: string; tried: readonly string[] }
}

async function doctor(home: string, ...args: readonly string[]): Promise<Said> {
  const { code, stdout } = await runCli(['--json', 'doctor', ...args], { home })
  return { code, ...(JSON.parse(stdout) as Omit<Said, 'code'>) }
}

const failed = ({ findings }: Said) => findings.filter(({ ok }) => !ok)

let template: string
let home: string

// One data directory with a registry and a package, copied for each test without its reserve.
beforeAll(async () => {
  template = await tempDir('doctor')
  expect(await runCli(['init', '--name', 'office'], { home: template })).toMatchObject({ code: 0 })
  await runCli(['publish', await packageFolder({ name: 'alpha' })], { home: template })
}, SLOW)

beforeEach(async () => {
  home = join(await tempDir('doctor'), 'home')
  await cp(template, home, { recursive: true, filter: from => !from.endsWith('ballast') })
  await chmod(home, 0o700)
  // Not the default port: another test, or a node of the person who runs this, may hold it.
  await listenOn(`/ip4/127.0.0.1/tcp/${await freePort()}`)
})

const listenOn = (address: string) =>
  writeFile(join(home, 'config.toml'), `[swarm.public]\nlisten = ["${address}"]\n`, { mode: 0o600 })

const change = async (key: (all: readonly string[]) => string, to: (value: Uint8Array) => Uint8Array | undefined) => {
  const store = await openLevel(homePaths(home).store)
  const keys: string[] = []
  for await (const [each] of store.iterate()) keys.push(each)
  const at = key(keys)
  const value = to((await store.get(at)) ?? new Uint8Array(0))
  await store.batch([value === undefined ? { type: 'del', key: at } : { type: 'put', key: at, value }], { sync: true })
  await store.close()
}

describe('doctor', () => {
  test(
    'finds nothing wrong with a new node, and says what it looked at',
    async () => {
      const said = await doctor(home, '--deep')
      expect(failed(said)).toEqual([])
      expect(said.code).toBe(0)
      expect(said.findings.map(({ check }) => check)).toEqual([
        'node',
        'permissions',
        'format',
        'lock',
        'config',
        'port',
        'disk',
        'peers',
        'clock',
        'registry office',
        'store of office',
        'facts of office',
        'views of office',
        'blocks'
      ])
    },
    SLOW
  )

  test('says what to do where there is no data directory, and makes none', async () => {
    const nowhere = join(await tempDir('nowhere'), 'home')
    const { code, stdout } = await runCli(['--json', '--home', nowhere, 'doctor'])
    expect(code).toBe(8)
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      error: { code: 'UNHEALTHY' },
      findings: [{ check: 'node' }, { check: 'home', ok: false }]
    })
    expect(existsSync(nowhere)).toBe(false)
  })

  test.skipIf(process.platform === 'win32')(
    'finds what other users can read or change, with the command that ends it',
    async () => {
      const key = join(home, 'keys', 'default.pem')
      await chmod(home, 0o755)
      await chmod(key, 0o644)
      await chmod(join(home, 'config.toml'), 0o666)
      const said = await doctor(home)
      expect(said.code).toBe(8)
      const next = failed(said).map(finding => finding.next)
      expect(next).toEqual(
        expect.arrayContaining([
          `chmod 700 ${home}`,
          `chmod 600 ${key}, and replace the key if others may have read it`,
          `chmod 600 ${join(home, 'config.toml')}`
        ])
      )
      // The node can't even be opened with such a key, and what else was found is told all the same.
      expect(failed(said).map(({ check }) => check)).toContain('open')
    },
    SLOW
  )

  test('finds a port that is taken, and who has it', async () => {
    const server = createServer()
    const port = await freePort()
    await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
    await listenOn(`/ip4/127.0.0.1/tcp/${port}`)
    const found = failed(await doctor(home))
    server.close()
    expect(found).toMatchObject([{ check: 'port' }])
    const who = existsSync('/proc/net/tcp') ? `process ${process.pid} (` : 'another program'
    expect(found[0]?.text).toContain(`/ip4/127.0.0.1/tcp/${port} is taken by ${who}`)
  })

  test('finds an address that is not of this machine', async () => {
    await listenOn('/ip4/192.0.2.1/tcp/4917')
    const said = await doctor(home)
    expect(failed(said)).toMatchObject([{ check: 'port' }])
    expect(failed(said)[0]?.text).toContain('EADDRNOTAVAIL')
  })

  test('finds a configuration that cannot be used, and goes on to the rest', async () => {
    await writeFile(join(home, 'config.toml'), 'kepe = "all"\n')
    const said = await doctor(home)
    expect(failed(said)[0]).toMatchObject({ check: 'config', next: 'perhaps you meant keep' })
    expect(said.code).toBe(8)
  })

  test('finds a store of a newer program', async () => {
    await writeFile(join(home, 'format'), '99\n')
    expect(failed(await doctor(home)).map(({ check }) => check)).toEqual(['format', 'open'])
  })

  test('finds the file of a node that was killed, whose number somebody else has', async () => {
    const address = { pid: process.pid, path: join(home, 'daemon.sock'), token: 'x' }
    await writeFile(join(home, 'daemon.json'), JSON.stringify(address), { mode: 0o600 })
    const [lock] = failed(await doctor(home))
    expect(lock).toMatchObject({ check: 'lock' })
    expect(lock?.next).toContain(`remove ${join(home, 'daemon.json')}`)
  })

  test('says who holds the data directory', async () => {
    const held = await openHome(home)
    const said = await doctor(home)
    await held.close()
    expect(said.findings.find(({ check }) => check === 'lock')?.text).toContain(`process ${process.pid}`)
    expect(failed(said).at(-1)?.text).toContain('HOME_LOCKED')
  })

  test('finds a lock that is none', async () => {
    await writeFile(join(home, 'lock'), 'what is this')
    expect(failed(await doctor(home))[0]).toMatchObject({ check: 'lock' })
  })

  test('finds rows that are not what their facts add up to, only when it looks deep', async () => {
    await change(
      keys => keys.find(key => key.startsWith('view!') && key.endsWith('ggen/alpha')) ?? '',
      row => {
        const other = row.slice()
        other[other.length - 1] = (other.at(-1) ?? 0) ^ 1
        return other
      }
    )
    const said = await doctor(home, '--deep')
    expect(said.error?.code).toBe('STORE_CORRUPT')
    expect(failed(said)).toMatchObject([{ check: 'views of office' }])
    expect(failed(said)[0]?.text).toContain('1 of 2 rows')
  })

  test('finds a clock that is behind what this node itself has signed', async () => {
    await aheadByAnHour()
    const said = await doctor(home)
    expect(failed(said)).toMatchObject([{ check: 'clock' }])
    expect(failed(said)[0]?.text).toMatch(/facts of this node itself are up to (59|60) minutes ahead/)
  })

  test(
    'finds a registry without a genesis, and a node none of whose peers answers',
    async () => {
      const other = await tempDir('other')
      await runCli(['init', '--no-registry'], { home: other })
      const { stdout } = await runCli(['--json', 'registry', 'list'], { home })
      const { registries } = JSON.parse(stdout) as { registries: readonly { id: string }[] }
      await runCli(['registry', 'add', registries[0]?.id ?? '', '--alias', 'office'], { home: other })
      const unreachable = `/ip4/127.0.0.1/tcp/${await freePort()}/p2p/${PEER}`
      const node = await startDaemon({ home: other, args: ['--bootstrap', unreachable] })
      const said = await doctor(other)
      await node.stop()
      expect(failed(said)).toMatchObject([{ check: 'peers' }, { check: 'registry office' }])
      expect(failed(said)[0]?.text).toContain('none of 1 known peers is connected')
      expect(failed(said)[1]?.next).toContain('connect to a peer')
      expect(said.error?.code).toBe('UNHEALTHY')
      expect(said.findings.some(({ check }) => check === 'port')).toBe(false)
    },
    SLOW
  )

  test('looks without changing anything', async () => {
    const config = join(home, 'config.toml')
    const before = [
      await readFile(config, 'utf8'),
      (await stat(config)).mtimeMs,
      await readFile(join(home, 'chain'), 'utf8')
    ]
    await doctor(home, '--deep')
    const after = [
      await readFile(config, 'utf8'),
      (await stat(config)).mtimeMs,
      await readFile(join(home, 'chain'), 'utf8')
    ]
    expect(after).toEqual(before)
  })
})

/** A fact of this node's own key, signed an hour from now: what a clock that was set back leaves behind. */
async function aheadByAnHour(): Promise<void> {
  const { openClient } = await import('../../node/open-client.ts')
  const opened = await openClient({ home, network: false, create: false })
  await opened.close()
  const { createNode } = await import('../../node/create-node.ts')
  const { DEFAULT_CONFIG } = await import('../../node/config.ts')
  const held = await openHome(home)
  const node = await createNode({ home: held, config: DEFAULT_CONFIG, version: 'test', network: false })
  const { parts } = node
  const [registry] = parts.registries.ids
  if (registry === undefined) throw new Error('no registry')
  const signer = await loadSigner(held, parts.records)
  const secret = parseSecret(await readKey(held.paths.keys, 'default'))
  const facts = (await parts.gate.state(registry)?.factsOf('ggen/alpha' as never)) ?? []
  const last = facts.toSorted((a, b) => a.body.seq - b.body.seq).at(-1)
  if (last === undefined) throw new Error('no fact')
  const { body } = last
  const fact = { ...body, chain: signer.chain(), seq: body.seq + 1, prev: last.id, time: Date.now() + 3_600_000 }
  expect(await parts.gate.admit(signFact(fact, secret), { peer: 'self' })).toMatchObject({ verdict: 'accept' })
  await node.stop()
  await held.close()
}
