import { expect, test } from 'vitest'
import { startDaemon } from '../support/daemon.ts'
import { openPolicy } from '../support/open-policy.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

test('without a daemon, a bundle that is not known here is asked of peers: to list it and to install it', async () => {
  const owner = await startDaemon()
  const { id } = await owner.client.call('registryCreate', { name: 'acme' })
  await owner.client.call('publish', { folder: await packageFolder({ name: 'lib' }) })
  const [home, other, cwd] = [await tempDir('home'), await tempDir('home'), await tempDir('project')]
  for (const each of [home, other]) {
    expect(await runCli(['registry', 'add', `${id}@${owner.address}`], { home: each })).toMatchObject({ code: 0 })
  }
  await owner.client.call('bundleCreate', { name: 'starter', title: 'To begin with' })
  await owner.client.call('bundleAdd', { name: 'starter', members: ['lib'] })

  const listed = await runCli(['bundle', 'list', 'starter'], { home })
  expect(listed.stdout).toContain('To begin with')
  const never = await runCli(['bundle', 'list', 'startr'], { home })
  expect([never.code, never.stderr]).toEqual([10, expect.stringContaining('perhaps you meant starter')])
  await openPolicy(other)
  const args = ['--json', 'bundle', 'install', 'starter', '--single-source']
  const installed = await runCli(args, { home: other, cwd })
  expect(JSON.parse(installed.stdout)).toMatchObject({ ok: true, installed: [{ name: 'lib' }] })
  await owner.stop()
})
