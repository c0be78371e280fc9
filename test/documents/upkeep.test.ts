import { expect, test } from 'vitest'
import type { KeyValue } from '../../storage/key-value.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { Editors, put } from '../support/documents/editors.ts'
import { failing } from '../support/failing.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'

const root = person('root')

/** A package that somebody said a word about, and what a node makes of it that never had any trouble. */
async function edited(): Promise<{ readonly facts: FactWriter; readonly digest: string }> {
  const facts = new FactWriter(root)
  const claim = facts.claim('tool')
  await new Editors(facts, subject('tool'), facts.cite(claim)).edit(root, [put('title', 'A tool')])
  const node = await openGate(facts.registry)
  await admit(node, facts)
  return { facts, digest: await node.digest() }
}

async function admit({ gate }: TestGate, facts: FactWriter): Promise<void> {
  for (const { bytes } of facts.all) await gate.admit(bytes, { peer: 'p' })
}

async function notes(kv: KeyValue): Promise<number> {
  let count = 0
  for await (const [key] of kv.iterate({ gte: 'doctodo!', lt: 'doctodo!~' })) if (key !== '') count += 1
  return count
}

test('a gate that folds all anew while it is opened takes no document away', async () => {
  const { facts, digest } = await edited()
  const kv = memoryKeyValue()
  const before = await openGate(facts.registry, kv)
  await admit(before, facts)
  expect(await before.digest()).toBe(digest)
  await kv.batch([{ type: 'put', key: `stale!${facts.registry}`, value: new Uint8Array(0) }])
  const after = await openGate(facts.registry, kv)
  expect(await kv.has(`stale!${facts.registry}`)).toBe(false)
  expect([await after.digest(), await notes(kv), after.failures]).toEqual([digest, 0, []])
})

test('a document that the disk took no more is written when it is asked for again', async () => {
  const { facts, digest } = await edited()
  const kv = failing(memoryKeyValue(), key => key.startsWith('docsave!'), { persisted: false })
  const node = await openGate(facts.registry, kv)
  await admit(node, facts)
  await node.documents.settled(facts.registry)
  expect(node.failures).toHaveLength(1)
  expect([await node.digest(), await notes(kv)]).toEqual([digest, 0])
})

test.each([true, false])('facts whose write failed, landed %s, are in the document', async persisted => {
  const { facts, digest } = await edited()
  const kv = failing(memoryKeyValue(), key => key.startsWith('doctodo!'), { persisted })
  const node = await openGate(facts.registry, kv)
  await expect(admit(node, facts)).rejects.toThrow(persisted ? 'landed' : 'did not land')
  await admit(node, facts)
  expect([await node.digest(), await notes(kv)]).toEqual([digest, 0])
})

test('words whose facts are damaged go with them', async () => {
  const { facts } = await edited()
  const kv = memoryKeyValue()
  const node = await openGate(facts.registry, kv)
  await admit(node, facts)
  expect(await node.documents.current(facts.registry, subject('tool'))).toBeDefined()
  const edit = facts.all.find(({ body }) => body.type === 'metadata')
  for await (const [key, value] of kv.iterate({ gte: 'body!', lt: 'body!~' })) {
    if (edit !== undefined && key.endsWith(edit.id))
      await kv.batch([{ type: 'put', key, value: value.map(byte => byte ^ 1) }])
  }
  await node.store.repair(facts.registry)
  const after = await openGate(facts.registry, kv)
  const healthy = await openGate(facts.registry)
  for (const { bytes, body } of facts.all) if (body.type !== 'metadata') await healthy.gate.admit(bytes, { peer: 'p' })
  expect(await after.digest()).toBe(await healthy.digest())
})
