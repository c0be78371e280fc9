import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { packageFolder } from '../support/package-folder.ts'
import { runningNode, stopRunningNodes } from '../support/running-node.ts'
import { runCli } from '../support/spawn-cli.ts'
import { storedBlocks } from '../support/stored-blocks.ts'
import { tempDir } from '../support/temp-dir.ts'

/** Runs a command on a data directory and answers with its JSON. */
async function cli(home: string, ...args: readonly string[]): Promise<Record<string, unknown>> {
  const result = await runCli(['--json', '--home', home, ...args])
  const said = JSON.parse(result.stdout) as Record<string, unknown>
  if (said['ok'] !== true) throw new Error(`${result.stdout} ${result.stderr}`)
  return said
}

async function blocksIn(folder: string): Promise<number> {
  return (await storedBlocks(folder)).length
}

test('a private registry comes back from a backup into its own place, and its members find it there', async () => {
  const folder = await tempDir('backup')
  await mkdir(folder, { recursive: true })
  const node = await runningNode()
  await node.call('swarmCreate', { name: 'acme' })
  await node.call('publish', { folder: await packageFolder({ name: 'tool' }), registry: 'acme' })
  const { token } = await node.call('invite', { registry: 'acme' })
  await node.stop()

  const [file, passphrase] = [join(folder, 'all.backup'), join(folder, 'passphrase')]
  await writeFile(passphrase, 'correct horse\n', { mode: 0o600 })
  await cli(node.home, 'backup', file, '--blocks', '--with-keys', '--passphrase-file', passphrase)
  const home = join(folder, 'restored')
  await cli(home, 'restore', file, '--passphrase-file', passphrase)
  expect(await blocksIn(join(home, 'blocks-acme'))).toBe(await blocksIn(join(node.home, 'blocks-acme')))
  expect(await blocksIn(join(home, 'blocks-acme'))).toBeGreaterThan(0)
  expect(await blocksIn(join(home, 'blocks'))).toBe(0)

  // Its old host never comes back: the restored one has another peer id and, here, another port.
  const restored = await runningNode({ home })
  expect((await restored.call('swarmList', {}))[0]).toMatchObject({ name: 'acme', running: true, epoch: 0 })
  expect((await restored.call('registryList', {}))[0]).toMatchObject({ alias: 'acme', packages: 1 })
  const fresh = await restored.call('invite', { registry: 'acme' })
  const member = await runningNode()
  await expect(member.call('join', { token: fresh.token })).resolves.toMatchObject({ packages: 1 })
  expect(token).not.toBe(fresh.token)
  await stopRunningNodes()
})

test('without the sealed keys its facts come back, and a host that could let nobody in does not start', async () => {
  const folder = await tempDir('backup')
  await mkdir(folder, { recursive: true })
  const node = await runningNode()
  await node.call('swarmCreate', { name: 'acme' })
  await node.stop()
  const file = join(folder, 'facts.backup')
  await cli(node.home, 'backup', file)
  const home = join(folder, 'restored')
  await cli(home, 'restore', file)
  const restored = await runningNode({ home })
  expect(await restored.call('swarmList', {})).toEqual([])
  expect((await restored.call('registryList', {}))[0]).toMatchObject({ alias: 'acme', name: 'acme' })
  expect(restored.parts.network().peers()).toEqual([])
  await stopRunningNodes()
})
