import { expect, test } from 'vitest'
import { deprecationsOf } from '../../protocol/document/deprecation.ts'
import { parsePackageName } from '../../protocol/package-name.ts'
import { parseSemver } from '../../protocol/version.ts'

const LIB = parsePackageName('ggen/lib')

test.each([
  ['<2', ['1.0.0', '1.9.9-rc.1', '1.0.0-rc.1'], ['2.0.0', '2.0.0-rc.1', '3.0.0-rc.1']],
  ['=1.2.3', ['1.2.3'], ['1.2.4', '1.2.3-rc.1']],
  ['>=1.0.0 <1.5.0', ['1.0.0', '1.4.9', '1.2.0-rc.1'], ['1.5.0', '0.9.0']],
  ['*', ['1.0.0', '1.0.0-rc.1'], []]
])('%s is about %j and not about %j', (range, about, others) => {
  const deprecations = deprecationsOf(LIB, [{ range, text: 'use 2.x' }])
  for (const version of about) expect(deprecations(parseSemver(version))).toEqual([{ range, text: 'use 2.x' }])
  for (const version of others) expect(deprecations(parseSemver(version))).toEqual([])
})

test('a range that cannot be read is about nothing, and the others still are', () => {
  const deprecated = [
    { range: 'nonsense', text: 'a' },
    { range: '<2', text: 'b' },
    { range: '<3', text: 'c' }
  ]
  expect(deprecationsOf(LIB, deprecated)(parseSemver('1.0.0')).map(({ text }) => text)).toEqual(['b', 'c'])
})
