import { expect, test } from 'vitest'
import { Author } from '../../node/services/author.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { signFact } from '../../attestation/sign-fact.ts'
import { foldPackage } from '../../protocol/fold.ts'
import { toHex } from '../../protocol/bytes.ts'
import { encodePackageRow, rowHash, sealedHash } from '../../protocol/view-row.ts'
import { idOfDigest } from '../../storage/fact-digest.ts'
import { failing, PlannedFailure } from '../support/failing.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import { authorityOf, toVerified } from '../support/fold.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'

const [root, ann] = [person('root'), person('ann')]

function busy(): FactWriter {
  const facts = new FactWriter(root)
  const cited = facts.cite(facts.claim('alpha'))
  facts.release('alpha', '1.0.0', cited)
  const early = facts.release('alpha', '1.1.0', cited, { by: ann })
  const grant = facts.grant(ann.did, 'publisher')
  facts.release('alpha', '1.2.0', facts.cite({ ...early, id: cited.package }, grant.id), { by: ann })
  facts.yank('alpha', '1.0.0', cited)
  return facts
}

async function everything(kv: KeyValue): Promise<readonly string[]> {
  const keys: string[] = []
  for await (const [key, value] of kv.iterate()) keys.push(`${key} ${toHex(value)}`)
  return keys
}

/** All records agree: index, bodies, head, the set in memory and rows. */
async function check(node: TestGate, facts: FactWriter): Promise<void> {
  const ids = await node.ids()
  const head = node.store.head(facts.registry)
  expect(head.count).toBe(ids.length)
  const set = node.store.set(facts.registry)
  expect(
    set
      .items(0, set.size)
      .map(({ id }) => idOfDigest(id))
      .toSorted()
  ).toEqual(ids)
  expect(set.sum()).toEqual(head.fingerprint)
  const all = facts.all.filter(({ id, body }) => body.subject === subject('alpha') && ids.includes(id)).map(toVerified)
  const row = await node.store.row(facts.registry, subject('alpha'))
  const known = new FactWriter(root)
  known.all.push(...facts.all.slice(1).filter(({ id }) => ids.includes(id)))
  const wanted = foldPackage(subject('alpha'), authorityOf(known), all)
  if (row !== undefined) expect(toHex(sealedHash(row))).toBe(toHex(rowHash(encodePackageRow(wanted))))
}

const facts = busy()

test.each([
  { persisted: true, at: 0 },
  { persisted: false, at: 0 },
  { persisted: true, at: 2 },
  { persisted: false, at: 2 },
  { persisted: true, at: 3 },
  { persisted: false, at: 3 },
  { persisted: true, at: 4 },
  { persisted: false, at: 4 },
  { persisted: true, at: 6 },
  { persisted: false, at: 6 }
])('a write of fact $at that fails (landed: $persisted) leaves gate and store agreeing', async ({ persisted, at }) => {
  const reference = await openGate(facts.registry)
  for (const { bytes } of facts.all) await reference.gate.admit(bytes, { peer: 'p' })
  const kv = memoryKeyValue()
  const id = facts.all[at]?.id ?? ''
  const node = await openGate(
    facts.registry,
    failing(kv, key => key.startsWith('fact!') && key.endsWith(id), { persisted })
  )
  let failures = 0
  for (const { bytes } of facts.all) {
    const verdict = await node.gate.admit(bytes, { peer: 'honest' }).catch((error: unknown) => error)
    if (verdict instanceof PlannedFailure) failures += 1
    // Whoever brought the facts after it did nothing wrong.
    else expect(verdict).not.toMatchObject({ verdict: 'reject' })
    await check(node, facts)
  }
  expect(failures).toBe(1)
  for (const { bytes } of facts.all) await node.gate.admit(bytes, { peer: 'honest' })
  await check(node, facts)
  expect(await node.ids()).toEqual(await reference.ids())
  expect(await node.digest()).toBe(await reference.digest())
  const again = await openGate(facts.registry, kv)
  expect(await again.store.open(facts.registry)).toBeUndefined()
  expect(await again.digest()).toBe(await reference.digest())
})

