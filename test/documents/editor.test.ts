import { describe, expect, test } from 'vitest'
import { edit, editsToward, rollOver } from '../../node/services/documents/editor.ts'
import { seed } from '../../node/services/documents/seed.ts'
import { tagReader } from '../../node/services/documents/words.ts'
import type { FactId } from '../../protocol/cid.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import type { RegistryError } from '../../protocol/errors.ts'
import type { Subject } from '../../protocol/fact.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { parseGgenName } from '../../protocol/package-name.ts'
import { parseSemver } from '../../protocol/version.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import type { Made } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'
import { contentOf, drop, Editors, put } from '../support/documents/editors.ts'
import { admit, deskOf } from '../support/documents/desk.ts'

const [root, ann, bob] = [person('root'), person('ann'), person('bob')]
const alpha = subject('alpha')

/** A package of ann's and root's with two versions, known to a node; bob holds no role and was named all the same. */
async function office() {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha', { keys: [root.did, ann.did], threshold: 1 })
  facts.claim('other', { keys: [bob.did] })
  const cited = facts.cite(claim)
  for (const version of ['1.0.0', '2.0.0']) facts.release('alpha', version, cited)
  const node = await openGate(facts.registry)
  await admit(node, ...facts.all)
  const { registry } = facts
  const content = async (about: Subject = alpha) => {
    const state = await node.documents.current(registry, about)
    return state === undefined ? undefined : contentOf(state)
  }
  const editors = new Editors(facts, alpha, cited)
  return { facts, node, registry, cited, editors, content, desk: deskOf(node, registry, ann) }
}

async function errorOf(call: () => Promise<unknown>): Promise<RegistryError> {
  try {
    await call()
  } catch (error) {
    if (isRegistryError(error)) return error
    throw error
  }
  throw new TypeError('nothing was refused')
}

/** Two facts that know nothing of each other about one key. */
async function disagree(
  { editors, node, facts }: Awaited<ReturnType<typeof office>>,
  key: string,
  says: readonly string[]
) {
  const before: readonly Made[] = [...facts.all]
  for (const [i, value] of says.entries())
    await admit(node, await editors.edit(i === 0 ? root : ann, [put(key, value)], before))
}

