import { expect, test } from 'vitest'
import { isLicence, isSatisfied, parseLicence } from '../../protocol/policy/licence.ts'
import { codeOf } from '../support/error-code.ts'

test.each([
  ['MIT', ['MIT'], true],
  ['MIT OR Apache-2.0', ['MIT'], true],
  ['MIT OR Apache-2.0', ['Apache-2.0'], true],
  ['MIT OR Apache-2.0', ['ISC'], false],
  ['MIT AND ISC', ['MIT'], false],
  ['MIT AND ISC', ['MIT', 'ISC'], true],
  ['ISC OR MIT AND GPL-3.0-only', ['MIT'], false],
  ['(ISC OR MIT) AND GPL-3.0-only', ['MIT', 'GPL-3.0-only'], true],
  ['(MIT)', ['MIT'], true],
  ['GPL-2.0+', ['GPL-2.0'], false],
  ['GPL-2.0+', ['GPL-2.0+'], true],
  ['Apache-2.0 WITH LLVM-exception', ['Apache-2.0'], false],
  ['Apache-2.0 WITH LLVM-exception', ['Apache-2.0 WITH LLVM-exception'], true],
  ['LicenseRef-acme OR MIT', ['MIT'], true]
])('%s is satisfied by %j: %s', (expression, accepted, expected) => {
  expect(isSatisfied(parseLicence(expression), new Set(accepted))).toBe(expected)
})

test.each([
  '',
  ' ',
  'mit',
  'MIT/Apache-2.0',
  'MIT OR',
  'OR MIT',
  'MIT ISC',
  '(MIT',
  'MIT)',
  '()',
  'MIT or ISC',
  'MIT WITH',
  'MIT WITH OR',
  'Apache-2.0 WITH LLVM-exception WITH LLVM-exception',
  '(MIT OR ISC) WITH LLVM-exception',
  'LicenseRef-',
  'constructor',
  `${'('.repeat(90)}MIT${')'.repeat(90)} OR ${'A'.repeat(200)}`
])('%j is no licence', text => {
  expect(codeOf(() => parseLicence(text))).toBe('INVALID_LICENCE')
  expect(isLicence(text)).toBe(false)
})
