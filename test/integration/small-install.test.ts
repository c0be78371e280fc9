import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { FreshBlocks } from '../../node/fresh-blocks.ts'
import { verifyProject } from '../../node/installed.ts'
import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import { DAG_PROTOCOL } from '../../protocol/dag/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { HEARD_MS } from '../support/heard.ts'
import { packageFolder } from '../support/package-folder.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import { join as follow, runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'

const NAMES = Array.from({ length: 12 }, (_, i) => `small-${i}`)

let a: TestRunningNode
let b: TestRunningNode
let registry: RegistryId

beforeAll(async () => {
  a = await runningNode()
  registry = await a.found('open')
  for (const name of [...NAMES, 'other-1', 'other-2'])
    await a.call('publish', {
      folder: await packageFolder({ name, files: { 'a/one.txt': name, 'two.bin': randomBytes(500) } })
    })
  await a.call('publish', {
    folder: await packageFolder({ name: 'large', files: { 'data.bin': randomBytes(LIMITS.dag.eagerBytes) } })
  })
  b = await runningNode()
  await follow(b, registry, a)
  const facts = a.parts.facts.head(registry).count
  await b.call('waitFor', { registry, facts, peers: 1, kept: false, timeoutMs: HEARD_MS })
})
afterEach(() => vi.restoreAllMocks())
afterAll(stopRunningNodes)

/** What an install does beside putting files in their places, each counted. */
function counted(node: TestRunningNode) {
  const space = node.parts.spaces.of(registry)
  const swarm = node.parts.swarms.of(registry)
  if (swarm === undefined) throw new Error('no network')
  let streams = 0
  for (const connection of swarm.libp2p.getConnections()) {
    const open = connection.newStream.bind(connection)
    vi.spyOn(connection, 'newStream').mockImplementation(async (protocols, options) => {
      if (protocols === DAG_PROTOCOL) streams += 1
      return await open(protocols, options)
    })
  }
  const spies = {
    flushes: vi.spyOn(space.allBlocks, 'flush'),
    keptWrites: [vi.spyOn(space, 'markKept'), vi.spyOn(space, 'markAllKept')],
    traceWrites: [vi.spyOn(space, 'putTrace'), vi.spyOn(space, 'putTraces'), vi.spyOn(space, 'placedTraces')],
    reads: [vi.spyOn(space.blocks, 'readNow'), vi.spyOn(space.blocks, 'read'), vi.spyOn(space.blocks, 'get')],
    provides: vi.spyOn(swarm, 'provide')
  }
  const sum = (all: readonly { readonly mock: { readonly calls: readonly unknown[] } }[]): number =>
    all.reduce((calls, { mock }) => calls + mock.calls.length, 0)
  return () => ({
    streams,
    flushes: sum([spies.flushes]),
    keptWrites: sum(spies.keptWrites),
    traceWrites: sum(spies.traceWrites),
    reads: sum(spies.reads),
    provides: sum([spies.provides])
  })
}

describe('many small packages', () => {
  test('cost one stream, one turn at the disk and three writes, and no block is read again', async () => {
    const project = await tempDir('project')
    const counts = counted(b)
    const { installed } = await b.call('install', { references: NAMES, project, noDeps: true })
    // The writes: what is here as a whole, how it came, and how long it took to put it in its place.
    expect(counts()).toEqual({ streams: 1, flushes: 1, keptWrites: 1, traceWrites: 2, reads: 0, provides: 0 })
    expect(installed.map(({ name }) => name).toSorted()).toEqual(NAMES.toSorted())
    expect(installed.every(({ bytes, from }) => bytes > 0 && from[0] === a.peerId)).toBe(true)
    expect((await verifyProject(project, new AbortController().signal)).clean).toBe(true)
    for (const { cid } of installed) expect(await b.parts.spaces.of(registry).isKept(cid)).toBe(true)
    // What came together is told of as what came alone.
    const { sources, times } = (await b.parts.spaces.of(registry).traceOf(installed[0]?.cid as ContentId)) ?? {}
    expect(sources).toMatchObject([{ way: 'dag', from: a.peerId }])
    expect(times?.write).not.toBeNull()
  })

  test('and a large one cost one stream more', async () => {
    const counts = counted(b)
    const project = join(await tempDir('project'), 'inner')
    await b.call('install', { references: ['large', 'other-1', 'other-2'], project, noDeps: true })
    expect(counts()).toMatchObject({ streams: 2, provides: 0 })
    expect((await verifyProject(project, new AbortController().signal)).clean).toBe(true)
  })
})

describe('blocks that have just come', () => {
  const blocks = new DagBlocks()
  const leaf = blocks.raw(randomBytes(10))
  const root = rootOf(blocks.folder({ a: leaf }))
  const came = new Map([...blocks.map].map(([cid, { bytes }]) => [cid, bytes]))
  const store = { get: () => [], readNow: () => undefined }
  const nothing = { has: () => false }

  test('are at hand until they are put in their place, and those of others are not', () => {
    const fresh = new FreshBlocks()
    fresh.remember([root], came)
    expect(fresh.before(store, root, nothing).readNow?.(leaf)).toEqual(blocks.bytes(leaf))
    expect(fresh.before(store, 'another' as ContentId, nothing).readNow?.(leaf)).toBeUndefined()
    fresh.forget(root)
    expect(fresh.before(store, root, nothing).readNow?.(leaf)).toBeUndefined()
  })

  test('are not, where an operator withholds them', () => {
    const fresh = new FreshBlocks()
    fresh.remember([root], came)
    const withheld = { has: (cid: CID) => cid.equals(leaf) }
    expect(fresh.before(store, root, withheld).readNow?.(leaf)).toBeUndefined()
    expect(fresh.before(store, root, withheld).readNow?.(CID.parse(root))).toEqual(blocks.bytes(CID.parse(root)))
  })

  test('are forgotten when they are too many', () => {
    const fresh = new FreshBlocks()
    fresh.remember([root], came)
    const much = new Uint8Array(LIMITS.dag.freshBytes)
    fresh.remember(['other' as ContentId], new Map([[leaf.toString(), much]]))
    expect(fresh.before(store, root, nothing).readNow?.(leaf)).toBeUndefined()
    expect(fresh.before(store, 'other' as ContentId, nothing).readNow?.(leaf)).toBe(much)
  })
})
