import { expect, test } from 'vitest'
import { FactWriter, person, subject } from '../support/facts.ts'
import { drop, Editors, put } from '../support/documents/editors.ts'
import { openGate } from '../support/gate.ts'

const root = person('root')

test('finds a package by what people say of it, and no more by what they took back', async () => {
  const facts = new FactWriter(root)
  for (const name of ['alpha', 'beta', 'gamma']) facts.release(name, '1.0.0', facts.cite(facts.claim(name)))
  const claim = facts.all.find(({ body }) => body.type === 'claim' && body.subject === subject('beta'))
  const editors = new Editors(facts, subject('beta'), facts.cite(claim ?? facts.genesis))
  await editors.edit(root, [put('title', 'Second'), put('keywords/queue'), put('categories/messaging')])
  const node = await openGate(facts.registry)
  await node.gate.admitMany(
    facts.all.map(({ bytes }) => bytes),
    { peer: 'p' }
  )
  await node.documents.settled(facts.registry)
  const found = async (query: string): Promise<readonly string[]> =>
    (await node.view.search(facts.registry, query)).map(({ name, title }) => `${name} ${title}`)
  expect(await found('queue')).toEqual(['ggen/beta Second'])
  expect(await found('messaging second')).toEqual(['ggen/beta Second'])
  const taken = await editors.edit(root, [drop('keywords/queue')])
  await node.gate.admit(taken.bytes, { peer: 'p' })
  await node.documents.settled(facts.registry)
  expect(await found('queue')).toEqual([])
  expect(node.failures).toEqual([])
})
