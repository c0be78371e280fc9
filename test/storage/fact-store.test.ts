import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../protocol/bytes.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { idOfDigest } from '../../storage/fact-digest.ts'
import { readFact } from '../../storage/fact-records.ts'
import { FactStore } from '../../storage/fact-store.ts'
import type { FactBatch, FactWrite } from '../../storage/fact-store.ts'
import { HeadFiles } from '../../storage/head-files.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { failing, PlannedFailure } from '../support/failing.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import type { Made } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'
import { tempDir } from '../support/temp-dir.ts'

const [root, ann] = [person('root'), person('ann')]
const writer = new FactWriter(root)
const { registry } = writer
const grant = writer.grant(ann.did, 'publisher')
const claim = writer.claim('alpha', { keys: [root.did] })
const release = writer.release('alpha', '1.0.0', writer.cite(claim), { by: ann })
const second = writer.release('alpha', '1.1.0', writer.cite(claim), { by: ann })

function toWrite({ id, bytes, body }: Made): FactWrite {
  const fact = readFact(bytes, { id, subject: body.subject })
  if (fact === undefined) throw new Error('a fact of the tests is not itself')
  return fact
}

function batch(changes: Partial<FactBatch>): FactBatch {
  return { registry, facts: [], rows: [], aside: [], named: [], ...changes }
}

const place = ({ id, body }: Made) => ({ id, subject: body.subject })
const all = [writer.genesis, grant, claim, release, second].map(toWrite)

async function opened(kv: KeyValue = memoryKeyValue(), heads?: HeadFiles): Promise<FactStore> {
  const store = new FactStore(kv, heads === undefined ? {} : { heads })
  await store.open(registry)
  return store
}

async function everything(kv: KeyValue): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>()
  for await (const [key, value] of kv.iterate()) found.set(key, toHex(value))
  return found
}

/** Head, set in memory and records agree, and a start finds nothing amiss. */
async function check(kv: KeyValue, store: FactStore): Promise<void> {
  const head = store.head(registry)
  const set = store.set(registry)
  expect([set.size, toHex(set.sum())]).toEqual([head.count, toHex(head.fingerprint)])
  expect((await store.audit(registry))?.isAgreed).toBe(true)
  expect(await new FactStore(kv).open(registry)).toBeUndefined()
  const again = await opened(kv)
  expect(again.set(registry).items(0, again.set(registry).size)).toEqual(set.items(0, set.size))
}

