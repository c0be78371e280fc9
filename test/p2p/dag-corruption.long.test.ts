import { expect, test } from 'vitest'
import { corruptAnswers } from '../support/corrupt-answers.ts'

const [FROM, TO] = [10_000, 20_000]

test('the same of ten thousand more', async () => {
  const counts = await corruptAnswers(FROM, TO)
  // Each of these is some of the rounds: what is checked did happen.
  expect(counts.lied).toBeGreaterThan((TO - FROM) / 4)
  expect(counts.malformed).toBeGreaterThan((TO - FROM) / 100)
  expect(counts.nobody).toBeGreaterThan((TO - FROM) / 20)
}, 120_000)
