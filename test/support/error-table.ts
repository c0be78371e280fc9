import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ERROR_CODES } from '../../protocol/errors.ts'

const BEGIN = '<!-- errors:begin -->'
const END = '<!-- errors:end -->'

/** The README's table of error codes, as protocol/errors.ts states them. */
export function errorTable(): string {
  const rows = Object.entries(ERROR_CODES).map(([code, { exit, cause }]) => `| \`${code}\` | ${exit} | ${cause} |`)
  return ['| code | exit code | cause |', '|---|---|---|', ...rows].join('\n')
}

/** What stands between the markers of a document, without surrounding blank lines; undefined when the markers are missing. */
export function tableIn(document: string): string | undefined {
  const begin = document.indexOf(BEGIN)
  const end = document.indexOf(END)
  return begin < 0 || end < begin ? undefined : document.slice(begin + BEGIN.length, end).trim()
}

/** The document with the current table between its markers. */
export function withErrorTable(document: string): string {
  const begin = document.indexOf(BEGIN)
  const end = document.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`the document has no ${BEGIN} … ${END}`)
  return `${document.slice(0, begin + BEGIN.length)}\n\n${errorTable()}\n\n${document.slice(end)}`
}

if (import.meta.main) {
  const file = join(import.meta.dirname, '..', '..', 'README.md')
  await writeFile(file, withErrorTable(await readFile(file, 'utf8')))
}
