import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PRESETS, presetRules } from '../../protocol/policy/presets.ts'
import type { Preset } from '../../protocol/policy/presets.ts'
import { fieldsOf, FUNCTIONS, GROUPS, SCHEMA } from '../../protocol/policy/schema.ts'

const BEGIN = '<!-- schema:begin -->'
const END = '<!-- schema:end -->'

/** The reference of what rules read and call, as protocol/policy/schema.ts and presets.ts state it. */
export function schemaReference(): string {
  const groups = GROUPS.flatMap(group => {
    const { type, list, doc } = SCHEMA[group]
    const rows = fieldsOf(group).map(([name, field]) => {
      return `| \`${list ? '' : `${group}.`}${name}\` | \`${cell(field.type)}\` | ${cell(field.doc)} | \`${cell(field.example)}\` |`
    })
    const head = [`### \`${group}\`${list ? `: a list of \`${type}\`` : ''}`, '', doc, '']
    return [...head, '| field | type | what it is | for example |', '|---|---|---|---|', ...rows, '']
  })
  const functions = Object.entries(FUNCTIONS).map(([name, doc]) => `| \`${name}\` | ${cell(doc)} |`)
  const presets = Object.keys(PRESETS).flatMap(name => presetTable(name as Preset))
  return [
    ...groups,
    '### Functions',
    '',
    'Besides the operators of CEL (`&& || ! == != < <= > >= in + - * / % ? :`):',
    '',
    '| function | gives |',
    '|---|---|',
    ...functions,
    '',
    ...presets
  ].join('\n')
}

function presetTable(name: Preset): readonly string[] {
  const rows = presetRules(name).map(({ id, when, require: required, action }) => {
    return `| \`${id}\` | ${action} | ${when === undefined ? '' : `\`${cell(when)}\``} | \`${cell(required)}\` |`
  })
  if (rows.length === 0) return [`### Preset \`${name}\``, '', 'It has no rule.', '']
  return [`### Preset \`${name}\``, '', '| rule | action | where | requires |', '|---|---|---|---|', ...rows, '']
}

/** A bar would end the cell, also within code. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

/** The document with the current reference between its markers. */
export function withSchemaReference(document: string): string {
  const begin = document.indexOf(BEGIN)
  const end = document.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`the document has no ${BEGIN} … ${END}`)
  return `${document.slice(0, begin + BEGIN.length)}\n\n${schemaReference().trim()}\n\n${document.slice(end)}`
}

if (import.meta.main) {
  const file = join(import.meta.dirname, '..', '..', 'docs', 'spec', 'policy.md')
  await writeFile(file, withSchemaReference(await readFile(file, 'utf8')))
}
