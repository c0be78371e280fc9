import { readFileSync } from 'node:fs'

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[]
}

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** The counts of vitest's JSON reports, added up. A test file that broke before its first test counts as one failure. */
export function countReports(texts: readonly string[]): Counts {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const text of texts) {
    const report = JSON.parse(text) as Report
    const broken = report.testResults.filter(
      file => file.status === 'failed' && file.assertionResults.length === 0
    ).length
    counts.passed += report.numPassedTests
    counts.failed += report.numFailedTests + broken
    counts.skipped += report.numPendingTests + report.numTodoTests
  }
  return counts
}

/** The line a run ends with: `12 passed, 0 failed`, and how many were skipped if any were. */
export function formatCounts({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

// The first argument is how many steps that are no tests have failed: a failed check must not close on "0 failed".
if (import.meta.main) {
  const [steps = '0', ...files] = process.argv.slice(2)
  const counts = countReports(files.map(file => readFileSync(file, 'utf8')))
  process.stdout.write(`${formatCounts({ ...counts, failed: counts.failed + Number(steps) })}\n`)
}
