import { existsSync } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifyProject } from '../../node/installed.ts'
import { caughtUp, startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { randomFrom } from '../support/crash-rounds.ts'
import { Kills } from '../support/kills.ts'
import { packageFolder } from '../support/package-folder.ts'
import { refusal, snapshot } from '../support/project.ts'
import { runCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

// A publisher, and a neighbour that holds all facts and no bytes.
let a: Daemon
let b: Daemon
let registry: string

const PARTS = Array.from({ length: 12 }, (_, i) => `part-${i}`)
const clean = async (project: string) => (await verifyProject(project, new AbortController().signal)).clean

beforeAll(async () => {
  a = await startDaemon()
  registry = (await a.client.call('registryCreate', { name: 'office' })).id
  for (const name of PARTS) {
    const files = Object.fromEntries(
      Array.from({ length: 20 }, (_, i) => [`src/f${i}.txt`, `${name} ${i}\n`.repeat(50)])
    )
    await a.client.call('publish', { folder: await packageFolder({ name, files }) })
  }
  const dependencies = Object.fromEntries(PARTS.map(name => [name, '^1.0.0']))
  await a.client.call('publish', { folder: await packageFolder({ name: 'whole', dependencies }) })
  b = await startDaemon({ args: ['--bootstrap', a.address] })
  await b.client.call('registryAdd', { id: registry, alias: 'office', peer: a.address, isDefault: true })
  await caughtUp(a, b, registry)
})
afterAll(async () => {
  await Promise.all([a.stop(), b.stop()])
})

describe('bytes from others', () => {
  test('--offline names the packages whose bytes are not here, and touches nothing', async () => {
    const project = await tempDir('project')
    const error = await refusal(b.client.call('install', { references: ['part-1'], project, offline: true }))
    expect(error).toMatchObject({ code: 'CONTENT_UNAVAILABLE' })
    expect(error.message).toContain('part-1@1.0.0')
    expect(await readdir(project)).toEqual([])
  })

  test('come once; a second project takes them from this disk, and a second install asks nobody', async () => {
    const first = await b.client.call('install', { references: ['whole'], project: await tempDir('project') })
    expect(first.installed).toHaveLength(PARTS.length + 1)
    expect(first.installed.every(({ bytes, from }) => bytes > 0 && from[0] === a.peerId)).toBe(true)
    const project = await tempDir('project')
    const second = await b.client.call('install', { references: ['whole'], project, offline: true, sync: true })
    expect(second.installed.every(({ bytes, from }) => bytes === 0 && from.length === 0)).toBe(true)
    const before = await snapshot(project)
    expect(await b.client.call('install', { references: [], project })).toMatchObject({ upToDate: true })
    expect(await snapshot(project)).toEqual(before)
    expect(await clean(project)).toBe(true)
  })

  test('without a daemon a project that is as it should be opens no network', async () => {
    const { home } = await startDaemon().then(async daemon => {
      await daemon.client.call('registryAdd', { id: registry, alias: 'office', peer: a.address, isDefault: true })
      await caughtUp(a, daemon, registry)
      await daemon.client.call('install', { references: ['part-2'], project: join(daemon.home, 'project') })
      await daemon.stop()
      return daemon
    })
    const project = join(home, 'project')
    const before = await snapshot(join(project, '.ggen', 'packages'))
    const result = await runCli(['--json', 'install', '--dir', project], { home })
    expect(JSON.parse(result.stdout)).toMatchObject({ ok: true, upToDate: true })
    expect(await snapshot(join(project, '.ggen', 'packages'))).toEqual(before)
  })
})

test('a node that is killed while it installs leaves whole packages, and the next install ends what was begun', async () => {
  const seed = 20_261_122
  const random = randomFrom(seed)
  const home = await tempDir('home')
  let node = await startDaemon({ home })
  await node.client.call('registryAdd', { id: registry, alias: 'office', peer: a.address, isDefault: true })
  await caughtUp(a, node, registry)
  const warm = performance.now()
  await node.client.call('install', { references: ['whole'], project: await tempDir('project') })
  const kills = new Kills(random, performance.now() - warm)
  for (let round = 0; round < 4 || kills.interrupted === 0; round++) {
    const project = join(await tempDir('crash'), `round ${round}`)
    await mkdir(project)
    // Every other round replaces what is there already.
    if (round % 2 === 1) await node.client.call('install', { references: ['part-3', 'part-4'], project })
    const params = { references: ['whole'], project }
    const { client } = node
    await kills.during(node, () => client.call('install', params))
    for (const name of PARTS) {
      const folder = join(project, '.ggen', 'packages', name)
      if (existsSync(folder))
        expect((await readdir(join(folder, 'src'))).length, `seed ${seed}, round ${round}`).toBe(20)
    }
    node = await startDaemon({ home })
    await node.client.call('install', { ...params, sync: true })
    expect(await clean(project), `seed ${seed}, round ${round}`).toBe(true)
    // A node that died with all done but its lock still held leaves `.lock` behind: an install that finds nothing to do
    // writes nothing, and the next one that has something to do takes the lock of a dead process over.
    const left = (await readdir(join(project, '.ggen'))).filter(name => /journal|lock$|tmp/.test(name))
    expect(left.filter(name => name !== '.lock')).toEqual(['packs.lock'])
    if (left.includes('.lock')) {
      await node.client.call('remove', { names: ['whole'], project })
      expect(await readdir(join(project, '.ggen'))).not.toContain('.lock')
    }
  }
  await node.stop()
})
