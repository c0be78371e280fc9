import { expect, test } from 'vitest'
import { countReports, formatCounts } from './count-reports.ts'

const report = (passed: number, failed: number, pending: number, broken = 0): string =>
  JSON.stringify({
    numPassedTests: passed,
    numFailedTests: failed,
    numPendingTests: pending,
    numTodoTests: 0,
    testResults: [
      { status: 'failed', assertionResults: [{}] },
      ...Array.from({ length: broken }, () => ({ status: 'failed', assertionResults: [] }))
    ]
  })

test('adds up the reports of several runs', () => {
  expect(formatCounts(countReports([report(3, 0, 0), report(4, 1, 0)]))).toBe('7 passed, 1 failed')
})

test('says how many were skipped, if any were', () => {
  expect(formatCounts(countReports([report(3, 0, 2)]))).toBe('3 passed, 0 failed, 2 skipped')
})

test('counts a file that broke before its first test as a failure', () => {
  expect(countReports([report(3, 0, 0, 2)])).toEqual({ passed: 3, failed: 2, skipped: 0 })
})
