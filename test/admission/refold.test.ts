import { expect, test } from 'vitest'
import { attestIn, bytesOf } from '../support/attest.ts'
import { utf8 } from '../../protocol/bytes.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { sealRow } from '../../protocol/view-row.ts'
import { FactWriter, make, person, subject } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'
import { asideOf } from '../support/fold.ts'

const [root, ann, bob] = [person('root'), person('ann'), person('bob')]
const alpha = subject('alpha')

test('a late grant brings releases that were set aside to count', async () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha', { keys: [root.did] })
  facts.claim('other', { keys: [ann.did] })
  const grant = facts.grant(ann.did, 'publisher')
  facts.all.pop()
  const release = facts.release('alpha', '1.0.0', facts.cite(claim, grant.id), { by: ann })
  const node = await openGate(facts.registry)
  await node.gate.admitMany(
    facts.all.map(fact => fact.bytes),
    { peer: 'p' }
  )
  const before = await node.view.find(facts.registry, alpha)
  expect(before?.versions).toEqual([])
  expect(before === undefined ? {} : asideOf(before)).toEqual({ [release.id]: 'unknown-authority' })
  await node.gate.admit(grant.bytes, { peer: 'p' })
  const after = await node.view.find(facts.registry, alpha)
  expect(after?.versions.map(({ version }) => version)).toEqual(['1.0.0'])
  expect(after?.setAside).toEqual([])
})

test('a late grant says of an auditor what he held, where nothing that he said was set aside', async () => {
  const facts = new FactWriter(root)
  const first = facts.grant(ann.did, 'member', { authPrev: facts.genesis.id })
  const elsewhere = { ...root, chain: 'ab'.repeat(16) }
  const late = facts.grant(ann.did, 'auditor', { by: elsewhere, authPrev: facts.genesis.id })
  const release = bytesOf(facts.release('alpha', '1.0.0', facts.cite(facts.claim('alpha'), first.id)))
  attestIn(facts, release, { by: ann, head: first.id })
  const digests: string[] = []
  for (const all of [facts.all, [...facts.all.filter(fact => fact !== late), late]]) {
    const node = await openGate(facts.registry)
    for (const { bytes } of all) await node.gate.admit(bytes, { peer: 'p' })
    expect(await node.ids()).toHaveLength(facts.all.length)
    digests.push(await node.digest())
  }
  expect(new Set(digests).size).toBe(1)
})

test('a late grant says of a mirror how early it was named, of which a row holds the earliest', async () => {
  const facts = new FactWriter(root)
  const elsewhere = { ...root, chain: 'ab'.repeat(16) }
  const late = facts.grant(ann.did, 'mirror', { by: elsewhere, authPrev: facts.genesis.id })
  const mirrors = Array.from({ length: LIMITS.observation.observers }, (_, i) => person(`mirror ${i}`))
  let head = facts.genesis.id
  for (const { did } of [...mirrors, ann]) head = facts.grant(did, 'mirror', { authPrev: head }).id
  const release = facts.release('alpha', '1.0.0', facts.cite(facts.claim('alpha')))
  const seen = [{ release: release.id, time: 1_700_000_000_000 }]
  for (const by of [...mirrors, ann]) facts.observation('alpha', seen, { by, head })
  const digests: string[] = []
  for (const all of [facts.all, [...facts.all.filter(fact => fact !== late), late]]) {
    const node = await openGate(facts.registry)
    for (const { bytes } of all) await node.gate.admit(bytes, { peer: 'p' })
    expect(await node.ids()).toHaveLength(facts.all.length)
    const observers = (await node.view.find(facts.registry, alpha))?.observations?.[0]?.seen.map(({ by }) => by)
    expect(observers).toContain(ann.did)
    digests.push(await node.digest())
  }
  expect(new Set(digests).size).toBe(1)
})

test('a late grant that makes a rival claim the earlier one moves the name', async () => {
  const facts = new FactWriter(root)
  const first = facts.grant(ann.did, 'curator')
  const second = facts.grant(bob.did, 'curator', { authPrev: first.id })
  const byAnn = facts.claim('alpha', { by: ann, authPrev: first.id })
  const byBob = facts.claim('alpha', { by: bob, authPrev: second.id })
  facts.claim('named', { keys: [ann.did, bob.did] })
  const [, , , , , names] = facts.all
  if (names === undefined) throw new Error('no claim that names them')
  const node = await openGate(facts.registry)
  const bytes = [facts.genesis, names, byBob, byAnn].map(fact => fact.bytes)
  await node.gate.admitMany(bytes, { peer: 'p' })
  expect((await node.view.find(facts.registry, alpha))?.claim).toBeNull()
  await node.gate.admitMany([second.bytes], { peer: 'p' })
  await node.gate.admitMany([first.bytes], { peer: 'p' })
  expect((await node.view.find(facts.registry, alpha))?.claim?.fact).toBe(byAnn.id)
})