describe('an edit', () => {
  test('says what it changed, and is one fact', async () => {
    const { desk, content, node } = await office()
    const before = (await node.ids()).length
    const edits = [put('title', 'One'), put('keywords/web')]
    const { fact, changed, settled } = await desk.say(alpha, edits)
    expect(fact).not.toBeNull()
    expect(changed).toEqual([
      { path: ['title'], from: [], to: 'One' },
      { path: ['keywords', 'web'], from: [], to: true }
    ])
    expect(settled).toEqual([])
    expect(await node.ids()).toHaveLength(before + 1)
    expect(await content()).toEqual({ 'keywords/web': [true], title: ['One'] })
  })

  test('that changes nothing is not signed', async () => {
    const { desk, node } = await office()
    await desk.say(alpha, [put('title', 'One')])
    const before = await node.ids()
    for (const edits of [[], [put('title', 'One')], [drop('keywords/web')]])
      expect(await desk.say(alpha, edits)).toEqual({ fact: null, changed: [], settled: [] })
    expect(await node.ids()).toEqual(before)
  })

  test('leaves out what is so already', async () => {
    const { desk, node, registry } = await office()
    await desk.say(alpha, [put('title', 'One')])
    const { fact } = await desk.say(alpha, [put('title', 'One'), put('keywords/web'), drop('links/home')])
    const bytes = fact === null ? undefined : await node.store.get(registry, fact)
    expect(bytes).toBeDefined()
    const state = node.gate.state(registry)
    const said = (await state?.factsOf(alpha))?.find(({ id }) => id === fact)?.payload
    expect(said?.type === 'metadata' ? said.value.edits : []).toEqual([put('keywords/web')])
  })

  test('is refused before it is signed where nobody with a role says it, and who could is told', async () => {
    const { node, registry, facts } = await office()
    const before = await node.ids()
    const error = await errorOf(() => deskOf(node, registry, bob).say(alpha, [put('title', 'Mine')]))
    expect(error.code).toBe('NOT_AUTHORIZED')
    expect(error.next).toContain(ann.did)
    expect(error.next).toContain(facts.root.did)
    expect(await codeOfAsync(() => deskOf(node, registry, ann).say('registry', [put('categories/web')]))).toBe(
      'NOT_AUTHORIZED'
    )
    expect(await node.ids()).toEqual(before)
  })

  test.each([
    ['of an unknown package', subject('nothing'), [put('title', 'x')], 'UNKNOWN_PACKAGE'],
    ['of a field that is none', alpha, [put('nothing', 'x')], 'INVALID_EDIT'],
    ['of a text that is not clean', alpha, [put('title', 'a\u202eb')], 'INVALID_EDIT'],
    [
      'of a name that would pollute an object',
      alpha,
      [{ op: 'put', path: ['keywords', 'a/__proto__'], value: true }],
      'INVALID_EDIT'
    ],
    ['of one key twice', alpha, [put('title', 'a'), put('title', 'b')], 'INVALID_EDIT'],
    ['of too much at once', alpha, Array.from({ length: 257 }, (_, i) => put(`keywords/${i}`)), 'INVALID_EDIT']
  ] as const)('%s is refused', async (_, about, edits, code) => {
    const { desk } = await office()
    expect(await codeOfAsync(() => desk.say(about, edits))).toBe(code)
  })

  test('settles a conflict by saying one of the values again', async () => {
    const at = await office()
    await disagree(at, 'title', ['One', 'Two'])
    const held = await at.content()
    expect(held?.['title']).toHaveLength(2)
    const said = held?.['title']?.[0] ?? ''
    const { changed, settled } = await at.desk.say(alpha, [put('title', said)])
    expect(settled).toEqual([['title']])
    expect(changed).toEqual([{ path: ['title'], from: held?.['title'], to: said }])
    expect(await at.content()).toEqual({ title: [said] })
  })

  test('of the same key by two commands at a time leaves the later one, and no conflict', async () => {
    const { desk, content, node, registry } = await office()
    const edited = await Promise.all(['One', 'Two', 'Three'].map(title => desk.say(alpha, [put('title', title)])))
    expect(edited.map(({ changed }) => changed[0]?.from)).toEqual([[], ['One'], ['Two']])
    expect(await content()).toEqual({ title: ['Three'] })
    const statuses = [...(await node.documents.standings(registry, alpha)).values()].map(({ status }) => status)
    expect(statuses).toEqual(['native', 'native', 'native'])
  })

  test('that two commands make at a time is said once', async () => {
    const { desk, content } = await office()
    await desk.say(alpha, [put('title', 'One')])
    const both = await Promise.all([desk.say(alpha, [drop('title')]), desk.say(alpha, [drop('title')])])
    expect(both.map(({ fact }) => fact === null)).toEqual([false, true])
    expect(await content()).toEqual({})
  })

  test('goes on in a new chain where the old one has a fork, as a change of another actor', async () => {
    const { desk, content, node, facts, editors, registry } = await office()
    await desk.say(alpha, [put('title', 'One')])
    const here = await node.gate.state(registry)?.factsOf(alpha)
    const mine = here?.find(({ body }) => body.author === ann.did)
    if (mine === undefined) throw new TypeError('nothing was said')
    // The same key signed at the same place elsewhere: a copied data directory.
    const other = await editors.edit(ann, [put('title', 'Forked')], facts.all, {
      seq: mine.body.seq,
      prev: mine.body.prev
    })
    expect(await admit(node, other)).toEqual(['accept'])
    expect(await content()).toEqual({})
    const { fact } = await desk.say(alpha, [put('title', 'Two')])
    expect(await content()).toEqual({ title: ['Two'] })
    const bytes = await node.store.get(registry, fact as FactId)
    const { body } = parseEnvelope(bytes ?? new Uint8Array())
    expect([body.chain, body.seq]).toEqual(['1'.padStart(32, '0'), 0])
    expect((await node.documents.standings(registry, alpha)).get(fact as FactId)?.status).toBe('native')
  })
})

