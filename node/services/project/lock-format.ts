import { compareText } from '../../../protocol/bytes.ts'
import { parseContentId, parseFactId, parseRegistryId } from '../../../protocol/cid.ts'
import type { ContentId, FactId, RegistryId } from '../../../protocol/cid.ts'
import { parsePrincipal } from '../../../protocol/did.ts'
import type { Principal } from '../../../protocol/did.ts'
import { RegistryError, messageOf } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { ecosystemOf, parsePackageName, shortNameOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { parseAlias } from '../../../protocol/reference.ts'
import { orderingOf } from '../../../protocol/version.ts'
import type { Version } from '../../../protocol/version.ts'

/** A package's key in the lockfile: its plain name for the registry that is the default, `<registry>:<name>` else. */
export type PackId = string

/** Members of an object that we do not know: kept as they are, because other tools write this file too. */
export type Extra = Readonly<Record<string, unknown>>

/** One entry of `.ggen/packs.lock`. */
export interface LockedPack {
  readonly id: PackId
  readonly name: PackageName
  readonly version: Version
  readonly registry: RegistryId
  /** A hint for people; the registry id is what counts. */
  readonly alias: string
  readonly cid: ContentId
  /** sha2-256 of the canonical archive. */
  readonly sha256: Uint8Array
  readonly author: Principal
  readonly fact: FactId
  /** The range that the project asked for; absent for what only others need. */
  readonly requested?: string
  readonly installedAt: string
  readonly dependencies: readonly PackId[]
  readonly extra: Extra
}

/** The whole file. */
export interface Lock {
  readonly packs: ReadonlyMap<PackId, LockedPack>
  readonly updatedAt: string
  readonly ggenVersion: string
  /** The overrides that it was resolved under, as the project file spells them. */
  readonly overrides: ReadonlyMap<string, string>
  readonly extra: Extra
}

/** The lock of a project that has none. */
export const EMPTY_LOCK: Lock = { packs: new Map(), updatedAt: '', ggenVersion: '', overrides: new Map(), extra: {} }

/** Bumped when an older program would misread the file. */
const LOCK_FORMAT = 1

const PACK_KEYS = [
  'version',
  'source',
  'integrity',
  'installed_at',
  'dependencies',
  'cid',
  'registry',
  'name',
  'alias',
  'author',
  'fact',
  'requested'
]
const TOP_KEYS = ['packs', 'updated_at', 'ggen_version', 'lock_format', 'overrides']
/** A merge that nobody finished: git's markers, those of `diff3` style included. */
const MERGE_MARKER = /^(?:<{7}|\|{7}|={7}|>{7})(?: |\r?$)/m

/** The key of a package in a lockfile. */
export function packId(name: PackageName, registry: RegistryId, isDefault: boolean): PackId {
  if (!isDefault) return `${registry}:${name}`
  return name.startsWith('ggen/') ? shortNameOf(name) : name
}

/** The text of a lock: keys sorted, so that equal locks are equal bytes and a merge touches few lines. */
export function formatLock({ packs, updatedAt, ggenVersion, overrides, extra }: Lock): string {
  const sorted = [...packs].toSorted(([a], [b]) => compareText(a, b)).map(([id, pack]) => [id, toJson(pack)])
  const top = {
    ...extra,
    ggen_version: ggenVersion,
    lock_format: LOCK_FORMAT,
    ...(overrides.size === 0 ? {} : { overrides: sortKeys(Object.fromEntries(overrides)) }),
    packs: Object.fromEntries(sorted) as Extra,
    updated_at: updatedAt
  }
  return `${JSON.stringify(sortKeys(top), null, 2)}\n`
}

function toJson(pack: LockedPack): Extra {
  return sortKeys({
    ...pack.extra,
    version: pack.version,
    source: { type: 'Registry', url: `ggen:${pack.registry}` },
    integrity: integrityOf(pack.sha256),
    installed_at: pack.installedAt,
    dependencies: pack.dependencies.toSorted(compareText),
    cid: pack.cid,
    registry: pack.registry,
    name: pack.name,
    alias: pack.alias,
    author: pack.author,
    fact: pack.fact,
    ...(pack.requested === undefined ? {} : { requested: pack.requested })
  })
}

function sortKeys(record: Extra): Extra {
  return Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => compareText(a, b)))
}

/**
 * Reads a lockfile. It is never guessed at: what can't be read says where and what to do.
 *
 * Invariants of what comes out:
 * 1. An id is the one that `packId` gives to its name and registry, and all plain ids are of one registry.
 * 2. Whatever a package depends on is in the lock too.
 * @throws RegistryError LOCKFILE_INVALID
 */
export function parseLock(text: string): Lock {
  const marker = MERGE_MARKER.exec(text)
  if (marker !== null) {
    const line = text.slice(0, marker.index).split('\n').length
    throw invalid(`it holds merge conflict markers, the first in line ${line}`, {
      next: 'take one side whole (git checkout --ours or --theirs .ggen/packs.lock), then run ggen-node install: it adds what the project file wants besides'
    })
  }
  const json = parseJson(text)
  assertShallow(json)
  const format = Object.hasOwn(json, 'lock_format') ? json['lock_format'] : LOCK_FORMAT
  if (format !== LOCK_FORMAT) {
    throw invalid(`it has format ${shown(format)} and this program knows ${LOCK_FORMAT}`, {
      next: 'update ggen-node; an older one would lose what it does not know'
    })
  }
  const packs = recordIn(json, 'packs', 'the file')
  const ids = Object.keys(packs)
  if (ids.length > LIMITS.install.packages) throw invalid(`it has more than ${LIMITS.install.packages} packages`)
  const lock: Lock = {
    packs: new Map(ids.map(id => [id, fromJson(id, recordIn(packs, id, 'packs'))])),
    updatedAt: textIn(json, 'updated_at', 'the file'),
    ggenVersion: textIn(json, 'ggen_version', 'the file'),
    overrides: overridesIn(json),
    extra: without(json, TOP_KEYS)
  }
  assertWhole(lock)
  return lock
}

