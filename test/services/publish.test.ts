import { expect, test } from 'vitest'
import { signFact } from '../../attestation/sign-fact.ts'
import { Author } from '../../node/services/author.ts'
import { importFolders } from '../../node/services/import-folders.ts'
import { publisher } from '../../node/services/publish.ts'
import { yanker } from '../../node/services/yank.ts'
import type { FactId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseGgenName } from '../../protocol/package-name.ts'
import { parseSemver } from '../../protocol/version.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { contentIdOf, FactWriter, person, subject } from '../support/facts.ts'
import type { Person } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'

const [root, ann] = [person('root'), person('ann')]
const { signal } = new AbortController()
const alpha = { name: subject('alpha'), version: '1.0.0' }

/** Publishing over a real gate and store; a folder `alpha@1.0.0#salt` stands for its own content. */
async function started(who: Person = root, tidied = Promise.resolve()) {
  const facts = new FactWriter(root)
  const node = await openGate(facts.registry)
  await node.gate.admit(facts.genesis.bytes, { peer: 'self' })
  const steps: string[] = []
  const signer = {
    principal: who.did,
    sign: (body: Parameters<typeof signFact>[0]) => signFact(body, who.secret),
    chain: () => who.chain,
    renewChain: async () => who.chain
  }
  const author = new Author({ gate: node.gate, signer, now: () => 1 })
  const content = {
    readManifest: async (folder: string) => {
      const [, name = '', version = ''] = /^(.*)@(.*)#/.exec(folder) ?? []
      if (name === '') throw new RegistryError('NO_MANIFEST', 'no manifest')
      const manifest = {
        kind: 'package' as const,
        name: parseGgenName(name),
        version: parseSemver(version),
        dependencies: [],
        executables: []
      }
      return { manifest, notes: [] }
    },
    importFolder: async (folder: string, { onFailed }: { readonly onFailed: () => void }) => {
      steps.push('bytes')
      if (folder.endsWith('#full')) {
        onFailed()
        await tidied
        throw new RegistryError('DISK_FULL', 'no space is left')
      }
      const digests = { sha256: new Uint8Array(32), sha512: new Uint8Array(64), archiveBytes: 1 }
      const unsaid = {
        said: async () => void steps.push('said'),
        failed: async () => {
          steps.push('given back')
          await tidied
        }
      }
      return { root: contentIdOf(folder), size: 1, files: 1, digests, executables: [], leftOut: [], unsaid }
    }
  }
  const announce = (_: unknown, { id }: { id: FactId }): void => void steps.push(`told ${id}`)
  const components = {
    author,
    gate: node.gate,
    documents: node.documents,
    content,
    announce,
    provide: (): void => void steps.push('provided'),
    taken: async () => undefined,
    signer: async () => signer,
    now: () => 1
  }
  const publish = publisher(components)
  return {
    facts,
    node,
    steps,
    yank: yanker(components),
    publish: (folder: string) => publish({ registry: facts.registry, folder }, signal)
  }
}

test('a first publish claims the name, then releases; bytes come first and the telling last', async () => {
  const { facts, node, publish, steps } = await started()
  const { fact, already } = await publish('alpha@1.0.0#a')
  const view = await node.view.package(facts.registry, alpha.name)
  expect(already).toBe(false)
  expect(view.versions.map(({ version, contents }) => [version, contents[0]?.fact])).toEqual([['1.0.0', fact]])
  expect(steps).toEqual(['bytes', `told ${view.claim?.fact ?? ''}`, `told ${fact}`, 'provided', 'said'])
})

test('publishing the same content again signs nothing', async () => {
  const { node, publish } = await started()
  const first = await publish('alpha@1.0.0#a')
  expect(await publish('alpha@1.0.0#a')).toMatchObject({ already: true, fact: first.fact })
  expect(await node.ids()).toHaveLength(3)
})

test('a version that was published before with other bytes is refused', async () => {
  const { publish, node, steps } = await started()
  await publish('alpha@1.0.0#a')
  expect(await codeOfAsync(() => publish('alpha@1.0.0#b'))).toBe('VERSION_EXISTS')
  expect(steps.at(-1)).toBe('given back')
  expect(await node.ids()).toHaveLength(3)
})