test('a whole field is what is said, and nothing else of it stays', async () => {
  const { desk, registry, content } = await office()
  await desk.say(alpha, [put('keywords/a'), put('keywords/b'), put('title', 'One')])
  const { components, signer } = desk
  const plan: Parameters<typeof edit>[1]['plan'] = state =>
    editsToward(alpha, state, { field: 'keywords', entries: [{ path: ['keywords', 'c'], value: true }] })
  await edit(components, { registry, subject: alpha, signer, plan })
  expect(await content()).toEqual({ 'keywords/c': [true], title: ['One'] })
})

describe('a rollover', () => {
  test('folds what was said, and signs nothing where nothing was said since', async () => {
    const { desk, registry, content } = await office()
    const { components, signer } = desk
    const roll = () => rollOver(components, { registry, subject: alpha, signer })
    expect(await roll()).toEqual({ fact: null, folded: 0 })
    await desk.say(alpha, [put('title', 'One')])
    await desk.say(alpha, [put('title', 'Two')])
    const rolled = await roll()
    expect([rolled.folded, rolled.fact === null]).toEqual([2, false])
    expect(await roll()).toEqual({ fact: null, folded: 0 })
    expect(await content()).toEqual({ title: ['Two'] })
    await desk.say(alpha, [put('title', 'Three')])
    expect(await content()).toEqual({ title: ['Three'] })
  })

  test('is of owners', async () => {
    const { desk, node, registry, facts } = await office()
    const grant = facts.grant(bob.did, 'publisher')
    await admit(node, grant)
    await desk.say(alpha, [put('title', 'One')])
    const other = deskOf(node, registry, bob)
    expect((await other.say(alpha, [put('keywords/bob')])).fact).not.toBeNull()
    const { components, signer } = other
    expect(await codeOfAsync(() => rollOver(components, { registry, subject: alpha, signer }))).toBe('NOT_AUTHORIZED')
  })
})

describe('what a manifest says', () => {
  function manifest(words: Partial<Manifest>): Manifest {
    const own = { kind: 'package' as const, name: parseGgenName('alpha'), version: parseSemver('1.0.0') }
    return { ...own, dependencies: [], executables: [], ...words }
  }

  async function seeding() {
    const at = await office()
    const { components, signer } = at.desk
    const say = async (words: Partial<Manifest>, before?: Partial<Manifest>, by = signer) => {
      const { fact } = await seed(components, {
        registry: at.registry,
        name: alpha,
        signer: by,
        manifest: manifest(words),
        before: before === undefined ? undefined : manifest(before)
      })
      return fact
    }
    return { ...at, say }
  }

  test('is what is said of a package at first', async () => {
    const { say, content } = await seeding()
    const words = { title: 'Alpha', description: 'what it is', keywords: ['web', 'a b'], category: 'Web Frameworks' }
    expect(
      await say({ ...words, homepage: 'https://example.org/', repository: 'https://example.org/git' })
    ).not.toBeNull()
    expect(await content()).toEqual({
      'categories/web-frameworks': [true],
      description: ['what it is'],
      'keywords/a b': [true],
      'keywords/web': [true],
      'links/homepage': ['https://example.org/'],
      'links/repository': ['https://example.org/git'],
      title: ['Alpha']
    })
  })

  test('is said anew where it changed, and what was edited by hand stays', async () => {
    const { say, content, desk } = await seeding()
    const old = { title: 'Alpha', description: 'old', keywords: ['web', 'old'], homepage: 'https://example.org/1' }
    await say(old)
    await desk.say(alpha, [put('title', 'By hand'), put('keywords/hand')])
    await say({ title: 'Alpha 2', description: 'new', keywords: ['web', 'new'] }, old)
    expect(await content()).toEqual({
      description: ['new'],
      'keywords/hand': [true],
      'keywords/new': [true],
      'keywords/web': [true],
      title: ['By hand']
    })
  })

  test('does not bring back a keyword that somebody took away', async () => {
    const { say, content, desk } = await seeding()
    const words = { keywords: ['web', 'cli'] }
    await say(words)
    await desk.say(alpha, [drop('keywords/cli')])
    expect(await say(words, words)).toBeNull()
    expect(await say({ keywords: ['web', 'cli', 'new'] }, words)).not.toBeNull()
    expect(Object.keys((await content()) ?? {})).toEqual(['keywords/new', 'keywords/web'])
  })

  test('settles no conflict', async () => {
    const at = await seeding()
    await disagree(at, 'title', ['One', 'Two'])
    expect(await at.say({ title: 'New' }, { title: 'One' })).toBeNull()
    expect((await at.content())?.['title']).toHaveLength(2)
  })

  test('stays in the release where a document does not take it, and the rest is said', async () => {
    const { say, content } = await seeding()
    const keywords = ['two\nlines', 'constructor', 'a/prototype', 'good']
    await say({ keywords, category: '!!!', homepage: 'javascript:alert(1)', title: 'Alpha' })
    expect(await content()).toEqual({ 'keywords/good': [true], title: ['Alpha'] })
  })

  test('is not said by a key that may not, and that is no reason to publish nothing', async () => {
    const { registry, node, content } = await seeding()
    const { components, signer } = deskOf(node, registry, bob)
    const words = { registry, name: alpha, signer, manifest: manifest({ title: 'Mine' }), before: undefined }
    const { fact, notes } = await seed(components, words)
    expect(fact).toBeNull()
    expect(notes.map(({ message }) => message).join()).toMatch(
      /^the version is published; .*could not be said: this key may not/
    )
    expect(await content()).toBeUndefined()
  })
})

