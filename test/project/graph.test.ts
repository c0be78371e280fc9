import { expect, test } from 'vitest'
import { packageNameOf } from '../../protocol/package-name.ts'
import { inOrder, reachable, treeOf, wantedIds, whyOf } from '../../node/services/project/graph.ts'
import type { TreeNode } from '../../node/services/project/graph.ts'
import { EMPTY_LOCK } from '../../node/services/project/lock-format.ts'
import type { Lock, LockedPack } from '../../node/services/project/lock-format.ts'

/** `{ a: 'b c', '!b': '' }`: what needs what; `!` before what the project wants itself. */
function lockOf(edges: Readonly<Record<string, string>>): Lock {
  const packs = Object.entries(edges).map(([key, needs]) => {
    const id = key.replace('!', '')
    const wanted = key.startsWith('!') ? { requested: '*' } : {}
    const dependencies = needs.split(' ').filter(each => each !== '')
    return [
      id,
      { id, name: packageNameOf('ggen', id), version: '1.0.0', dependencies, ...wanted } as unknown as LockedPack
    ] as const
  })
  return { ...EMPTY_LOCK, packs: new Map(packs) }
}

const shown = (nodes: readonly TreeNode[]): unknown =>
  nodes.map(({ id, again, children }) => [again ? `${id}*` : id, shown(children)])
const ids = (packs: readonly LockedPack[]): string => packs.map(({ id }) => id).join(' ')

const DIAMOND = lockOf({ '!app': 'right left', left: 'base', right: 'base', base: 'tiny', tiny: '', '!extra': 'base' })
const CIRCLE = lockOf({ '!a': 'b', b: 'c', c: 'a' })

test('what the project wants is in the order of the ids', () => {
  expect(wantedIds(DIAMOND)).toEqual(['app', 'extra'])
})

test('a tree lists the dependencies of a package once', () => {
  expect(shown(treeOf(DIAMOND))).toEqual([
    [
      'app',
      [
        ['left', [['base', [['tiny', []]]]]],
        ['right', [['base*', []]]]
      ]
    ],
    ['extra', [['base*', []]]]
  ])
})

test('a tree of a circle ends', () => {
  expect(shown(treeOf(CIRCLE))).toEqual([['a', [['b', [['c', [['a*', []]]]]]]]])
})

test('why is the shortest way from each wish', () => {
  expect(whyOf(DIAMOND, 'tiny')).toEqual([
    ['app', 'left', 'base', 'tiny'],
    ['extra', 'base', 'tiny']
  ])
  expect(whyOf(DIAMOND, 'app')).toEqual([['app']])
  expect(whyOf(CIRCLE, 'c')).toEqual([['a', 'b', 'c']])
})

test('dependencies come before what depends on them, each once', () => {
  expect(ids(inOrder(DIAMOND, wantedIds(DIAMOND)))).toBe('tiny base left right app extra')
  expect(ids(inOrder(CIRCLE, ['a']))).toBe('c b a')
})

test('a chain that is longer than the stack is deep is walked to its end', () => {
  const chain = lockOf(
    Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`p${i}`, i < 49_999 ? `p${i + 1}` : '']))
  )
  expect(inOrder(chain, ['p0'])).toHaveLength(50_000)
  expect(reachable(chain, ['p0']).size).toBe(50_000)
})

test('only what a wish leads to is reachable', () => {
  expect([...reachable(lockOf({ '!a': 'b', b: '', c: 'b' }), ['a'])].toSorted()).toEqual(['a', 'b'])
})
