import { describe, expect, test } from 'vitest'
import { inlineEngine } from '../../node/documents/inline.ts'
import { Backlog } from '../../node/services/documents/backlog.ts'
import { Documents } from '../../node/services/documents/documents.ts'
import type { DocumentEngine, UpdateRequest } from '../../protocol/document/document.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { Subject } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'
import { contentOf, Editors, put } from '../support/documents/editors.ts'
import { admit } from '../support/documents/desk.ts'

const [root, ann, bob] = [person('root'), person('ann'), person('bob')]
const alpha = subject('alpha')
const beta = subject('beta')

/** A package of root's and ann's, whose facts are not admitted yet. */
function team() {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha', { keys: [root.did, ann.did] })
  return { facts, claim, editors: new Editors(facts, alpha, facts.cite(claim)), registry: facts.registry }
}

/** The same, where ann publishes by a grant of the registry. */
function granted() {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'publisher')
  const claim = facts.claim('alpha')
  return { facts, grant, claim, editors: new Editors(facts, alpha, facts.cite(claim, grant.id)) }
}

async function shown(node: TestGate, { registry }: FactWriter, about: Subject = alpha) {
  const state = await node.documents.current(registry, about)
  return state === undefined ? undefined : contentOf(state)
}

/** An engine that says what it was asked, and fails where it is told to. */
function watched(fails: (request: UpdateRequest) => boolean = () => false) {
  const engine = inlineEngine()
  const asked: UpdateRequest[] = []
  const watching: DocumentEngine = {
    ...engine,
    update: async request => {
      asked.push(request)
      if (fails(request)) throw new RegistryError('DOCUMENT_FAILED', 'it takes too long')
      return engine.update(request)
    }
  }
  return { engine: watching, asked }
}

function documentsOver(node: TestGate, engine: DocumentEngine) {
  const failed: Subject[] = []
  const changed: Subject[] = []
  const documents = new Documents({
    gate: node.gate,
    records: node.records,
    engine,
    onFailed: (_, about) => void failed.push(about),
    onChanged: (_, about) => void changed.push(about)
  })
  return { documents, failed, changed }
}

