import { POLICY_LIMITS as LIMITS } from './limits.ts'
import { fieldsOf, GROUPS } from './schema.ts'
import type { Group, ReleaseFacts } from './schema.ts'

/** One fact that a rule read, as people read it. */
export interface FactText {
  /** `age.hours` */
  readonly name: string
  readonly value: string
}

/** What a rule found where it looked: `age.hours` is `3`, `attestations` is `audit by …, passed`. */
export function factTexts(facts: ReleaseFacts, paths: readonly string[]): readonly FactText[] {
  return paths.flatMap(path => {
    const [group = '', field] = path.split('.')
    if (!isGroup(group)) return []
    const forgeable = group === 'reviews' ? ' (cheap to forge)' : ''
    return [{ name: path, value: `${cut(textOf(group, facts[group], field))}${forgeable}` }]
  })
}

function textOf(group: Group, value: unknown, field: string | undefined): string {
  if (Array.isArray(value)) return listText(value)
  const fields = Object(value) as Readonly<Record<string, unknown>>
  if (field !== undefined) return valueText(fields[field])
  return fieldsOf(group)
    .map(([name]) => `${name} ${valueText(fields[name])}`)
    .join(', ')
}

/** What a list holds, by the names of its entries: none of them is left unsaid where there are few. */
function listText(list: readonly unknown[]): string {
  if (list.length === 0) return 'none'
  const names = list.map(entry => {
    const { type, id, passed } = Object(entry) as Readonly<Record<string, unknown>>
    const name = typeof type === 'string' ? type : typeof id === 'string' ? id : ''
    return `${name}${passed === true ? ' passed' : ''}`
  })
  return `${list.length}: ${names.join(', ')}`
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(', ')
  return value === '' ? 'nothing' : String(value)
}

function cut(text: string): string {
  const { messageChars } = LIMITS
  return text.length <= messageChars ? text : `${text.slice(0, messageChars - 1)}…`
}

function isGroup(text: string): text is Group {
  return (GROUPS as readonly string[]).includes(text)
}
