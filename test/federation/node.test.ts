import { randomBytes } from 'node:crypto'
import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DEFAULT_CONFIG } from '../../node/config.ts'
import { createNode } from '../../node/create-node.ts'
import type { RunningNode } from '../../node/create-node.ts'
import { dispatch } from '../../node/daemon.ts'
import { recoveryKey, takeHome } from '../../node/home.ts'
import { openLog } from '../../node/runtime/log.ts'
import type { ApiMethods, Method } from '../../node/services/api.ts'
import { parseRegistryId } from '../../protocol/cid.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import { packageFolder } from '../support/package-folder.ts'
import type { PackageSpec } from '../support/package-folder.ts'
import { refusal } from '../support/project.ts'
import { tempDir } from '../support/temp-dir.ts'

let node: RunningNode
let close: () => Promise<void>
let acme: RegistryId

function call<M extends Method>(method: M, params: ApiMethods[M]['params']): Promise<ApiMethods[M]['result']> {
  const context = { signal: new AbortController().signal, onProgress: () => {} }
  return dispatch(node.api)(method, params, context) as Promise<ApiMethods[M]['result']>
}

const publish = async (spec: PackageSpec, registry?: string): Promise<ApiMethods['publish']['result']> =>
  call('publish', { folder: await packageFolder(spec), ...(registry === undefined ? {} : { registry }) })

/** Makes a private registry of this node's key. */
async function foundPrivate(name: string): Promise<RegistryId> {
  const { parts } = node
  const { id, bytes } = parts.author.genesis({
    name,
    roots: [parts.author.principal],
    threshold: 1,
    recovery: await recoveryKey(parts.home),
    admission: 'curated',
    visibility: 'private',
    nonce: new Uint8Array(randomBytes(16))
  })
  const registry = parseRegistryId(id)
  await parts.follow(registry)
  expect(await parts.gate.admit(bytes, { peer: 'self' })).toMatchObject({ verdict: 'accept' })
  await parts.spaces.add(name)
  await parts.registries.add(id, { alias: name, isDefault: false, swarm: name, made: true })
  return registry
}

// One node in two public registries and a private one. `main` is the default one.
beforeAll(async () => {
  const home = await takeHome(await tempDir('home'))
  const log = await openLog({ level: 'silent' })
  node = await createNode({ home, config: DEFAULT_CONFIG, version: '0.0.0-test', network: false, log })
  close = async () => {
    await node.stop()
    await home.close()
  }
  await call('registryCreate', { name: 'main' })
  await call('registryCreate', { name: 'other' })
  acme = await foundPrivate('acme')
  await publish({ name: 'tool', description: 'ours', files: { 'who.txt': 'acme\n' } }, 'acme')
  await publish({ name: 'tool', version: '99.0.0', description: 'theirs', files: { 'who.txt': 'stranger\n' } }, 'main')
  await publish({ name: 'app', dependencies: { tool: '*', base: '*' } }, 'acme')
  await publish({ name: 'base', files: { 'who.txt': 'main\n' } }, 'main')
  await publish({ name: 'web', dependencies: { tool: '*' } }, 'main')
})

afterAll(() => close())

describe('an install', () => {
  test('takes each package from its registry, says which, and puts its bytes in place', async () => {
    const project = await tempDir('project')
    const { installed, severalRegistries } = await call('install', { project, references: ['app', 'web'] })
    expect(severalRegistries).toBe(true)
    expect(installed.map(({ alias, name, version }) => `${alias}:${name}@${version}`).toSorted()).toEqual([
      'acme:app@1.0.0',
      'acme:tool@1.0.0',
      'main:base@1.0.0',
      'main:web@1.0.0'
    ])
    const tool = installed.find(({ name }) => name === 'tool')
    expect(tool?.registry).toBe(acme)
    expect(await readFile(join(project, tool?.path ?? '', 'who.txt'), 'utf8')).toBe('acme\n')
    expect(await readFile(join(project, '.ggen/project.toml'), 'utf8')).toContain('"acme:app" = "^1.0.0"')
    expect(await call('install', { project, references: [] })).toMatchObject({ upToDate: true })
    expect((await call('outdated', { project })).outdated).toEqual([])
  })

  test('by a tag takes the version that the tag of that registry stands for', async () => {
    const edit = (reference: string, version: string): Promise<unknown> =>
      call('edit', { reference, edits: [{ op: 'put', path: ['tags', 'stable'], value: version }] })
    await edit('main:tool', '99.0.0')
    const project = await tempDir('project')
    const error = await refusal(call('install', { project, references: ['tool@stable'] }))
    expect(error).toMatchObject({ code: 'UNKNOWN_VERSION' })
    await edit('tool', '1.0.0')
    const { installed } = await call('install', { project, references: ['tool@stable'] })
    expect(installed).toMatchObject([{ alias: 'acme', version: '1.0.0' }])
  })
})

