import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { Editors, put } from '../support/documents/editors.ts'

const root = person('root')
const people = ['ann', 'bob', 'carol', 'dora', 'eve', 'fred'].map(name => person(name))
const devices: readonly Person[] = people.flatMap(who =>
  Array.from({ length: 12 }, (_, i) => ({ ...who, chain: person(`${who.did} ${i}`).chain }))
)

/** A package that more devices edit at the same time than one edit can follow. */
async function crowd() {
  const facts = new FactWriter(root)
  const claim = facts.claim('tool', { keys: [root.did, ...people.map(({ did }) => did)] })
  const editors = new Editors(facts, subject('tool'), facts.cite(claim))
  const before = [...facts.all]
  const tips: { readonly by: Person; readonly made: Made }[] = []
  for (const [i, by] of devices.entries())
    tips.push({ by, made: await editors.edit(by, [put('title', `Title ${i}`)], before) })
  expect(tips.length).toBeGreaterThan(LIMITS.document.after)
  const sorted = tips.toSorted((a, b) => (a.made.id < b.made.id ? -1 : 1))
  return { facts, editors, first: sorted[0], last: sorted.at(-1), tips: sorted }
}

describe('of more lines of history than an edit can name', () => {
  test('everybody can still edit, on top of the own line and of as many others as there is room for', async () => {
    const { editors, last, first } = await crowd()
    // The one whose own line is not among those that are named first.
    for (const tip of [last, first]) {
      if (tip === undefined) throw new TypeError('nobody is there')
      const made = await editors.edit(tip.by, [put('keywords/more')])
      const { statuses } = await editors.document()
      expect(statuses[made.id]).toBe('native')
    }
  })

  test('two edits bring them together', async () => {
    const { editors, first } = await crowd()
    if (first === undefined) throw new TypeError('nobody is there')
    for (const title of ['Some', 'All']) await editors.edit(first.by, [put('title', title)])
    expect((await editors.document()).content['title']).toEqual(['All'])
  })

  test('a rollover folds those that it follows, and an edit can still settle what the base has', async () => {
    const { editors, tips, first } = await crowd()
    if (first === undefined) throw new TypeError('nobody is there')
    const gathered = await editors.edit(first.by, [put('keywords/gathered')])
    const open = tips.slice(LIMITS.document.after).map(({ made }) => made)
    const { content: before } = await editors.document()
    const rollover = editors.rollover(root, [gathered, ...open])
    const folded = await editors.document()
    expect(folded.state.epoch).toBe(rollover.id)
    expect(folded.content['title']).toEqual(before['title'])
    const settled = await editors.edit(first.by, [put('title', 'All')])
    const { content, statuses } = await editors.document()
    expect(statuses[settled.id]).toBe('native')
    expect(content['title']).toEqual(['All'])
  })
})
