import { fieldOf } from '../attest/predicate-fields.ts'
import { isJsonObject, parseStrictJson } from '../attest/strict-json.ts'
import type { JsonObject } from '../attest/strict-json.ts'
import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { cleanText, cutText } from '../manifest-text.ts'
import { parsePackageName } from '../package-name.ts'
import type { Ecosystem, PackageName } from '../package-name.ts'
import { severityIn } from './severity.ts'
import type { Severity } from './severity.ts'

/**
 * What this program reads of an OSV record (https://ossf.github.io/osv-schema/). Everything else in it is kept with the record and
 * means nothing here. What is read is read strictly: a record that one reader takes for `all versions` and another for none is
 * refused.
 */
export interface OsvRecord {
  readonly id: string
  /** Milliseconds since 1970. */
  readonly modified: number
  /** A withdrawn record says nothing any more. */
  readonly withdrawn: boolean
  readonly aliases: readonly string[]
  /** One line for people; empty when it has none. */
  readonly summary: string
  readonly severity: Severity
  /** Those whose ecosystem and name can be a package here. */
  readonly affected: readonly Affected[]
}

export interface Affected {
  readonly name: PackageName
  /** Of which registry the package is; null: of whichever. */
  readonly registry: string | null
  /** The severity that is said of this package alone; `unknown` when none is. */
  readonly severity: Severity
  readonly versions: readonly string[]
  readonly ranges: readonly OsvRange[]
}

export const RANGE_TYPES = ['SEMVER', 'ECOSYSTEM', 'GIT'] as const
export const EVENT_KINDS = ['introduced', 'fixed', 'last_affected', 'limit'] as const
export type EventKind = (typeof EVENT_KINDS)[number]

export interface OsvRange {
  /** What is in commits is kept and shown; nobody here knows of which version a commit is. */
  readonly type: (typeof RANGE_TYPES)[number]
  readonly events: readonly OsvEvent[]
}

export type OsvEvent = readonly [kind: EventKind, at: string]

/** Ecosystems by the names of the OSV schema. Ours is none of it. */
const ECOSYSTEMS: Readonly<Record<string, Ecosystem>> = {
  ggen: 'ggen',
  npm: 'npm',
  'crates.io': 'cargo',
  PyPI: 'pypi',
  Go: 'go',
  Maven: 'maven'
}

/** `PREFIX-…`, as ids of the schema are; nothing that a terminal or a file system could mistake. */
const ID = /^[A-Za-z][A-Za-z0-9]*(?:[-_.:][A-Za-z0-9]+)+$/
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/

/**
 * Reads a record that anybody may have written.
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED
 */
export function parseOsv(bytes: Uint8Array, maxBytes: number = LIMITS.advisory.recordBytes): OsvRecord {
  return readOsv(parseOsvJson(bytes, maxBytes))
}

/** The object alone. @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function parseOsvJson(bytes: Uint8Array, maxBytes: number): JsonObject {
  // Attack: exhaustion. The size is known before anything is read.
  if (bytes.length > maxBytes) {
    throw new RegistryError('LIMIT_EXCEEDED', `an advisory has at most ${maxBytes} bytes, this one ${bytes.length}`)
  }
  const record = parseStrictJson(bytes)
  if (!isJsonObject(record)) throw wrong('the record', 'an object')
  return record
}

/** @throws RegistryError MALFORMED */
export function readOsv(record: JsonObject): OsvRecord {
  const entries = listOf(record, 'affected', LIMITS.advisory.affected)
  return {
    id: idIn(fieldOf(record, 'id'), 'id'),
    modified: timeOf(record, 'modified'),
    withdrawn: fieldOf(record, 'withdrawn') !== undefined && timeOf(record, 'withdrawn') >= 0,
    aliases: listOf(record, 'aliases', LIMITS.advisory.aliases).map(alias => idIn(alias, 'aliases')),
    summary: summaryOf(record),
    severity: severityIn(record),
    affected: entries.flatMap(entry => affectedIn(objectOf(entry, 'affected')) ?? [])
  }
}

/** Undefined for a package that cannot be one here: of another ecosystem, or with a name that none of ours has. */
function affectedIn(entry: JsonObject): Affected | undefined {
  // All of it is read: what is wrong is refused, whatever ecosystem it is of.
  const versions = listOf(entry, 'versions', LIMITS.advisory.versions).map(one => versionIn(one, 'versions'))
  const ranges = listOf(entry, 'ranges', LIMITS.advisory.ranges).map(one => rangeIn(objectOf(one, 'ranges')))
  const severity = severityIn(entry)
  const of = fieldOf(entry, 'package')
  // The schema has records about repositories, which name no package.
  if (of === undefined) return undefined
  const about = objectOf(of, 'package')
  const name = nameIn(textOf(about, 'ecosystem'), textOf(about, 'name'))
  return name === undefined ? undefined : { name, registry: registryIn(entry), severity, versions, ranges }
}

