import { isDeepStrictEqual } from 'node:util'
import { parse } from 'smol-toml'
import { RegistryError, messageOf } from '../protocol/errors.ts'
import type { SettingValue } from './config-schema.ts'

/** `path = value` or `[path]` in a TOML text, by the offsets of what it is made of. */
interface Statement {
  readonly kind: 'header' | 'pair'
  /** Of a pair: the path of its header and its own key. */
  readonly path: readonly string[]
  /** How many names of the path the header gives. */
  readonly depth: number
  readonly start: number
  readonly valueStart: number
  readonly end: number
}

/**
 * The text with one setting changed, added or (undefined) removed; every other line stays as it is, comments included.
 *
 * Invariant: the result parses to what the text parsed to, with that one value changed. It is checked on every edit, so
 * a spelling of TOML that the scanner below does not see through is refused and never damaged.
 * @throws RegistryError INVALID_TOML | USAGE when the value stands in a place that only a person can edit
 */
export function editToml(text: string, path: readonly string[], value: SettingValue | undefined): string {
  const before = parsed(text)
  const wanted = withValue(before, path, value)
  if (value === undefined && isDeepStrictEqual(before, wanted)) return text
  for (const candidate of candidates(text, path, value)) {
    const after = tryParse(candidate)
    if (after !== undefined && isDeepStrictEqual(after, wanted)) return candidate
  }
  throw new RegistryError('USAGE', `${path.join('.')} stands where only a person can change it`, {
    next: 'edit the file by hand; ggen-node config path says where it is'
  })
}

/** A setting that a table has not got yet. */
export type Addition = readonly [name: string, value: SettingValue]

/**
 * The text with several settings added to one table, with what `editToml` promises: what is written is read once, and not once
 * for each of them. Undefined where one of them is there already, or they cannot be added so: then it takes an edit of each.
 */
export function addToToml(
  text: string,
  table: readonly string[],
  [first, ...more]: readonly Addition[]
): string | undefined {
  if (first === undefined) return text
  const [name, value] = first
  let wanted = parsed(text)
  for (const [each, its] of [first, ...more]) wanted = withValue(wanted, [...table, each], its)
  for (const candidate of candidates(text, [...table, name], value, more)) {
    const after = tryParse(candidate)
    if (after !== undefined && isDeepStrictEqual(after, wanted)) return candidate
  }
  return undefined
}

/** A value as TOML spells it. JSON's text is a basic string once its DEL and lone surrogates are escaped. */
export function tomlValue(value: SettingValue): string {
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return tomlText(value)
  return `[${value.map(tomlText).join(', ')}]`
}

function tomlText(text: string): string {
  return JSON.stringify(text.toWellFormed()).replaceAll('\u007f', '\\u007f')
}

/** Ways to write it, the least change first; `more` are written behind it, and there is none of them in its table. */
function* candidates(
  text: string,
  path: readonly string[],
  value: SettingValue | undefined,
  more: readonly Addition[] = []
): Generator<string> {
  const line = text.includes('\r\n') ? '\r\n' : '\n'
  const statements = scan(text)
  const own = statements.findLast(({ kind, path: at }) => kind === 'pair' && isDeepStrictEqual(at, path))
  if (own !== undefined && more.length === 0) {
    if (value === undefined) yield text.slice(0, own.start) + text.slice(afterLine(text, own.end))
    else yield text.slice(0, own.valueStart) + tomlValue(value) + text.slice(own.end)
  }
  if (value === undefined) return
  const table = path.slice(0, -1)
  const inTable = (at: readonly string[]): boolean => isDeepStrictEqual(at, table)
  const siblings = statements.filter(({ kind, path: at }) => kind === 'pair' && inTable(at.slice(0, -1)))
  const header = statements.findLast(({ kind, path: at }) => kind === 'header' && inTable(at))
  const all: readonly Addition[] = [[path.at(-1) ?? '', value], ...more]
  const entriesFrom = (depth: number): string => {
    const above = table.slice(depth)
    return all.map(([name, its]) => `${[...above, name].map(keyText).join('.')} = ${tomlValue(its)}`).join(line)
  }
  for (const sibling of [siblings.at(-1), header]) {
    if (sibling === undefined) continue
    yield insertAt(text, afterLine(text, sibling.end), { entry: entriesFrom(sibling.depth), line })
  }
  const entry = entriesFrom(table.length)
  const firstHeader = statements.find(({ kind }) => kind === 'header')
  if (table.length === 0) {
    const at = firstHeader === undefined ? text.length : lineStart(text, firstHeader.start)
    const gap = firstHeader === undefined ? entry : `${entry}${line}`
    yield insertAt(text, at, { entry: gap, line })
    return
  }
  const blank = text === '' || /\n\r?\n$/.test(text) ? '' : line
  yield insertAt(text, text.length, { entry: `${blank}[${table.map(keyText).join('.')}]${line}${entry}`, line })
}

function insertAt(text: string, at: number, { entry, line }: { entry: string; line: string }): string {
  const before = text.slice(0, at)
  const gap = before === '' || before.endsWith('\n') ? '' : line
  return `${before}${gap}${entry}${line}${text.slice(at)}`
}

