import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { toLink } from '../../protocol/cid.ts'
import type { PackageView } from '../../protocol/fold.ts'
import { parsePackageName } from '../../protocol/package-name.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseUnixfsNode } from '../../protocol/unixfs-node.ts'
import { readBlock } from '../../storage/content/blocks.ts'
import { importFolder } from '../../storage/content/import-folder.ts'
import { openBlocks } from '../../storage/block-store.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { blockOf } from '../storage/blocks.contract.ts'
import { failing, PlannedFailure } from '../support/failing.ts'
import { tempDir } from '../support/temp-dir.ts'
import { cidsOf, isWhole, registry, signal, storeWith } from './set-up.ts'

const A = { 'a.txt': 'only in a', 'both.txt': 'in both' }
const B = { 'b.txt': 'only in b', 'both.txt': 'in both' }
const view = (name: string, roots: readonly string[]): PackageView =>
  ({
    name: parsePackageName(name),
    versions: roots.map((root, i) => ({ version: `1.${i}.0`, contents: [{ root, size: 20 }], yanks: [] }))
  }) as unknown as PackageView

describe('what a collection deletes', () => {
  test('is what no kept root reaches, and nothing else', async () => {
    const { stored, space, add, gc } = await storeWith()
    const [a, b] = [await add(A), await add(B)]
    const stray = blockOf(randomBytes(500))
    await stored.put(stray.cid, stray.bytes)
    expect(await gc()).toMatchObject({ blocks: 1, bytes: 500, roots: 0 })
    expect([await isWhole(a, stored), await isWhole(b, stored), await stored.has(stray.cid)]).toEqual([
      true,
      true,
      false
    ])
    await space.forgetKept(a)
    expect(await gc()).toMatchObject({ blocks: 2 })
    expect([await isWhole(a, stored), await isWhole(b, stored)]).toEqual([false, true])
  })

  test('is told to whoever listens: peers are not to be told of what is here no more', async () => {
    const { space, add, gc, later } = await storeWith()
    const roots = [await add(A), await add(B)]
    later()
    const heard: unknown[] = []
    space.onKept((root, isKept) => heard.push([root, isKept]))
    const before = space.keptChanges
    await gc(0)
    expect(new Set(heard)).toEqual(new Set(roots.map(root => [root, false])))
    expect(space.keptChanges).toBe(before + 2)
  })

  test('is only told of when it is dry', async () => {
    const { stored, space, add, gc } = await storeWith()
    const a = await add(A)
    await space.forgetKept(a)
    expect(await gc(Number.POSITIVE_INFINITY, true)).toMatchObject({ blocks: 3 })
    expect(await isWhole(a, stored)).toBe(true)
  })

  test('is not what is pinned, whatever the budget: by a registry, a range, a root, a project, or publishing', async () => {
    const packages: PackageView[] = []
    const { stored, pins, projectPins, add, gc } = await storeWith({ packages })
    const texts = ['kept by range', 'outside the range', 'by root', 'by project', 'published', 'by nobody']
    const roots = []
    for (const text of texts) roots.push(await add({ 'x.txt': text }, { pinned: text === 'published' }))
    const [one = '', two = '', byRoot, byProject] = roots
    packages.push(view('ggen/some', [one, two]))
    const name = parsePackageName('ggen/some')
    await pins.add({ type: 'package', registry, name, range: '=1.0.0' })
    await pins.add({ type: 'root', swarm: 'public', root: byRoot as never })
    const project = await tempDir('project')
    await mkdir(join(project, '.ggen'), { recursive: true })
    await writeFile(join(project, '.ggen', 'packs.lock'), '{}')
    const packs = new Map([['x', { registry, cid: byProject }]])
    await projectPins.installed(project, { packs } as never)
    expect(await gc(0)).toMatchObject({ roots: 2 })
    expect(await Promise.all(roots.map(root => isWhole(root, stored)))).toEqual([true, false, true, true, true, false])
    // A project that is gone needs nothing; a registry that is pinned keeps what is left of it.
    await pins.add({ type: 'registry', registry })
    await projectPins.forget(project)
    expect(await gc(0)).toMatchObject({ roots: 1 })
    expect(await Promise.all(roots.map(root => isWhole(root, stored)))).toEqual([true, false, true, false, true, false])
  })

  test('is what was unused the longest, until the rest fits; what two share is counted once', async () => {
    const { stored, add, gc, gone, space, later } = await storeWith()
    const shared = randomBytes(2_000)
    const roots = []
    for (let i = 0; i < 4; i++) roots.push(await add({ 'own.bin': randomBytes(1_000), 'shared.bin': shared }))
    const [first, second, third, fourth] = roots
    later()
    await space.touchKept(first as never)
    // Two of them: 2 x 1,000 of their own, 2,000 in common, and their nodes.
    expect(await gc(4_500)).toMatchObject({ roots: 2 })
    expect(new Set<unknown>(gone)).toEqual(new Set([second, third]))
    expect(await Promise.all(roots.map(root => isWhole(root, stored)))).toEqual([true, false, false, true])
    expect(await Promise.all(roots.map(root => space.isKept(root)))).toEqual([true, false, false, true])
    expect(fourth).toBeDefined()
  })

  test('is not what an operator withholds: who takes that back finds it here', async () => {
    const { stored, spaces, space, add, gc } = await storeWith()
    const a = await add(A, { pinned: true })
    await spaces.takedowns.takedown(a, { reference: 'a@1.0.0' }, signal)
    expect(await gc(0)).toMatchObject({ blocks: 0 })
    await spaces.takedowns.release(a)
    expect(await gc(0)).toMatchObject({ blocks: 0 })
    expect(await isWhole(a, stored)).toBe(true)
    expect(await space.isKept(a)).toBe(false)
  })

  test('is nothing that a record speaks of when it only tidies, whatever of it is missing', async () => {
    const { stored, space, keeper, add, gc } = await storeWith()
    const [whole, short, lost] = [await add(A), await add({ 'x.txt': 'x', 'y.txt': 'y' }), await add({ 'z.txt': 'z' })]
    const leaves = (await cidsOf(short, stored)).slice(1)
    for (const cid of leaves.slice(0, 1)) await stored.delete(cid)
    await stored.delete((await cidsOf(lost, stored))[1] ?? toLink(lost))
    await space.lostKept(lost)
    const stray = blockOf(randomBytes(500))
    await stored.put(stray.cid, stray.bytes)
    await keeper.tidyAfter(new RegistryError('DISK_FULL', 'no space is left'), space)
    expect(await stored.has(stray.cid)).toBe(false)
    expect([await isWhole(whole, stored), await stored.has(toLink(lost))]).toEqual([true, true])
    expect(await Promise.all(leaves.map(cid => stored.has(cid)))).toEqual([false, true])
    expect(await Promise.all([whole, short, lost].map(root => space.isKept(root)))).toEqual([true, true, false])
    expect(await gc()).toMatchObject({ roots: 2, blocks: 3 })
  })

  test('is nothing while the system does not let it read: that says nothing of what is there', async () => {
    const { space, add, gc } = await storeWith()
    const root = await add(A)
    const before = { ...space.stored }
    const refused = new RegistryError('UNKNOWN_FILE', 'too many open files')
    const fails = (): never => {
      throw refused
    }
    Object.assign(space.stored, { read: async () => fails(), readNow: () => undefined, get: fails })
    await expect(gc()).rejects.toThrow(refused)
    Object.assign(space.stored, before)
    expect([await space.isKept(root), await isWhole(root, space.stored)]).toEqual([true, true])
  })

  test('is nothing while a pinned content is damaged: what is left of it would not be recognised', async () => {
    const { stored, space, add, gc } = await storeWith()
    const a = await add(A, { pinned: true })
    const stray = blockOf(randomBytes(10))
    await stored.put(stray.cid, stray.bytes)
    await stored.delete(toLink(a))
    await expect(gc(0)).rejects.toMatchObject({ code: 'CORRUPT_BLOCK' })
    await space.forgetKept(a)
    await expect(gc(0)).rejects.toMatchObject({ code: 'CORRUPT_BLOCK' })
    expect(await gc(0, true)).toMatchObject({ broken: [a] })
    expect((await stored.usage()).blocks).toBe(3)
    await space.unpinKept(a)
    await gc(0)
    expect((await stored.usage()).blocks).toBe(0)
  })
})

