import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNode } from '../../node/index.ts'
import type { CreateNodeInit, EmbeddedNode } from '../../node/index.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { containing, matching } from '../support/like.ts'
import { packageFolder } from '../support/package-folder.ts'
import { tempDir } from '../support/temp-dir.ts'

/** What a program without types may say. */
const untyped = (init: unknown): CreateNodeInit => init as CreateNodeInit

describe('a node without a network', () => {
  let node: EmbeddedNode

  beforeAll(async () => {
    node = await createNode({ home: await tempDir('home'), network: false })
    await node.registries.create('acme')
  })
  afterAll(() => node.stop())

  test('publishes, finds, shows, installs, yanks and answers by name', async () => {
    const project = await tempDir('project')
    const folder = await packageFolder({ name: 'alpha', files: { 'value.txt': 'one\n' } })
    const { cid } = await node.publish(relative(process.cwd(), folder))
    expect(await node.search('alpha')).toMatchObject([{ name: 'ggen/alpha' }])
    expect((await node.show('alpha')).versions).toMatchObject([{ version: '1.0.0', state: 'ok' }])
    const seen: string[] = []
    const install = node.install('alpha', { project, onProgress: ({ text }) => void seen.push(text) })
    expect((await install).installed).toMatchObject([{ cid, bytes: 0 }])
    expect(seen).not.toEqual([])
    expect(await readFile(join(project, '.ggen/packages/alpha/value.txt'), 'utf8')).toBe('one\n')
    expect(await node.yank('alpha@1.0.0', { reason: 'broken' })).toMatchObject({ yanked: true })
    expect(await node.unyank('alpha@1.0.0')).toMatchObject({ yanked: false })
    expect(await node.call('registryList', {})).toEqual(await node.registries.list())
  })

  test('imports a folder of packages', async () => {
    const parent = await tempDir('packages')
    await packageFolder({ name: 'one' }, parent)
    await packageFolder({ name: 'two' }, parent)
    await mkdir(join(parent, 'three'))
    const { published, refused } = await node.importFolder(parent, { registry: 'acme' })
    expect(published.map(({ name }) => name)).toEqual(['ggen/one', 'ggen/two'])
    expect(refused).toMatchObject([{ folder: 'three', code: 'NO_MANIFEST' }])
  })

  test('has no peer id, no address, and refuses to dial', async () => {
    expect([node.peerId, node.addresses]).toEqual([undefined, []])
    expect(await codeOfAsync(() => node.connect('/ip4/127.0.0.1/tcp/1'))).toBe('USAGE')
  })

  test.each([
    ['an unknown call', () => node.call('reboot' as 'status', {})],
    ['what every object inherits', () => node.call('toString' as 'status', {})],
    ['stopping by name', () => node.call('stop' as 'status', {})],
    ['a folder that is no text', () => node.publish(undefined as unknown as string)],
    ['an install without a project', () => node.install('alpha', { project: '' })]
  ])('refuses %s', async (_, call) => {
    expect(await codeOfAsync(call)).toBe('USAGE')
  })

  test('rejects with its own error class, whatever was thrown inside', async () => {
    const params = { reference: 7 } as unknown as { reference: string }
    expect(await codeOfAsync(() => node.call('show', params))).not.toBe('none')
    expect(await codeOfAsync(() => node.show('other:alpha'))).toBe('UNKNOWN_REGISTRY')
  })

  test('ends a call whose signal fires, before it begins and while it runs', async () => {
    const early = AbortSignal.abort(new Error('never mind'))
    await expect(node.status({ signal: early })).rejects.toMatchObject({
      code: 'CANCELLED',
      cause: early.reason as unknown
    })
    const late = new AbortController()
    const waiting = node.waitFor({ facts: 1_000_000 }, { signal: late.signal })
    late.abort(new Error('enough'))
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED', cause: late.signal.reason as unknown })
  })

  test('tells of changes until it is told to stop, and survives a listener that throws', async () => {
    let heard = 0
    const { promise: changed, resolve } = Promise.withResolvers<void>()
    const ends = [
      node.onChange(() => {
        throw new Error('a careless listener')
      }),
      node.onChange(() => {
        heard++
        resolve()
      })
    ]
    await node.publish(await packageFolder({ name: 'change-1' }))
    await changed
    for (const end of ends) end()
    const before = heard
    const { promise: again, resolve: hearAgain } = Promise.withResolvers<void>()
    const end = node.onChange(hearAgain)
    await node.publish(await packageFolder({ name: 'change-2' }))
    await again
    end()
    expect(heard).toBe(before)
  })

  test('survives progress that throws', async () => {
    const onProgress = (): never => {
      throw new Error('a careless program')
    }
    const { installed } = await node.install('alpha', { project: await tempDir('project'), onProgress })
    expect(installed).toHaveLength(1)
  })

  test('bounds listeners and running calls', async () => {
    const ends = Array.from({ length: LIMITS.embedding.listeners }, () => node.onChange(() => undefined))
    expect(() => node.onChange(() => undefined)).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }))
    for (const end of ends) end()
    node.onChange(() => undefined)()
    const abort = new AbortController()
    const { signal } = abort
    const running = Array.from({ length: LIMITS.embedding.calls }, () =>
      codeOfAsync(() => node.waitFor({ facts: 1_000_000 }, { signal }))
    )
    expect(await codeOfAsync(() => node.status())).toBe('LIMIT_EXCEEDED')
    abort.abort()
    expect(new Set(await Promise.all(running))).toEqual(new Set(['CANCELLED']))
    expect((await node.status()).readOnly).toBe(false)
  })
})

