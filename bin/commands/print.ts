import { stripVTControlCharacters, styleText } from 'node:util'
import { ERROR_CODES, RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import type { ErrorCode } from '../../protocol/errors.ts'

/** How the command was asked to speak. */
export interface Voice {
  readonly json: boolean
}

/** Cuts control characters out of what other people wrote, so that a description can't move the cursor. */
export function safe(text: string): string {
  return stripVTControlCharacters(text).replace(/[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069]/gu, ' ')
}

export function print(text = ''): void {
  process.stdout.write(`${text}\n`)
}

/** One JSON object on one line of standard output. What could move a cursor or turn text round is written as \uXXXX. */
export function printJson(value: unknown): void {
  const text = JSON.stringify(value).replace(
    /[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
  process.stdout.write(`${text}\n`)
}

/** The shape of what `--json` prints: docs/cli-json.md. Raised when a field goes or changes its meaning. */
export const JSON_VERSION = 1

/** A result for people or for programs. */
export function report(voice: Voice, result: object, lines: () => readonly string[]): void {
  if (voice.json) printJson({ ok: true, v: JSON_VERSION, ...result })
  else for (const line of lines()) print(line)
}

/** Columns as wide as their widest cell; the last one takes what is left. */
export function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = []
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  return rows.map(row =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  )
}

/** A text of at most so many characters. */
export function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`
}

/** `1 file`, `2 files`. */
export function countOf(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? '' : 's'}`
}

export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}

/** What a person can do where whoever threw did not know it better. */
const NEXT: Readonly<Partial<Record<ErrorCode, string>>> = {
  CANCELLED: 'run it again: nothing was left half done',
  DISK_FULL: 'free some space on that disk, and run it again',
  INTERNAL: 'please report this, with the command that caused it',
  INVALID_NAME: 'correct the name: a-z and 0-9, joined by single ".", "_" or "-"',
  INVALID_REFERENCE: 'write it as [registry:]name[@range]',
  INVALID_VERSION: 'write the version as MAJOR.MINOR.PATCH',
  UNKNOWN_FILE: 'check the path',
  UNKNOWN_PACKAGE: 'ggen-node search WORDS shows what the registry holds',
  UNKNOWN_VERSION: 'ggen-node show NAME lists its versions',
  USAGE: 'ggen-node --help lists all commands'
}

/** What happened, what was tried, what to do next. Returns the exit code. */
export function printError(error: unknown, voice: Voice): number {
  const known = isRegistryError(error) ? error : new RegistryError('INTERNAL', messageOf(error))
  const { code, message, tried, verdicts, detail } = known
  const next = known.next ?? NEXT[code] ?? 'ggen-node doctor looks for what is wrong here'
  const refused = verdicts.length === 0 ? {} : { verdicts }
  if (voice.json) printJson({ ok: false, v: JSON_VERSION, error: { code, message, tried, next, detail, ...refused } })
  else {
    // styleText asks the stream: no colours into a pipe, none with NO_COLOR.
    const head = styleText('red', 'error', { stream: process.stderr })
    process.stderr.write(`${head} ${code}: ${safe(message)}\n`)
    for (const line of tried) process.stderr.write(`  tried: ${safe(line)}\n`)
    process.stderr.write(`  next:  ${safe(next)}\n`)
  }
  return ERROR_CODES[code].exit
}