test.each([true, false])('a refold that fails (landed: %s) is taken up again by the next batch', async persisted => {
  const reference = await openGate(facts.registry)
  for (const { bytes } of facts.all) await reference.gate.admit(bytes, { peer: 'p' })
  // The second write of the grant is the one that takes the mark away.
  let marks = 0
  const isClearing = (key: string): boolean => key.startsWith('stale!') && ++marks === 4
  const node = await openGate(facts.registry, failing(memoryKeyValue(), isClearing, { persisted }))
  let failures = 0
  for (const { bytes } of facts.all) await node.gate.admit(bytes, { peer: 'p' }).catch(() => (failures += 1))
  expect(failures).toBe(1)
  for (const { bytes } of facts.all) await node.gate.admit(bytes, { peer: 'p' })
  expect(await node.digest()).toBe(await reference.digest())
})

test.each([true, false])('an author whose write fails (landed: %s) never signs one position twice', async persisted => {
  const writer = new FactWriter(root)
  const kv = memoryKeyValue()
  let writes = 0
  const node = await openGate(
    writer.registry,
    failing(kv, key => key.startsWith('fact!') && ++writes === 3, { persisted })
  )
  await node.gate.admit(writer.genesis.bytes, { peer: 'self' })
  const author = new Author({ gate: node.gate, now: () => 1, signer: signerOf(root.chain) })
  const value = { authPrev: writer.genesis.id, keys: [root.did], threshold: 1 }
  for (let i = 0; i < 4; i++) {
    await author.write(writer.registry, subject('alpha'), { type: 'claim', value }).catch((error: unknown) => {
      expect(error).toBeInstanceOf(PlannedFailure)
    })
  }
  const view = await node.view.find(writer.registry, subject('alpha'))
  expect(view?.forks).toEqual([])
  expect((await node.ids()).length).toBe(persisted ? 5 : 4)
})

function signerOf(chain: string) {
  return {
    principal: root.did,
    sign: (body: Parameters<typeof signFact>[0]) => signFact(body, root.secret),
    chain: () => chain,
    renewChain: async () => chain
  }
}

test.each(['fact!', 'body!', 'view!', 'head!'])('records %s that the disk lost are seen and made good', async kind => {
  const kv = memoryKeyValue()
  const node = await openGate(facts.registry, kv)
  for (const { bytes } of facts.all) await node.gate.admit(bytes, { peer: 'p' })
  const wanted = await everything(kv)
  const lost: string[] = []
  for await (const [key] of kv.iterate({ gte: kind, lt: `${kind}~` })) lost.push(key)
  const gone = lost.filter((_, i) => i % 2 === 0)
  expect(gone.length).toBeGreaterThan(0)
  for (const key of gone) await kv.batch([{ type: 'del', key }])
  // What facts named goes with them.
  if (kind === 'body!')
    for await (const [key] of kv.iterate({ gte: 'named!', lt: 'named!~' })) await kv.batch([{ type: 'del', key }])
  const { loss, again } = await reopen(kv)
  if (kind === 'body!') expect(loss).toEqual({ expected: facts.all.length, found: facts.all.length - gone.length })
  // A row is derived, so it is made again and no loss of facts.
  else if (kind !== 'view!') expect(loss).toBeDefined()
  for (const { bytes } of facts.all) await again.gate.admit(bytes, { peer: 'p' })
  for (const { bytes } of facts.all) await again.gate.admit(bytes, { peer: 'p' })
  await check(again, facts)
  expect(await again.digest()).toBe(await node.digest())
  expect(await again.ids()).toEqual(await node.ids())
  expect((await everything(kv)).length).toBe(wanted.length)
})

/** As the node does it: open the store, hear of the loss, open the gate over it. */
async function reopen(kv: KeyValue): Promise<{ loss: unknown; again: TestGate }> {
  const { FactStore } = await import('../../storage/fact-store.ts')
  const loss = await new FactStore(kv).open(facts.registry)
  return { loss, again: await openGate(facts.registry, kv) }
}

test('a set that lost its genesis says nothing, and says everything again once it has it back', async () => {
  const kv = memoryKeyValue()
  const node = await openGate(facts.registry, kv)
  for (const { bytes } of facts.all) await node.gate.admit(bytes, { peer: 'p' })
  const wanted = await node.digest()
  for await (const [key] of kv.iterate({ gte: 'body!', lt: 'body!~' })) {
    if (key.endsWith(facts.genesis.id)) await kv.batch([{ type: 'del', key }])
  }
  const { again } = await reopen(kv)
  expect(await again.store.row(facts.registry, 'registry')).toBeUndefined()
  expect(await again.store.row(facts.registry, subject('alpha'))).toBeUndefined()
  for (const { bytes } of facts.all) await again.gate.admit(bytes, { peer: 'p' })
  expect(await again.digest()).toBe(wanted)
})
