import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BlockScrub } from '../../node/block-scrub.ts'
import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { errorOf } from '../support/daemon.ts'
import { HEARD_MS } from '../support/heard.ts'
import { containing } from '../support/like.ts'
import { lookedThrough } from '../support/looked-through.ts'
import { packageFolder } from '../support/package-folder.ts'
import { join as follow, runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { flipBitIn, storedBlocks } from '../support/stored-blocks.ts'
import { tempDir } from '../support/temp-dir.ts'
import { cidsOf, isWhole } from './set-up.ts'

let a: TestRunningNode
let b: TestRunningNode
let registry: RegistryId

beforeAll(async () => {
  a = await runningNode()
  registry = await a.found('open')
  b = await runningNode()
  await lookedThrough(b.parts.scrubs)
  await follow(b, registry, a)
})

afterAll(stopRunningNodes)

const signal = new AbortController().signal

async function publish(node: TestRunningNode, name: string, version: string, bytes = 2_000): Promise<ContentId> {
  const folder = await packageFolder({ name, version, files: { 'data.bin': randomBytes(bytes) } })
  return (await node.call('publish', { folder })).cid
}

const here = async (root: ContentId) => b.parts.spaces.public.isKept(root)
const stat = async (node = b) => (await node.call('storeStat', {})).spaces[0]
const gcAll = (node = b) => node.call('storeGc', { all: true, dryRun: false })

/** Who follows has all facts and all that it wants. */
async function caughtUp(): Promise<void> {
  const facts = a.parts.facts.head(registry).count
  await b.call('waitFor', { registry, facts, peers: 1, kept: true, timeoutMs: HEARD_MS })
}

/** Flips a bit in the largest block of a node. */
async function damage(home: string): Promise<void> {
  const blocks = await storedBlocks(join(home, 'blocks'))
  const largest = blocks.toSorted((x, y) => y.length - x.length)[0]
  if (largest === undefined) throw new Error('there are no blocks')
  await flipBitIn(largest)
}

describe('pins of a node', () => {
  test('by range bring what there is and what comes, and nothing else, and hold it', async () => {
    const [one, two] = [await publish(a, 'tool', '1.0.0'), await publish(a, 'tool', '2.0.0')]
    const other = await publish(a, 'other', '1.0.0')
    await caughtUp()
    expect(await b.call('storePin', { what: 'tool@^1' })).toMatchObject({ what: 'main:tool@^1', roots: 1, isNew: true })
    await caughtUp()
    const later = await publish(a, 'tool', '1.5.0')
    await caughtUp()
    expect(await Promise.all([one, two, other, later].map(here))).toEqual([true, false, false, true])
    await gcAll()
    expect(await Promise.all([one, later].map(here))).toEqual([true, true])
    expect(await b.call('storePins', {})).toMatchObject([{ type: 'package', what: 'main:tool@^1', roots: 2, held: 2 }])
    await b.call('storeUnpin', { what: 'main:tool@^1' })
    await b.call('storeGc', { all: false, dryRun: false })
    expect(await here(one)).toBe(true)
    await gcAll()
    expect(await Promise.all([one, later].map(here))).toEqual([false, false])
    // Pinned again, it comes again, although it was here once.
    await b.call('storePin', { what: one })
    await caughtUp()
    expect(await here(one)).toBe(true)
    await b.call('storeUnpin', { what: one })
    await gcAll()
  })

  test('are made by installing, and last as long as the lockfile names it', async () => {
    const [one, two] = [await publish(a, 'app', '1.0.0'), await publish(a, 'app', '2.0.0')]
    await caughtUp()
    const project = await tempDir('project')
    await b.call('install', { project, references: ['app@^1'] })
    await gcAll()
    expect(await here(one)).toBe(true)
    expect(await b.call('storePins', {})).toMatchObject([{ type: 'project', what: project, roots: 1, held: 1 }])
    await b.call('install', { project, references: ['app@^2'] })
    await gcAll()
    expect(await Promise.all([one, two].map(here))).toEqual([false, true])
    await rm(project, { recursive: true })
    expect(await stat()).toMatchObject({ pinned: { roots: 0, bytes: 0 } })
    await gcAll()
    expect(await stat()).toMatchObject({ blocks: 0, bytes: 0, roots: 0 })
  })

  test('of what is not pinned cannot be taken back, of what nobody knows cannot be made', async () => {
    await publish(a, 'unpinned', '1.0.0')
    await caughtUp()
    expect(await errorOf(b.call('storeUnpin', { what: 'unpinned' }))).toMatchObject({ code: 'UNKNOWN_ENTRY' })
    expect(await errorOf(b.call('storePin', { what: 'toool' }))).toMatchObject({ code: 'UNKNOWN_PACKAGE' })
    expect(await errorOf(b.call('storePin', { what: 'unpinned@nonsense!' }))).toMatchObject({
      code: 'INVALID_REFERENCE'
    })
  })

  test('hold what was published here, until its own words take that back', async () => {
    const root = await publish(a, 'own', '1.0.0')
    await gcAll(a)
    expect(await a.parts.spaces.public.isKept(root)).toBe(true)
    await a.call('storePin', { what: 'main:' })
    await a.call('storeUnpin', { what: 'main:' })
    await gcAll(a)
    expect(await a.parts.spaces.public.isKept(root)).toBe(true)
    await a.call('storeUnpin', { what: 'own' })
    await gcAll(a)
    expect(await a.parts.spaces.public.isKept(root)).toBe(false)
  })
})

describe('the quota of a node', () => {
  test('lets go of what was unused the longest, and refuses what does not fit with a code', async () => {
    const big = 3 * 1024 * 1024
    const roots = []
    for (const name of ['one', 'two', 'three']) roots.push(await publish(a, name, '1.0.0', big))
    await caughtUp()
    await b.call('storeQuota', { swarm: 'public', bytes: 8 * 1024 * 1024 })
    const projects = [await tempDir('project'), await tempDir('project'), await tempDir('project')]
    const install = (at: number, references: string[]) => b.call('install', { project: projects[at] ?? '', references })
    await install(0, ['one'])
    await install(1, ['two'])
    // Everything is pinned by projects: nothing may go.
    expect(await errorOf(install(2, ['three']))).toMatchObject({
      code: 'QUOTA_EXCEEDED',
      next: containing('store quota')
    })
    expect(await Promise.all(roots.map(here))).toEqual([true, true, false])
    await rm(projects[0] ?? '', { recursive: true })
    await b.call('storeUnpin', { what: projects[1] ?? '' })
    await install(2, ['three'])
    expect(await Promise.all(roots.map(here))).toEqual([false, true, true])
    expect((await stat())?.bytes).toBeLessThan(8 * 1024 * 1024)
    await b.call('storeQuota', { swarm: 'public', bytes: 0 })
    await rm(projects[2] ?? '', { recursive: true })
    await gcAll()
  })
})

describe('damage to blocks', () => {
  test('is found and repaired from a peer by verify', async () => {
    const root = await publish(a, 'brittle', '1.0.0', 50_000)
    await b.call('storePin', { what: root })
    await caughtUp()
    await damage(b.home)
    expect(await b.call('storeVerify', {})).toMatchObject({
      spaces: [{ damaged: 1, broken: 1, repaired: 1, unrepaired: [] }]
    })
    expect(await here(root)).toBe(true)
    expect(await b.call('storeVerify', {})).toMatchObject({ spaces: [{ damaged: 0, broken: 0 }] })
    expect(await stat()).toMatchObject({ broken: [] })
  })

  test('is found and repaired in the background, at a bounded rate, and where it stopped it goes on', async () => {
    const root = await publish(a, 'brittle', '2.0.0', 200_000)
    await b.call('storePin', { what: root })
    await caughtUp()
    await damage(b.home)
    let sleptMs = 0
    let cut: AbortController | undefined = new AbortController()
    const sleep = async (ms: number): Promise<void> => {
      sleptMs += ms
      cut?.abort()
      cut?.signal.throwIfAborted()
    }
    const before = (await stat())?.scrub
    const { clock } = b.parts
    const now = (): number => clock.now() + LIMITS.store.scrubEveryMs
    const scrub = new BlockScrub({ ...b.parts, clock: { ...clock, now, sleep } })
    await scrub.run(cut.signal)
    const firstMs = sleptMs
    expect((await stat())?.scrub).toEqual(before)
    cut = undefined
    await scrub.run(signal)
    expect((await stat())?.scrub).toMatchObject({ broken: 1, repaired: 1 })
    expect(await here(root)).toBe(true)
    // 250,000 bytes at that rate; what was read before it was cut off need not be read again.
    expect(firstMs).toBeGreaterThan(0)
    expect(sleptMs).toBeGreaterThan((240_000 / LIMITS.store.scrubBytesPerSecond) * 1_000)
    sleptMs = 0
    await scrub.run(signal)
    expect(sleptMs).toBe(0)
  })

  test('that no peer can repair is told, no longer counted as here, and comes when a peer has it', async () => {
    const root = await publish(a, 'brittle', '3.0.0', 300_000)
    await b.call('storePin', { what: 'brittle' })
    await caughtUp()
    await damage(b.home)
    await a.stop()
    expect(await b.call('storeVerify', {})).toMatchObject({
      spaces: [{ damaged: 1, broken: 1, repaired: 0, unrepaired: [{ root }] }]
    })
    expect(await here(root)).toBe(false)
    // What is left of it stays: it is pinned.
    const left = await b.parts.spaces.public.stored.usage()
    await gcAll()
    expect(await b.parts.spaces.public.stored.usage()).toEqual(left)
    // The pin survives a restart, and so does what it still wants.
    await b.stop()
    a = await runningNode({ home: a.home })
    b = await runningNode({ home: b.home })
    await b.call('connect', { address: a.address })
    await caughtUp()
    expect(await here(root)).toBe(true)
    expect(await b.call('storePins', {})).toMatchObject([{}, {}, { type: 'package', what: 'main:brittle', held: 3 }])
  })

  describe('of what nothing pins', () => {
    const bytes = randomBytes(2_500_000)
    let root: ContentId
    let before: { readonly blocks: number; readonly bytes: number }

    /** On the disk of one node, with a file of which a block was lost. */
    const loseBlock = async (): Promise<void> => {
      const { stored } = b.parts.spaces.public
      before = await stored.usage()
      const leaf = (await cidsOf(root, stored)).findLast(({ code }) => code === 0x55)
      if (leaf === undefined) throw new Error('it has no leaf')
      await stored.delete(leaf)
    }

    beforeAll(async () => {
      const folder = await packageFolder({ name: 'loose', files: { 'data.bin': bytes } })
      root = (await a.call('publish', { folder })).cid
      await caughtUp()
      const project = await tempDir('project')
      await b.call('install', { project, references: ['loose'] })
      await rm(project, { recursive: true })
    })

    test('is repaired although a collection runs just before that is written down', async () => {
      const { parts } = b
      const space = parts.spaces.public
      await loseBlock()
      const { markKept } = space
      const late: typeof markKept = async (...args) => {
        await parts.keeper.collect(space, { budgetBytes: 0, isDry: false, signal })
        await markKept(...args)
      }
      Object.assign(space, { markKept: late })
      expect(await b.call('storeVerify', {})).toMatchObject({ spaces: [{ broken: 1, repaired: 1 }] })
      Object.assign(space, { markKept })
      expect([await here(root), await isWhole(root, space.stored)]).toEqual([true, true])
    })

    test('costs no other block when the disk is full: it may be the last copy', async () => {
      const { parts } = b
      const space = parts.spaces.public
      await loseBlock()
      const full = new RegistryError('DISK_FULL', 'no space is left')
      const put = space.allBlocks.put.bind(space.allBlocks)
      Object.assign(space.allBlocks, { put: () => Promise.reject(full) })
      expect(await b.call('storeVerify', {})).toMatchObject({ spaces: [{ broken: 1, repaired: 0 }] })
      await parts.keeper.tidyAfter(full, space)
      Object.assign(space.allBlocks, { put })
      await parts.disk.check()
      expect(await here(root)).toBe(false)
      expect((await space.stored.usage()).blocks).toBe(before.blocks - 1)
      await b.call('install', { project: await tempDir('project'), references: ['loose'] })
      expect([await here(root), await isWhole(root, space.stored)]).toEqual([true, true])
    })
  })
})
