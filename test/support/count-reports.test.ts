import { expect, test } from 'vitest'
import { countReports, failuresOf, formatCounts, formatFailures } from './count-reports.ts'

const passing = { ancestorTitles: [], title: 'holds', status: 'passed', failureMessages: [] }
const failing = {
  ancestorTitles: ['a group'],
  title: 'breaks',
  status: 'failed',
  failureMessages: ['\u001b[31mAssertionError\u001b[39m: expected 1 to be 2\n    at line 3']
}
const skipped = { ...passing, status: 'skipped' }

/** A report of one file. */
const report = (status: string, tests: readonly (typeof passing | typeof failing)[], message = ''): string => {
  const count = (wanted: string): number => tests.filter(each => each.status === wanted).length
  return JSON.stringify({
    numPassedTests: count('passed'),
    numFailedTests: count('failed'),
    numPendingTests: count('skipped'),
    numTodoTests: 0,
    testResults: [{ name: '/root/test/one.test.ts', status, message, assertionResults: tests }]
  })
}

const shown = (...texts: string[]): string => formatFailures(failuresOf(texts), '/root')

test('adds up the reports of several runs', () => {
  const reports = [report('passed', [passing, passing]), report('failed', [passing, failing])]
  expect(formatCounts(countReports(reports))).toBe('3 passed, 1 failed')
})

test('says how many were skipped, if any were', () => {
  expect(formatCounts(countReports([report('passed', [passing, skipped])]))).toBe('1 passed, 0 failed, 1 skipped')
})

test('names a test that failed, with the beginning of its message, without colours', () => {
  expect(shown(report('passed', [passing]), report('failed', [failing, passing]))).toBe(
    'FAILED test/one.test.ts: a group > breaks\n  AssertionError: expected 1 to be 2\n      at line 3\n'
  )
})

test('counts and names a file that broke before its first test', () => {
  const broken = report('failed', [], 'cannot find module')
  expect(countReports([broken, report('passed', [passing])])).toEqual({ passed: 1, failed: 1, skipped: 0 })
  expect(shown(broken)).toBe('FAILED test/one.test.ts: (before its first test)\n  cannot find module\n')
})

test('counts and names a file whose hook failed, also beside a failing test', () => {
  const silent = report('failed', [skipped])
  expect(countReports([silent])).toEqual({ passed: 0, failed: 1, skipped: 1 })
  expect(shown(silent)).toBe('FAILED test/one.test.ts: (a hook of the file)\n')
  const both = report('failed', [failing], 'hook timed out')
  expect(countReports([both]).failed).toBe(2)
  expect(shown(both)).toContain('(a hook of the file)\n  hook timed out\nFAILED test/one.test.ts: a group > breaks')
})

test('shows no failures where there are none', () => {
  expect(shown(report('passed', [passing, skipped]))).toBe('')
})

test('keeps to the end of a log however many tests fail and however much they say', () => {
  const long = { ...failing, failureMessages: ['x\n'.repeat(1_000)] }
  const one = shown(report('failed', [long]))
  expect(one.length).toBeLessThan(700)
  const many = shown(report('failed', Array<typeof failing>(1_000).fill(long)))
  expect(many).toMatch(/and \d+ more failures\n$/u)
  expect(many.length).toBeLessThan(8_100)
})

test('leaves out no name where the names alone have room, whatever the tests say', () => {
  const tests = Array.from({ length: 90 }, (_, n) => ({
    ...failing,
    title: `breaks ${n}`,
    failureMessages: ['x\n'.repeat(1_000)]
  }))
  const text = shown(report('failed', tests))
  for (const { title } of tests) expect(text).toContain(`a group > ${title}\n`)
  expect(text).not.toContain('more failures')
  expect(text.length).toBeLessThan(8_100)
})
