import { describe, expect, test } from 'vitest'
import { isRegistryError } from '../../protocol/errors.ts'
import { parseGgenName, parsePackageName } from '../../protocol/package-name.ts'
import { parseReference } from '../../protocol/reference.ts'
import { affixedSkeletons, isOneSlipAway, nearSkeletons, skeletonOf } from '../../protocol/similar-name.ts'
import { quoted, strangeIn } from '../../protocol/strange-text.ts'
import { vectors } from '../support/vectors.ts'

const names = ['advanced-rust-project', 'hello-world', 'left-pad', 'io_core', 'rest.api', 'zod']

const isFlagged = (name: string, existing: string): boolean =>
  skeletonOf(name) === skeletonOf(existing) || nearSkeletons(name).has(skeletonOf(existing))

describe('two names', () => {
  test.each([
    ['left-pad', 'leftpad'],
    ['left-pad', 'Left_Pad'],
    ['1eft-pad', 'left-pad'],
    ['he11o-w0rld', 'hello-world'],
    ['rnodern', 'modern'],
    ['vvidget', 'widget'],
    ['pub1ic-ap1', 'public-api']
  ])('are one trap: %s and %s', (a, b) => expect(skeletonOf(a)).toBe(skeletonOf(b)))

  test.each([
    ['letf-pad', 'a transposition'],
    ['left-pda', 'one at the end'],
    ['eft-pad', 'the first letter left out'],
    ['left-pa', 'the last one left out'],
    ['lefft-pad', 'a letter twice'],
    ['left-pads', 'a letter more'],
    ['left-bad', 'another letter'],
    ['left-pad-js', 'an affix'],
    ['left-pad.js', 'an affix behind a dot'],
    ['leftpadjs', 'one without a dash'],
    ['node-left-pad', 'a prefix'],
    ['python-left-pad', 'another one']
  ])('come near each other: left-pad and %s, %s', name => {
    expect(isFlagged(name, 'left-pad')).toBe(true)
    expect(isFlagged('left-pad', name)).toBe(true)
    expect(skeletonOf(name)).not.toBe(skeletonOf('left-pad'))
  })

  test.each([
    ['right-pad', 'left-pad'],
    ['left-path', 'left-pad'],
    ['zed', 'zod'],
    ['next', 'nest'],
    ['log', 'dog'],
    ['react-router', 'react-redux']
  ])('are different: %s and %s', (a, b) => expect(isFlagged(a, b)).toBe(false))

  test.each(['left-pad', 'zod', 'noon', 'advanced-rust-project', 'n', 'js-node', 'aabb'])(
    'that come near %s are one slip or an affix away from it: a quick look misses none',
    name => {
      const [own, affixed] = [skeletonOf(name), new Set(affixedSkeletons(name))]
      const missed = [...nearSkeletons(name)].filter(one => !affixed.has(one) && !isOneSlipAway(own, one))
      expect(missed).toEqual([])
      expect(isOneSlipAway(own, own)).toBe(false)
      expect(isOneSlipAway(own, `${own}xy`)).toBe(false)
      expect(isOneSlipAway(`x${own}`, `${own}y`)).toBe(false)
    }
  )

  test.each([
    ['leftpad', 'letfpda'],
    ['leftpad', 'lefftpaad'],
    ['leftpad', 'tefplad']
  ])('of more than one slip are further away: %s and %s', (a, b) => expect(isOneSlipAway(a, b)).toBe(false))

  test('are compared at a cost that their number has no part in', () => {
    expect(nearSkeletons('a'.repeat(214)).size).toBeLessThan(16_000)
    expect(nearSkeletons('advanced-rust-project').size).toBeLessThan(1_500)
  })
})

describe('a character that is not what it looks like', () => {
  const confusables = vectors('confusables.txt').map(line => line.split(' '))

  test('is refused in every name, and named by its number', () => {
    expect(confusables.length).toBeGreaterThan(600)
    let refused = 0
    for (const [hex = '', letter = ''] of confusables) {
      const strange = String.fromCodePoint(Number.parseInt(hex, 16))
      for (const name of names.filter(one => one.includes(letter))) {
        for (const parse of [parseGgenName, parseReference, (text: string) => parsePackageName(`npm/${text}`)]) {
          expect(messageOf(() => parse(name.replace(letter, strange)))).toContain(`U+${hex}`)
          refused += 1
        }
      }
    }
    expect(refused).toBeGreaterThan(3_000)
  })

  test.each([
    ['\u202e', 'U+202E', 'direction'],
    ['\u2066', 'U+2066', 'direction'],
    ['\u200b', 'U+200B', 'seen'],
    ['\u200d', 'U+200D', 'seen'],
    ['\ufeff', 'U+FEFF', 'seen'],
    ['\u00ad', 'U+00AD', 'seen'],
    ['\u{e0041}', 'U+E0041', 'seen'],
    ['\u0007', 'U+0007', 'seen'],
    ['\u0301', 'U+0301', 'mark'],
    ['\u0430', 'U+0430', 'ASCII']
  ])('%j is told as %s', (strange, number, why) => {
    const name = `left${strange}pad`
    expect(strangeIn(name)).toContain(number)
    expect(strangeIn(name)).toContain(why)
    const message = messageOf(() => parseReference(`acme:${name}@1.0.0`))
    expect(message).toContain(number)
    // What is told of it does not do what it does.
    expect(message).toMatch(/^[\x20-\x7e]+$/)
    expect(messageOf(() => parseReference(`ac${strange}me:left-pad`))).toContain(number)
  })

  test('nothing else is strange', () => {
    for (const name of names) expect(strangeIn(name)).toBeUndefined()
    expect(strangeIn(' ~')).toBeUndefined()
    expect(quoted('a"b\u202ec')).toBe('"a\\"b\\u202ec"')
  })
})

function messageOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (isRegistryError(error)) return error.message
    throw error
  }
  return 'nothing was thrown'
}
