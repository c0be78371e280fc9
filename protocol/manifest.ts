import { compareText } from './bytes.ts'
import { checkContentPath } from './content-path.ts'
import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { dependencyFault } from './manifest-range.ts'
import { textFault } from './manifest-text.ts'
import { ECOSYSTEMS, parseGgenName } from './package-name.ts'
import type { Ecosystem, GgenName } from './package-name.ts'
import { parseSemver } from './version.ts'
import type { Version } from './version.ts'

export type ManifestKind = 'package' | 'pack'

/** What a package needs. Only `ggen` ones are resolved and installed; `external` ones are recorded for people to read. */
export interface Dependency {
  /** A ggen name, or the name as its own ecosystem spells it. */
  readonly name: string
  /** A range of ggen versions in one spelling, or what the author wrote. `*` when nothing was said. */
  readonly range: string
  readonly kind: 'ggen' | 'external'
  /** Which other ecosystem it belongs to, when the manifest says so. Absent for a tool that has to be there. */
  readonly ecosystem?: Exclude<Ecosystem, 'ggen'>
  readonly optional?: true
}

/** The normalised manifest that a release fact carries, docs/spec/content.md section 7. */
export interface Manifest {
  readonly kind: ManifestKind
  readonly name: GgenName
  readonly version: Version
  readonly title?: string
  readonly description?: string
  readonly license?: string
  readonly authors?: readonly string[]
  readonly keywords?: readonly string[]
  readonly category?: string
  readonly homepage?: string
  readonly repository?: string
  /** In ascending byte order of name, then kind, then ecosystem; each once. */
  readonly dependencies: readonly Dependency[]
  /** Paths of files, in ascending byte order, each once. */
  readonly executables: readonly string[]
}

/** One thing that the normaliser changed or did not take: said to the author, never part of the record. */
export interface Note {
  readonly field: string
  readonly message: string
  readonly from?: string
  readonly to?: string
}

/** The map that goes into the signed fact: the keys of `Manifest`, absent ones absent. */
export type ManifestRecord = Readonly<Record<string, unknown>>

const TEXTS = {
  title: LIMITS.manifest.titleChars,
  description: LIMITS.manifest.descriptionChars,
  license: LIMITS.manifest.licenseChars,
  category: LIMITS.manifest.keywordChars
} as const
const LISTS = {
  authors: { items: LIMITS.manifest.authors, chars: LIMITS.manifest.authorChars },
  keywords: { items: LIMITS.manifest.keywords, chars: LIMITS.manifest.keywordChars }
} as const
const URLS = ['homepage', 'repository'] as const
const REQUIRED = ['kind', 'name', 'version', 'dependencies', 'executables'] as const
const KEYS: ReadonlySet<string> = new Set([...REQUIRED, ...Object.keys(TEXTS), ...Object.keys(LISTS), ...URLS])
const DEPENDENCY_KEYS: ReadonlySet<string> = new Set(['name', 'range', 'kind', 'ecosystem', 'optional'])

/**
 * The record of a manifest, checked on the way out: what this returns, `parseManifestRecord` accepts.
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED | HOSTILE_PATH | INVALID_NAME | INVALID_VERSION
 */
export function toManifestRecord(manifest: Manifest): ManifestRecord {
  const entries = Object.entries(parseManifestRecord({ ...manifest }))
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
}

/**
 * Reads the manifest of a release fact. One spelling per value: unknown keys, empty lists where a key should be absent,
 * text that is not trimmed NFC, unsorted or doubled entries all fail.
 *
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED | HOSTILE_PATH | INVALID_NAME | INVALID_VERSION
 */
export function parseManifestRecord(value: unknown): Manifest {
  const record = plainRecord(value, KEYS)
  for (const key of REQUIRED) if (!Object.hasOwn(record, key)) throw malformed(`it has no "${key}"`)
  const { kind, name, version } = record
  if (kind !== 'package' && kind !== 'pack') throw malformed('"kind" is neither package nor pack')
  if (typeof name !== 'string' || typeof version !== 'string') throw malformed('"name" or "version" is not text')
  const own = parseGgenName(name)
  return {
    kind,
    name: own,
    version: parseSemver(version),
    ...texts(record),
    ...lists(record),
    ...urls(record),
    dependencies: parseDependencies(record['dependencies'], own),
    executables: parseExecutables(record['executables'])
  }
}

/** How dependencies are ordered, which also says which two of them are the same one. */
export function compareDependencies(a: Dependency, b: Dependency): number {
  return compareText(a.name, b.name) || compareText(a.kind, b.kind) || compareText(a.ecosystem ?? '', b.ecosystem ?? '')
}

function texts(record: ManifestRecord): Partial<Record<keyof typeof TEXTS, string>> {
  const out: Partial<Record<keyof typeof TEXTS, string>> = {}
  for (const key of ['title', 'description', 'license', 'category'] as const) {
    if (!Object.hasOwn(record, key)) continue
    out[key] = parseText(record[key], key, TEXTS[key])
  }
  return out
}