describe('what is shown', () => {
  test('a search goes through all registries and says what hides what', async () => {
    const found = await call('search', { query: 'tool', limit: 10 })
    expect(found).toMatchObject([{ alias: 'acme', name: 'ggen/tool', hides: ['main'], hiddenBy: null }])
    expect(await call('search', { query: 'theirs', limit: 10 })).toMatchObject([
      { alias: 'main', version: '99.0.0', hides: [], hiddenBy: 'acme' }
    ])
    expect(await call('search', { query: 'tool', limit: 10, registry: 'main' })).toMatchObject([
      { alias: 'main', hiddenBy: 'acme' }
    ])
    expect((await call('search', { query: '', limit: 3 })).length).toBe(3)
    const all = await call('search', { query: '', limit: 10 })
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length)
  })

  test('a package is shown with the others of its name', async () => {
    expect(await call('show', { reference: 'tool' })).toMatchObject({
      alias: 'acme',
      others: [{ alias: 'main', hidden: true }]
    })
    expect(await call('show', { reference: 'main:tool' })).toMatchObject({
      alias: 'main',
      others: [{ alias: 'acme', hidden: false }]
    })
    expect(await call('show', { reference: 'base' })).toMatchObject({ alias: 'main', others: [] })
    expect(await call('history', { reference: 'tool', limit: 5 })).toMatchObject({ alias: 'acme' })
    expect(await call('document', { reference: 'base' })).toMatchObject({ alias: 'main' })
  })
})

describe('what is written without saying where', () => {
  test('a package whose name is private goes to the private registry, never to the default one', async () => {
    expect(await publish({ name: 'tool', version: '1.1.0' })).toMatchObject({ alias: 'acme', registry: acme })
    expect((await call('show', { reference: 'main:tool' })).versions.map(({ version }) => version)).toEqual(['99.0.0'])
    expect(await publish({ name: 'fresh' })).toMatchObject({ alias: 'main', isDefault: true })
    expect(await publish({ name: 'tool', version: '99.1.0' }, 'main')).toMatchObject({ alias: 'main' })
  })

  test('a package that needs a private one is published nowhere until somebody says where', async () => {
    const spec = { name: 'newcomer', dependencies: { tool: '*' } }
    const error = await refusal(publish(spec))
    expect(error).toMatchObject({
      code: 'AMBIGUOUS_NAME',
      next: 'say where it belongs: --registry acme or --registry main'
    })
    expect((await refusal(call('show', { reference: 'newcomer' }))).code).toBe('UNKNOWN_PACKAGE')
    expect(await publish(spec, 'acme')).toMatchObject({ alias: 'acme' })
    expect(await publish({ ...spec, version: '1.1.0' })).toMatchObject({ alias: 'acme' })
  })

  test('an import of many folders puts each where its name belongs', async () => {
    const folder = await tempDir('folders')
    for (const spec of [
      { name: 'tool', version: '1.2.0' },
      { name: 'plain' },
      { name: 'leak', dependencies: { app: '*' } }
    ])
      await cp(await packageFolder(spec), join(folder, spec.name), { recursive: true })
    const { published, refused } = await call('importFolder', { folder })
    expect(published.map(({ name, registry }) => [name, registry === acme])).toEqual([
      ['ggen/plain', false],
      ['ggen/tool', true]
    ])
    expect(refused).toMatchObject([{ folder: 'leak', code: 'AMBIGUOUS_NAME' }])
  })

  test('a yank, an edit, a role and a question for the name are about the private one', async () => {
    expect((await call('yank', { reference: 'tool@1.2.0', reason: 'no' })).yanked).toBe(true)
    expect(
      (await call('show', { reference: 'acme:tool' })).versions.find(({ version }) => version === '1.2.0')?.state
    ).toBe('yanked')
    expect((await call('unyank', { reference: 'tool@1.2.0' })).yanked).toBe(false)
    expect(
      await call('edit', { reference: 'tool', edits: [{ op: 'put', path: ['title'], value: 'A tool' }] })
    ).toMatchObject({ alias: 'acme' })
    expect(await call('roleList', { package: 'tool' })).toMatchObject({ alias: 'acme' })
    expect(await call('roleList', { package: 'base' })).toMatchObject({ alias: 'main' })
    expect(await call('submit', { reference: 'tool', owners: [] })).toMatchObject({ alias: 'acme', state: 'granted' })
  })

  test('nothing is written in a public registry while a private one was never read', async () => {
    const registries = node.parts.registries
    const beta = 'bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'
    await registries.add(beta, { alias: 'beta', isDefault: false, swarm: 'beta' })
    try {
      const error = await refusal(publish({ name: 'unheard-of' }))
      expect(error).toMatchObject({ code: 'AMBIGUOUS_NAME' })
      expect(error.message).toContain('beta, a private registry, was never read here')
      expect((await refusal(call('submit', { reference: 'unheard-of', owners: [] }))).code).toBe('AMBIGUOUS_NAME')
      expect(await publish({ name: 'unheard-of' }, 'main')).toMatchObject({ alias: 'main' })
    } finally {
      await registries.remove('beta', undefined)
    }
  })
})

test.each([
  ['that is no alias', 'a!b', 'INVALID_REFERENCE'],
  ['too long for the names of its keys', 'a'.repeat(58), 'USAGE']
])('a private registry under a name %s leaves nothing of its secret behind', async (_, alias, code) => {
  const written = async (): Promise<readonly string[]> => {
    const keys: string[] = []
    const { kv } = node.parts as typeof node.parts & { readonly kv: KeyValue }
    for await (const [key] of kv.iterate({ gte: 'swarm!', lt: 'swarm!~', keysOnly: true })) keys.push(key)
    return [...keys, ...(await readdir(join(node.parts.home, 'keys')))]
  }
  const before = await written()
  expect(await refusal(call('swarmCreate', { name: 'hidden', alias }))).toMatchObject({ code })
  expect(await written()).toEqual(before)
})

test('names are offered from all registries', async () => {
  expect(await call('complete', { kind: 'packages', prefix: 'to' })).toEqual(['tool'])
  expect(await call('complete', { kind: 'packages', prefix: 'a' })).toEqual(['app', 'acme:'])
  expect(await call('complete', { kind: 'packages', prefix: 'main:t' })).toEqual(['main:tool'])
})
