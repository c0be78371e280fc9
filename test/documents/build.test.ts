import { describe, expect, test } from 'vitest'
import { FactWriter, person, subject } from '../support/facts.ts'
import { drop, Editors, put } from '../support/documents/editors.ts'

const alice = person('alice')
const bob = person('bob')
const carol = person('carol')

/** A package of alice and bob, in a registry of carol. */
function team(): { facts: FactWriter; editors: Editors } {
  const facts = new FactWriter(carol)
  facts.grant(alice.did, 'curator')
  const claim = facts.claim('tool', { by: carol, keys: [alice.did, bob.did] })
  return { facts, editors: new Editors(facts, subject('tool'), facts.cite(claim)) }
}

describe('a document', () => {
  test('says what its edits say', async () => {
    const { editors } = team()
    await editors.edit(alice, [
      put('title', 'Tool'),
      put('keywords/web'),
      put('links/homepage', 'https://example.org/')
    ])
    await editors.edit(bob, [put('title', 'The Tool'), drop('keywords/web')])
    const { content, statuses } = await editors.document()
    expect(content).toEqual({ title: ['The Tool'], 'links/homepage': ['https://example.org/'] })
    expect(Object.values(statuses)).toEqual(['native', 'native'])
  })

  test('keeps both of two edits that did not know of each other, and the next one settles it', async () => {
    const { facts, editors } = team()
    const first = await editors.edit(alice, [put('title', 'One'), put('keywords/a')])
    const before = [...facts.all]
    const a = await editors.edit(alice, [put('title', 'Two'), put('keywords/b')], before)
    const b = await editors.edit(bob, [put('title', 'Three'), put('keywords/c')], before)
    const { content, state } = await editors.document()
    expect(content['title']?.toSorted()).toEqual(['Three', 'Two'])
    expect(Object.keys(content)).toEqual(['keywords/a', 'keywords/b', 'keywords/c', 'title'])
    const said = state.content.find(({ key }) => key === 'title')?.values
    expect(said?.map(({ fact }) => fact).toSorted()).toEqual([a.id, b.id].toSorted())
    expect(state.content.find(({ key }) => key === 'keywords/a')?.values[0]?.fact).toBe(first.id)
    await editors.edit(bob, [put('title', 'Four')])
    expect((await editors.document()).content['title']).toEqual(['Four'])
  })

  test('goes on without the edit that is missing, and with it when it comes', async () => {
    const { facts, editors } = team()
    await editors.edit(alice, [put('title', 'One')])
    const missing = await editors.edit(bob, [put('keywords/x')])
    const last = await editors.edit(alice, [put('title', 'Two'), put('keywords/y')])
    const without = await editors.document(facts.all.filter(({ id }) => id !== missing.id))
    expect(without.content).toEqual({ 'keywords/y': [true], title: ['Two'] })
    expect(without.statuses[last.id]).toBe('derived')
    const whole = await editors.document()
    expect(whole.content).toEqual({ 'keywords/x': [true], 'keywords/y': [true], title: ['Two'] })
    expect(whole.statuses[last.id]).toBe('native')
  })

  test('begins anew from what an owner folds, with conflicts kept', async () => {
    const { facts, editors } = team()
    await editors.edit(alice, [put('title', 'One')])
    const before = [...facts.all]
    const a = await editors.edit(alice, [put('title', 'Two'), put('keywords/a')], before)
    const b = await editors.edit(bob, [put('title', 'Three'), put('description', 'what it is')], before)
    const unfolded = await editors.document()
    const late = await editors.edit(bob, [put('keywords/late')], [...facts.all])
    const rollover = editors.rollover(alice, [a, b])
    const next = await editors.document()
    expect(next.state.epoch).toBe(rollover.id)
    expect(next.content).toEqual({ ...unfolded.content, 'keywords/late': [true] })
    expect(next.statuses[late.id]).toBe('derived')
    expect(next.statuses[a.id]).toBe('folded')
    const said = next.state.content.find(({ key }) => key === 'title')?.values
    expect(said).toEqual(unfolded.state.content.find(({ key }) => key === 'title')?.values)
    const after = await editors.edit(bob, [put('title', 'Settled')])
    const settled = await editors.document()
    expect(settled.statuses[after.id]).toBe('native')
    expect(settled.content['title']).toEqual(['Settled'])
  })
})
