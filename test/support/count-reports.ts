import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { stripVTControlCharacters } from 'node:util'

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly FileReport[]
}

interface FileReport {
  readonly name: string
  readonly status: string
  readonly message: string
  readonly assertionResults: readonly {
    readonly ancestorTitles: readonly string[]
    readonly title: string
    readonly status: string
    readonly failureMessages: readonly string[]
  }[]
}

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

interface Failure {
  readonly file: string
  readonly name: string
  readonly message: string
}

/** What a kept end of a log has room for. */
const ALL_CHARS = 8000
const HEADS_CHARS = 6000
const HEAD_CHARS = 300
const MESSAGE_CHARS = 600

/** What is wrong with a file itself: it broke before its first test, or a hook of it failed. */
function ownFailure({ name, status, message, assertionResults }: FileReport): readonly Failure[] {
  if (status !== 'failed') return []
  if (assertionResults.length === 0) return [{ file: name, name: '(before its first test)', message }]
  const hidden = message !== '' || assertionResults.every(test => test.status !== 'failed')
  return hidden ? [{ file: name, name: '(a hook of the file)', message }] : []
}

/** The counts of vitest's JSON reports, added up. A file that broke outside its tests counts as one failure. */
export function countReports(texts: readonly string[]): Counts {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const text of texts) {
    const report = JSON.parse(text) as Report
    counts.passed += report.numPassedTests
    counts.failed += report.numFailedTests + report.testResults.flatMap(ownFailure).length
    counts.skipped += report.numPendingTests + report.numTodoTests
  }
  return counts
}

/** Everything that failed in vitest's JSON reports, in their order. */
export function failuresOf(texts: readonly string[]): readonly Failure[] {
  return texts
    .flatMap(text => (JSON.parse(text) as Report).testResults)
    .flatMap(file => [
      ...ownFailure(file),
      ...file.assertionResults
        .filter(test => test.status === 'failed')
        .map(({ ancestorTitles, title, failureMessages }) => ({
          file: file.name,
          name: [...ancestorTitles, title].filter(part => part !== '').join(' > '),
          message: failureMessages.join('\n')
        }))
    ])
}

/**
 * Names of what failed, as many as the kept end of a log has room for, each with the beginning of its message as far as the
 * names leave room; and how many more there are.
 */
export function formatFailures(failures: readonly Failure[], root: string): string {
  const heads: string[] = []
  let left = ALL_CHARS
  for (const { file, name } of failures) {
    const head = `FAILED ${relative(root, file)}: ${name}`.slice(0, HEAD_CHARS)
    if (left - head.length < ALL_CHARS - HEADS_CHARS) break
    left -= head.length + 1
    heads.push(head)
  }
  const room = Math.min(MESSAGE_CHARS, Math.floor(left / Math.max(1, heads.length)))
  const lines = heads.map((head, at) => {
    const text = linesOf(failures[at]?.message ?? '', room)
    return text === '' ? head : `${head}\n${text}`
  })
  if (failures.length > heads.length) lines.push(`and ${failures.length - heads.length} more failures`)
  return lines.map(line => `${line}\n`).join('')
}

/** The beginning of a message, moved in, in so many characters. */
function linesOf(message: string, room: number): string {
  const text = stripVTControlCharacters(message).trim().slice(0, room)
  const moved = text === '' ? '' : `  ${text.split(/\r?\n/u).join('\n  ')}`
  return moved.slice(0, Math.max(0, room - 1)).trimEnd()
}

/** The line a run ends with: `12 passed, 0 failed`, and how many were skipped if any were. */
export function formatCounts({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

// The first argument names the steps that failed and have no failing test, with commas between: each counts as one failure.
if (import.meta.main) {
  const [names = '', ...files] = process.argv.slice(2)
  const steps = names.split(',').filter(name => name !== '')
  const texts = files.map(file => readFileSync(file, 'utf8'))
  const counts = countReports(texts)
  process.stdout.write(
    [
      formatFailures(failuresOf(texts), process.cwd()),
      ...steps.map(name => `FAILED step: ${name}\n`),
      `${formatCounts({ ...counts, failed: counts.failed + steps.length })}\n`
    ].join('')
  )
}
