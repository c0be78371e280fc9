import { describe, expect, test } from 'vitest'
import type { FactId } from '../../protocol/cid.ts'
import type { DocumentState } from '../../protocol/document/document.ts'
import type { DocumentValue } from '../../protocol/document/edits.ts'
import { catalogueOf, distinctValues, wordsOf } from '../../protocol/document/words.ts'
import { person, subject } from '../support/facts.ts'

const KEY = person('ann').did
const TOOL = subject('tool')

/** A document; of several values of a key the first is the one that is shown. Who said the n-th is `fact n`. */
function stateOf(content: Readonly<Record<string, DocumentValue | readonly DocumentValue[]>>): DocumentState {
  const held = Object.entries(content).map(([key, said]) => ({
    key,
    values: [said].flat().map((value, n) => ({ value, fact: `fact ${n}` as FactId }))
  }))
  return { made: '', epoch: null, heads: [], content: held }
}

describe('the words of a package', () => {
  test('are nothing where nothing was said', () => {
    expect(wordsOf(TOOL, stateOf({}))).toEqual({
      title: null,
      description: null,
      keywords: [],
      categories: [],
      links: [],
      tags: [],
      deprecated: [],
      maintainers: [],
      conflicts: []
    })
  })

  test('are read off their keys, each field in the order of its names', () => {
    const words = wordsOf(
      TOOL,
      stateOf({
        title: 'Tool',
        description: 'what it does',
        'keywords/web': true,
        'keywords/a/b': true,
        'categories/cli': true,
        'links/source': 'https://example.org/s',
        'links/home': 'https://example.org/h',
        'tags/next': '2.0.0',
        'deprecated/<1 || >3': 'use 2',
        [`maintainers/${KEY}`]: 'Ann'
      })
    )
    expect(words).toEqual({
      title: 'Tool',
      description: 'what it does',
      keywords: ['a/b', 'web'],
      categories: ['cli'],
      links: [
        ['home', 'https://example.org/h'],
        ['source', 'https://example.org/s']
      ],
      tags: [{ tag: 'next', versions: ['2.0.0'] }],
      deprecated: [{ range: '<1 || >3', text: 'use 2' }],
      maintainers: [{ key: KEY, name: 'Ann' }],
      conflicts: []
    })
  })

  test('show the first of several values, and all of them as a conflict', () => {
    const words = wordsOf(TOOL, stateOf({ title: ['Two', 'One'], 'tags/next': ['2.0.0', '1.0.0', '2.0.0'] }))
    expect(words.title).toBe('Two')
    expect(words.tags).toEqual([{ tag: 'next', versions: ['2.0.0', '1.0.0'] }])
    expect(words.conflicts.map(({ path }) => path)).toEqual([['tags', 'next'], ['title']])
    expect(words.conflicts.map(distinctValues)).toEqual([
      ['2.0.0', '1.0.0'],
      ['Two', 'One']
    ])
  })

  test('are in no conflict where two people said the same', () => {
    const words = wordsOf(TOOL, stateOf({ title: ['One', 'One'], 'keywords/web': [true, true] }))
    expect([words.title, words.keywords, words.conflicts]).toEqual(['One', ['web'], []])
  })
})

describe('a catalogue', () => {
  test('is read off its keys', () => {
    const state = stateOf({
      'categories/cli': 'for terminals',
      'categories/web': true,
      'bundles/starter': 'To begin with',
      'scores/starter': '80',
      'members/starter/ggen/b': '^1.0.0',
      'members/starter/ggen/a': '*',
      'bundles/empty': 'Nothing yet',
      'announcements/one': 'moving'
    })
    expect(catalogueOf(state)).toEqual({
      categories: [
        { name: 'cli', description: 'for terminals' },
        { name: 'web', description: '' }
      ],
      bundles: [
        { name: 'empty', title: 'Nothing yet', minScore: null, members: [], conflicts: [] },
        {
          name: 'starter',
          title: 'To begin with',
          minScore: 80,
          members: [
            { name: 'ggen/a', range: '*' },
            { name: 'ggen/b', range: '^1.0.0' }
          ],
          conflicts: []
        }
      ],
      announcements: [{ id: 'one', text: 'moving', fact: 'fact 0' }],
      conflicts: []
    })
  })

  test('does not bring back a bundle that was taken away, for members that were added beside it', () => {
    const { bundles, conflicts } = catalogueOf(stateOf({ 'members/gone/ggen/a': ['1', '2'], 'scores/gone': '80' }))
    expect(bundles).toEqual([])
    expect(conflicts).toHaveLength(1)
  })

  test('has a conflict about a bundle in that bundle, and of like names in no other', () => {
    const state = stateOf({
      'bundles/a': ['One', 'Two'],
      'bundles/a-b': 'Other',
      'scores/a': ['80', '90'],
      'members/a/ggen/x': ['^1.0.0', '^2.0.0'],
      'categories/a': ['One', 'Two'],
      'announcements/a': ['One', 'Two']
    })
    const { bundles, conflicts } = catalogueOf(state)
    const keys = bundles.map(bundle => [bundle.name, bundle.conflicts.map(({ key }) => key)])
    expect(keys).toEqual([
      ['a', ['bundles/a', 'members/a/ggen/x', 'scores/a']],
      ['a-b', []]
    ])
    expect(conflicts).toHaveLength(5)
    expect(bundles[0]).toMatchObject({ title: 'One', minScore: 80, members: [{ name: 'ggen/x', range: '^1.0.0' }] })
  })
})