describe('a document', () => {
  test('follows the facts, and is nothing before the first', async () => {
    const { facts, claim, editors } = team()
    const node = await openGate(facts.registry)
    await admit(node, facts.genesis, claim)
    expect(await shown(node, facts)).toBeUndefined()
    await admit(node, await editors.edit(root, [put('title', 'One')]))
    expect(await shown(node, facts)).toEqual({ title: ['One'] })
    await admit(node, await editors.edit(ann, [put('title', 'Two'), put('keywords/web')]))
    expect(await shown(node, facts)).toEqual({ 'keywords/web': [true], title: ['Two'] })
    expect((await node.view.find(facts.registry, alpha))?.document).toMatchObject({ counted: 2 })
    expect(node.failures).toEqual([])
  })

  test('is brought up to date without being asked for', async () => {
    const { facts, claim, editors } = team()
    const node = await openGate(facts.registry)
    await admit(node, facts.genesis, claim, await editors.edit(root, [put('title', 'One')]))
    await node.documents.settled(facts.registry)
    expect(await node.records.todo(facts.registry, 10)).toEqual([])
    expect(await node.records.state(facts.registry, alpha)).toBeDefined()
  })

  test('is the same whatever order its facts come in, also to the digest', async () => {
    const { facts, claim, editors } = team()
    await editors.edit(root, [put('title', 'One')])
    const before = [...facts.all]
    await editors.edit(root, [put('title', 'Two')], before)
    await editors.edit(ann, [put('title', 'Three'), put('keywords/x')], before)
    const edits = facts.all.slice(2)
    const digests = new Set<string>()
    for (const order of [edits, edits.toReversed(), [...edits.slice(1), ...edits.slice(0, 1)]]) {
      const node = await openGate(facts.registry)
      await admit(node, facts.genesis, claim)
      // One by one, with a look in between, so that each is added to what is there.
      for (const fact of [...order, ...order]) {
        await admit(node, fact)
        await shown(node, facts)
      }
      expect(await shown(node, facts)).toMatchObject({ title: [expect.any(String), expect.any(String)] })
      digests.add(await node.digest())
    }
    expect(digests.size).toBe(1)
  })

  test('loses what a revocation cuts, and nothing else', async () => {
    const { facts, grant, claim, editors } = granted()
    const node = await openGate(facts.registry)
    await admit(node, facts.genesis, grant, claim)
    const good = await editors.edit(ann, [put('title', 'Good')])
    const bad = await editors.edit(ann, [put('title', 'Bad'), put('links/home', 'https://evil.example/')])
    await admit(node, good, bad)
    expect(await shown(node, facts)).toEqual({ 'links/home': ['https://evil.example/'], title: ['Bad'] })
    const revoke = facts.revoke(ann.did, { authPrev: grant.id, heads: [good] })
    expect(await admit(node, revoke)).toEqual(['accept'])
    await node.documents.settled(facts.registry)
    expect(await shown(node, facts)).toEqual({ title: ['Good'] })
    const standings = await node.documents.standings(facts.registry, alpha)
    expect([...standings.keys()]).toEqual([good.id])
    const other = await openGate(facts.registry)
    await admit(other, facts.genesis, grant, claim, good, revoke)
    expect(await other.digest()).toBe(await node.digest())
  })

  test('is gone, and said to have changed, when all its facts are cut', async () => {
    const { facts, grant, claim, editors } = granted()
    const node = await openGate(facts.registry, memoryKeyValue(), { onEdited: () => {} })
    await admit(node, facts.genesis, grant, claim, await editors.edit(ann, [put('title', 'Bad')]))
    const { documents, changed } = documentsOver(node, inlineEngine())
    await documents.current(facts.registry, alpha)
    await admit(node, facts.revoke(ann.did, { authPrev: grant.id, heads: [] }))
    expect(await documents.current(facts.registry, alpha)).toBeUndefined()
    expect(await node.records.state(facts.registry, alpha)).toBeUndefined()
    expect(await node.records.todo(facts.registry, 10)).toEqual([])
    expect(changed).toEqual([alpha, alpha])
  })

  test('is without an edit that is set aside, and with it once it counts', async () => {
    const { facts, grant, claim, editors } = granted()
    const node = await openGate(facts.registry)
    const naming = facts.claim('other', { keys: [ann.did] })
    const edit = await editors.edit(ann, [put('title', 'Early')])
    await admit(node, facts.genesis)
    await admit(node, claim, naming, edit)
    expect(await shown(node, facts)).toEqual({})
    await admit(node, grant)
    expect(await shown(node, facts)).toEqual({ title: ['Early'] })
    // Of one role: nothing is cut, and what was said stays where a document can find it.
    await admit(node, facts.revoke(ann.did, { authPrev: grant.id, role: 'publisher', heads: [] }))
    expect(await node.ids()).toContain(edit.id)
    expect(await shown(node, facts)).toEqual({})
    expect((await node.documents.standings(facts.registry, alpha)).get(edit.id)).toEqual({
      status: 'aside',
      counts: false
    })
    expect((await node.view.find(facts.registry, alpha))?.document?.counted).toBe(0)
  })

  test('of a registry is its catalogue, edited by owners and curators', async () => {
    const facts = new FactWriter(root)
    const grant = facts.grant(ann.did, 'curator')
    const other = facts.grant(bob.did, 'publisher', { authPrev: grant.id })
    const cited = { registry: other.id, package: other.id }
    const editors = new Editors(facts, 'registry', cited)
    const node = await openGate(facts.registry)
    await admit(node, ...facts.all)
    const [byAnn, byBob] = [
      await editors.edit(ann, [put('categories/web')]),
      await editors.edit(bob, [put('categories/no')])
    ]
    await admit(node, byAnn, byBob)
    expect(await shown(node, facts, 'registry')).toEqual({ 'categories/web': [true] })
    const standings = await node.documents.standings(facts.registry, 'registry')
    expect([standings.get(byAnn.id)?.status, standings.get(byBob.id)?.status]).toEqual(['native', 'aside'])
  })
})