test('a fork in the authority takes back what counted only because of it, in every package', async () => {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'publisher')
  const claim = facts.claim('alpha')
  facts.release('alpha', '1.0.0', facts.cite(claim, grant.id), { by: ann })
  facts.release('alpha', '2.0.0', facts.cite(claim))
  const node = await openGate(facts.registry)
  await node.gate.admitMany(
    facts.all.map(fact => fact.bytes),
    { peer: 'p' }
  )
  expect((await node.view.find(facts.registry, alpha))?.versions).toHaveLength(2)
  await node.gate.admit(make({ ...grant.body, time: 1 }, root).bytes, { peer: 'p' })
  expect((await node.view.find(facts.registry, alpha))?.versions.map(({ version }) => version)).toEqual(['2.0.0'])
  const reference = await openGate(facts.registry)
  await reference.gate.admitMany(
    [make({ ...grant.body, time: 1 }, root), ...facts.all.toReversed()].map(({ bytes }) => bytes),
    { peer: 'p' }
  )
  await reference.gate.admitMany(
    facts.all.map(({ bytes }) => bytes),
    { peer: 'p' }
  )
  await reference.gate.admit(make({ ...grant.body, time: 1 }, root).bytes, { peer: 'p' })
  expect(await reference.digest()).toBe(await node.digest())
})

test.each([
  ['an earlier one', '0'],
  ['a later one', '999'],
  ['one that did not say by which rules', undefined]
])('what %s has folded is folded again, once', async (_program, rules) => {
  const facts = new FactWriter(root)
  facts.release('alpha', '1.0.0', facts.cite(facts.claim('alpha')))
  const first = await openGate(facts.registry)
  await first.gate.admitMany(
    facts.all.map(({ bytes }) => bytes),
    { peer: 'p' }
  )
  const { kv } = first
  const [mark, row] = [`rules!${facts.registry}`, `view!${facts.registry}!${alpha}`]
  expect(await first.store.isStale(facts.registry)).toBe(false)
  const before = await first.digest()
  const value = sealRow(encodeCbor({ folded: 'otherwise' }))
  const others = async (): Promise<void> => kv.batch([{ type: 'put', key: row, value }])
  await others()
  await kv.batch([rules === undefined ? { type: 'del', key: mark } : { type: 'put', key: mark, value: utf8(rules) }])
  const again = await openGate(facts.registry, kv)
  expect(await again.digest()).toBe(before)
  await others()
  await openGate(facts.registry, kv)
  expect(await kv.get(row)).toEqual(value)
})

test.each(['DISK_FULL', 'READ_ONLY'] as const)(
  'what an earlier one has folded is read on where there is no room to fold it again (%s), and folded with the next fact',
  async code => {
    const facts = new FactWriter(root)
    const claim = facts.claim('alpha')
    const late = facts.release('alpha', '1.0.0', facts.cite(claim))
    const first = await openGate(facts.registry)
    await first.gate.admitMany([facts.genesis.bytes, claim.bytes], { peer: 'p' })
    const mark = `rules!${facts.registry}`
    await first.kv.batch([{ type: 'put', key: mark, value: utf8('0') }])
    const disk = { isFull: true }
    const { kv } = first
    const batch = kv.batch.bind(kv)
    kv.batch = async (ops, options) => {
      if (disk.isFull) throw new RegistryError(code, 'no room')
      return batch(ops, options)
    }
    const told: string[] = []
    const log = { info: () => told.push('info'), warn: () => told.push('warn') }
    const again = await openGate(facts.registry, kv, { log })
    expect(told).toEqual(['info', 'warn'])
    expect((await again.view.find(facts.registry, alpha))?.claim?.fact).toBe(claim.id)
    expect(again.gate.state(facts.registry)?.authority).toBeDefined()
    await expect(again.gate.admit(late.bytes, { peer: 'p' })).rejects.toMatchObject({ code })
    expect(await again.store.isStale(facts.registry)).toBe(true)
    disk.isFull = false
    expect(await again.gate.admit(late.bytes, { peer: 'p' })).toMatchObject({ verdict: 'accept' })
    expect(await again.store.isStale(facts.registry)).toBe(false)
    // A refold that a crash cut short is another matter.
    await batch([{ type: 'put', key: `stale!${facts.registry}`, value: new Uint8Array() }])
    disk.isFull = true
    await expect(openGate(facts.registry, kv)).rejects.toMatchObject({ code })
    disk.isFull = false
    const last: string[] = []
    await batch([
      { type: 'del', key: `stale!${facts.registry}` },
      { type: 'put', key: mark, value: utf8('0') }
    ])
    await openGate(facts.registry, kv, { log: { info: () => last.push('info'), warn: () => last.push('warn') } })
    expect(last).toEqual(['info', 'info'])
  }
)

test('a reader that began before a write does not bring back what it read', async () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha')
  const release = facts.release('alpha', '1.0.0', facts.cite(claim))
  const node = await openGate(facts.registry)
  await node.gate.admitMany([facts.genesis.bytes, claim.bytes], { peer: 'p' })
  // A new gate has nothing in its cache; its reader is held up until the release is in.
  const again = await openGate(facts.registry, node.kv)
  const original = again.store.factsOf.bind(again.store)
  let release_: () => void = () => undefined
  const held = new Promise<void>(resolve => (release_ = resolve))
  let isFirst = true
  again.store.factsOf = async (registry, about) => {
    const isHeld = isFirst
    isFirst = false
    const found = await original(registry, about)
    if (isHeld) await held
    return found
  }
  const slow = again.gate.state(facts.registry)?.factsOf(alpha)
  await again.gate.admit(release.bytes, { peer: 'p' })
  release_()
  await slow
  expect(await again.gate.state(facts.registry)?.factsOf(alpha)).toHaveLength(2)
})
