import { existsSync } from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { DEFAULT_CONFIG, parseConfig } from '../../node/config.ts'
import { caughtUp, startDaemon } from '../support/daemon.ts'
import { packageFolder } from '../support/package-folder.ts'
import { REPOSITORY } from '../support/shared.ts'
import { runCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

describe('the default configuration', () => {
  test('names nobody: no bootstrap peer, no local discovery', () => {
    for (const config of [DEFAULT_CONFIG, parseConfig('')]) {
      expect(config.swarms).toMatchObject([{ name: 'public', bootstrap: [], mdns: false }])
    }
  })

  test('no source names a gateway, a delegated router or the public DHT', async () => {
    const found: string[] = []
    for (const folder of ['protocol', 'attestation', 'storage', 'node', 'bin']) {
      for (const path of await readdir(join(REPOSITORY, folder), { recursive: true })) {
        if (!path.endsWith('.ts')) continue
        const text = await readFile(join(REPOSITORY, folder, path), 'utf8')
        if (/delegated-ipfs|trustless-gateway|ipfs\.io|dweb\.link|\/ipfs\/kad\//.test(text)) found.push(path)
      }
    }
    expect(found).toEqual([])
  })

  test('a public bootstrap peer is refused', async () => {
    const address = '/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN'
    const listen = ['--listen', '/ip4/127.0.0.1/tcp/0']
    const result = await runCli(['--json', 'start', ...listen, '--bootstrap', address])
    expect(result.code).toBe(2)
    expect(result.stdout).toMatch(/belongs to the public ipfs network/)
  })
})

describe.skipIf(!existsSync('/proc/self/net/tcp'))('the sockets of two nodes that publish and install', () => {
  test('speak to 127.0.0.1 only, and no UDP at all', async () => {
    const seen = new Set<string>()
    const a = await startDaemon()
    const b = await startDaemon({ args: ['--keep', 'all', '--bootstrap', a.address] })
    const look = async (): Promise<void> => {
      for (const { pid } of [a, b]) for (const socket of await socketsOf(pid)) seen.add(socket)
    }
    await look()
    const { id: registry } = await a.client.call('registryCreate', { name: 'quiet' })
    await b.client.call('registryAdd', { id: registry, peer: a.address, isDefault: true })
    await look()
    for (const name of ['one', 'two', 'three']) {
      await a.client.call('publish', { folder: await packageFolder({ name }) })
      await look()
    }
    await caughtUp(a, b, registry, { kept: true })
    await look()
    await b.client.call('install', { references: ['two'], project: await tempDir('project'), force: false })
    // A look-up for what nobody has goes as far as it ever will.
    await a.client.call('search', { query: 'nothing', limit: 5 })
    await look()

    const sockets = [...seen]
    expect(sockets.filter(socket => socket.startsWith('udp'))).toEqual([])
    expect(sockets.filter(socket => !socket.startsWith('tcp 127.0.0.1 '))).toEqual([])
    // A test that sees no connection at all would prove nothing.
    expect(sockets).toContain('tcp 127.0.0.1 connected')
  })
})

/** `udp 1.2.3.4`, `tcp 1.2.3.4 connected`: what a process has open, without what other processes have. */
async function socketsOf(pid: number): Promise<readonly string[]> {
  const fds = await readdir(`/proc/${pid}/fd`)
  const links = await Promise.all(fds.map(fd => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
  const inodes = new Set(links.flatMap(link => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []))
  const found: string[] = []
  for (const kind of ['tcp', 'tcp6', 'udp', 'udp6']) {
    const table = await readFile(`/proc/${pid}/net/${kind}`, 'utf8').catch(() => '')
    for (const line of table.split('\n').slice(1)) {
      const [, local = '', remote = '', state = '', , , , , , inode = ''] = line.trim().split(/\s+/)
      if (!inodes.has(inode)) continue
      const isListening = state === '0A'
      const address = addressOf(isListening ? local : remote)
      found.push(`${kind} ${address} ${isListening ? 'listening' : 'connected'}`)
    }
  }
  return found
}

/** `127.0.0.1` of `0100007F:1F90`; IPv6 stays in hex, nobody here should speak it. */
function addressOf(hex: string): string {
  const [address = ''] = hex.split(':')
  if (address.length !== 8) return address
  return (address.match(/../g) ?? [])
    .toReversed()
    .map(byte => Number.parseInt(byte, 16))
    .join('.')
}
