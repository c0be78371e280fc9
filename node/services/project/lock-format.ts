import { compareText } from '../../../protocol/bytes.ts'
import { parseContentId, parseFactId, parseRegistryId } from '../../../protocol/cid.ts'
import type { ContentId, FactId, RegistryId } from '../../../protocol/cid.ts'
import { parsePrincipal } from '../../../protocol/did.ts'
import type { Principal } from '../../../protocol/did.ts'
import { RegistryError, messageOf } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { parsePackageName, shortNameOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { parseSemver } from '../../../protocol/version.ts'
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
  readonly extra: Extra
}

export const EMPTY_LOCK: Lock = { packs: new Map(), updatedAt: '', ggenVersion: '', extra: {} }

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
const TOP_KEYS = ['packs', 'updated_at', 'ggen_version', 'lock_format']

export function packId(name: PackageName, registry: RegistryId, isDefault: boolean): PackId {
  if (!isDefault) return `${registry}:${name}`
  return name.startsWith('ggen/') ? shortNameOf(name) : name
}

/** The text of a lock: keys sorted, so that equal locks are equal bytes and a merge touches few lines. */
export function formatLock({ packs, updatedAt, ggenVersion, extra }: Lock): string {
  const sorted = [...packs].toSorted(([a], [b]) => compareText(a, b)).map(([id, pack]) => [id, toJson(pack)])
  const top = {
    ...extra,
    ggen_version: ggenVersion,
    lock_format: LOCK_FORMAT,
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
    integrity: `sha256-${Buffer.from(pack.sha256).toString('base64')}`,
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
  return Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => compareText(a, b))) as Extra
}

/**
 * Reads a lockfile. It is never guessed at: what can't be read says where and what to do.
 * @throws RegistryError LOCKFILE_INVALID
 */
export function parseLock(text: string): Lock {
  if (/^(<{7}|={7}|>{7})/m.test(text)) {
    const line = text.split('\n').findIndex(each => /^(<{7}|={7}|>{7})/.test(each)) + 1
    throw invalid(`it holds merge conflict markers, the first in line ${line}`, {
      next: 'take either side of the conflict (git checkout --ours or --theirs .ggen/packs.lock), then run ggen-node install'
    })
  }
  const json = parseJson(text)
  const format = json['lock_format'] ?? LOCK_FORMAT
  if (format !== LOCK_FORMAT) {
    throw invalid(`it has format ${JSON.stringify(format)} and this program knows ${LOCK_FORMAT}`, {
      next: 'update ggen-node; an older one would lose what it does not know'
    })
  }
  const packs = recordIn(json, 'packs', 'the file')
  const ids = Object.keys(packs)
  if (ids.length > LIMITS.install.packages) throw invalid(`it has more than ${LIMITS.install.packages} packages`)
  return {
    packs: new Map(ids.map(id => [id, fromJson(id, recordIn(packs, id, 'packs'))])),
    updatedAt: textIn(json, 'updated_at', 'the file'),
    ggenVersion: textIn(json, 'ggen_version', 'the file'),
    extra: without(json, TOP_KEYS)
  }
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

function fromJson(id: PackId, json: Extra): LockedPack {
  try {
    return readPack(id, json)
  } catch (cause) {
    throw invalid(`entry ${JSON.stringify(id)}: ${messageOf(cause)}`, { cause })
  }
}

function readPack(id: PackId, json: Extra): LockedPack {
  const integrity = textIn(json, 'integrity', id)
  const { dependencies, requested } = json
  const sha256 = new Uint8Array(Buffer.from(integrity.replace(/^sha256-/, ''), 'base64'))
  if (!integrity.startsWith('sha256-') || sha256.length !== 32)
    throw new RegistryError('MALFORMED', 'integrity is not sha256-…')
  if (!Array.isArray(dependencies) || !dependencies.every(each => typeof each === 'string')) {
    throw new RegistryError('MALFORMED', 'dependencies is not a list of names')
  }
  if (requested !== undefined && typeof requested !== 'string')
    throw new RegistryError('MALFORMED', 'requested is not a text')
  return {
    id,
    name: parsePackageName(textIn(json, 'name', id)),
    version: parseSemver(textIn(json, 'version', id)),
    registry: parseRegistryId(textIn(json, 'registry', id)),
    alias: textIn(json, 'alias', id),
    cid: parseContentId(textIn(json, 'cid', id)),
    sha256,
    author: parsePrincipal(textIn(json, 'author', id)),
    fact: parseFactId(textIn(json, 'fact', id)),
    ...(requested === undefined ? {} : { requested }),
    installedAt: textIn(json, 'installed_at', id),
    dependencies,
    extra: without(json, PACK_KEYS)
  }
}

function recordIn(json: Extra, key: string, where: string): Extra {
  const value = Object.hasOwn(json, key) ? json[key] : undefined
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(`${where} has no ${JSON.stringify(key)}`)
  return value as Extra
}

function textIn(json: Extra, key: string, where: string): string {
  const value = Object.hasOwn(json, key) ? json[key] : undefined
  if (typeof value !== 'string') throw invalid(`${where} has no ${JSON.stringify(key)}`)
  return value
}

function without(json: Extra, known: readonly string[]): Extra {
  return Object.fromEntries(Object.entries(json).filter(([key]) => !known.includes(key))) as Extra
}

function invalid(why: string, { cause, next }: { cause?: unknown; next?: string } = {}): RegistryError {
  return new RegistryError('LOCKFILE_INVALID', `.ggen/packs.lock cannot be used: ${why}`, {
    cause,
    next: next ?? 'restore it from version control, or delete it and run ggen-node install'
  })
}