function lists(record: ManifestRecord): Partial<Record<keyof typeof LISTS, readonly string[]>> {
  const out: Partial<Record<keyof typeof LISTS, readonly string[]>> = {}
  for (const key of ['authors', 'keywords'] as const) {
    if (!Object.hasOwn(record, key)) continue
    const { items, chars } = LISTS[key]
    const list = parseList(record[key], key, items)
    if (list.length === 0) throw malformed(`"${key}" is empty, it should be absent`)
    const parsed = list.map(item => parseText(item, key, chars))
    if (new Set(parsed).size !== parsed.length) throw malformed(`"${key}" says something twice`)
    out[key] = parsed
  }
  return out
}

function urls(record: ManifestRecord): Partial<Record<(typeof URLS)[number], string>> {
  const out: Partial<Record<(typeof URLS)[number], string>> = {}
  for (const key of URLS) {
    if (!Object.hasOwn(record, key)) continue
    const url = parseText(record[key], key, LIMITS.manifest.urlChars)
    if (!isWebUrl(url)) throw malformed(`"${key}" is not an http or https address`)
    out[key] = url
  }
  return out
}

/** Whether a text is an address that is safe to show as a link: `javascript:` and its kin are not. */
export function isWebUrl(text: string): boolean {
  return /^https?:\/\/[^\s<>"'`\\^{|}]+$/.test(text) && URL.canParse(text)
}

function parseDependencies(value: unknown, own: GgenName): readonly Dependency[] {
  const dependencies = parseList(value, 'dependencies', LIMITS.manifest.dependencies).map(parseDependency)
  for (const [i, dependency] of dependencies.entries()) {
    const before = dependencies[i - 1]
    if (before !== undefined && compareDependencies(before, dependency) >= 0) {
      throw malformed('its dependencies are not in order or one is there twice')
    }
    if (dependency.kind === 'ggen' && dependency.name === own) throw malformed('it depends on itself')
  }
  return dependencies
}

function parseDependency(value: unknown): Dependency {
  const record = plainRecord(value, DEPENDENCY_KEYS)
  const { name, range, kind, ecosystem, optional } = record
  if (typeof name !== 'string' || typeof range !== 'string') throw malformed('a dependency has no name or no range')
  if (kind !== 'ggen' && kind !== 'external') throw malformed('a dependency is neither ggen nor external')
  if (Object.hasOwn(record, 'optional') && optional !== true) throw malformed('"optional" is true or absent')
  if (Object.hasOwn(record, 'ecosystem') && (kind === 'ggen' || !isForeign(ecosystem))) {
    throw malformed('the ecosystem of a dependency is not a known one')
  }
  const fault = dependencyFault(name, range, kind)
  if (fault !== undefined) throw malformed(`a dependency ${fault}`)
  return {
    name,
    range,
    kind,
    ...(isForeign(ecosystem) ? { ecosystem } : {}),
    ...(optional === true ? { optional } : {})
  }
}

/** Whether a value names an ecosystem other than our own. */
export function isForeign(value: unknown): value is Exclude<Ecosystem, 'ggen'> {
  return value !== 'ggen' && (ECOSYSTEMS as readonly unknown[]).includes(value)
}

function parseExecutables(value: unknown): readonly string[] {
  const paths = parseList(value, 'executables', LIMITS.manifest.executables)
  let last: string | undefined
  for (const path of paths) {
    if (typeof path !== 'string') throw malformed('the path of an executable is not text')
    checkContentPath(path)
    if (last !== undefined && compareText(last, path) >= 0) throw malformed('its executables are not in order')
    last = path
  }
  return paths.filter(path => typeof path === 'string')
}

function parseText(value: unknown, key: string, maxChars: number): string {
  if (typeof value !== 'string') throw malformed(`"${key}" is not text`)
  const fault = textFault(value, maxChars)
  if (fault !== undefined) throw malformed(`"${key}" ${fault}`)
  return value
}

function parseList(value: unknown, key: string, maxItems: number): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(`"${key}" is not a list`)
  if (value.length > maxItems) {
    throw new RegistryError('LIMIT_EXCEEDED', `a manifest has at most ${maxItems} ${key}`)
  }
  return value as readonly unknown[]
}

function plainRecord(value: unknown, keys: ReadonlySet<string>): ManifestRecord {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    throw malformed('it is not a map')
  }
  for (const key of Object.keys(value)) {
    if (!keys.has(key)) throw malformed(`it has the unknown key ${JSON.stringify(key.slice(0, 40))}`)
  }
  return value as ManifestRecord
}

function malformed(why: string): RegistryError {
  return new RegistryError('MALFORMED', `the manifest of a release does not have its shape: ${why}`)
}
