import { expect, test } from 'vitest'
import { corruptAnswers } from '../support/corrupt-answers.ts'

const [FROM, TO] = [0, 1_500]

test('of corrupted answers nothing wrong is kept, and who lied is blamed for it each time', async () => {
  const counts = await corruptAnswers(FROM, TO)
  // Each of these is some of the rounds: what is checked did happen.
  expect(counts.lied).toBeGreaterThan((TO - FROM) / 4)
  expect(counts.malformed).toBeGreaterThan((TO - FROM) / 100)
  expect(counts.nobody).toBeGreaterThan((TO - FROM) / 20)
})
