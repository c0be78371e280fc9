import { expect, test } from 'vitest'
import { above, below, informative, median, medianMs, quantile } from '../../bench/report.ts'

test('the median is the middle value, or the mean of the two in the middle', () => {
  expect(median([5, 1, 100])).toBe(5)
  expect(median([4, 1, 100, 2])).toBe(3)
})

test('a quantile is a value that was measured', () => {
  const values = Array.from({ length: 100 }, (_, index) => index + 1)
  expect(quantile(values, 0.99)).toBe(99)
  expect(quantile(values, 1)).toBe(100)
  expect(quantile([7], 0.5)).toBe(7)
})

test('a figure is judged by its value or by its ratio to the reference', () => {
  expect(below({ bench: 'a/b', value: 150, unit: 'ms' }, 150)).toEqual({
    bench: 'a/b',
    value: 150,
    unit: 'ms',
    target: '<= 150 ms',
    met: true
  })
  const measured = { bench: 'a/b', value: 30, unit: 'MB/s', reference: 40 }
  expect(above(measured, 0.8, 'ratio')).toMatchObject({ ratio: 0.75, target: '>= 0.8x reference', met: false })
  expect(above(measured, 0.7, 'ratio').met).toBe(true)
})

test('a ratio without a reference is never met', () => {
  expect(below({ bench: 'a/b', value: 1, unit: 'ms' }, 2, 'ratio').met).toBe(false)
})

test('refuses a time that is measured fewer than five times', async () => {
  let runs = 0
  await expect(medianMs(4, async () => runs++)).rejects.toThrow('at least 5 times')
  await medianMs(5, async () => runs++)
  expect(runs).toBe(6)
})

test('what nothing is promised of has no target and counts as met', () => {
  expect(informative({ bench: 'a/b', value: 3, unit: 'packages/s', input: 'examples' })).toEqual({
    bench: 'a/b',
    value: 3,
    unit: 'packages/s',
    input: 'examples',
    target: null,
    met: true
  })
})

test('what comes before each run is not part of the time', async () => {
  const steps: string[] = []
  await medianMs(5, async () => steps.push('work'), { before: async () => steps.push('before') })
  expect(steps.length).toBe(12)
  expect(steps.slice(0, 4)).toEqual(['before', 'work', 'before', 'work'])
})
