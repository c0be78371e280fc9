import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { encodeBody, encodeEnvelope } from '../../protocol/fact.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'

const [root, ann] = [person('root'), person('ann')]

setFlagsFromString('--expose-gc')
const collect: unknown = runInNewContext('gc')

/** What is still held after the garbage is gone. */
function heapBytes(): number {
  if (typeof collect === 'function') collect()
  return process.memoryUsage().heapUsed
}

test('a flood of 10,000 pending facts stays within its bounds, and honest facts still get through', async () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha')
  const node = await openGate(facts.registry)
  await node.gate.admitMany([facts.genesis.bytes, claim.bytes], { peer: 'honest' })
  const waiting = facts.release('alpha', '1.0.0', facts.cite(claim), { by: ann })
  expect((await node.gate.admit(waiting.bytes, { peer: 'honest' })).verdict).toBe('pending')
  // A stranger needs no valid signature to be pending, so the flood costs its sender nothing.
  const stranger = person('stranger')
  const { body } = facts.claim('spam', { by: stranger, keys: [stranger.did] })
  const flood = Array.from({ length: 10_000 }, (_, time) => {
    return encodeEnvelope(encodeBody({ ...body, time }), new Uint8Array(64))
  })
  const before = heapBytes()
  const verdicts = new Map<string, number>()
  for (const [i, source] of ['a', 'b', 'c', 'd', 'e'].entries()) {
    for (const { verdict } of await node.gate.admitMany(flood.slice(i * 2_000, (i + 1) * 2_000), { peer: source })) {
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1)
    }
  }
  expect([...verdicts.keys()].toSorted()).toEqual(['ignore', 'pending'])
  expect(node.gate.pendingCount(facts.registry)).toBeLessThanOrEqual(LIMITS.pending.facts)
  expect(heapBytes() - before).toBeLessThan(32 * 1024 * 1024)
  // The set holds what it held, takes what is valid, and the honest fact that waited comes in with its grant.
  expect(await node.ids()).toHaveLength(2)
  const grant = facts.grant(ann.did, 'publisher')
  expect((await node.gate.admit(grant.bytes, { peer: 'honest' })).verdict).toBe('accept')
  expect(await node.ids()).toContain(waiting.id)
})

test('grants that do not count, written by a named key, fold no package again', async () => {
  const facts = new FactWriter(root)
  facts.claim('alpha', { keys: [ann.did] })
  const curator = facts.grant(ann.did, 'curator')
  facts.all.pop()
  for (let i = 0; i < 20; i++) facts.claim(`early-${i}`, { by: ann, keys: [ann.did], authPrev: curator.id })
  const node = await openGate(facts.registry)
  await node.gate.admitMany(
    facts.all.map(fact => fact.bytes),
    { peer: 'p' }
  )
  let asked = 0
  const original = node.store.asideSubjects.bind(node.store)
  node.store.asideSubjects = async registry => {
    asked += 1
    return original(registry)
  }
  await node.gate.admit(facts.grant(person('x').did, 'owner', { by: ann }).bytes, { peer: 'p' })
  expect(asked).toBe(0)
  await node.gate.admit(curator.bytes, { peer: 'p' })
  expect(asked).toBe(1)
  expect((await node.view.find(facts.registry, subject('early-3')))?.claim?.by).toBe(ann.did)
})

/** Releases as large as a fact may be: external dependencies with long ranges. */
function large(facts: FactWriter, count: number): void {
  const cited = facts.cite(facts.claim('huge'))
  const dependencies = Array.from({ length: 200 }, (_, i) => {
    return { name: `tool-${String(i).padStart(3, '0')}`, range: 'x'.repeat(250), kind: 'external' as const }
  })
  for (let i = 0; i < count; i++) {
    const made = facts.release('huge', `1.0.${i}`, cited)
    facts.all.pop()
    const release = facts.withManifest(made, manifest => ({ ...manifest, dependencies }))
    facts.all.push(release)
  }
}

test('a package that grows without end keeps no other fact out, and its row has an end', async () => {
  const facts = new FactWriter(root)
  large(facts, 120)
  facts.claim('alpha')
  const node = await openGate(facts.registry)
  const verdicts = await node.gate.admitMany(
    facts.all.map(fact => fact.bytes),
    { peer: 'p' }
  )
  expect(new Set(verdicts.map(({ verdict }) => verdict))).toEqual(new Set(['accept']))
  expect(await node.view.find(facts.registry, subject('alpha'))).toBeDefined()
  const row = await node.store.row(facts.registry, subject('huge'))
  expect(row?.length).toBeLessThan(LIMITS.view.versionsBytes * 1.2)
  const view = await node.view.find(facts.registry, subject('huge'))
  expect(view?.versions[0]?.version).toBe('1.0.119')
  expect(view?.setAside[0]?.reason).toBe('too-many-releases')
})