/** How the name of a package is written here; undefined when it is none. */
export function nameIn(ecosystem: string, name: string): PackageName | undefined {
  const own = Object.hasOwn(ECOSYSTEMS, ecosystem) ? ECOSYSTEMS[ecosystem] : undefined
  if (own === undefined) return undefined
  try {
    return parsePackageName(`${own}/${spelledAs(own, name)}`)
  } catch {
    return undefined
  }
}

function spelledAs(ecosystem: Ecosystem, name: string): string {
  if (ecosystem === 'pypi') return name.toLowerCase().replaceAll(/[-_.]+/g, '-')
  return ecosystem === 'maven' ? name.replace(':', '/') : name
}

/**
 * Names are the same everywhere in the ecosystems of the world and each registry's own among ours: an advisory can say which
 * registry it means, by its id in `affected[].database_specific.ggen_registry`.
 */
function registryIn(entry: JsonObject): string | null {
  const specific = fieldOf(entry, 'database_specific')
  const registry = isJsonObject(specific) ? fieldOf(specific, 'ggen_registry') : undefined
  if (registry === undefined) return null
  if (typeof registry !== 'string' || !/^[a-z0-9]{1,128}$/.test(registry)) throw wrong('ggen_registry', 'a registry id')
  return registry
}

function rangeIn(range: JsonObject): OsvRange {
  const type = RANGE_TYPES.find(known => known === fieldOf(range, 'type'))
  if (type === undefined) throw wrong('ranges.type', RANGE_TYPES.join(', '))
  const events = listOf(range, 'events', LIMITS.advisory.events).map(one => eventIn(objectOf(one, 'events')))
  if (!events.some(([kind]) => kind === 'introduced')) throw wrong('ranges.events', 'events with an "introduced"')
  // The schema: a range says where it ends in one way.
  const kinds = new Set(events.map(([kind]) => kind))
  if (kinds.has('fixed') && kinds.has('last_affected')) throw wrong('ranges.events', '"fixed" or "last_affected"')
  return { type, events }
}

function eventIn(event: JsonObject): OsvEvent {
  const [key, another] = Object.keys(event)
  const kind = EVENT_KINDS.find(known => known === key)
  if (kind === undefined || another !== undefined) throw wrong('events', `one of ${EVENT_KINDS.join(', ')} each`)
  return [kind, versionIn(event[kind], kind)]
}

const VERSION = /^[\x21-\x7e]+$/

function versionIn(value: unknown, name: string): string {
  if (typeof value !== 'string' || value.length > LIMITS.names.versionChars || !VERSION.test(value))
    throw wrong(name, 'a version')
  return value
}

function idIn(value: unknown, name: string): string {
  if (typeof value !== 'string' || value.length > LIMITS.advisory.idChars || !ID.test(value))
    throw wrong(name, 'an id such as OSV-2026-1')
  return value
}

/** Times of the schema are in UTC and end in Z. */
function timeOf(record: JsonObject, name: string): number {
  const value = fieldOf(record, name)
  const time = typeof value === 'string' && TIME.test(value) ? Date.parse(value) : Number.NaN
  if (!Number.isSafeInteger(time) || time < 0) throw wrong(name, 'a time such as 2026-01-31T12:00:00Z')
  return time
}

function summaryOf(record: JsonObject): string {
  const [summary, details] = ['summary', 'details'].map(name => {
    const value = fieldOf(record, name)
    if (value !== undefined && typeof value !== 'string') throw wrong(name, 'a text')
    return cleanText(value ?? '')
  })
  const text = summary === undefined || summary === '' ? (details ?? '') : summary
  return cutText(text.replaceAll(/\s+/g, ' '), LIMITS.advisory.summaryChars)
}

function textOf(of: JsonObject, name: string): string {
  const value = fieldOf(of, name)
  if (typeof value !== 'string' || value === '' || value.length > LIMITS.names.nameChars) throw wrong(name, 'a name')
  return value
}

function objectOf(value: unknown, name: string): JsonObject {
  if (!isJsonObject(value)) throw wrong(name, 'an object')
  return value
}

/** Absent, and null as some write it, is empty. */
function listOf(of: JsonObject, name: string, max: number): readonly unknown[] {
  const value = fieldOf(of, name) ?? []
  if (!Array.isArray(value)) throw wrong(name, 'a list')
  if (value.length > max) throw wrong(name, `a list of at most ${max}`)
  return value
}

function wrong(name: string, wanted: string): RegistryError {
  return new RegistryError('MALFORMED', `not an OSV record: ${name} is not ${wanted}`)
}