test('whoever waits for room after a failure keeps nobody else from publishing', async () => {
  const tidied = Promise.withResolvers<void>()
  const { publish } = await started(undefined, tidied.promise)
  await publish('alpha@1.0.0#a')
  const full = codeOfAsync(() => publish('alpha@1.2.0#full'))
  const refused = codeOfAsync(() => publish('alpha@1.0.0#b'))
  expect(await publish('alpha@1.1.0#c')).toMatchObject({ already: false })
  tidied.resolve()
  expect(await full).toBe('DISK_FULL')
  expect(await refused).toBe('VERSION_EXISTS')
})

test('a key without a role is refused before any byte is stored', async () => {
  const { publish, steps } = await started(ann)
  expect(await codeOfAsync(() => publish('alpha@1.0.0#a'))).toBe('NOT_AUTHORIZED')
  expect(steps).toEqual([])
})

test('a publisher publishes under a name that others claimed, and claims none', async () => {
  const { facts, node, publish } = await started(ann)
  const claim = facts.claim('alpha')
  await node.gate.admitMany(
    [claim, facts.grant(ann.did, 'publisher')].map(({ bytes }) => bytes),
    { peer: 'p' }
  )
  expect((await publish('alpha@1.0.0#a')).already).toBe(false)
  expect(await codeOfAsync(() => publish('beta@1.0.0#a'))).toBe('NOT_AUTHORIZED')
})

test('a yank and its taking back change the version once each', async () => {
  const { facts, node, publish, yank } = await started()
  await publish('alpha@1.0.0#a')
  const yanks = async (): Promise<number | undefined> =>
    (await node.view.package(facts.registry, alpha.name)).versions[0]?.yanks.length
  expect((await yank.yank({ ...alpha, registry: facts.registry }, 'leaks keys')).fact).not.toBeNull()
  expect(await yanks()).toBe(1)
  expect((await yank.yank({ ...alpha, registry: facts.registry }, 'again')).fact).toBeNull()
  expect((await yank.unyank({ ...alpha, registry: facts.registry })).fact).not.toBeNull()
  expect(await yanks()).toBe(0)
  expect((await yank.unyank({ ...alpha, registry: facts.registry })).fact).toBeNull()
})

test('a yank of what does not exist, without a role or with too long a reason is refused', async () => {
  const { facts, publish, yank } = await started()
  const { registry } = facts
  expect(await codeOfAsync(() => yank.yank({ ...alpha, registry }, ''))).toBe('UNKNOWN_PACKAGE')
  await publish('alpha@1.0.0#a')
  expect(await codeOfAsync(() => yank.yank({ ...alpha, registry, version: '2.0.0' }, ''))).toBe('UNKNOWN_VERSION')
  expect(await codeOfAsync(() => yank.yank({ ...alpha, registry }, 'x'.repeat(LIMITS.fact.reasonChars + 1)))).toBe(
    'LIMIT_EXCEEDED'
  )
})

test('a reason that steers a terminal is taken without what steers it', async () => {
  const { facts, node, publish, yank } = await started()
  await publish('alpha@1.0.0#a')
  await yank.yank({ ...alpha, registry: facts.registry }, ' \u001b[31mbad\u202e ')
  const view = await node.view.package(facts.registry, alpha.name)
  expect(view.versions[0]?.yanks[0]?.reason).toBe('[31mbad')
})

test('one bad folder does not stop an import, and each refusal has its reason', async () => {
  const { facts, publish } = await started()
  const folders = ['alpha@1.0.0#a', 'nothing', 'alpha@1.0.0#b', 'beta@1.0.0#a']
  const run = ({ folder }: { folder: string }) => publish(folder)
  const { published, refused } = await importFolders(
    run,
    { registry: facts.registry },
    {
      folders,
      signal,
      onProgress: () => undefined
    }
  )
  expect(published.map(({ folder }) => folder)).toEqual(['alpha@1.0.0#a', 'beta@1.0.0#a'])
  expect(refused.map(({ code }) => code)).toEqual(['NO_MANIFEST', 'VERSION_EXISTS'])
})

test('calls at the same time give out a name once, and the first of two contents of a version is the one', async () => {
  const { facts, node, publish } = await started()
  const calls = ['alpha@1.0.0#a', 'alpha@1.0.0#b', 'alpha@1.1.0#a'].map(folder => codeOfAsync(() => publish(folder)))
  const codes = await Promise.all(calls)
  expect(codes.map(code => code === 'VERSION_EXISTS')).toEqual([false, true, false])
  const view = await node.view.package(facts.registry, alpha.name)
  expect(view.versions.map(({ version, contents }) => `${version}: ${contents.length}`)).toEqual([
    '1.1.0: 1',
    '1.0.0: 1'
  ])
  expect(view.setAside).toEqual([])
})