describe('what is in use while a collection runs stays', () => {
  test('a content that somebody reads, from before it began to the end', async () => {
    const { stored, space, add, gc } = await storeWith()
    const a = await add(A)
    const release = space.blocks.hold(a)
    await gc(0)
    expect([await isWhole(a, stored), await space.isKept(a)]).toEqual([true, true])
    release()
    await gc(0)
    expect([await isWhole(a, stored), await space.isKept(a)]).toEqual([false, false])
  })

  test.each(['shards', 'keysIn'] as const)(
    'what is asked for at any time before the block is looked at (%s)',
    async at => {
      const { stored, space, add, gc } = await storeWith()
      const a = await add(A)
      const cids = await cidsOf(a, stored)
      await space.forgetKept(a)
      const real = stored[at].bind(stored)
      // A fetch begins: it finds blocks here, and will not ask anybody for them.
      const meanwhile = async (): Promise<void> => {
        for (const cid of cids) expect(await space.allBlocks.has(cid)).toBe(true)
      }
      Object.assign(stored, {
        [at]:
          at === 'shards'
            ? async () => {
                await meanwhile()
                return real('')
              }
            : async function* (shard: string) {
                await meanwhile()
                yield* real(shard) as AsyncGenerator<never>
              }
      })
      expect(await gc()).toMatchObject({ blocks: 0 })
      expect(await isWhole(a, stored)).toBe(true)
    }
  )

  test('a content that somebody begins to read when its record has just gone, and the record comes back', async () => {
    const { stored, space, add, gc } = await storeWith({})
    const a = await add(A)
    const letGo = space.letGo
    Object.assign(space, {
      letGo: async (roots: never) => {
        await letGo(roots)
        // Held and released within the collection: both count.
        space.inUse.hold(a)()
      }
    })
    expect(await gc(0)).toMatchObject({ roots: 0, blocks: 0 })
    expect([await isWhole(a, stored), await space.isKept(a)]).toEqual([true, true])
  })

  test.each(['held', 'pinned'] as const)(
    'what has come of a content whose folders are not all here (%s)',
    async how => {
      for (const missing of ['a', 'b', 'c']) {
        const { stored, space, pins, add, gc } = await storeWith()
        const folder = await tempDir('folders')
        for (const name of ['a', 'b', 'c']) {
          await mkdir(join(folder, name))
          await writeFile(join(folder, name, 'x.txt'), `in ${name}`)
        }
        const { root } = await importFolder(folder, stored, { signal })
        const tree = parseUnixfsNode(await readBlock(stored, toLink(root), { limits: LIMITS.content }), LIMITS.content)
        if (tree.type !== 'directory') throw new Error('not a folder')
        for (const { name, cid } of tree.entries) if (name === missing) await stored.delete(cid)
        const stray = await add({ 'x.txt': 'nobody needs it' })
        await space.forgetKept(stray)
        if (how === 'pinned') await pins.add({ type: 'root', swarm: 'public', root })
        const release = how === 'held' ? space.inUse.hold(root) : undefined
        // Nothing names the leaf of the folder that is not here, as long as that is not.
        expect(await gc()).toMatchObject({ blocks: 3 })
        expect((await stored.usage()).blocks).toBe(5)
        release?.()
      }
    }
  )

  test('a folder that is being published, whose root nobody knows yet', async () => {
    const { stored, space, gc } = await storeWith()
    const folder = await tempDir('publish')
    for (let i = 0; i < 5; i++) await writeFile(join(folder, `f${i}.txt`), `file ${i}`)
    const write = space.inUse.write()
    const half = new Set([2, 4])
    let puts = 0
    const { root } = await importFolder(folder, {
      put: async (cid, bytes) => {
        write.add(cid)
        await space.blocks.put(cid, bytes)
        if (half.has(++puts)) await gc(0)
        return cid
      }
    })
    expect(await isWhole(root, stored)).toBe(true)
    write.end()
    await gc(0)
    expect(await isWhole(root, stored)).toBe(false)
  })

  test('what comes to be pinned after the pins were read', async () => {
    const { stored, space, add, gc, pins } = await storeWith()
    const a = await add(A)
    const entries = space.keptEntries
    Object.assign(space, {
      keptEntries: async function* () {
        await pins.add({ type: 'root', root: a, swarm: 'public' })
        space.inUse.wanted(a)
        yield* entries()
      }
    })
    await gc(0)
    expect(await isWhole(a, stored)).toBe(true)
  })
})

