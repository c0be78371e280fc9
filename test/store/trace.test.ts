import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Trail } from '../../node/services/trail.ts'
import { Spaces } from '../../node/spaces.ts'
import { parseRegistryId } from '../../protocol/cid.ts'
import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { decodeTrace, encodeTrace, TRACE_STAGES } from '../../protocol/trace-record.ts'
import type { TraceRecord } from '../../protocol/trace-record.ts'
import { memoryBlocks } from '../../storage/memory-blocks.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import { Records } from '../../storage/records.ts'
import { traceRecords } from '../../storage/trace-records.ts'
import { traceLines } from '../../bin/commands/trace.ts'
import { HEARD_MS } from '../support/heard.ts'
import { packageFolder } from '../support/package-folder.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import { join, runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { registryNamed } from '../support/swarm-node.ts'
import { tempDir } from '../support/temp-dir.ts'

const root = (): ContentId => rootOf(new DagBlocks().raw(randomBytes(9)))

function record(time: number): TraceRecord {
  const trail = new Trail({ now: () => time })
  trail.block('dag', 'peer', 5)
  return trail.record(null)
}

async function keysOf(kv: KeyValue, from: string): Promise<readonly string[]> {
  const keys: string[] = []
  for await (const [key] of kv.iterate({ gte: from, lt: `${from}~`, keysOnly: true })) keys.push(key)
  return keys
}

