import { afterEach, describe, expect, test } from 'vitest'
import { AutomergeDocument } from '../../node/documents/automerge.ts'
import { Engine } from '../../node/documents/engine.ts'
import { append } from '../../protocol/document/assemble.ts'
import type { MetadataFact } from '../../protocol/document/document.ts'
import type { Edit } from '../../protocol/document/edits.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { drop, put } from '../support/documents/editors.ts'
import { buildOf, freeBuilds, hex, holdersOf, idOf, say, shownOf, statusesOf } from '../support/documents/world.ts'

afterEach(freeBuilds)

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i)

/** A fact that nobody composed: its change is not what anybody would make of it. */
function bare(by: string, seq: number, over: Partial<MetadataFact> = {}): MetadataFact {
  const [author = '', chain = '0'] = by.split(' ')
  const change = { hash: hex(`${by} ${seq}`), actor: hex(by), deps: [hex('nothing')] }
  const fact = {
    author,
    chain,
    seq,
    counts: true,
    epoch: null,
    after: [],
    edits: [put('title', `${by} ${seq}`)],
    change,
    ...over
  }
  return { ...fact, id: idOf(`${by} ${seq}`) } as MetadataFact
}

function countOf(facts: readonly MetadataFact[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const status of Object.values(statusesOf(buildOf(facts)))) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

describe('more who disagree than one edit can name', () => {
  const titles = (count: number): readonly MetadataFact[] => range(count).map(i => say(`p${i}`, [put('title', `${i}`)]))

  test('are folded into one line, so that the next edit follows it and settles all', () => {
    const crowd = titles(64)
    const rollover = say('ann', [], crowd)
    const some = buildOf([...crowd, rollover])
    expect(some.state().heads).toHaveLength(1)
    const shown = some.state().content
    expect(shown[0]?.values).toHaveLength(64)
    expect(shown).toEqual(buildOf(crowd).state().content)
    const settled = say('bob', [put('title', 'one for all')], [...crowd, rollover])
    const build = buildOf([...crowd, rollover, settled])
    expect(statusesOf(build)[settled.id]).toBe('native')
    expect(build.state().content[0]?.values).toEqual([{ value: 'one for all', fact: settled.id }])
  })

  test('are settled in a few steps, each of which is native', () => {
    let facts = titles(300)
    for (const step of range(6)) {
      const next = say('ann', [put('title', `step ${step}`)], facts)
      facts = [...facts, next]
      expect(statusesOf(buildOf(facts))[next.id]).toBe('native')
    }
    expect(holdersOf(buildOf(facts))['title']).toHaveLength(1)
  })

  test('are the same in any order, whatever part of them an edit could name', () => {
    const crowd = titles(150)
    const aside = bare('eve', 0, { counts: false, after: crowd.slice(0, 64).map(({ id }) => id) })
    const one = say('ann', [put('title', 'half')], [...crowd, aside])
    const two = say('bob', [drop('title')], [...crowd, one].slice(30))
    const all = [...crowd, aside, one, two]
    expect(shownOf(buildOf(all.toReversed()))).toEqual(shownOf(buildOf(all)))
    const build = buildOf(crowd.slice(50))
    // One of those who come later is named by nobody who is here.
    expect(append(build, [...crowd.slice(0, 50), aside, one, two].toReversed())).toBe(true)
    expect(shownOf(build)).toEqual(shownOf(buildOf(all)))
  })

  test('are each below what its own author says next', () => {
    const crowd = titles(70)
    for (const [i, { change }] of crowd.entries())
      expect(say(`p${i}`, [put('title', 'again')], crowd).change?.deps).toContain(change?.hash)
  })

  test('hide from one who edits what only a reader knows, and the edit is as honest as before', () => {
    const own = say('ann', [put('title', 'own')])
    const crowd = range(63).map(i => say(`p${i}`, [put(`keywords/k${i}`)], [own]))
    const last =
      crowd
        .map(({ change }) => change?.hash ?? '')
        .toSorted()
        .at(-1) ?? ''
    const unseen = range(2_000)
      .map(i => say('zoe', [put('title', `unseen ${i}`)], [own]))
      .find(({ change }) => change !== null && change.hash > last)
    if (unseen === undefined) throw new Error('none is high enough')
    // It changes nothing, so whoever follows it follows what is below it: more than one edit can name.
    const after = [...crowd.slice(0, 62), unseen].map(({ id }) => id).toSorted()
    const through = bare('mallory', 0, { edits: [drop('keywords/none')], after })
    const edit = say('ann', [put('title', 'mine')], [own, ...crowd, through])
    expect(edit.after).toContain(through.id)
    expect(statusesOf(buildOf([own, ...crowd, through, edit]))[edit.id]).toBe('native')
    expect(statusesOf(buildOf([own, ...crowd, through, edit, unseen]))[edit.id]).toBe('derived')
  })
})

describe('a flood', () => {
  test('of 2,000 strangers leaves what others say as it is', () => {
    const flood = range(2_000).map(i => bare(`eve${i}`, 0, { counts: false }))
    const honest = say('ann', [put('title', 'One')])
    expect(countOf([...flood, honest])).toEqual({ aside: 2_000, native: 1 })
  })

  test('of chains that do not count, each edit following all others, is walked through', () => {
    const honest = range(64).map(i => say(`p${i}`, [put(`keywords/k${i}`)]))
    const after = honest.map(({ id }) => id).toSorted()
    const flood = range(2_000).map(i => bare(`eve ${i % 16}`, Math.floor(i / 16), { counts: false, after }))
    expect(countOf([...flood, ...honest])).toEqual({ aside: 2_000, native: 64 })
  })

  test(
    'of 10,000 edits whose parents never come is part of the document until its author has had his share',
    {
      timeout: 60_000
    },
    () => {
      const orphans = range(10_000).map(i => bare('mallory', i, { after: [idOf(`nothing ${i}`)] }))
      const honest = say('ann', [put('description', 'One')])
      const counts = countOf([...orphans, honest])
      expect(counts['native']).toBe(1)
      expect(counts['document-full']).toBeGreaterThan(1_000)
      expect((counts['derived'] ?? 0) + (counts['document-full'] ?? 0)).toBe(10_000)
    }
  )

  test('of 2,000,000 deletions of nothing is work that is counted', () => {
    const edits: readonly Edit[] = range(256).map(i => drop(`keywords/k${i}`))
    const flood = range(8_000).map(i => bare('mallory', i, { edits }))
    const honest = say('ann', [put('keywords/k1')])
    expect(countOf([...flood, honest])).toMatchObject({ native: 1, derived: 292 })
  })

  test('of 1,000 rollovers of one epoch is one rollover, and of 1,000 epochs so many as are followed', () => {
    const first = say('ann', [put('title', 'One')])
    const same = range(1_000).map(i => bare('bob', i, { change: null, edits: [], after: [first.id] }))
    expect(countOf([first, ...same])).toEqual({ folded: 1, rollover: 1, 'no-effect': 999 })
    const row: MetadataFact[] = []
    for (const i of range(1_000)) {
      const epoch = row.at(-1)?.id ?? null
      row.push(bare('bob', i, { change: null, edits: [], after: [epoch ?? first.id], epoch }))
    }
    const { epochs } = LIMITS.document
    expect(countOf([first, ...row])).toEqual({ folded: 1, rollover: epochs, 'no-effect': 1_000 - epochs })
  })
})

describe('one author who fills a document', () => {
  const filling = (author: string): readonly MetadataFact[] => {
    const big = 'x'.repeat(4_000)
    return range(400).map(i => bare(author, i, { edits: [put('description', `${i} ${big}`)] }))
  }

  test('leaves room for others, however early his edits come in the order of all', () => {
    const early = range(16).flatMap(chain => filling(`mallory ${chain}`).slice(0, 40))
    const honest: MetadataFact[] = []
    for (const i of range(60)) honest.push(say(`p${i % 3}`, [put(`keywords/k${i}`), put('title', `${i}`)], honest))
    const statuses = statusesOf(buildOf([...early, ...honest]))
    expect(honest.map(({ id }) => statuses[id])).toEqual(honest.map(() => 'native'))
    expect(Object.values(statuses)).toContain('document-full')
  })

  test('is told so before he signs more, and others are not', () => {
    const full = filling('mallory')
    expect(() => say('mallory', [put('title', 'more')], full)).toThrow(
      expect.objectContaining({ code: 'DOCUMENT_FULL' })
    )
    expect(say('ann', [put('title', 'more')], full).edits).toHaveLength(1)
  })

  test('can not do so with one edit that no fact could hold', () => {
    const edits = range(LIMITS.document.edits).map(i => put(`keywords/${'x'.repeat(240)}${i}`))
    expect(() => say('ann', edits)).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }))
  })

  test('together with others leaves room to delete', () => {
    const keyword = say('ann', [put('keywords/old')])
    const full = [...filling('mallory'), ...filling('mordred'), keyword]
    const deletion = bare('bob', 0, { edits: [drop('keywords/old')], after: [keyword.id] })
    const addition = bare('cat', 0, { edits: [put('keywords/new')] })
    const build = buildOf([...full, deletion, addition])
    expect(build.isFull).toBe(true)
    expect(statusesOf(build)[deletion.id]).toBe('derived')
    expect(holdersOf(build)['keywords/old']).toBeUndefined()
    const isFirst = statusesOf(build)[addition.id] === 'derived'
    expect(holdersOf(build)['keywords/new'] === undefined).toBe(!isFirst)
  })
})

