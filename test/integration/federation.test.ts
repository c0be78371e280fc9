import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { caughtUp, connected, errorOf, registryStatus, startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { containing } from '../support/like.ts'
import { lookedThroughAt } from '../support/looked-through.ts'
import { packageFolder } from '../support/package-folder.ts'
import type { PackageSpec } from '../support/package-folder.ts'
import { blockWith, flipBitIn } from '../support/stored-blocks.ts'
import { tempDir } from '../support/temp-dir.ts'

// Three nodes, three processes. `a` owns the registry, `b` mirrors it, `c` only installs. The tests build on each other:
// they are one history of a small federation, told in order.
let a: Daemon
let b: Daemon
let c: Daemon
let registry: string

const publish = async (node: Daemon, spec: PackageSpec) =>
  node.client.call('publish', { folder: await packageFolder(spec), registry })
const install = (node: Daemon, reference: string, project: string, force = false) =>
  node.client.call('install', { references: [reference], project, force })
const stateOf = async (node: Daemon, reference: string) =>
  (await node.client.call('show', { reference })).versions.map(({ version, state }) => `${version} ${state}`)

beforeAll(async () => {
  a = await startDaemon()
  registry = (await a.client.call('registryCreate', { name: 'office' })).id
  b = await startDaemon({ args: ['--keep', 'all', '--bootstrap', a.address] })
  await b.client.call('registryAdd', { id: registry, alias: 'office', peer: a.address, isDefault: true })
})

describe('a publisher and a mirror', () => {
  test('a publish is heard of by gossip, and its bytes follow', async () => {
    await publish(a, { name: 'alpha' })
    await publish(a, { name: 'alpha', version: '1.1.0', files: { 'src/main.txt': 'one\n' } })
    await publish(a, { name: 'beta', dependencies: { alpha: '^1.0.0' } })
    await caughtUp(a, b, registry, { kept: true })
    expect(await stateOf(b, 'alpha')).toEqual(await stateOf(a, 'alpha'))
    expect((await b.client.call('status', {})).kept).toBe(3)
  })

  test('nodes with the same facts have the same digest', async () => {
    const [ours, theirs] = await Promise.all([a, b].map(node => registryStatus(node, registry)))
    expect(theirs?.digest).toBe(ours?.digest)
    expect(theirs).toMatchObject({ packages: 2, releases: 3, pending: 0 })
  })

  test('the same version with other bytes is refused, the same bytes are no second publish', async () => {
    const error = await errorOf(publish(a, { name: 'alpha', files: { 'other.txt': 'x' } }))
    expect(error).toMatchObject({ code: 'VERSION_EXISTS', next: containing('new version number') })
    expect(error.tried.join()).toContain('published: bafybei')
    expect(await publish(a, { name: 'alpha' })).toMatchObject({ already: true })
  })

  test('a key that nobody gave a role publishes nothing', async () => {
    const before = await registryStatus(b, registry)
    expect(await errorOf(publish(b, { name: 'gamma' }))).toMatchObject({ code: 'NOT_AUTHORIZED' })
    expect(await errorOf(publish(b, { name: 'alpha', version: '9.0.0' }))).toMatchObject({ code: 'NOT_AUTHORIZED' })
    expect(await registryStatus(b, registry)).toMatchObject({ facts: before.facts, digest: before.digest })
  })

  test('a yank is seen at the mirror and refused there, an unyank takes it back', async () => {
    const project = await tempDir('project')
    await a.client.call('yank', { reference: 'alpha@1.1.0', reason: 'breaks totals' })
    await caughtUp(a, b, registry)
    expect(await stateOf(b, 'alpha')).toContain('1.1.0 yanked')
    const error = await errorOf(install(b, 'alpha@=1.1.0', project))
    expect(error.code).toBe('UNKNOWN_VERSION')
    expect([error.message, ...error.tried].join(' ')).toMatch(/yanked/)
    expect((await install(b, 'alpha', project)).installed).toMatchObject([{ version: '1.0.0' }])

    await a.client.call('unyank', { reference: 'alpha@1.1.0' })
    await caughtUp(a, b, registry)
    expect((await install(b, 'alpha@=1.1.0', project)).installed).toMatchObject([{ version: '1.1.0' }])
  })

  test('a dependency that the registry does not hold is refused by name', async () => {
    await publish(a, { name: 'lonely', dependencies: { 'no-such-thing': '^2.0.0' } })
    const project = await tempDir('project')
    const error = await errorOf(install(a, 'lonely', project))
    expect(error.code).toBe('MISSING_DEPENDENCY')
    expect(error.message).toContain('no-such-thing')
    expect(await readdir(project)).toEqual([])
  })

  test('a node that was away catches up when it is back', async () => {
    await b.stop()
    await lookedThroughAt(b.home)
    await publish(a, { name: 'delta', files: { 'while-away.txt': 'yes' } })
    await a.client.call('yank', { reference: 'lonely@1.0.0', reason: '' })
    b = await startDaemon({ home: b.home, args: ['--keep', 'all', '--bootstrap', a.address] })
    await caughtUp(a, b, registry, { kept: true })
    const [ours, theirs] = await Promise.all([a, b].map(node => registryStatus(node, registry)))
    expect(theirs?.digest).toBe(ours?.digest)
  })
})

describe('a damaged disk', () => {
  test('a block that is damaged at the mirror is never served: the install takes it from the publisher', async () => {
    const { cid } = await publish(a, { name: 'precious', files: { 'value.txt': 'the one true value\n'.repeat(50) } })
    await caughtUp(a, b, registry, { kept: true })
    await flipBitIn(await blockWith(join(b.home, 'blocks'), 'the one true value'))
    c = await startDaemon({ args: ['--bootstrap', a.address, '--bootstrap', b.address] })
    await c.client.call('registryAdd', { id: registry, alias: 'office', peer: b.address, isDefault: true })
    await connected(c, registry, 2)
    await caughtUp(a, c, registry)
    const project = await tempDir('project')
    const { installed } = await install(c, 'precious', project)
    expect(installed).toMatchObject([{ name: 'precious', cid, unchanged: false }])
    expect(installed[0]?.from).toContain(a.peerId)
    const value = await readFile(join(project, '.ggen/packages/precious/value.txt'), 'utf8')
    expect(value).toBe('the one true value\n'.repeat(50))
  })

  test('the mirror notices and gets the block again', async () => {
    // Another package than before: that block may have come back already, because somebody asked for it.
    await publish(a, { name: 'sturdy', files: { 'value.txt': 'nobody has asked for this\n' } })
    await caughtUp(a, b, registry, { kept: true })
    await flipBitIn(await blockWith(join(b.home, 'blocks'), 'nobody has asked for this'))
    expect((await b.client.call('doctor', { deep: true })).find(finding => !finding.ok)).toMatchObject({
      check: 'blocks',
      text: containing('fetched again'),
      next: containing('ggen-node store verify')
    })
    await b.stop()
    b = await startDaemon({ home: b.home, args: ['--keep', 'all', '--bootstrap', a.address] })
    await connected(b, registry)
    await caughtUp(a, b, registry, { kept: true })
    expect((await b.client.call('doctor', { deep: true })).filter(finding => !finding.ok)).toEqual([])
  })
})

describe('after the publisher is gone', () => {
  let project: string

  test('a stranger installs from the mirror', async () => {
    await a.stop()
    await rm(a.home, { recursive: true, force: true })
    await c.client.call('connect', { address: b.address })
    project = await tempDir('project')
    const { installed } = await install(c, 'beta', project)
    expect(installed.map(({ name }) => name)).toEqual(['alpha', 'beta'])
    for (const { from, bytes } of installed) {
      expect(from).toEqual([b.peerId])
      expect(bytes).toBeGreaterThan(0)
    }
    expect(await readFile(join(project, '.ggen/packages/alpha/src/main.txt'), 'utf8')).toBe('one\n')
  })

  test('a second install moves no byte and leaves the lockfile as it was', async () => {
    const lockfile = join(project, '.ggen', 'packs.lock')
    const before = await readFile(lockfile)
    const { installed } = await install(c, 'beta', project)
    expect(installed.map(({ unchanged, bytes, from }) => ({ unchanged, bytes, from }))).toEqual([
      { unchanged: true, bytes: 0, from: [] },
      { unchanged: true, bytes: 0, from: [] }
    ])
    expect((await readFile(lockfile)).equals(before)).toBe(true)
  })

  test('files that somebody edited are kept, unless forced', async () => {
    const edited = join(project, '.ggen/packages/alpha/src/main.txt')
    await writeFile(edited, 'mine\n')
    const error = await errorOf(install(c, 'beta', project))
    expect(error).toMatchObject({ code: 'LOCALLY_MODIFIED', next: containing('--force') })
    expect(await readFile(edited, 'utf8')).toBe('mine\n')
    expect((await install(c, 'beta', project, true)).installed).toMatchObject([
      { unchanged: false },
      { unchanged: true }
    ])
    expect(await readFile(edited, 'utf8')).toBe('one\n')
  })

  test('without anybody who has the bytes an install says in bounded time whom it asked', async () => {
    await b.stop()
    const started = performance.now()
    const empty = await tempDir('project')
    const error = await errorOf(install(c, 'delta', empty))
    expect(error.code).toBe('CONTENT_UNAVAILABLE')
    expect(error.tried.length).toBeGreaterThan(0)
    expect(error.next).toBeDefined()
    // At once where nobody is known; a provider whom the DHT remembers is asked until the deadline.
    expect(performance.now() - started).toBeLessThan(LIMITS.fetch.blockTimeoutMs + 30_000)
    expect(await readdir(empty).then(names => names.filter(name => name !== '.ggen'))).toEqual([])
    expect(await readdir(join(empty, '.ggen/packages')).catch(() => [])).toEqual([])
  })
})
