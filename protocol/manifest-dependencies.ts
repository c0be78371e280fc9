import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { compareDependencies, isForeign } from './manifest.ts'
import type { Dependency } from './manifest.ts'
import { isTable, own } from './manifest-notes.ts'
import type { Notes, Table } from './manifest-notes.ts'
import { dependencyFault, isExternalName, isExternalRange, normaliseRange } from './manifest-range.ts'
import { ggenNameFault, isEcosystem } from './package-name.ts'
import type { Ecosystem } from './package-name.ts'
import { quoted } from './strange-text.ts'

/** The generator itself, its parts and this program: they have to be there, no registry installs them. */
const TOOLS: ReadonlySet<string> = new Set(['ggen', 'ggen-ai', 'ggen-cli', 'ggen-core', 'ggen-node'])
/** Sub-tables of `[dependencies]` that hold what another language's tool installs. */
const LANGUAGES: ReadonlyMap<string, Exclude<Ecosystem, 'ggen'>> = new Map([
  ['rust', 'cargo'],
  ['cargo', 'cargo'],
  ['typescript', 'npm'],
  ['javascript', 'npm'],
  ['node', 'npm'],
  ['npm', 'npm'],
  ['python', 'pypi'],
  ['pypi', 'pypi'],
  ['go', 'go'],
  ['java', 'maven'],
  ['maven', 'maven']
])
/** Sections that only a file which Cargo also reads has. */
const CARGO_SECTIONS = [
  'lib',
  'bin',
  'example',
  'bench',
  'dev-dependencies',
  'build-dependencies',
  'workspace'
] as const
/** Keys of an entry that only Cargo knows. */
const CARGO_KEYS = ['features', 'default-features', 'workspace', 'git', 'branch', 'rev', 'registry', 'package'] as const
/** What only the author's own machine needs: no dependency of whoever installs the package. */
const DEVELOPMENT = [
  'dev-dependencies',
  'dev_dependencies',
  'build-dependencies',
  'test_dependencies',
  'test-dependencies'
] as const

interface Context {
  readonly notes: Notes
  readonly field: string
  /** All entries belong to this ecosystem unless they say otherwise themselves. */
  readonly ecosystem: Exclude<Ecosystem, 'ggen'> | undefined
  readonly optional: boolean
  readonly out: Dependency[]
}

/**
 * Reads every form of dependencies that manifests are found with, docs/spec/content.md section 8. What an entry is
 * follows from its shape alone: no list of known crates, no look at what a registry holds. In doubt it is `ggen`, for a
 * name that the registry lacks then stops the install by name, and nothing is silently left out.
 *
 * @throws RegistryError INVALID_MANIFEST | LIMIT_EXCEEDED
 */
export function normaliseDependencies(root: Table, section: Table, notes: Notes): readonly Dependency[] {
  const out: Dependency[] = []
  for (const key of DEVELOPMENT) {
    if (own(root, key) === undefined && own(section, key) === undefined) continue
    notes.add(key, 'needed only to develop the package, so it is not recorded')
  }
  for (const [field, value] of [
    ['dependencies', own(root, 'dependencies')],
    ['package.dependencies', own(section, 'dependencies')]
  ] as const) {
    if (value === undefined) continue
    const cargo = isTable(value) && isCargo(root, value)
    if (cargo) notes.add(field, 'written for Cargo, so its entries are recorded as crates and not installed')
    readAny(value, { notes, field, ecosystem: cargo ? 'cargo' : undefined, optional: false, out })
  }
  return merge(out)
}

function isCargo(root: Table, dependencies: Table): boolean {
  if (CARGO_SECTIONS.some(key => own(root, key) !== undefined)) return true
  return Object.values(dependencies).some(
    entry =>
      isTable(entry) && own(entry, 'ecosystem') === undefined && CARGO_KEYS.some(key => Object.hasOwn(entry, key))
  )
}

function readAny(value: unknown, context: Context): void {
  if (Array.isArray(value)) readList(value as readonly unknown[], context)
  else if (isTable(value)) readTable(value, context)
  else throw invalid(context.field, 'is neither a list nor a table')
}

