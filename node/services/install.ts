import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { ecosystemOf, shortNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import type { ArchiveDigests } from '../../protocol/payload.ts'
import type { Pick } from '../../protocol/resolve.ts'
import type { Version } from '../../protocol/version.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { fanOut } from '../runtime/queue.ts'
import { packId } from './lockfile.ts'
import type { Lockfile, LockedPack } from './lockfile.ts'
import type { Resolution } from './resolve.ts'
import { TrafficShare } from './traffic-share.ts'
import type { Meter } from './traffic-share.ts'

/** What is asked of whoever unpacks: bytes are verified against the root, the size and the archive digest. */
export interface UnpackOrder {
  readonly registry: RegistryId
  readonly root: ContentId
  readonly target: string
  readonly size: number
  readonly digests: ArchiveDigests
  readonly executables: Manifest['executables']
}

export interface InstallComponents {
  readonly resolve: (
    registry: RegistryId,
    root: { name: PackageName; range: string | undefined }
  ) => Promise<Resolution>
  /** Fetches what is not local, verifies, writes beside the target, renames. `fetched`: bytes of blocks from peers. */
  readonly unpack: (order: UnpackOrder, signal: AbortSignal) => Promise<{ readonly fetched: number }>
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
  /** Bytes received at the sockets while it was fetched; what came while several were is divided among them. */
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

/**
 * Installs a package and what it depends on, a few packages at a time. Nothing is touched when anything holds somebody's
 * edits. Each package lands as a whole or not at all; a second run does nothing.
 */
export function installer(components: InstallComponents): Install {
  return async (request, { signal, onProgress }) => {
    const { picks, left } = await components.resolve(request.registry, request)
    const lockfile = components.lockfile(request.project)
    const before = await lockfile.read()
    const traffic = new TrafficShare(components.meter)
    const orders = picks.map(pick => ({ pick, request, locked: before.get(idOf(pick, request)), traffic }))
    const inspected = new Map<OnePackage, ContentId | 'unreadable' | undefined>()
    const concurrency = LIMITS.fetch.concurrentPackages
    await fanOut(orders, { concurrency, signal }, async (order, abort) => {
      inspected.set(order, await inspect(components, order, abort))
    })
    const done = new Map<OnePackage, InstalledPackage>()
    await fanOut(orders, { concurrency, signal }, async (order, abort) => {
      const installed = await installOne(components, { ...order, here: inspected.get(order) }, abort)
      done.set(order, installed)
      onProgress(installed, picks.length)
    })
    await lockfile.merge(picks.map(pick => toLocked(pick, picks, { request, now: components.now() })))
    return { installed: orders.flatMap(order => done.get(order) ?? []), left }
  }
}

interface OnePackage {
  readonly pick: Pick
  readonly request: InstallRequest
  readonly locked: LockedPack | undefined
  readonly traffic: TrafficShare
}

/** What is in a package's place now. @throws RegistryError LOCALLY_MODIFIED: edits are never thrown away unasked */
async function inspect(
  { rootOf }: InstallComponents,
  { pick, request, locked }: OnePackage,
  signal: AbortSignal
): Promise<ContentId | 'unreadable' | undefined> {
  const path = installPath(pick.name, request)
  const here = await rootOf(`${request.project}/${path}`, signal)
  const isOurs = here === undefined || here === pick.content.root || here === locked?.cid
  if (isOurs || request.force) return here
  throw new RegistryError('LOCALLY_MODIFIED', `${path} differs from what was installed`, {
    tried: [`found ${here}`, locked === undefined ? 'the lockfile does not know it' : `the lockfile has ${locked.cid}`],
    next: 'move your changes away, or overwrite them with --force'
  })
}

async function installOne(
  components: InstallComponents,
  { pick, request, traffic, here }: OnePackage & { readonly here: ContentId | 'unreadable' | undefined },
  signal: AbortSignal
): Promise<InstalledPackage> {
  const { root, size, digests, manifest } = pick.content
  const path = installPath(pick.name, request)
  const started = components.now()
  const result = { name: shortNameOf(pick.name), version: pick.version, cid: root, path }
  if (here === root) return { ...result, from: [], bytes: 0, ms: 0, unchanged: true }
  const received = traffic.begin()
  const target = `${request.project}/${path}`
  const order = { registry: request.registry, root, target, size, digests, executables: manifest.executables }
  const { fetched } = await components.unpack(order, signal).catch((error: unknown) => {
    received()
    throw error
  })
  // What was here already took nothing of what came in meanwhile for others.
  const shares = received().filter(() => fetched > 0)
  const bytes = shares.reduce((sum, [, count]) => sum + count, 0)
  const from = shares.map(([peer]) => peer)
  return { ...result, from, bytes, ms: components.now() - started, unchanged: false }
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