describe('a data directory', () => {
  test('has one node at a time, in one process too', async () => {
    const home = await tempDir('home')
    const node = await createNode({ home, network: false })
    await expect(createNode({ home, network: false })).rejects.toMatchObject({
      code: 'HOME_LOCKED',
      next: matching(/that this process runs/)
    })
    const { key } = node
    await node.stop()
    await using again = await createNode({ home, network: false })
    expect(again.key).toBe(key)
  })

  test('is free again after a node that could not start', async () => {
    const home = await tempDir('home')
    expect(await codeOfAsync(() => createNode({ home, config: { bootstrap: ['nonsense'] } }))).toBe('USAGE')
    await using node = await createNode({ home })
    expect(node.peerId).toMatch(/^12D3/)
  })

  test('says what the node keeps, and never where it listens', async () => {
    const home = await tempDir('home')
    const config = ['keep = "all"', '[swarm.public]', 'listen = ["/ip4/127.0.0.1/tcp/0"]', ''].join('\n')
    await writeFile(join(home, 'config.toml'), config)
    await using node = await createNode({ home })
    expect(await node.status()).toMatchObject({ keep: 'all', addresses: [] })
    await node.stop()
    await using other = await createNode({ home, config: { keep: 'none', listen: ['/ip4/127.0.0.1/tcp/0'] } })
    expect(await other.status()).toMatchObject({ keep: 'none', addresses: other.addresses })
    expect(other.addresses).toEqual([expect.stringMatching(`^/ip4/127.0.0.1/tcp/\\d+/p2p/${other.peerId}$`)])
  })
})

describe('stopping', () => {
  test('ends running calls, may be asked for twice, and ends new calls at the door', async () => {
    const node = await createNode({ home: await tempDir('home'), network: false })
    await node.registries.create('acme')
    const waiting = codeOfAsync(() => node.waitFor({ facts: 1_000_000 }))
    const publishing = codeOfAsync(async () => node.publish(await packageFolder({ name: 'alpha' })))
    await Promise.all([node.stop(), node.stop(), node[Symbol.asyncDispose]()])
    expect(await waiting).toBe('CANCELLED')
    expect(['none', 'CANCELLED', 'USAGE']).toContain(await publishing)
    await expect(node.status()).rejects.toMatchObject({ code: 'USAGE', next: containing('createNode') })
  })

  test('during a publish leaves it whole or not begun', async () => {
    const home = await tempDir('home')
    const node = await createNode({ home, network: false })
    await node.registries.create('acme')
    const files = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`${n}.txt`, `${n}\n`]))
    const folder = await packageFolder({ name: 'alpha', files })
    const publishing = codeOfAsync(() => node.publish(folder))
    await node.stop()
    const outcome = await publishing
    await using again = await createNode({ home, network: false })
    expect((await again.call('doctor', { deep: true })).filter(({ ok }) => !ok)).toEqual([])
    expect((await again.publish(folder)).already).toBe(outcome === 'none')
  })
})

describe('the log of a program', () => {
  test('gets lines of JSON, and what it throws harms nobody', async () => {
    const lines: string[] = []
    const write = (line: string): void => {
      lines.push(line)
      throw new Error('the sink is full')
    }
    const home = await tempDir('home')
    await using node = await createNode({ home, network: false, log: { level: 'error', write } })
    const careless = node.onChange(() => {
      throw new Error('heard')
    })
    const { promise, resolve } = Promise.withResolvers<void>()
    const end = node.onChange(resolve)
    await node.registries.create('acme')
    await promise
    careless()
    end()
    expect(lines.map(line => JSON.parse(line) as unknown)).toMatchObject([
      { level: 'error', error: { message: 'heard' } }
    ])
    expect(lines.every(line => line.endsWith('\n'))).toBe(true)
  })
})

test.each<[string, Record<string, unknown>]>([
  ['a setting that does not exist', { config: { lisen: [] } }],
  ['a listen that is no list', { config: { listen: '/ip4/127.0.0.1/tcp/0' } }],
  ['too many peers', { config: { bootstrap: Array.from({ length: 65 }, () => '/ip4/127.0.0.1') } }],
  ['an unknown keep', { config: { keep: 'some' } }],
  ['a log without a sink', { log: { level: 'info' } }],
  ['a level that does not exist', { log: { level: 'loud', write: () => undefined } }]
])('refuses %s before it makes anything', async (_, init) => {
  const home = join(await tempDir('parent'), 'never-made')
  expect(await codeOfAsync(() => createNode(untyped({ home, ...init })))).toBe('USAGE')
  expect(existsSync(home)).toBe(false)
})

test.each([{}, { home: '' }, { home: 7 }])('refuses a home that is none: %j', async init => {
  expect(await codeOfAsync(() => createNode(untyped(init)))).toBe('USAGE')
})
