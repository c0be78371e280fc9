import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { KeyValue } from '../../storage/key-value.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { FactWriter, make, person } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'

/** A registry with everything that may disturb an order: grants, rival claims, conflicts, forks, yanks, strangers. */
function busyRegistry(): FactWriter {
  const [ann, bob, eve] = [person('ann'), person('bob'), person('eve')]
  const facts = new FactWriter(person('root'))
  const curator = facts.grant(ann.did, 'curator')
  const publisher = facts.grant(bob.did, 'publisher', { authPrev: curator.id })
  const claim = facts.claim('alpha')
  const cited = facts.cite(claim, publisher.id)
  facts.release('alpha', '1.0.0', cited)
  facts.release('alpha', '1.1.0', cited, { by: bob })
  const rival = facts.claim('beta', { by: ann, authPrev: curator.id })
  const first = facts.claim('beta')
  facts.release('beta', '0.1.0', facts.cite(first))
  facts.release('beta', '0.1.0', facts.cite(rival), { by: ann, content: 'rival' })
  facts.release('alpha', '2.0.0', cited, { content: 'one' })
  facts.release('alpha', '2.0.0', cited, { by: bob, content: 'two' })
  const yank = facts.yank('alpha', '1.0.0', cited)
  facts.yank('alpha', '1.0.0', cited, { by: bob })
  facts.unyank('alpha', '1.0.0', [yank.id], { authority: cited })
  // A claim names a key; that key writes; a fork of its chain follows.
  const gamma = facts.claim('gamma', { keys: [eve.did] })
  facts.release('gamma', '1.0.0', facts.cite(gamma), { by: eve })
  const fork = facts.all.at(-1)
  if (fork === undefined) throw new Error('no fact to fork')
  facts.all.push(make({ ...fork.body, time: fork.body.time + 1 }, eve))
  // Of a key that nobody names: pending for ever.
  facts.write(person('stranger'), 'ggen/alpha' as never, {
    type: 'claim',
    value: { authPrev: curator.id, keys: [eve.did], threshold: 1 }
  })
  return facts
}

const facts = busyRegistry()
const STRANGERS = 1

async function reference(): Promise<{ digest: string; ids: readonly string[] }> {
  const node = await openGate(facts.registry)
  await node.gate.admitMany(
    facts.all.map(fact => fact.bytes),
    { peer: 'p' }
  )
  return { digest: await node.digest(), ids: await node.ids() }
}

test('facts in any order, with gaps, doubles and restarts, end in equal sets and equal views', async () => {
  const wanted = await reference()
  expect(wanted.ids.length).toBe(facts.all.length - STRANGERS)
  const indexes = facts.all.map((_, index) => index)
  const order = fc.shuffledSubarray([...indexes, ...indexes], { minLength: 1, maxLength: 2 * indexes.length })
  const step = fc.record({ order, batch: fc.integer({ min: 1, max: 7 }), restart: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 3 }), async steps => {
      const kv: KeyValue = memoryKeyValue()
      let node = await openGate(facts.registry, kv)
      const deliver = async (bytes: readonly Uint8Array[]): Promise<void> => {
        for (const verdict of await node.gate.admitMany(bytes, { peer: 'honest', registry: facts.registry })) {
          // An honest relay passes on what it admitted, in whatever order: that is never a fault of its own.
          expect(verdict.verdict).not.toBe('reject')
        }
      }
      for (const { order: indices, batch, restart } of steps) {
        for (let from = 0; from < indices.length; from += batch) {
          await deliver(indices.slice(from, from + batch).flatMap(index => facts.all[index]?.bytes ?? []))
        }
        if (restart) node = await openGate(facts.registry, kv)
      }
      // Until quiet: sync offers what is missing for as long as that adds something.
      for (let before = -1; before !== (await node.ids()).length;) {
        before = (await node.ids()).length
        await deliver(facts.all.toReversed().map(fact => fact.bytes))
      }
      expect(await node.ids()).toEqual(wanted.ids)
      expect(await node.digest()).toBe(wanted.digest)
    }),
    { numRuns: 60 }
  )
})

test('one fact at a time and all at once give the same view', async () => {
  const wanted = await reference()
  const node = await openGate(facts.registry)
  for (const fact of facts.all) await node.gate.admit(fact.bytes, { peer: 'p' })
  expect(await node.digest()).toBe(wanted.digest)
})

test('a view that is folded again from the stored facts has the same digest', async () => {
  const node = await openGate(facts.registry)
  await node.gate.admitMany(
    facts.all.map(fact => fact.bytes),
    { peer: 'p' }
  )
  const before = await node.digest()
  // As a crash in the middle of a refold leaves it: marked stale, rows missing.
  for await (const [key] of node.kv.iterate({ gte: 'view!', lt: 'view!~' })) await node.kv.batch([{ type: 'del', key }])
  await node.kv.batch([{ type: 'put', key: `stale!${facts.registry}`, value: new Uint8Array(0) }])
  const again = await openGate(facts.registry, node.kv)
  expect(await again.digest()).toBe(before)
})
