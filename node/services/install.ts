import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { ecosystemOf, shortNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import type { ArchiveDigests } from '../../protocol/payload.ts'
import type { Pick } from '../../protocol/resolve.ts'
import type { Version } from '../../protocol/version.ts'
import { packId } from './lockfile.ts'
import type { Lockfile, LockedPack } from './lockfile.ts'
import type { Resolution } from './resolve.ts'

/** What is asked of whoever unpacks: bytes are verified against the root, the size and the archive digest. */
export interface UnpackOrder {
  readonly registry: RegistryId
  readonly root: ContentId
  readonly target: string
  readonly size: number
  readonly digests: ArchiveDigests
  readonly executables: Manifest['executables']
}

/** Which peers bytes came from, counted at the sockets between two moments. */
export interface Meter {
  read(): ReadonlyMap<string, number>
}

export interface InstallComponents {
  readonly resolve: (
    registry: RegistryId,
    root: { name: PackageName; range: string | undefined }
  ) => Promise<Resolution>
  /** Fetches what is not local, verifies, writes beside the target, renames. */
  readonly unpack: (order: UnpackOrder, signal: AbortSignal) => Promise<void>
  /** The content root of what is in a folder now; undefined when there is none, `unreadable` when it is no package. */
  readonly rootOf: (folder: string, signal: AbortSignal) => Promise<ContentId | 'unreadable' | undefined>
  readonly lockfile: (project: string) => Lockfile
  readonly meter: Meter
  readonly now: () => number
}

export interface InstallRequest {
  readonly registry: RegistryId
  readonly alias: string
  readonly isDefault: boolean
  readonly name: PackageName
  readonly range: string | undefined
  /** The folder that holds `.ggen`. */
  readonly project: string
  readonly force: boolean
}

export interface InstalledPackage {
  readonly name: string
  readonly version: Version
  readonly cid: ContentId
  readonly path: string
  /** Peers that sent bytes for it; empty when all of it was here already. */
  readonly from: readonly string[]
  /** Bytes received at the sockets while it was fetched. */
  readonly bytes: number
  readonly ms: number
  readonly unchanged: boolean
}

export interface InstallResult {
  readonly installed: readonly InstalledPackage[]
  readonly left: Resolution['left']
}

export type Install = (
  request: InstallRequest,
  context: { readonly signal: AbortSignal; readonly onProgress: (done: InstalledPackage, of: number) => void }
) => Promise<InstallResult>

/** Installs a package and what it depends on. Each package lands as a whole or not at all; a second run does nothing. */
export function installer(components: InstallComponents): Install {
  return async (request, { signal, onProgress }) => {
    const { picks, left } = await components.resolve(request.registry, request)
    const lockfile = components.lockfile(request.project)
    const before = await lockfile.read()
    const installed: InstalledPackage[] = []
    const locked: LockedPack[] = []
    for (const pick of picks) {
      signal.throwIfAborted()
      const done = await installOne(components, { pick, request, locked: before.get(idOf(pick, request)) }, signal)
      installed.push(done)
      locked.push(toLocked(pick, picks, { request, now: components.now() }))
      onProgress(done, picks.length)
    }
    await lockfile.merge(locked)
    return { installed, left }
  }
}

interface OnePackage {
  readonly pick: Pick
  readonly request: InstallRequest
  readonly locked: LockedPack | undefined
}

async function installOne(
  components: InstallComponents,
  one: OnePackage,
  signal: AbortSignal
): Promise<InstalledPackage> {
  const { pick, request, locked } = one
  const { root, size, digests, manifest } = pick.content
  const path = installPath(pick.name, request)
  const target = `${request.project}/${path}`
  const started = components.now()
  const here = await components.rootOf(target, signal)
  const name = shortNameOf(pick.name)
  const result = { name, version: pick.version, cid: root, path }
  if (here === root) return { ...result, from: [], bytes: 0, ms: components.now() - started, unchanged: true }
  // Somebody's edits are never thrown away unasked.
  if (here !== undefined && here !== locked?.cid && !request.force) {
    throw new RegistryError('LOCALLY_MODIFIED', `${path} differs from what was installed`, {
      tried: [
        `found ${here}`,
        locked === undefined ? 'the lockfile does not know it' : `the lockfile has ${locked.cid}`
      ],
      next: 'move your changes away, or overwrite them with --force'
    })
  }
  const metered = components.meter.read()
  await components.unpack(
    { registry: request.registry, root, target, size, digests, executables: manifest.executables },
    signal
  )
  const received = difference(metered, components.meter.read())
  const bytes = received.reduce((sum, [, count]) => sum + count, 0)
  const from = received.map(([peer]) => peer)
  return { ...result, from, bytes, ms: components.now() - started, unchanged: false }
}

function difference(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>
): readonly (readonly [string, number])[] {
  return [...after]
    .map(([peer, bytes]) => [peer, bytes - (before.get(peer) ?? 0)] as const)
    .filter(([, bytes]) => bytes > 0)
    .toSorted(([, a], [, b]) => b - a)
}

/** Where a package lives in a project: two registries with one name never collide. */
export function installPath(
  name: PackageName,
  { registry, isDefault }: { registry: RegistryId; isDefault: boolean }
): string {
  const ecosystem = ecosystemOf(name)
  if (isDefault && ecosystem === 'ggen') return `.ggen/packages/${shortNameOf(name)}`
  return `.ggen/packages/${registry.slice(-16)}/${ecosystem}/${shortNameOf(name)}`
}

function idOf({ name }: Pick, request: InstallRequest): string {
  return packId(name, request.registry, request.isDefault)
}

function toLocked(
  pick: Pick,
  picks: readonly Pick[],
  { request, now }: { request: InstallRequest; now: number }
): LockedPack {
  const { content } = pick
  const wanted = new Set(
    content.manifest.dependencies.flatMap(entry => (entry.kind === 'ggen' ? [`ggen/${entry.name}`] : []))
  )
  return {
    id: idOf(pick, request),
    version: pick.version,
    registry: request.registry,
    alias: request.alias,
    cid: content.root,
    sha256: content.digests.sha256,
    author: content.by,
    fact: content.fact,
    installedAt: new Date(now).toISOString(),
    dependencies: picks.filter(other => wanted.has(other.name)).map(other => idOf(other, request))
  }
}