describe('sides', () => {
  test('a fact leaves the set and comes back, and nothing else about it changes', async () => {
    const kv = memoryKeyValue()
    const store = await opened(kv)
    await store.commit(batch({ facts: all, named: [root.did, ann.did] }), { sync: true })
    const before = await everything(kv)
    await store.commit(batch({ leave: [place(release), place(second)], unnamed: [ann.did] }), { sync: false })
    await check(kv, store)
    expect(await store.known(registry, [claim.id, release.id, second.id])).toEqual(['set', 'cut', 'cut'])
    expect(await store.has(registry, [claim.id, release.id])).toEqual([true, false])
    expect((await store.factsOf(registry, subject('alpha'))).map(([id]) => id)).toEqual([claim.id])
    expect((await store.cutFactsOf(registry, subject('alpha'))).map(([id]) => id).toSorted()).toEqual(
      [release.id, second.id].toSorted()
    )
    expect(await store.get(registry, release.id)).toBeUndefined()
    expect(store.cutCount(registry)).toBe(2)
    await store.commit(batch({ back: [place(second), place(release)], named: [ann.did] }), { sync: false })
    await check(kv, store)
    const after = await everything(kv)
    // The head counts on, and a store without rows is marked to be folded.
    const facts = (state: ReadonlyMap<string, string>) => [...state].filter(([key]) => !/^(?:head|stale)!/.test(key))
    expect(facts(after)).toEqual(facts(before))
  })

  test('a release that came while it was cut is dated when it comes into the set, and one that was there keeps its date', async () => {
    const kv = memoryKeyValue()
    let now = 1_000
    const store = new FactStore(kv, { now: () => now })
    await store.open(registry)
    const dated = { ...toWrite(release), isDated: true }
    await store.commit(batch({ facts: [writer.genesis, grant, claim].map(toWrite) }), { sync: false })
    await store.commit(batch({ facts: [dated], cut: [{ ...toWrite(second), isDated: true }] }), { sync: false })
    expect(await store.seenAt(registry, [release.id, second.id])).toEqual([1_000, undefined])
    now = 2_000
    await store.commit(batch({ leave: [place(release)] }), { sync: false })
    now = 3_000
    await store.commit(batch({ back: [place(release), place(second)] }), { sync: false })
    // Attack: who was revoked publishes on, and what he published is old when the revocation falls.
    expect(await store.seenAt(registry, [release.id, second.id])).toEqual([1_000, 3_000])
  })

  test('subjects and names are found on both sides', async () => {
    const store = await opened()
    await store.commit(batch({ facts: all.slice(0, 2), cut: [toWrite(claim)] }), { sync: false })
    const subjects: string[] = []
    for await (const each of store.subjects(registry)) subjects.push(each)
    expect(subjects).toEqual(['registry', 'ggen/alpha'])
    expect((await store.subjectsOf(registry, root.did)).toSorted()).toEqual(['ggen/alpha', 'registry'])
    const namings = await store.namesBy(registry, root.did)
    expect(namings.find(({ id }) => id === claim.id)).toEqual({
      id: claim.id,
      subject: 'ggen/alpha',
      keys: [root.did],
      isCut: true
    })
    expect(namings.find(({ id }) => id === grant.id)).toMatchObject({ keys: [ann.did], isCut: false })
  })

  test('what is kept outside has an end: more is not stored, and what leaves then is gone', async () => {
    const kv = memoryKeyValue()
    const store = await opened(kv)
    const many = new FactWriter(root)
    await store.commit(batch({ facts: [many.genesis, grant].map(toWrite) }), { sync: false })
    const large = many.release('big', '1.0.0', many.cite(claim), { content: 'x' })
    const some: FactWrite[] = []
    for (let index = 0; index < LIMITS.cut.facts; index++) {
      const id = idOfDigest(Uint8Array.from({ length: 32 }, (_, at) => (at < 2 ? (index >> (8 * at)) & 255 : 7)))
      some.push({ ...toWrite(large), id, names: [] })
    }
    for (let from = 0; from < some.length; from += 512) {
      await store.commit(batch({ cut: some.slice(from, from + 512) }), { sync: false })
    }
    expect(store.cutCount(registry)).toBe(LIMITS.cut.facts)
    await store.commit(batch({ cut: [toWrite(claim)], leave: [place(grant)] }), { sync: false })
    expect(store.cutCount(registry)).toBe(LIMITS.cut.facts)
    expect(await store.known(registry, [claim.id, grant.id, many.genesis.id])).toEqual([undefined, undefined, 'set'])
    expect((await store.namesBy(registry, root.did)).map(({ id }) => id)).toEqual([many.genesis.id])
    expect(store.head(registry).count).toBe(1)
  })
})

test.each([true, false])('a move whose write fails (landed: %s) leaves store and memory agreeing', async persisted => {
  const kv = memoryKeyValue()
  const store = await opened(failing(kv, key => key.startsWith('cut!'), { persisted }))
  await store.commit(batch({ facts: all }), { sync: false })
  const move = batch({ leave: [place(second)] })
  await expect(store.commit(move, { sync: false })).rejects.toThrow(PlannedFailure)
  expect(store.set(registry).size).toBe(persisted ? 4 : 5)
  await check(kv, store)
  await store.commit(move, { sync: false })
  expect(store.set(registry).size).toBe(4)
  await check(kv, store)
})

test('writes to one registry at a time: none loses what another counted', async () => {
  const kv = memoryKeyValue()
  const store = await opened(kv)
  await Promise.all(all.map(fact => store.commit(batch({ facts: [fact] }), { sync: false })))
  expect(store.head(registry).count).toBe(all.length)
  await check(kv, store)
})