describe('a rollover', () => {
  test('keeps beside the folded value one whose author did not know of it', () => {
    const first = say('ann', [put('title', 'One'), put('keywords/a')])
    const left = say('ann', [put('title', 'Left'), drop('keywords/a')], [first])
    const right = say('bob', [put('title', 'Right'), put('keywords/a')], [first])
    const rollover = say('ann', [], [first, left])
    const build = buildOf([first, left, right, rollover])
    expect(statusesOf(build)).toMatchObject({ [left.id]: 'folded', [right.id]: 'derived' })
    expect(holdersOf(build)).toEqual({ title: [left.id, right.id].toSorted(), 'keywords/a': [right.id] })
  })

  test('that comes after another one of its epoch, and is lower, is the one on all nodes', () => {
    const first = say('ann', [put('title', 'One')])
    const [low, high] = [say('ann', [], [first], 1), say('bob', [], [first], 2)].toSorted((a, b) =>
      a.id < b.id ? -1 : 1
    )
    if (low === undefined || high === undefined) throw new Error('two rollovers')
    const edit = say('cat', [put('title', 'Two')], [first, high])
    const engine = new Engine()
    const request = { key: 'd' }
    engine.update({ ...request, made: '1', from: undefined, facts: [first, high, edit] })
    expect(engine.update({ ...request, made: '2', from: '1', facts: [low] })).toEqual({ kind: 'anew' })
    const all = [first, high, edit, low]
    const { epoch, content } = buildOf(all).state()
    expect(epoch).toBe(low.id)
    expect(content).toEqual([{ key: 'title', values: [{ value: 'Two', fact: edit.id }] }])
    engine.dropAll()
  })

  test('folds what comes later and is below what it folds', () => {
    const first = say('ann', [put('title', 'One')])
    const second = say('bob', [put('keywords/a')], [first])
    const rollover = { ...say('cat', [], [first, second]), after: [second.id] }
    const build = buildOf([second, rollover])
    expect(append(build, [first])).toBe(false)
    expect(statusesOf(buildOf([second, rollover, first]))[first.id]).toBe('folded')
  })

  test('is followed by all that knows it, also of what was folded before', () => {
    const first = say('ann', [put('title', 'One')])
    const once = say('ann', [], [first])
    const twice = bare('bob', 0, { change: null, edits: [], after: [once.id], epoch: once.id })
    const edit = bare('cat', 0, { after: [twice.id], epoch: twice.id })
    expect(holdersOf(buildOf([first, once, twice, edit]))).toEqual({ title: [edit.id] })
  })

  test('whose owner is cut undoes nothing that others said since', () => {
    const first = say('ann', [put('title', 'One'), put('keywords/a')])
    const rollover = say('owner', [], [first])
    const second = say('bob', [put('title', 'Two'), drop('keywords/a')], [first, rollover])
    expect(holdersOf(buildOf([first, second]))).toEqual({ title: [second.id] })
  })
})

