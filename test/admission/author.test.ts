import { expect, test } from 'vitest'
import { Author } from '../../node/services/author.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Payload } from '../../protocol/payload.ts'
import { signerOf } from '../support/documents/desk.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import type { Person } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'

const [root, ann] = [person('root'), person('ann')]
const alpha = subject('alpha')

const claimBy = (facts: FactWriter, who: Person): Payload => {
  return { type: 'claim', value: { authPrev: facts.genesis.id, keys: [who.did], threshold: 1 } }
}

async function started(who: Person) {
  const facts = new FactWriter(root)
  const node = await openGate(facts.registry)
  await node.gate.admit(facts.genesis.bytes, { peer: 'self' })
  const author = new Author({ gate: node.gate, signer: signerOf(who), now: () => 1_700_000_000_000 })
  return { facts, node, author }
}

test('50 writes at a time make one chain without a fork', async () => {
  const { facts, node, author } = await started(root)
  const writes = Array.from({ length: 50 }, () => author.write(facts.registry, alpha, claimBy(facts, root)))
  const bodies = (await Promise.all(writes)).map(({ bytes }) => parseEnvelope(bytes).body)
  expect(bodies.map(({ seq }) => seq)).toEqual(bodies.map((_, i) => i))
  expect(new Set(bodies.map(({ chain }) => chain)).size).toBe(1)
  expect((await node.view.find(facts.registry, alpha))?.forks).toEqual([])
})

test('a chain that is full is followed by a new one', async () => {
  const { facts, author, node } = await started(root)
  // Position 9,999 as the set of a long-lived key has it: the gate is asked for nothing else of the chain.
  const { chain } = root
  const last = facts.write(root, alpha, claimBy(facts, root), { seq: LIMITS.fact.seq, prev: facts.genesis.id, chain })
  const state = node.gate.state(facts.registry)
  const full = { id: last.id, body: last.body, payload: claimBy(facts, root) }
  const gate = {
    admit: node.gate.admit.bind(node.gate),
    state: () => (state === undefined ? undefined : { known: async () => ({ set: [full], cut: [] }) })
  }
  const atEnd = new Author({ gate, signer: signerOf(root), now: () => 1 })
  const { body } = parseEnvelope((await atEnd.write(facts.registry, alpha, claimBy(facts, root))).bytes)
  expect([body.chain, body.seq, body.prev]).toEqual(['1'.padStart(32, '0'), 0, null])
  expect((await author.write(facts.registry, alpha, claimBy(facts, root))).id).toBeDefined()
})

test('a chain that has a fork is left behind', async () => {
  const { facts, author, node } = await started(root)
  const left = facts.claim('alpha')
  const right = facts.write(root, alpha, claimBy(facts, root), { seq: 0, prev: null })
  await node.gate.admitMany([left.bytes, right.bytes], { peer: 'p' })
  const { body } = parseEnvelope((await author.write(facts.registry, alpha, claimBy(facts, root))).bytes)
  expect([body.chain, body.seq]).toEqual(['1'.padStart(32, '0'), 0])
})

test('a key that nobody named is told so, and its fact does not come in later behind its back', async () => {
  const { facts, author, node } = await started(ann)
  expect(await codeOfAsync(() => author.write(facts.registry, alpha, claimBy(facts, ann)))).toBe('NOT_AUTHORIZED')
  expect(node.gate.pendingCount(facts.registry)).toBe(0)
  await node.gate.admit(facts.grant(ann.did, 'curator').bytes, { peer: 'p' })
  await author.write(facts.registry, alpha, claimBy(facts, ann))
  const view = await node.view.find(facts.registry, alpha)
  expect(view?.forks).toEqual([])
  expect(await node.ids()).toHaveLength(3)
})

test('a registry of its own begins with a genesis that its author can build on', async () => {
  const facts = new FactWriter(root)
  const payload = { name: 'mine', roots: [root.did], threshold: 1, recovery: ann.did } as const
  const value = { ...payload, admission: 'curated', visibility: 'public', nonce: new Uint8Array(16) } as const
  const signer = signerOf(root)
  const admitNothing = { admit: async () => Promise.reject(new Error('unused')), state: () => undefined }
  const genesis = new Author({ gate: admitNothing, signer, now: () => 1 }).genesis(value)
  const registry = genesis.id as string as typeof facts.registry
  const node = await openGate(registry)
  const author = new Author({ gate: node.gate, signer, now: () => 2 })
  await node.gate.admit(genesis.bytes, { peer: 'self' })
  const grant = {
    authPrev: genesis.id,
    key: ann.did,
    role: 'publisher',
    scope: '*' as never,
    head: null,
    threshold: null,
    expires: null
  } as const
  await author.write(registry, 'registry', { type: 'grant', value: grant })
  expect(node.gate.state(registry)?.authority?.grants.map(({ key }) => key)).toEqual([ann.did])
  expect(node.gate.state(registry)?.authority?.forks).toEqual([])
})