describe('what is stored of a document', () => {
  async function withDocument() {
    const made = team()
    const kv = memoryKeyValue()
    const node = await openGate(made.registry, kv)
    const edit = await made.editors.edit(root, [put('title', 'One')])
    await admit(node, made.facts.genesis, made.claim, edit)
    await node.documents.settled(made.registry)
    return { ...made, kv, node }
  }

  test('is taken up by the next start: what is noted is made, what is made is not made again', async () => {
    const { facts, registry, kv, editors } = await withDocument()
    // As after a crash: facts and note are durable, and nothing was made of them.
    const late = await editors.edit(ann, [put('keywords/late')])
    const crashed = await openGate(registry, kv, { onEdited: () => {} })
    await admit(crashed, late)
    expect(await crashed.records.todo(registry, 10)).toEqual([alpha])
    const node = await openGate(registry, kv)
    await node.documents.settled(registry)
    expect(await node.records.todo(registry, 10)).toEqual([])
    expect(await shown(node, facts)).toEqual({ 'keywords/late': [true], title: ['One'] })
    const { engine, asked } = watched()
    const { documents } = documentsOver(node, engine)
    expect(await documents.current(registry, alpha)).toBeDefined()
    expect(asked).toEqual([])
  })

  test.each(['doc', 'docsave'])('is made again when the record %s is damaged', async kind => {
    const { facts, registry, kv } = await withDocument()
    const key = `${kind}!${registry}!${alpha}`
    const before = await kv.get(key)
    if (before === undefined) throw new TypeError('nothing was stored')
    await kv.batch([{ type: 'put', key, value: before.map((byte, at) => (at === 40 ? byte ^ 1 : byte)) }])
    const node = await openGate(registry, kv)
    expect(await shown(node, facts)).toEqual({ title: ['One'] })
    expect(await kv.get(key)).toEqual(before)
  })

  test('is made again when it is of other facts than the saved form', async () => {
    const { facts, registry, kv, editors } = await withDocument()
    const key = `docsave!${registry}!${alpha}`
    const old = await kv.get(key)
    if (old === undefined) throw new TypeError('nothing was stored')
    const node = await openGate(registry, kv)
    await admit(node, await editors.edit(ann, [put('keywords/late')]))
    await node.documents.settled(registry)
    await kv.batch([{ type: 'put', key, value: old }])
    const again = await openGate(registry, kv)
    expect(await shown(again, facts)).toEqual({ 'keywords/late': [true], title: ['One'] })
    expect(await kv.get(key)).not.toEqual(old)
  })

  test('stays while its registry is not open', async () => {
    const { registry, node } = await withDocument()
    node.gate.close(registry)
    const { documents } = documentsOver(node, inlineEngine())
    expect(await documents.current(registry, alpha)).toBeUndefined()
    expect(await node.records.state(registry, alpha)).toBeDefined()
  })
})