function readList(items: readonly unknown[], context: Context): void {
  for (const [i, item] of items.entries()) {
    const here = { ...context, field: `${context.field}[${i}]` }
    if (typeof item === 'string') readText(item, here)
    else if (isTable(item) && typeof own(item, 'name') === 'string') readEntry(String(own(item, 'name')), item, here)
    else throw invalid(here.field, 'is neither a name nor a table with a name')
  }
}

function readTable(table: Table, context: Context): void {
  const lists = ['required', 'optional'].filter(key => isGroup(own(table, key)))
  for (const [name, value] of Object.entries(table)) {
    const here = { ...context, field: `${context.field}.${name}` }
    const language = LANGUAGES.get(name)
    if (lists.includes(name)) readAny(value, { ...here, optional: name === 'optional' })
    else if (lists.length > 0) context.notes.add(here.field, 'not a dependency, only "required" and "optional" are')
    else if (language !== undefined && isTable(value) && own(value, 'version') === undefined) {
      readAny(value, { ...here, ecosystem: language })
    } else readEntry(name, value, here)
  }
}

/** A list, or a table that is not itself the entry of a package called "required" or "optional". */
function isGroup(value: unknown): boolean {
  if (Array.isArray(value)) return true
  return isTable(value) && !['version', 'range', 'ecosystem', 'optional'].some(key => Object.hasOwn(value, key))
}

