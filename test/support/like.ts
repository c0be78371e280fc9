import { expect } from 'vitest'

// vitest's matchers are `any`, which the linter takes for a hole wherever they stand in a pattern.

/** Stands for a text that holds another one. */
export const containing = (text: string): unknown => expect.stringContaining(text)

/** Stands for a text that matches. */
export const matching = (pattern: RegExp): unknown => expect.stringMatching(pattern)

/** Stands for any value of a type: `some(Number)`. */
export const some = (type: NumberConstructor | StringConstructor | ArrayConstructor | ObjectConstructor): unknown =>
  expect.any(type)
