import { beforeAll, expect, test } from 'vitest'
import { caughtUp, errorOf, registryStatus, startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { packageFolder } from '../support/package-folder.ts'
import { tempDir } from '../support/temp-dir.ts'

let a: Daemon
let b: Daemon
let registry: string

const install = async (node: Daemon, reference: string) =>
  node.client.call('install', { references: [reference], project: await tempDir('project'), force: false })

beforeAll(async () => {
  a = await startDaemon()
  registry = (await a.client.call('registryCreate', { name: 'office' })).id
  for (const name of ['alpha', 'beta']) {
    const folder = await packageFolder({ name, files: { 'shared.txt': 'in both\n' } })
    await a.client.call('publish', { folder, registry })
  }
})

test('a node that takes a package down serves the others, and its facts stay what they are', async () => {
  const before = await registryStatus(a, registry)
  const [taken] = await a.client.call('takedown', {
    reference: 'alpha@1.0.0',
    reason: '',
    release: false,
    isDeleted: false
  })
  expect(taken).toMatchObject({ shared: 1, released: false })
  expect(await a.client.call('takedownList', {})).toMatchObject([{ root: taken?.root, reference: 'alpha@1.0.0' }])
  expect(await errorOf(install(a, 'alpha'))).toMatchObject({ code: 'TAKEN_DOWN' })
  expect((await install(a, 'beta')).installed).toHaveLength(1)

  b = await startDaemon({ args: ['--bootstrap', a.address] })
  await b.client.call('registryAdd', { id: registry, alias: 'office', peer: a.address, isDefault: true })
  await caughtUp(a, b, registry)
  for (const node of [a, b]) {
    expect(await registryStatus(node, registry)).toMatchObject({ facts: before.facts, digest: before.digest })
  }
  expect((await install(b, 'beta')).installed).toHaveLength(1)
})

test('what was taken down comes back when that is taken back, for peers as well', async () => {
  const released = await a.client.call('takedown', {
    reference: 'alpha@1.0.0',
    reason: '',
    release: true,
    isDeleted: false
  })
  expect(released).toMatchObject([{ released: true }])
  expect(await a.client.call('takedownList', {})).toEqual([])
  for (const node of [a, b]) expect((await install(node, 'alpha')).installed).toHaveLength(1)
  const again = a.client.call('takedown', { reference: 'alpha@1.0.0', reason: '', release: true, isDeleted: false })
  expect(await errorOf(again)).toMatchObject({ code: 'UNKNOWN_VERSION' })
})