/** `name`, `name@range`, `ecosystem/name@range` or, as Cargo writes it, `name = "range"` in one text. */
function readText(text: string, context: Context): void {
  const trimmed = text.trim()
  const assigned = /^([^\s="']+)\s*=\s*(?:"([^"]*)"|'([^']*)')$/.exec(trimmed)
  if (assigned !== null) {
    readEntry(assigned[1] ?? '', assigned[2] ?? assigned[3] ?? '', context)
    return
  }
  if (/^[^\s="']+\s*=\s*\{/.test(trimmed)) {
    throw invalid(context.field, 'is a table inside a text: write it as a table')
  }
  // The range begins at the first "@" that is not the first character of the name or of a scope.
  const at = trimmed.indexOf('@', Math.max(trimmed.indexOf('/@') + 2, 1))
  const name = at < 0 ? trimmed : trimmed.slice(0, at)
  if (isPath(name)) context.notes.add(context.field, 'a path, not a dependency', { from: text })
  else readEntry(name, at < 0 ? '*' : trimmed.slice(at + 1), context)
}

function readEntry(rawName: string, value: unknown, context: Context): void {
  const { field, notes } = context
  if (typeof value === 'string') {
    if (isPath(value)) notes.add(field, 'a path, not a dependency', { from: value })
    else take(rawName, value, context)
    return
  }
  if (!isTable(value)) throw invalid(field, 'is neither a range nor a table')
  const { ecosystem, optional } = { ecosystem: own(value, 'ecosystem'), optional: own(value, 'optional') }
  if (ecosystem !== undefined && ecosystem !== 'ggen' && !isForeign(ecosystem)) {
    throw invalid(field, 'names an ecosystem that is not known')
  }
  if (optional !== undefined && typeof optional !== 'boolean')
    throw invalid(field, 'has an "optional" that is not true or false')
  const range = own(value, 'version') ?? own(value, 'range') ?? '*'
  if (typeof range !== 'string') throw invalid(field, 'has a version that is not text')
  if (ecosystem === undefined && context.ecosystem === undefined && own(value, 'path') !== undefined) {
    notes.add(field, 'a path, not a dependency')
    return
  }
  const inherited = ecosystem === 'ggen' ? undefined : context.ecosystem
  take(ecosystem === 'ggen' ? `ggen/${rawName}` : rawName, range, {
    ...context,
    ecosystem: isForeign(ecosystem) ? ecosystem : inherited,
    optional: context.optional || optional === true
  })
}

function take(rawName: string, rawRange: string, context: Context): void {
  const { field, notes, optional, out } = context
  if (out.length >= 2 * LIMITS.manifest.dependencies) throw tooMany()
  const { name, ecosystem, external } = classify(rawName.trim(), context)
  const range = external ? rawRange.trim() : normaliseRange(rawRange)
  if (range === undefined || (external && !isExternalRange(range))) {
    throw invalid(field, `has ${quoted(rawRange)}, which is not a version range`)
  }
  if (name !== rawName && !rawName.includes('/'))
    notes.add(field, 'the name was normalised', { from: rawName, to: name })
  if (range !== rawRange) notes.add(field, 'the range was normalised', { from: rawRange, to: range })
  const fault = dependencyFault(name, range, external ? 'external' : 'ggen')
  if (fault !== undefined) throw invalid(field, fault)
  if (external && ecosystem === undefined) notes.add(field, 'a tool that has to be there, recorded and not installed')
  out.push({
    name,
    range,
    kind: external ? 'external' : 'ggen',
    ...(ecosystem === undefined ? {} : { ecosystem }),
    ...(optional ? { optional: true } : {})
  })
}

interface Class {
  readonly name: string
  readonly ecosystem: Exclude<Ecosystem, 'ggen'> | undefined
  readonly external: boolean
}

function classify(name: string, { ecosystem, field }: Context): Class {
  const slash = name.indexOf('/')
  const prefix = slash < 0 ? '' : name.slice(0, slash)
  if (isEcosystem(prefix)) {
    const rest = name.slice(slash + 1)
    // The prefix wins over where the entry stands: it is the author's own word.
    return prefix === 'ggen'
      ? ggen(rest, field)
      : { name: externalName(rest, field), ecosystem: prefix, external: true }
  }
  if (ecosystem !== undefined) return { name: externalName(name, field), ecosystem, external: true }
  if (TOOLS.has(name.toLowerCase())) return { name: name.toLowerCase(), ecosystem: undefined, external: true }
  return ggen(name, field)
}

function ggen(name: string, field: string): Class {
  const lower = name.toLowerCase()
  const fault = ggenNameFault(lower)
  if (fault !== undefined) throw invalid(field, `${quoted(name)} is not a package name: ${fault}`)
  return { name: lower, ecosystem: undefined, external: false }
}

function externalName(name: string, field: string): string {
  if (!isExternalName(name)) throw invalid(field, `${quoted(name)} is not a name`)
  return name
}

/** Whether a value is a place in the package: it has a slash, or a glob, or ends like a file. No range and no ggen name does. */
function isPath(text: string): boolean {
  if (/^@[^/]+\/[^/]+$/.test(text)) return false
  const slash = text.indexOf('/')
  if (slash >= 0) return !isEcosystem(text.slice(0, slash))
  return (
    text.includes('\\') ||
    /^\*\.[a-z]/i.test(text) ||
    /\.(?:ttl|rq|sparql|tmpl|tera|toml|json|md|rs|ts|py)$/i.test(text)
  )
}

function merge(found: readonly Dependency[]): readonly Dependency[] {
  const out: Dependency[] = []
  for (const dependency of found.toSorted(compareDependencies)) {
    const last = out.at(-1)
    if (last === undefined || compareDependencies(last, dependency) !== 0) out.push(dependency)
    else if (last.range !== dependency.range) {
      throw invalid('dependencies', `ask for ${dependency.name} as ${last.range} and as ${dependency.range}`)
    } else if (dependency.optional !== true) {
      // Required once is required.
      out[out.length - 1] = dependency
    }
  }
  if (out.length > LIMITS.manifest.dependencies) throw tooMany()
  return out
}

function tooMany(): RegistryError {
  return new RegistryError('LIMIT_EXCEEDED', `a manifest has at most ${LIMITS.manifest.dependencies} dependencies`)
}

function invalid(field: string, why: string): RegistryError {
  const shown = JSON.stringify(field.slice(0, 120)).slice(1, -1)
  return new RegistryError('INVALID_MANIFEST', `${shown} ${why}`, { detail: { field: shown } })
}
