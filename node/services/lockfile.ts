import { compareText } from '../../protocol/bytes.ts'
import { parseContentId, parseFactId, parseRegistryId } from '../../protocol/cid.ts'
import type { ContentId, FactId, RegistryId } from '../../protocol/cid.ts'
import { parsePrincipal } from '../../protocol/did.ts'
import type { Principal } from '../../protocol/did.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { shortNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { parseSemver } from '../../protocol/version.ts'
import type { Version } from '../../protocol/version.ts'

/** One entry of `.ggen/packs.lock`. */
export interface LockedPack {
  readonly id: string
  readonly version: Version
  readonly registry: RegistryId
  /** A hint for people; the registry id is what counts. */
  readonly alias: string
  readonly cid: ContentId
  readonly sha256: Uint8Array
  readonly author: Principal
  readonly fact: FactId
  readonly installedAt: string
  readonly dependencies: readonly string[]
}

/** The lockfile of one project. */
export interface Lockfile {
  read(): Promise<ReadonlyMap<string, LockedPack>>
  /** Adds or replaces entries. Unchanged content leaves the file byte-equal. */
  merge(packs: readonly LockedPack[]): Promise<void>
}

/** Reading and atomically replacing one text file. */
export interface TextFile {
  read(): Promise<string | undefined>
  replace(text: string): Promise<void>
}

/** A package's key in the lockfile: its plain name for the default registry, the registry's id before it for others. */
export function packId(name: PackageName, registry: RegistryId, isDefault: boolean): string {
  if (!isDefault) return `${registry}:${name}`
  return name.startsWith('ggen/') ? shortNameOf(name) : name
}

export function lockfileIn(file: TextFile, { version, now }: { version: string; now: () => number }): Lockfile {
  return {
    read: async () => (await parse(file)).packs,
    async merge(packs) {
      const { packs: before, text: textBefore, updatedAt } = await parse(file)
      const after = new Map(before)
      for (const pack of packs) {
        const known = before.get(pack.id)
        // The date of an unchanged entry is kept, so that a second install changes nothing.
        after.set(
          pack.id,
          known === undefined
            ? pack
            : { ...pack, installedAt: isSame(known, pack) ? known.installedAt : pack.installedAt }
        )
      }
      if (textBefore !== undefined && format(after, updatedAt, version) === textBefore) return
      await file.replace(format(after, new Date(now()).toISOString(), version))
    }
  }
}

function isSame(a: LockedPack, b: LockedPack): boolean {
  return a.version === b.version && a.cid === b.cid && a.registry === b.registry
}

function format(packs: ReadonlyMap<string, LockedPack>, updatedAt: string, version: string): string {
  const entries = [...packs].toSorted(([a], [b]) => compareText(a, b)).map(([id, pack]) => [id, toJson(pack)])
  const sorted = Object.fromEntries(entries) as Record<string, unknown>
  return `${JSON.stringify({ packs: sorted, updated_at: updatedAt, ggen_version: version }, null, 2)}\n`
}

function toJson(pack: LockedPack): unknown {
  return {
    version: pack.version,
    source: { type: 'Registry', url: `ggen:${pack.registry}` },
    integrity: `sha256-${Buffer.from(pack.sha256).toString('base64')}`,
    installed_at: pack.installedAt,
    dependencies: pack.dependencies.toSorted(compareText),
    cid: pack.cid,
    registry: pack.registry,
    alias: pack.alias,
    author: pack.author,
    fact: pack.fact
  }
}

interface Parsed {
  readonly packs: ReadonlyMap<string, LockedPack>
  readonly text: string | undefined
  readonly updatedAt: string
}

/** @throws RegistryError MALFORMED with what to do: a lockfile is never guessed at */
async function parse(file: TextFile): Promise<Parsed> {
  const text = await file.read()
  if (text === undefined) return { packs: new Map(), text, updatedAt: '' }
  try {
    const json: unknown = JSON.parse(text)
    const packs = field(json, 'packs')
    const ids = typeof packs === 'object' && packs !== null ? Object.keys(packs) : []
    return {
      packs: new Map(ids.map(id => [id, fromJson(id, field(packs, id))])),
      text,
      updatedAt: String(field(json, 'updated_at'))
    }
  } catch (cause) {
    const isMerge = /^(<{7}|>{7}|={7})/m.test(text)
    throw new RegistryError(
      'MALFORMED',
      `.ggen/packs.lock cannot be read${isMerge ? ': it holds merge conflict markers' : ''}`,
      {
        cause,
        next: isMerge
          ? 'take one side of the conflict, then install again'
          : 'restore it from version control, or delete it and install again'
      }
    )
  }
}

function fromJson(id: string, json: unknown): LockedPack {
  const integrity = text(json, 'integrity')
  const dependencies = field(json, 'dependencies')
  if (!integrity.startsWith('sha256-') || !Array.isArray(dependencies))
    throw new RegistryError('MALFORMED', `entry ${id}`)
  return {
    id,
    version: parseSemver(text(json, 'version')),
    registry: parseRegistryId(text(json, 'registry')),
    alias: text(json, 'alias'),
    cid: parseContentId(text(json, 'cid')),
    sha256: new Uint8Array(Buffer.from(integrity.slice(7), 'base64')),
    author: parsePrincipal(text(json, 'author')),
    fact: parseFactId(text(json, 'fact')),
    installedAt: text(json, 'installed_at'),
    dependencies: dependencies.map((id: unknown) => String(id))
  }
}

function field(json: unknown, key: string): unknown {
  if (typeof json !== 'object' || json === null || !Object.hasOwn(json, key))
    throw new RegistryError('MALFORMED', `no ${key}`)
  return (json as Record<string, unknown>)[key]
}

function text(json: unknown, key: string): string {
  const value = field(json, key)
  if (typeof value !== 'string') throw new RegistryError('MALFORMED', `no ${key}`)
  return value
}