describe('facts that come later', () => {
  test('and delete leave as much room for what is put, whichever comes first', () => {
    const room = { ops: 8, bytes: 100_000, actors: 10 }
    const three = (name: string) => ['a', 'b', 'c'].map(key => put(`keywords/${name}${key}`))
    const puts = [bare('ann', 0, { edits: three('x') }), bare('bob', 0, { edits: three('y') })]
    for (const by of range(8).map(i => `cat${i}`)) {
      const deletion = bare(by, 0, { edits: [drop('keywords/q'), drop('keywords/r')] })
      const build = buildOf(puts, room)
      expect(append(build, [deletion])).toBe(true)
      expect(shownOf(build)).toEqual(shownOf(buildOf([...puts, deletion], room)))
    }
  })

  test('and follow one that changed nothing are the same on what is ready and what was saved', () => {
    const first = say('ann', [put('title', 'One')])
    const rollover = say('own', [], [first])
    const idle = bare('bob', 0, { after: [first.id], edits: [drop('keywords/none')] })
    const other = say('cat', [put('description', 'Two')], [first, rollover])
    const next = bare('bob', 1, { after: [other.id], epoch: rollover.id, edits: [put('keywords/a')] })
    const [ready, again] = [new Engine(), new Engine()]
    const result = ready.update({ key: 'd', made: '1', from: undefined, facts: [first, rollover, idle, other] })
    if (result.kind !== 'updated') throw new Error(result.kind)
    const update = { key: 'd', made: '2', from: '1', facts: [next] }
    expect(again.update({ ...update, saved: result.saved })).toEqual(ready.update(update))
    ready.dropAll()
    again.dropAll()
  })

  test('and are before others of their chain make all of it anew', () => {
    const build = buildOf([bare('ann', 1)])
    expect(append(build, [bare('ann', 0)])).toBe(false)
    expect(append(buildOf([bare('ann', 1)]), [bare('ann', 2)])).toBe(true)
  })

  test('and fill the document make all of it anew', () => {
    const room = { ops: 8, bytes: 100_000, actors: 10 }
    const build = buildOf([bare('ann', 0)], room)
    expect([1, 2, 3].map(seq => append(build, [bare('ann', seq)]))).toEqual([true, true, true])
    expect(append(build, [bare('ann', 4)])).toBe(false)
    expect(append(build, [bare('bob', 0)])).toBe(false)
  })

  test('and take no room wherever they stand are added to a full document', () => {
    const room = { ops: 8, bytes: 100_000, actors: 10 }
    const full = range(6).map(seq => bare('ann', seq))
    const more = [bare('ann', 6), bare('ann', 7), bare('eve', 0, { counts: false })]
    const build = buildOf(full, room)
    expect(build.isFull).toBe(true)
    expect(append(build, more)).toBe(true)
    expect(shownOf(build)).toEqual(shownOf(buildOf([...full, ...more], room)))
    expect(append(buildOf(full, room), [bare('ann', 6, { edits: [drop('title')] })])).toBe(false)
    expect(append(buildOf(full, room), [bare('bob', 0)])).toBe(false)
  })
})

test('a document that was full of conflicts, deletions and folds is saved and read as it is', () => {
  const crowd = range(40).map(i => say(`p${i}`, [put('title', `${i}`), put(`keywords/k${i % 7}`)]))
  const rollover = say('ann', [], crowd)
  const late = say('p1', [drop('keywords/k1'), put('title', 'late')], crowd.slice(0, 20))
  const engine = new Engine()
  const facts = [...crowd, rollover, late]
  const result = engine.update({ key: 'd', made: '1', from: undefined, facts })
  if (result.kind !== 'updated') throw new Error(result.kind)
  const again = new Engine()
  const next = say('bob', [put('title', 'next')], facts)
  const update = { key: 'd', made: '2', from: '1', facts: [next] }
  expect(again.update({ ...update, saved: result.saved })).toEqual(engine.update(update))
  engine.dropAll()
  again.dropAll()
  expect(new AutomergeDocument().heads()).toEqual([])
})