function parseJson(text: string): Extra {
  try {
    const json: unknown = JSON.parse(text)
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Extra
  } catch (cause) {
    throw invalid(`it is not JSON: ${messageOf(cause)}`, { cause })
  }
  throw invalid('it is not a JSON object')
}

/** Attack: nesting that nobody can write out again. Without recursion, which it would exhaust as well. */
function assertShallow(json: Extra): void {
  let level: readonly unknown[] = [json]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > LIMITS.fact.cborDepth) throw invalid(`it is nested more than ${LIMITS.fact.cborDepth} levels deep`)
    level = level.flatMap((value): readonly unknown[] =>
      typeof value === 'object' && value !== null ? Object.values(value) : []
    )
  }
}

function assertWhole({ packs }: Lock): void {
  const plain = new Set<RegistryId>()
  for (const { id, registry, dependencies } of packs.values()) {
    if (!isLongId(id)) plain.add(registry)
    const missing = dependencies.find(each => !packs.has(each))
    if (missing !== undefined) {
      throw invalid(`${shown(id)} depends on ${shown(missing)}, which is not in it`)
    }
  }
  if (plain.size > 1) throw invalid('packages of two registries have ids without a registry')
}

/** Whether an id names its registry. A registry id has no colon and no plain name has one. */
export function isLongId(id: PackId): boolean {
  return id.includes(':')
}

function overridesIn(json: Extra): ReadonlyMap<string, string> {
  if (!Object.hasOwn(json, 'overrides')) return new Map()
  const record = recordIn(json, 'overrides', 'the file')
  const keys = Object.keys(record)
  if (keys.length > LIMITS.project.overrides) throw invalid(`it has more than ${LIMITS.project.overrides} overrides`)
  return new Map(keys.map(key => [key, textIn(record, key, 'overrides')]))
}

function fromJson(id: PackId, json: Extra): LockedPack {
  try {
    return readPack(id, json)
  } catch (cause) {
    if (cause instanceof RegistryError && cause.code === 'LOCKFILE_INVALID') throw cause
    throw invalid(`entry ${shown(id)}: ${messageOf(cause)}`, { cause })
  }
}

function readPack(id: PackId, json: Extra): LockedPack {
  const where = `entry ${shown(id)}`
  const text = (key: string): string => textIn(json, key, where)
  const name = parsePackageName(text('name'))
  const registry = parseRegistryId(text('registry'))
  if (id !== packId(name, registry, false) && id !== packId(name, registry, true)) {
    throw new RegistryError('MALFORMED', `it is ${name} of registry ${registry}`)
  }
  const { parseVersion } = orderingOf(ecosystemOf(name))
  return {
    id,
    name,
    version: parseVersion(text('version')),
    registry,
    alias: parseAlias(text('alias')),
    cid: parseContentId(text('cid')),
    sha256: integrityIn(text('integrity')),
    author: parsePrincipal(text('author')),
    fact: parseFactId(text('fact')),
    ...(Object.hasOwn(json, 'requested') ? { requested: text('requested') } : {}),
    installedAt: text('installed_at'),
    dependencies: dependenciesIn(json),
    extra: without(json, PACK_KEYS)
  }
}

/** `sha256-` and base64 in its one spelling: lax decoders would take many texts for one digest. */
function integrityIn(text: string): Uint8Array {
  const sha256 = new Uint8Array(Buffer.from(text.slice('sha256-'.length), 'base64'))
  if (sha256.length !== 32 || integrityOf(sha256) !== text) {
    throw new RegistryError('MALFORMED', 'integrity is not "sha256-" and the base64 of 32 bytes')
  }
  return sha256
}

function integrityOf(sha256: Uint8Array): string {
  return `sha256-${Buffer.from(sha256).toString('base64')}`
}

function dependenciesIn(json: Extra): readonly PackId[] {
  const dependencies = Object.hasOwn(json, 'dependencies') ? json['dependencies'] : undefined
  if (!Array.isArray(dependencies) || !dependencies.every(each => typeof each === 'string')) {
    throw new RegistryError('MALFORMED', 'dependencies is not a list of ids')
  }
  return [...new Set(dependencies)].toSorted(compareText)
}

function recordIn(json: Extra, key: string, where: string): Extra {
  const value = Object.hasOwn(json, key) ? json[key] : undefined
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`${where} has no object ${shown(key)}`)
  }
  return value as Extra
}

function textIn(json: Extra, key: string, where: string): string {
  const value = Object.hasOwn(json, key) ? json[key] : undefined
  if (typeof value !== 'string') throw invalid(`${where} has no text ${shown(key)}`)
  if (value.length > LIMITS.names.referenceChars || /\p{Cc}/u.test(value)) {
    throw invalid(`${where}: ${shown(key)} is too long or holds control characters`)
  }
  return value
}

function without(json: Extra, known: readonly string[]): Extra {
  return Object.fromEntries(Object.entries(json).filter(([key]) => !known.includes(key)))
}

/** A value out of the file for a message: short, on one line. */
function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 120)
}

function invalid(why: string, { cause, next }: { cause?: unknown; next?: string } = {}): RegistryError {
  return new RegistryError('LOCKFILE_INVALID', `.ggen/packs.lock cannot be used: ${why}`, {
    cause,
    next: next ?? 'restore it from version control, or delete it and run ggen-node install'
  })
}