describe('a head outside of the store', () => {
  async function filled(): Promise<{ kv: KeyValue; dir: string; before: ReadonlyMap<string, string> }> {
    const [kv, dir] = [memoryKeyValue(), await tempDir('heads')]
    const store = await opened(kv, new HeadFiles(dir))
    await store.commit(batch({ facts: all.slice(0, 3) }), { sync: true })
    const before = await everything(kv)
    await store.commit(batch({ facts: all.slice(3) }), { sync: true })
    await store.close()
    return { kv, dir, before }
  }

  async function putBack(kv: KeyValue, state: ReadonlyMap<string, string>): Promise<void> {
    for (const key of (await everything(kv)).keys()) await kv.batch([{ type: 'del', key }])
    const ops = [...state].map(([key, hex]) => ({ type: 'put' as const, key, value: Buffer.from(hex, 'hex') }))
    await kv.batch(ops)
  }

  test('a store that lost its newest writes agrees with itself, and is found out', async () => {
    const { kv, dir, before } = await filled()
    await putBack(kv, before)
    expect(await new FactStore(kv).open(registry)).toBeUndefined()
    const store = new FactStore(kv, { heads: new HeadFiles(dir) })
    expect(await store.open(registry)).toEqual({ expected: 5, found: 3 })
    // Told once: the generation goes on from the later one.
    expect(await store.open(registry)).toBeUndefined()
    await store.commit(batch({ facts: all.slice(3) }), { sync: true })
    await check(kv, store)
  })

  test('a store that lost everything is no new store', async () => {
    const { kv, dir } = await filled()
    await putBack(kv, new Map())
    const store = new FactStore(kv, { heads: new HeadFiles(dir) })
    expect(await store.open(registry)).toEqual({ expected: 5, found: 0 })
  })

  test('a crash before the file was written is no loss', async () => {
    const { kv, dir } = await filled()
    const file = join(dir, registry)
    const text = await readFile(file, 'utf8')
    const store = await opened(kv, new HeadFiles(dir))
    await store.commit(batch({ leave: [place(second)] }), { sync: true })
    await store.close()
    await writeFile(file, text)
    expect(await new FactStore(kv, { heads: new HeadFiles(dir) }).open(registry)).toBeUndefined()
  })

  test('a file that is damaged or gone is as good as none', async () => {
    const { kv, dir } = await filled()
    const file = join(dir, registry)
    const text = await readFile(file, 'utf8')
    for (const damaged of [text.replace(/ 5 /, ' 6 '), text.slice(0, -2), '']) {
      await writeFile(file, damaged)
      expect(await new HeadFiles(dir).read(registry)).toBeUndefined()
      expect(await new FactStore(kv, { heads: new HeadFiles(dir) }).open(registry)).toBeUndefined()
    }
    await rm(file)
    expect(await new FactStore(kv, { heads: new HeadFiles(dir) }).open(registry)).toBeUndefined()
  })

  test('heads that follow each other quickly end in the file as the last one', async () => {
    const dir = await tempDir('heads')
    const heads = new HeadFiles(dir)
    for (let generation = 1; generation <= 50; generation++) {
      heads.note(registry, { generation, count: generation, fingerprint: new Uint8Array(32) }, { urgent: true })
    }
    await heads.flush()
    expect(await new HeadFiles(dir).read(registry)).toMatchObject({ generation: 50, count: 50 })
    expect(await new HeadFiles(dir).registries()).toEqual([registry])
  })
})