/** The statements of a TOML text that parses. Comments and blank lines are no statements. */
function scan(text: string): readonly Statement[] {
  const statements: Statement[] = []
  let header: readonly string[] = []
  for (let at = skipBlank(text, 0); at < text.length;) {
    const isHeader = text[at] === '['
    const keyAt = isHeader ? skipSpace(text, at + (text[at + 1] === '[' ? 2 : 1)) : at
    const key = readKey(text, keyAt)
    const start = at
    if (isHeader) {
      header = key.names
      at = text[key.end + 1] === ']' ? key.end + 2 : key.end + 1
      statements.push({ kind: 'header', path: header, depth: header.length, start, valueStart: at, end: at })
    } else {
      const valueStart = skipSpace(text, key.end + 1)
      at = valueEnd(text, valueStart)
      const path = [...header, ...key.names]
      statements.push({ kind: 'pair', path, depth: header.length, start, valueStart, end: at })
    }
    // Ends: a statement of a text that parses is at least one character long, and what is none is stepped over.
    at = skipBlank(text, Math.max(at, start + 1))
  }
  return statements
}

/** A dotted key; `end` is the offset of the `=` or `]` behind it. */
function readKey(text: string, from: number): { readonly names: readonly string[]; readonly end: number } {
  const names: string[] = []
  let at = skipSpace(text, from)
  for (;;) {
    const quote = text[at]
    const end = quote === '"' || quote === "'" ? stringEnd(text, at) : bareEnd(text, at)
    const raw = text.slice(at, end)
    names.push(quote === '"' || quote === "'" ? unquote(raw) : raw)
    at = skipSpace(text, end)
    if (text[at] !== '.' || end >= text.length) return { names, end: at }
    at = skipSpace(text, at + 1)
  }
}

function unquote(raw: string): string {
  const value: unknown = tryParse(`k = ${raw}`)?.['k']
  return typeof value === 'string' ? value : raw
}

/** The offset behind a value: strings and brackets are stepped over as a whole. */
function valueEnd(text: string, from: number): number {
  let depth = 0
  let end = from
  for (let at = from; at < text.length;) {
    const char = text[at] ?? ''
    if (char === '"' || char === "'") at = end = stringEnd(text, at)
    else if (char === '#') at = lineEnd(text, at)
    else if (depth === 0 && (char === '\n' || char === '\r')) return end
    else {
      if (char === '[' || char === '{') depth += 1
      if (char === ']' || char === '}') depth -= 1
      at += 1
      if (!/\s/.test(char)) end = at
    }
  }
  return end
}

function stringEnd(text: string, from: number): number {
  const quote = text[from] ?? ''
  const triple = quote.repeat(3)
  const isLong = text.startsWith(triple, from)
  const close = isLong ? triple : quote
  for (let at = from + close.length; at < text.length; at++) {
    if (quote === '"' && text[at] === '\\') at += 1
    else if (text.startsWith(close, at)) {
      let end = at + close.length
      // A long string may end in up to two quotes of its own.
      while (isLong && text[end] === quote) end += 1
      return end
    }
  }
  return text.length
}

function bareEnd(text: string, from: number): number {
  let at = from
  while (at < text.length && /[A-Za-z0-9_-]/.test(text[at] ?? '')) at += 1
  return at
}

function skipSpace(text: string, from: number): number {
  let at = from
  while (text[at] === ' ' || text[at] === '\t') at += 1
  return at
}

function skipBlank(text: string, from: number): number {
  for (let at = from; at < text.length;) {
    const char = text[at] ?? ''
    if (char === '#') at = lineEnd(text, at)
    else if (/[\s\ufeff]/.test(char)) at += 1
    else return at
  }
  return text.length
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\n', from)
  return end < 0 ? text.length : end
}

function afterLine(text: string, from: number): number {
  return Math.min(text.length, lineEnd(text, from) + 1)
}

function lineStart(text: string, from: number): number {
  return text.lastIndexOf('\n', from - 1) + 1
}

function keyText(name: string): string {
  return /^[A-Za-z0-9_-]+$/.test(name) ? name : tomlText(name)
}

function parsed(text: string): Record<string, unknown> {
  try {
    return parse(text)
  } catch (cause) {
    throw new RegistryError('INVALID_TOML', `config.toml: ${messageOf(cause)}`, {
      cause,
      next: 'correct the file; ggen-node config path says where it is'
    })
  }
}

function tryParse(text: string): Record<string, unknown> | undefined {
  try {
    return parse(text)
  } catch {
    return undefined
  }
}

/** A copy with one value changed; tables that the change needs are made, tables that it empties stay. */
function withValue(
  table: Readonly<Record<string, unknown>>,
  [name = '', ...rest]: readonly string[],
  value: SettingValue | undefined
): Record<string, unknown> {
  // Without a prototype, as the parser makes them: a key called `__proto__` is a key like any other.
  const copy = Object.assign(Object.create(null) as Record<string, unknown>, table)
  if (rest.length === 0) {
    if (value === undefined) delete copy[name]
    else copy[name] = value
    return copy
  }
  const inner = Object.hasOwn(copy, name) ? copy[name] : undefined
  const isTable = typeof inner === 'object' && inner !== null && !Array.isArray(inner)
  if (value === undefined && !isTable) return copy
  copy[name] = withValue(isTable ? (inner as Record<string, unknown>) : {}, rest, value)
  return copy
}