describe('a collection that is cut off', () => {
  test.each([true, false])('when records are let go (persisted: %s) deletes no block', async persisted => {
    const kv = memoryKeyValue()
    const broken = failing(kv, key => key.startsWith('kept!'), { persisted })
    let isArmed = false
    const proxy = { ...broken, batch: (...args: Parameters<typeof kv.batch>) => (isArmed ? broken : kv).batch(...args) }
    const { stored, add, gc, space } = await storeWith({ kv: proxy })
    const a = await add(A)
    isArmed = true
    await expect(gc(0)).rejects.toThrow(PlannedFailure)
    expect(await isWhole(a, stored)).toBe(true)
    expect(await space.isKept(a)).toBe(!persisted)
    await gc(0)
    expect((await stored.usage()).blocks).toBe(0)
  })

  test('when half of the blocks are deleted leaves no record of what is not whole', async () => {
    const blocks = await openBlocks(await tempDir('blocks'))
    const { space, add, gc, stored } = await storeWith({ blocks })
    const roots = []
    for (let i = 0; i < 8; i++) roots.push(await add({ 'x.txt': `content ${i}` }))
    const sweep = stored.sweep.bind(stored)
    let left = 5
    Object.assign(stored, {
      sweep: (...args: Parameters<typeof sweep>) => {
        if (left-- <= 0) throw new PlannedFailure('cut off')
        return sweep(...args)
      }
    })
    await expect(gc(0)).rejects.toThrow(PlannedFailure)
    for await (const root of space.kept()) expect(await isWhole(root, stored)).toBe(true)
    expect((await stored.usage()).blocks).toBe(11)
    left = Number.POSITIVE_INFINITY
    await gc(0)
    expect(await stored.usage()).toEqual({ blocks: 0, bytes: 0 })
  })
})
