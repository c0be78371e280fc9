import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareBytes, compareText, utf8 } from '../../protocol/bytes.ts'

test('texts are compared as their UTF-8 bytes are, unpaired surrogates and all', () => {
  // Few characters, so that texts begin alike: around the surrogates, where UTF-16 and UTF-8 sort differently.
  const unit = fc.constantFrom(
    'a',
    'b',
    '\ud7ff',
    '\ud800',
    '\udbff',
    '\udc00',
    '\udfff',
    '\ue000',
    '\uffff',
    '\u{10000}'
  )
  const text = fc.array(unit, { maxLength: 5 }).map(units => units.join(''))
  fc.assert(
    fc.property(text, text, (a, b) => {
      if (a !== b) expect(Math.sign(compareText(a, b))).toBe(Math.sign(compareBytes(utf8(a), utf8(b))))
      else expect(compareText(a, b)).toBe(0)
    }),
    { numRuns: 5_000 }
  )
})