describe('a tag', () => {
  async function tagged() {
    const at = await office()
    const find = at.node.view.find.bind(at.node.view)
    const read = tagReader({ find, documents: at.node.documents })
    return { ...at, read: (tag: string, name = alpha) => read(at.registry, name, tag) }
  }

  test('stands for the version that it says', async () => {
    const { desk, read } = await tagged()
    await desk.say(alpha, [put('tags/next', '2.0.0'), put('tags/lts', '1.0.0')])
    expect(await read('next')).toBe('2.0.0')
    await desk.say(alpha, [put('tags/next', '1.0.0')])
    expect(await read('next')).toBe('1.0.0')
  })

  test('that nobody set is unknown, and those that are there are named', async () => {
    const { desk, read } = await tagged()
    expect(await codeOfAsync(() => read('next'))).toBe('UNKNOWN_VERSION')
    await desk.say(alpha, [put('tags/lts', '1.0.0')])
    const error = await errorOf(() => read('next'))
    expect([error.code, error.next]).toEqual(['UNKNOWN_VERSION', 'its tags: lts'])
    expect(await codeOfAsync(() => read('next', subject('nothing')))).toBe('UNKNOWN_PACKAGE')
  })

  test('of a version that was not released is unknown', async () => {
    const { desk, read } = await tagged()
    await desk.say(alpha, [put('tags/next', '9.9.9')])
    const error = await errorOf(() => read('next'))
    expect([error.code, error.message]).toEqual([
      'UNKNOWN_VERSION',
      'the tag next of alpha stands for 9.9.9, which was not released'
    ])
  })

  test('that people disagree about stands for nothing until one of them gives way', async () => {
    const at = await tagged()
    await disagree(at, 'tags/next', ['1.0.0', '2.0.0'])
    const error = await errorOf(() => at.read('next'))
    expect(error.code).toBe('VERSION_CONFLICT')
    expect(error.tried.join(' ')).toMatch(/1\.0\.0 and 2\.0\.0|2\.0\.0 and 1\.0\.0/)
    await at.desk.say(alpha, [put('tags/next', '2.0.0')])
    expect(await at.read('next')).toBe('2.0.0')
  })

  test('of a version with two contents stands for nothing', async () => {
    const { desk, read, facts, node, cited } = await tagged()
    await desk.say(alpha, [put('tags/next', '2.0.0')])
    await admit(node, facts.release('alpha', '2.0.0', cited, { content: 'another' }))
    expect(await codeOfAsync(() => read('next'))).toBe('VERSION_CONFLICT')
  })
})