test('a document that cannot be made fails twice, is then left alone until its facts change, and fails nobody else', async () => {
  const { facts, claim, editors, registry } = team()
  const node = await openGate(registry)
  const other = facts.claim('beta')
  const others = new Editors(facts, beta, facts.cite(other))
  const edits = [await editors.edit(root, [put('title', 'One')]), await others.edit(root, [put('title', 'Beta')])]
  await admit(node, facts.genesis, claim, other, ...edits)
  await node.documents.settled(registry)
  for (const about of [alpha, beta]) await node.records.put(registry, { subject: about, since: undefined }, undefined)
  let isBroken = true
  const { engine, asked } = watched(({ key }) => isBroken && key.endsWith(alpha))
  const { documents, failed } = documentsOver(node, engine)
  const code = (): Promise<string> => codeOfAsync(() => documents.current(registry, alpha))
  for (let look = 0; look < 4; look++) expect(await code()).toBe('DOCUMENT_FAILED')
  expect(asked).toHaveLength(LIMITS.document.strikes)
  documents.noted(registry, [alpha, beta])
  await documents.settled(registry)
  expect(failed).toEqual([alpha])
  expect((await documents.current(registry, beta))?.content).toHaveLength(1)
  await admit(node, await editors.edit(ann, [put('keywords/new')]))
  isBroken = false
  expect((await documents.current(registry, alpha))?.content).toHaveLength(2)
})

test('a document that several ask for at a time is made once', async () => {
  const { facts, claim, editors, registry } = team()
  const node = await openGate(registry, memoryKeyValue(), { onEdited: () => {} })
  await admit(node, facts.genesis, claim, await editors.edit(root, [put('title', 'One')]))
  const { engine, asked } = watched()
  const { documents, changed } = documentsOver(node, engine)
  const states = await Promise.all(Array.from({ length: 8 }, () => documents.current(registry, alpha)))
  expect(asked).toHaveLength(1)
  expect(changed).toEqual([alpha])
  expect(new Set(states.map(state => state?.heads.join())).size).toBe(1)
})

test('facts that come later are added to what is there, and what changes the rest is made anew', async () => {
  const { facts, claim, editors, registry } = team()
  const node = await openGate(registry, memoryKeyValue(), { onEdited: () => {} })
  const { engine, asked } = watched()
  const { documents } = documentsOver(node, engine)
  const first = await editors.edit(root, [put('title', 'One')])
  await admit(node, facts.genesis, claim, first)
  await documents.current(registry, alpha)
  await admit(node, await editors.edit(ann, [put('title', 'Two')]))
  await documents.current(registry, alpha)
  await admit(node, editors.rollover(root, [first]))
  await documents.current(registry, alpha)
  const given = asked.map(({ from, facts: some }) => [from === undefined ? 'anew' : 'added', some.length])
  expect(given).toEqual([
    ['anew', 1],
    ['added', 1],
    ['added', 1],
    ['anew', 3]
  ])
})

describe('the backlog', () => {
  const registry = team().registry

  function backlog(noted: readonly Subject[], work: (about: Subject) => Promise<void> = async () => {}) {
    const worked: Subject[] = []
    const failed: Subject[] = []
    const made = new Backlog({
      todo: async () => noted.filter(about => !worked.includes(about)).slice(0, LIMITS.document.queue),
      work: async (_, about) => {
        await work(about)
        worked.push(about)
      },
      onFailed: (_, about) => void failed.push(about)
    })
    return { backlog: made, worked, failed }
  }

  test('works off what is noted on the disk, more than it holds at once too', async () => {
    const many = Array.from({ length: LIMITS.document.queue + 10 }, (_, i) => subject(`p${i}`))
    const { backlog: made, worked } = backlog(many)
    made.look(registry)
    await made.settled(registry)
    expect(worked).toHaveLength(many.length)
  })

  test('does not take up again at once what failed, and goes on with the rest', async () => {
    let tries = 0
    const {
      backlog: made,
      worked,
      failed
    } = backlog([alpha, beta], async about => {
      if (about !== alpha) return
      tries += 1
      throw new RegistryError('DOCUMENT_FAILED', 'it takes too long')
    })
    made.look(registry)
    await made.settled(registry)
    expect([worked, failed, tries]).toEqual([[beta], [alpha], 1])
    made.add(registry, [alpha])
    await made.settled(registry)
    expect(tries).toBe(2)
  })

  test('does nothing more once it was stopped', async () => {
    const { backlog: made, worked } = backlog([])
    made.stop()
    made.add(registry, [alpha])
    await made.settled(registry)
    expect(worked).toEqual([])
  })
})