test('a store of the older layout, with a log of arrivals, is taken over whole', async () => {
  const kv = memoryKeyValue()
  const old = new TextEncoder()
  for (const [index, { id, subject: about, bytes }] of all.entries()) {
    await kv.batch([
      { type: 'put', key: `fact!${registry}!${id}`, value: old.encode(about) },
      { type: 'put', key: `body!${registry}!${about}!${id}`, value: bytes },
      { type: 'put', key: `log!${registry}!${String(index).padStart(12, '0')}`, value: old.encode(id) }
    ])
  }
  const head = { count: all.length, next: all.length, sum: new Uint8Array(32), epoch: 'e' }
  await kv.batch([{ type: 'put', key: `head!${registry}`, value: encodeCbor(head) }])
  const half = memoryKeyValue()
  for (const [key, hex] of await everything(kv))
    await half.batch([{ type: 'put', key, value: Buffer.from(hex, 'hex') }])

  const fresh = await openGate(registry)
  for (const { bytes } of writer.all) await fresh.gate.admit(bytes, { peer: 'p' })
  const node = await openGate(registry, kv)
  expect(await node.store.open(registry)).toBeUndefined()
  expect(await node.digest()).toBe(await fresh.digest())
  const left = [...(await everything(kv)).keys()]
  expect(left.filter(key => key.startsWith('log!'))).toEqual([])
  expect(left.filter(key => !key.startsWith('head!'))).toEqual(
    [...(await everything(fresh.kv)).keys()].filter(key => !key.startsWith('head!'))
  )

  // A crash in the middle of it: the next start begins again.
  const broken = failing(half, key => key.startsWith('head!'), { persisted: false })
  await expect(new FactStore(broken).open(registry)).rejects.toThrow(PlannedFailure)
  expect(await new FactStore(half).open(registry)).toBeUndefined()
})

test('a registry that is forgotten leaves nothing, and others are as they were', async () => {
  const kv = memoryKeyValue()
  const dir = await tempDir('heads')
  const store = await opened(kv, new HeadFiles(dir))
  await store.commit(batch({ facts: all, cut: [], rows: [['registry', new Uint8Array(40)]], stale: true }), {
    sync: true
  })
  const other = new FactWriter(ann)
  await store.open(other.registry)
  await store.commit({ ...batch({}), registry: other.registry, facts: [toWrite(other.genesis)] }, { sync: true })
  await store.close()
  await store.forget(registry)
  expect([...(await everything(kv)).keys()].filter(key => key.includes(registry))).toEqual([])
  expect(await new HeadFiles(dir).registries()).toEqual([other.registry])
  expect(() => store.head(registry)).toThrow(/is not open/)
  expect(await new FactStore(kv, { heads: new HeadFiles(dir) }).open(registry)).toBeUndefined()
  expect(await new FactStore(kv).open(other.registry)).toBeUndefined()
})

test('a registry that is no longer followed keeps its facts, and no file asks for it', async () => {
  const [kv, dir] = [memoryKeyValue(), await tempDir('heads')]
  const store = await opened(kv, new HeadFiles(dir))
  await store.commit(batch({ facts: all }), { sync: true })
  await store.release(registry)
  await store.close()
  expect(await new HeadFiles(dir).registries()).toEqual([])
  expect(await store.open(registry)).toBeUndefined()
  expect(store.head(registry).count).toBe(all.length)
})

test('a forgetting that a crash cut short is seen by who follows the registry again', async () => {
  const kv = memoryKeyValue()
  await (await opened(kv)).commit(batch({ facts: all }), { sync: true })
  const broken = await opened(failing(kv, key => key.startsWith('head!'), { persisted: false }))
  await expect(broken.forget(registry)).rejects.toThrow(PlannedFailure)
  expect(await new FactStore(kv).open(registry)).toEqual({ expected: 5, found: 0 })
})

test('a snapshot is admitted in one pass, whoever names whom', async () => {
  // Ann is named by a package whose name comes last, and writes about the first one; Bob is named by Ann.
  const facts = new FactWriter(root)
  const bob = person('bob')
  const late = facts.claim('zeta', { keys: [ann.did] })
  const early = facts.claim('alpha', { by: ann, keys: [bob.did], authPrev: facts.genesis.id })
  facts.release('alpha', '1.0.0', facts.cite(early), { by: bob })
  facts.release('beta', '1.0.0', facts.cite(late), { by: bob })
  const node = await openGate(facts.registry)
  for (const { bytes } of facts.all) await node.gate.admit(bytes, { peer: 'p' })
  const fresh = await openGate(facts.registry)
  const verdicts: string[] = []
  for await (const bytes of node.store.snapshot(facts.registry)) {
    verdicts.push((await fresh.gate.admit(bytes, { peer: 'p' })).verdict)
  }
  expect(verdicts).toEqual(facts.all.map(() => 'accept'))
  expect(await fresh.digest()).toBe(await node.digest())
})
