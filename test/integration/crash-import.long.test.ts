import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { randomFrom } from '../support/crash-rounds.ts'
import { startDaemon } from '../support/daemon.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runCli, startCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

const ROUNDS = 4
const PACKAGES = 12

async function said(args: readonly string[], home: string): Promise<unknown> {
  return JSON.parse((await runCli(['--json', ...args], { home })).stdout)
}

test('an import that is killed leaves whole contents and nothing half, and goes on where it was', async () => {
  const owner = await startDaemon()
  const { id } = await owner.client.call('registryCreate', { name: 'acme' })
  for (let n = 0; n < PACKAGES; n++) {
    const files = { 'large.bin': randomBytes(1_500_000), 'small.bin': randomBytes(9_000) }
    await owner.client.call('publish', { folder: await packageFolder({ name: `tool-${n}`, files }) })
  }
  const file = join(await tempDir('mirror'), 'acme.mirror')
  await owner.client.call('mirrorExport', { registry: id, file, private: false })
  await owner.stop()
  const args = ['mirror', 'import', file, '--id', id]
  const started = performance.now()
  expect(await said(args, await tempDir('home'))).toMatchObject({ roots: PACKAGES })
  const wholeMs = performance.now() - started
  const random = randomFrom(20_261)
  let killed = 0
  for (let round = 0; round < ROUNDS; round++) {
    const home = await tempDir('home')
    const cli = await startCli(['--json', ...args], { home })
    const { signal } = await Promise.race([
      delay((0.3 + 0.7 * random()) * wholeMs).then(() => cli.stop('SIGKILL')),
      cli.exited
    ])
    if (signal === 'SIGKILL') killed += 1
    const again = (await said(args, home)) as { readonly roots: number; readonly known: number }
    expect(again.roots + again.known).toBe(PACKAGES)
    expect(await said(['store', 'verify'], home)).toMatchObject({ ok: true, spaces: [{ damaged: 0, broken: 0 }] })
    expect(await said(['store', 'stat'], home)).toMatchObject({ spaces: [{ roots: PACKAGES, broken: [] }] })
  }
  expect(killed).toBeGreaterThan(0)
}, 120_000)