describe('the trail of a fetch', () => {
  test('tells who sent what, and how long each stage took', () => {
    const clock = { ms: 1_000 }
    const at = (ms: number): void => void (clock.ms = ms)
    const trail = new Trail({ now: () => clock.ms, resolveMs: 7 })
    trail.lookedUp(40)
    at(1_050)
    trail.asked()
    at(1_080)
    trail.block('dag', 'a', 100)
    at(1_100)
    trail.block('gateway', 'https://gateway.example', 3)
    at(1_280)
    trail.block('dag', 'a', 50)
    trail.here(1_000)
    at(1_300)
    trail.stored()
    at(1_310)
    trail.flushed()
    expect(trail.received).toBe(153)
    const made = trail.record(null)
    expect(made.sources).toEqual([
      { way: 'disk', from: null, blocks: 1, bytes: 1_000 },
      { way: 'dag', from: 'a', blocks: 2, bytes: 150 },
      { way: 'gateway', from: 'https://gateway.example', blocks: 1, bytes: 3 }
    ])
    const times = { resolve: 7, find: 50, lookup: 40, firstByte: 30, transfer: 200, store: 20, flush: 10, write: null }
    expect(made.times).toEqual(times)
    expect(decodeTrace(encodeTrace(made))).toEqual(made)
  })

  test('tells a bounded number of peers apart, and loses no byte of the others', () => {
    const trail = new Trail({ now: () => 0 })
    for (let peer = 0; peer < LIMITS.trace.sources * 3; peer++) trail.block('bitswap', `peer ${peer}`, 2)
    const { sources } = trail.record(null)
    expect(sources).toHaveLength(LIMITS.trace.sources + 1)
    expect(sources.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(LIMITS.trace.sources * 6)
    expect(decodeTrace(encodeTrace(trail.record(null))).sources).toEqual(sources)
  })
})

describe('what is remembered', () => {
  test('is bounded, the oldest is forgotten, also of what an earlier process wrote', async () => {
    const kv = memoryKeyValue()
    const { roots } = LIMITS.trace
    const all = Array.from({ length: roots + 2 }, root)
    const first = traceRecords(kv, 'trace!')
    for (const [i, each] of all.slice(0, roots).entries()) await first.putTrace(each, record(1_000 + i))
    const again = traceRecords(kv, 'trace!')
    for (const each of all.slice(roots)) await again.putTrace(each, record(9_000))
    expect(await keysOf(kv, 'trace!')).toHaveLength(roots)
    const [oldest, next, third] = await Promise.all(all.slice(0, 3).map(again.traceOf))
    expect([oldest, next, third?.time]).toEqual([undefined, undefined, 1_002])
  })

  test('is not replaced by a look that found all of it here', async () => {
    const { putTrace, placedTraces, traceOf } = traceRecords(memoryKeyValue(), 'trace!')
    const one = root()
    await putTrace(one, record(5))
    const looked = new Trail({ now: () => 6 })
    looked.here(5)
    await putTrace(one, looked.record(null))
    await placedTraces(new Map([[one, 12]]))
    expect(await traceOf(one)).toMatchObject({ time: 5, sources: [{ from: 'peer' }], times: { write: 12 } })
  })

  test('and cannot be read is as good as forgotten', async () => {
    const kv = memoryKeyValue()
    const one = root()
    for (const value of [Uint8Array.of(1, 2), encodeCbor({ time: -1, failed: null, sources: [], times: [] })]) {
      await kv.batch([{ type: 'put', key: `trace!${one}`, value }])
      expect(await traceRecords(kv, 'trace!').traceOf(one)).toBe(undefined)
    }
  })

  test('of a private swarm goes with it, and after a crash with the next start', async () => {
    const kv = memoryKeyValue()
    const registry = parseRegistryId(registryNamed('acme'))
    const all = [{ id: registry, swarm: 'acme' }]
    const open = (registries: { all: typeof all }): Promise<Spaces> =>
      Spaces.open({
        openBlocks: async () => memoryBlocks(),
        deleteBlocks: async () => undefined,
        kv,
        records: new Records(kv),
        clock: { now: () => 0 },
        registries
      })
    const spaces = await open({ all })
    const secret = root()
    await spaces.of(registry).putTrace(secret, record(1))
    expect(await spaces.public.traceOf(secret)).toBe(undefined)
    expect(await keysOf(kv, 'trace')).toEqual([`trace-in!acme!${secret}`])
    await spaces.remove('acme', { purge: false })
    expect(await keysOf(kv, 'trace')).toEqual([])
    const left = await open({ all })
    await left.of(registry).putTrace(secret, record(1))
    await open({ all: [] })
    expect(await keysOf(kv, 'trace')).toEqual([])
  })
})

test('what failed is told with all that was tried, and without the sources that there were not', () => {
  const tried = ['this node', 'over /ggen/dag/1: 12D3…aTq8Ywbn had no room']
  const record = new Trail({ now: () => 1 }).record('CONTENT_UNAVAILABLE', tried)
  expect(decodeTrace(encodeTrace(record))).toEqual(record)
  const nameless = { registry: null, alias: null, name: null, version: null }
  const lines = traceLines({ ...record, ...nameless, root: root(), swarm: 'public', ended: 1 }, 1).join('\n')
  for (const line of tried) expect(lines).toContain(`tried: ${line}`)
  expect(lines).not.toContain('BYTES')
})

const LARGE = { 'docs/large.bin': randomBytes(300_000) }

describe('trace', () => {
  let source: TestRunningNode
  let reader: TestRunningNode
  let registry: RegistryId
  let cid: ContentId

  beforeAll(async () => {
    source = await runningNode()
    registry = await source.found('curated')
    cid = (await source.call('publish', { folder: await packageFolder({ name: 'alpha', files: LARGE }) })).cid
    reader = await runningNode()
    await join(reader, registry, source)
  }, 180_000)

  afterAll(stopRunningNodes)

  test('tells from whom each byte of what was installed came, and when', async () => {
    const project = await tempDir('project')
    await reader.call('install', { references: ['alpha'], project, singleSource: true })
    const traced = await reader.call('trace', { reference: 'alpha' })
    expect(traced).toMatchObject({
      root: cid,
      registry,
      alias: 'main',
      name: 'alpha',
      version: '1.0.0',
      swarm: 'public'
    })
    expect(traced.sources).toEqual([
      { way: 'dag', from: source.peerId, blocks: expect.any(Number) as number, bytes: expect.any(Number) as number }
    ])
    expect(traced.sources[0]?.bytes).toBeGreaterThan(300_000)
    expect(Object.keys(traced.times)).toEqual([...TRACE_STAGES])
    for (const [stage, ms] of Object.entries(traced.times)) {
      // Who answers late, as on a busy machine, has others looked for meanwhile; otherwise nobody is.
      if (stage !== 'lookup' || ms !== null) expect(ms, stage).toBeGreaterThanOrEqual(0)
    }
    expect(await reader.call('trace', { reference: cid })).toEqual(traced)
    expect(traceLines(traced, traced.ended ?? 0).join('\n')).toContain(`${source.peerId}  in one stream`)
  })

  test('tells of the next version what was here already', async () => {
    const files = { ...LARGE, 'docs/small.md': 'news' }
    const folder = await packageFolder({ name: 'alpha', version: '1.1.0', files })
    await source.call('publish', { folder })
    await reader.call('waitFor', { registry, facts: 4, peers: 1, kept: false, timeoutMs: HEARD_MS })
    const project = await tempDir('project')
    await reader.call('install', { references: ['alpha@^1.1.0'], project, singleSource: true })
    const { sources, version } = await reader.call('trace', { reference: 'main:alpha@1.1.0' })
    expect(version).toBe('1.1.0')
    expect(sources).toMatchObject([{ way: 'disk' }, { way: 'dag', from: source.peerId }])
    expect(sources[1]?.bytes).toBeLessThan(5_000)
  })

  test('says of what was published here that nobody sent it', async () => {
    const { ended, sources, times } = await source.call('trace', { reference: 'alpha@1.0.0' })
    expect(ended).toBe(null)
    expect(sources).toMatchObject([{ way: 'disk', from: null }])
    expect(Object.values(times).every(ms => ms === null)).toBe(true)
  })

  test('says of what was never fetched here what to do', async () => {
    await source.call('publish', { folder: await packageFolder({ name: 'beta' }) })
    await reader.call('waitFor', { registry, facts: 6, peers: 1, kept: false, timeoutMs: HEARD_MS })
    await expect(reader.call('trace', { reference: 'beta' })).rejects.toMatchObject({
      code: 'UNKNOWN_VERSION',
      next: 'ggen-node install beta fetches it'
    })
    await expect(reader.call('trace', { reference: root() })).rejects.toMatchObject({ code: 'UNKNOWN_VERSION' })
    await expect(reader.call('trace', { reference: 'nothing' })).rejects.toMatchObject({ code: 'UNKNOWN_PACKAGE' })
  })
})
