import { TomlError, parse } from 'smol-toml'
import { RegistryError, isRegistryError, messageOf } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { nearest } from '../protocol/nearest.ts'
import { ecosystemOf } from '../protocol/package-name.ts'
import { parseReference } from '../protocol/reference.ts'
import { orderingOf } from '../protocol/version.ts'
import { addToToml, editToml } from './config-text.ts'
import type { Addition } from './config-text.ts'
import type { ProjectFile, Want, WantChange } from './services/project/project.ts'

/** Which file a project is written down in, and under which tables. */
export interface ProjectTables {
  /** As it is named to people: `.ggen/project.toml`. */
  readonly file: string
  readonly wants: readonly string[]
  readonly overrides: readonly string[]
  /** Tables that are not ours may stand in it. */
  readonly isShared: boolean
}

/** The project file that this program makes. */
export const OWN_TABLES: ProjectTables = {
  file: '.ggen/project.toml',
  wants: ['packages'],
  overrides: ['overrides'],
  isShared: false
}

/** Part of the file that the ggen tool reads. */
export const GGEN_TABLES: ProjectTables = {
  file: 'ggen.toml',
  wants: ['packs'],
  overrides: ['packs', 'overrides'],
  isShared: true
}

/** What a new project file begins with. */
export const NEW_PROJECT = `# What this project needs; ggen-node install puts it into .ggen/packages.
# NAME = "RANGE", with a registry before it where it is not the main one: "acme:NAME" = "^1.2.0"
[packages]
`

type Table = Readonly<Record<string, unknown>>

/**
 * Reads a project file strictly: what can't be used is refused with its line, because a wish that is skipped is a
 * package that is missing later.
 * @throws RegistryError PROJECT_INVALID
 */
export function parseProjectFile(text: string, tables: ProjectTables): ProjectFile {
  const top = parseTable(text, tables)
  if (!tables.isShared) assertTables(text, top, tables)
  const wants = tableAt(top, tables.wants, { text, tables })
  const overrides = tableAt(top, tables.overrides, { text, tables })
  const isOverrides = tables.overrides[0] === tables.wants[0] ? tables.overrides.at(-1) : undefined
  const own = Object.entries(wants ?? {}).filter(([key, value]) => key !== isOverrides || typeof value === 'string')
  const place = { text, tables }
  const file = {
    wants: readWants(own, { ...place, bound: LIMITS.install.packages }),
    overrides: readWants(Object.entries(overrides ?? {}), { ...place, bound: LIMITS.project.overrides })
  }
  return file
}

/** Whether a `ggen.toml` is where a project's packages are written down. */
export function hasPacks(text: string): boolean {
  return isTable(parseTable(text, GGEN_TABLES)['packs'])
}

/**
 * The text with some wishes changed and every other line as it was.
 * @throws RegistryError PROJECT_INVALID when a wish stands where only a person can edit it
 */
export function editProjectFile(text: string, tables: ProjectTables, changes: readonly WantChange[]): string {
  try {
    const added = changes.flatMap(({ key, range }): readonly Addition[] => (range === undefined ? [] : [[key, range]]))
    const isAddition = changes.length > 1 && added.length === changes.length
    const all = isAddition ? addToToml(text, tables.wants, added) : undefined
    return all ?? changes.reduce((now, { key, range }) => editToml(now, [...tables.wants, key], range), text)
  } catch (cause) {
    throw new RegistryError('PROJECT_INVALID', `${tables.file} can't be edited: ${messageOf(cause)}`, {
      cause,
      next: `edit ${tables.file} by hand, then run ggen-node install`
    })
  }
}

interface Place {
  readonly text: string
  readonly tables: ProjectTables
}

function parseTable(text: string, { file }: ProjectTables): Table {
  try {
    return parse(text)
  } catch (cause) {
    const at = cause instanceof TomlError ? ` line ${cause.line}` : ''
    const why =
      messageOf(cause)
        .replace(/^Invalid TOML document: /, '')
        .split(/ \d+:| {2,}/)[0] ?? ''
    throw invalid(`${file}${at}: it is not TOML: ${why}`, cause)
  }
}

function assertTables(text: string, top: Table, tables: ProjectTables): void {
  const known = [tables.wants, tables.overrides].map(path => path.join('.'))
  for (const key of Object.keys(top)) {
    if (known.includes(key)) continue
    const [near] = nearest(key, known)
    throw new RegistryError(
      'PROJECT_INVALID',
      `${tables.file}${lineOf(text, key)}: ${JSON.stringify(key)} means nothing here`,
      {
        tried: [`known tables: ${known.map(each => `[${each}]`).join(', ')}`],
        next: near === undefined ? 'remove it' : `perhaps you meant [${near}]`
      }
    )
  }
}

function tableAt(top: Table, path: readonly string[], { text, tables }: Place): Table | undefined {
  let at: Table = top
  for (const key of path) {
    const next = Object.hasOwn(at, key) ? at[key] : undefined
    if (next === undefined) return undefined
    // In a file of somebody else's a name such as `packs` may be something other than ours; `overrides = "^1"` is a wish.
    if (!isTable(next)) {
      if (tables.isShared) return undefined
      throw invalid(`${tables.file}${lineOf(text, key)}: ${path.join('.')} must be a table`)
    }
    at = next
  }
  return at
}

function readWants(
  entries: readonly (readonly [string, unknown])[],
  { text, tables, bound }: Place & { readonly bound: number }
): readonly Want[] {
  if (entries.length > bound) throw invalid(`${tables.file} names more than ${bound} packages`)
  const seen = new Map<string, string>()
  return entries.map(([key, value]) => {
    const where = `${tables.file}${lineOf(text, key)}`
    if (typeof value !== 'string') {
      throw invalid(`${where}: ${JSON.stringify(key)} wants a range in quotes, for example "^1.0.0"`)
    }
    const want = readWant(key, value, where)
    const id = `${want.alias ?? ''}:${want.name}`
    const other = seen.get(id)
    if (other !== undefined)
      throw invalid(`${where}: ${JSON.stringify(key)} is the same package as ${JSON.stringify(other)}`)
    seen.set(id, key)
    return want
  })
}

function readWant(key: string, range: string, where: string): Want {
  try {
    const { alias, name, range: inKey } = parseReference(key)
    if (inKey !== undefined) throw new RegistryError('INVALID_REFERENCE', 'the range belongs behind the "="')
    orderingOf(ecosystemOf(name)).parseRange(range)
    return { key, alias, name, range }
  } catch (cause) {
    if (!isRegistryError(cause)) throw cause
    throw invalid(`${where}: ${JSON.stringify(key)}: ${cause.message}`, cause)
  }
}

/** ` line 7`, or nothing when the key is spelled in a way that a look at the text does not find. */
function lineOf(text: string, key: string): string {
  const quoted = key.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const pattern = new RegExp(`^\\s*(?:\\[\\s*)?["']?${quoted}["']?\\s*(?:[=\\].]|$)`)
  const index = text.split('\n').findIndex(line => pattern.test(line))
  return index < 0 ? '' : ` line ${index + 1}`
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

function invalid(message: string, cause?: unknown): RegistryError {
  return new RegistryError('PROJECT_INVALID', message, { cause, next: 'correct the file, then run ggen-node install' })
}
