import { describe, expect, test } from 'vitest'
import { equalBytes } from '../../protocol/bytes.ts'
import type { Subject } from '../../protocol/fact.ts'
import { DocumentStore } from '../../storage/document-store.ts'
import { readFact } from '../../storage/fact-records.ts'
import { FactStore } from '../../storage/fact-store.ts'
import type { FactBatch } from '../../storage/fact-store.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import { openLevel } from '../../storage/level-key-value.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { failing, PlannedFailure } from '../support/failing.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import type { Made } from '../support/facts.ts'
import { tempDir } from '../support/temp-dir.ts'

const writer = new FactWriter(person('root'))
const { registry } = writer
const claim = writer.claim('alpha')
const alpha = subject('alpha')

const STATE = Uint8Array.of(1, 2, 3)
const SAVED = Uint8Array.of(4, 5, 6)
const DOCUMENT = { state: STATE, saved: SAVED }

function batch(made: readonly Made[], documents: readonly Subject[]): FactBatch {
  const facts = made.map(({ id, bytes, body }) => {
    const fact = readFact(bytes, { id, subject: body.subject })
    if (fact === undefined) throw new TypeError('a fact of the tests is not itself')
    return fact
  })
  return { registry, facts, rows: [], aside: [], named: [], documents }
}

async function openOn(kv: KeyValue): Promise<{ readonly store: FactStore; readonly documents: DocumentStore }> {
  const store = new FactStore(kv)
  await store.open(registry)
  return { store, documents: new DocumentStore(kv, store) }
}

async function statesIn(documents: DocumentStore, of = registry): Promise<readonly (readonly [Subject, Uint8Array])[]> {
  const states: (readonly [Subject, Uint8Array])[] = []
  for await (const state of documents.states(of)) states.push(state)
  return states
}

async function keysIn(kv: KeyValue): Promise<readonly string[]> {
  const keys: string[] = []
  for await (const [key] of kv.iterate({ keysOnly: true })) if (key.startsWith('doc')) keys.push(key)
  return keys
}

const STORES: readonly (readonly [string, () => Promise<KeyValue>])[] = [
  ['memory', async () => memoryKeyValue()],
  ['level', async () => openLevel(await tempDir('level'))]
]

describe.each(STORES)('documents in %s', (_, open) => {
  test('are noted with the facts that change them, and the note goes with the document that is made', async () => {
    const kv = await open()
    const { store, documents } = await openOn(kv)
    await store.commit(batch([writer.genesis, claim], [alpha, 'registry']), { sync: false })
    expect(await documents.todo(registry, 10)).toEqual([alpha, 'registry'])
    expect(await documents.todo(registry, 1)).toEqual([alpha])
    const since = await documents.since(registry, alpha)
    expect(since).toHaveLength(8)
    await documents.put(registry, { subject: alpha, since }, DOCUMENT)
    expect(await documents.todo(registry, 10)).toEqual(['registry'])
    expect(await documents.since(registry, alpha)).toBeUndefined()
    expect(await documents.state(registry, alpha)).toEqual(STATE)
    expect(await documents.saved(registry, alpha)).toEqual(SAVED)
    expect(await statesIn(documents)).toEqual([[alpha, STATE]])
    await kv.close()
  })

  test('keep the note of a later write', async () => {
    const kv = await open()
    const { store, documents } = await openOn(kv)
    await store.commit(batch([writer.genesis], [alpha]), { sync: false })
    const since = await documents.since(registry, alpha)
    await store.commit(batch([claim], [alpha]), { sync: false })
    const later = await documents.since(registry, alpha)
    expect(equalBytes(since ?? STATE, later ?? SAVED)).toBe(false)
    await documents.put(registry, { subject: alpha, since }, DOCUMENT)
    expect(await documents.todo(registry, 10)).toEqual([alpha])
    expect(await documents.state(registry, alpha)).toEqual(STATE)
    await documents.put(registry, { subject: alpha, since: later }, 'same')
    expect(await documents.todo(registry, 10)).toEqual([])
    expect(await documents.state(registry, alpha)).toEqual(STATE)
    await kv.close()
  })

  test('go when there is nothing to say any more', async () => {
    const kv = await open()
    const { store, documents } = await openOn(kv)
    await store.commit(batch([writer.genesis], [alpha]), { sync: false })
    await documents.put(registry, { subject: alpha, since: undefined }, DOCUMENT)
    expect(await keysIn(kv)).toHaveLength(3)
    await documents.put(registry, { subject: alpha, since: await documents.since(registry, alpha) }, undefined)
    expect(await keysIn(kv)).toEqual([])
    await kv.close()
  })

  test('are purged with their registry, and what was being made then is not written', async () => {
    const kv = await open()
    const { store, documents } = await openOn(kv)
    await store.commit(batch([writer.genesis], [alpha, 'registry']), { sync: false })
    const since = await documents.since(registry, alpha)
    await documents.put(registry, { subject: alpha, since }, DOCUMENT)
    await store.forget(registry)
    await documents.put(registry, { subject: alpha, since }, DOCUMENT)
    expect(await keysIn(kv)).toEqual([])
    await kv.close()
  })

  test('of other registries are others', async () => {
    const kv = await open()
    const { store, documents } = await openOn(kv)
    const other = new FactWriter(person('other'))
    await store.open(other.registry)
    await documents.put(registry, { subject: alpha, since: undefined }, DOCUMENT)
    expect(await documents.state(other.registry, alpha)).toBeUndefined()
    expect(await statesIn(documents, other.registry)).toEqual([])
    await store.forget(other.registry)
    expect(await documents.state(registry, alpha)).toEqual(STATE)
    await kv.close()
  })
})

test.each([true, false])(
  'a write of facts whose answer is lost (landed: %s) has the note if it has them',
  async persisted => {
    const kv = memoryKeyValue()
    const { store } = await openOn(failing(kv, key => key.startsWith('doctodo!'), { persisted }))
    await expect(store.commit(batch([writer.genesis], [alpha]), { sync: true })).rejects.toThrow(PlannedFailure)
    const again = await openOn(kv)
    const isThere = (await again.store.has(registry, [writer.genesis.id]))[0]
    expect(isThere).toBe(persisted)
    expect(await again.documents.todo(registry, 10)).toEqual(persisted ? [alpha] : [])
  }
)

test('a note is not told in the middle of the write that brings it', async () => {
  const kv = memoryKeyValue()
  const answer = Promise.withResolvers<void>()
  const landed = Promise.withResolvers<void>()
  // The write is there before it is known to be.
  const slow: KeyValue = {
    get: key => kv.get(key),
    getMany: keys => kv.getMany(keys),
    has: key => kv.has(key),
    iterate: range => kv.iterate(range),
    close: () => kv.close(),
    batch: async (ops, options) => {
      await kv.batch(ops, options)
      if (!ops.some(({ key }) => key.startsWith('doctodo!'))) return
      landed.resolve()
      await answer.promise
    }
  }
  const { store, documents } = await openOn(slow)
  const events: string[] = []
  const commit = store.commit(batch([writer.genesis], [alpha]), { sync: false }).then(() => events.push('written'))
  await landed.promise
  const since = documents.since(registry, alpha).then(() => events.push('told'))
  expect(await kv.has(`doctodo!${registry}!${alpha}`)).toBe(true)
  answer.resolve()
  await Promise.all([commit, since])
  expect(events).toEqual(['written', 'told'])
})
