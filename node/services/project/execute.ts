import type { ContentId, RegistryId } from '../../../protocol/cid.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { Manifest } from '../../../protocol/manifest.ts'
import { shortNameOf } from '../../../protocol/package-name.ts'
import type { ArchiveDigests } from '../../../protocol/payload.ts'
import { fanOut, Queue } from '../../runtime/queue.ts'
import { FetchProgress, tellingOf } from '../fetch-progress.ts'
import type { FetchTold } from '../fetch-progress.ts'
import type { Plan, Step } from './plan.ts'
import type { Trail } from '../trail.ts'
import type { PlacedFolder, ProjectStore } from './project.ts'

/** What is asked of whoever unpacks: bytes are verified against the root, the size and the archive digest. */
export interface UnpackOrder {
  readonly registry: RegistryId
  readonly root: ContentId
  readonly target: string
  readonly size: number
  readonly digests: ArchiveDigests
  readonly executables: Manifest['executables']
}

/** Packages' bytes, on this disk and at peers. */
export interface PackageContent {
  /** Whether all bytes below a root are here, as far as is recorded. */
  isHere(root: ContentId, registry: RegistryId): Promise<boolean>
  /** Brings what is missing here. `fetched`: bytes of blocks from peers. */
  fetch(
    order: Pick<UnpackOrder, 'registry' | 'root' | 'size'>,
    signal: AbortSignal,
    trail?: Trail
  ): Promise<{ readonly fetched: number }>
  /**
   * Brings small packages together, as far as that goes, and makes them durable: the roots that are here as a whole then. What
   * is not is fetched alone. Rejects only when it is given up.
   */
  fetchTogether(
    orders: readonly (Pick<UnpackOrder, 'registry' | 'root' | 'size'> & { readonly trail: Trail })[],
    signal: AbortSignal
  ): Promise<ReadonlySet<ContentId>>
  /** Verifies, writes beside the target, renames; does not wait for the disk. Returns the content ids of the files. */
  unpack(order: UnpackOrder, signal: AbortSignal): Promise<ReadonlyMap<string, string>>
  /** These were put in their places, and what that took. Best effort. */
  onPlaced(
    placed: readonly { readonly registry: RegistryId; readonly root: ContentId; readonly ms: number }[]
  ): Promise<void>
  /** The files of a package, from blocks that are on this disk; undefined when they are not. */
  filesOf(root: ContentId, registry: RegistryId): Promise<ReadonlyMap<string, string> | undefined>
  /** Whether what comes from a peer is carried by a relay. */
  readonly isRelayed: (peer: string) => boolean
}

/** What came over the network for one package. */
export interface Arrived {
  readonly from: readonly string[]
  readonly bytes: number
  readonly ms: number
}

export interface ExecuteContext {
  readonly content: PackageContent
  readonly now: () => number
  /** What choosing the versions took. */
  readonly resolveMs?: number
  readonly signal: AbortSignal
  readonly onProgress: (
    progress: Partial<FetchTold> & { readonly text: string; readonly done: number; readonly of: number }
  ) => void
}

/** Brings everything that a plan needs onto this disk, a few packages at a time, before anything in the project changes. */
export async function fetchAll(
  steps: readonly Step[],
  { content, now, resolveMs, signal, onProgress }: ExecuteContext
): Promise<ReadonlyMap<string, Arrived>> {
  const missing = await missingOf(steps, content)
  const arrived = new Map<string, Arrived>()
  const total = missing.reduce((sum, { release }) => sum + release.size, 0)
  const progress = new FetchProgress({ now, total, isRelayed: peer => content.isRelayed(peer) })
  let done = 0
  const tell = (): void => onProgress({ ...progress.read(), done, of: missing.length })
  // A package that has come waits for the disk beside others: one turn at it makes many of them durable.
  const tools = { progress, arrived }
  const lanes = new Queue({ concurrency: LIMITS.fetch.concurrentPackages, capacity: LIMITS.fetch.packagesUnderWay })
  const alone = async (steps: readonly Step[], given: AbortSignal): Promise<void> =>
    fanOut(steps, { concurrency: LIMITS.fetch.packagesUnderWay, signal: given }, async ({ pack, release }, abort) => {
      const order = { registry: pack.registry, root: pack.cid, size: release.size }
      const whole = await lanes.run(async () => {
        const started = now()
        const shown = progress.begin(calledOf(pack), resolveMs)
        const { trail } = shown
        const coming = content.fetch(order, abort, trail)
        try {
          await Promise.race([trail.arrived, coming])
        } finally {
          shown.end()
          arrived.set(pack.id, { ...cameOf(trail), ms: now() - started })
        }
        return { coming }
      }, abort)
      await whole.coming
      done += 1
      tell()
    })
  const small = missing.filter(({ release }) => release.size <= LIMITS.dag.eagerBytes)
  const others = missing.filter(({ release }) => release.size > LIMITS.dag.eagerBytes)
  const together = async (abort: AbortSignal): Promise<void> => {
    const given = { content, now, signal: abort, ...(resolveMs === undefined ? {} : { resolveMs }) }
    const rest = await fetchTogether(small, given, tools)
    done += small.length - rest.length
    if (small.length > rest.length) tell()
    await alone(rest, abort)
  }
  // What is too large to come with others has no reason to wait for them.
  const ways = [together, (abort: AbortSignal) => alone(others, abort)]
  await tellingOf(
    fanOut(ways, { concurrency: ways.length, signal }, (way, abort) => way(abort)),
    tell
  )
  return arrived
}

/** As a person wrote it, or could have: the id of a registry leaves no room for who sends and how fast. */
function calledOf({ alias, name, version }: Step['pack']): string {
  return `${alias}:${shortNameOf(name)}@${version}`
}

/** What of it came over the network, as the trace says it too, and who sent it, most first. */
function cameOf({ sources, received }: Trail): Pick<Arrived, 'from' | 'bytes'> {
  return { from: [...new Set(sources.flatMap(({ from }) => from ?? []))], bytes: received }
}

interface FetchTools {
  readonly progress: FetchProgress
  readonly arrived: Map<string, Arrived>
}

/** Fetches small packages as one. Returns those that are still missing. */
async function fetchTogether(
  small: readonly Step[],
  { content, now, resolveMs, signal }: Pick<ExecuteContext, 'content' | 'now' | 'resolveMs' | 'signal'>,
  { progress, arrived }: FetchTools
): Promise<readonly Step[]> {
  if (small.length < 2) return small
  const started = now()
  const coming = small.map(({ pack, release }) => {
    const { trail, end } = progress.begin(calledOf(pack), resolveMs)
    return {
      id: pack.id,
      registry: pack.registry,
      root: pack.cid,
      size: release.size,
      trail,
      end
    }
  })
  let whole: ReadonlySet<ContentId> = new Set()
  try {
    whole = await content.fetchTogether(coming, signal)
  } finally {
    for (const { id, root, trail, end } of coming) {
      end()
      if (whole.has(root)) arrived.set(id, { ...cameOf(trail), ms: now() - started })
    }
  }
  return small.filter(({ pack }) => !whole.has(pack.cid))
}

/**
 * Puts packages in their places and takes others away. The journal is durable before the first folder changes, so that
 * a crash anywhere in here leaves whole packages that the next install knows to be its own doing.
 */
export async function placeAll(
  { steps, removals }: Pick<Plan, 'removals' | 'steps'>,
  store: ProjectStore,
  { content, now, signal, onProgress }: ExecuteContext
): Promise<readonly PlacedFolder[]> {
  await store.writeJournal(steps.map(({ path, pack }) => ({ path, cid: pack.cid })))
  const placed: PlacedFolder[] = []
  const times: { readonly registry: RegistryId; readonly root: ContentId; readonly ms: number }[] = []
  const placing = fanOut(
    steps,
    { concurrency: LIMITS.fetch.concurrentPackages, signal },
    async ({ pack, path, release }, abort) => {
      const started = now()
      const { size, digests, manifest } = release
      const target = `${store.folder}/${path}`
      const order = {
        registry: pack.registry,
        root: pack.cid,
        target,
        size,
        digests,
        executables: manifest.executables
      }
      const files = await content.unpack(order, abort)
      placed.push({ path, cid: pack.cid, files })
      times.push({ registry: pack.registry, root: pack.cid, ms: now() - started })
      onProgress({ text: `installed ${pack.id}@${pack.version}`, done: placed.length, of: steps.length })
    }
  )
  try {
    await placing
  } finally {
    await content.onPlaced(times)
  }
  for (const path of removals) {
    signal.throwIfAborted()
    await store.remove(path)
  }
  return placed
}

/** @throws RegistryError CONTENT_UNAVAILABLE that names what has no bytes on this disk */
export async function assertHere(steps: readonly Step[], content: PackageContent): Promise<void> {
  const missing = await missingOf(steps, content)
  if (missing.length > 0) throw notHere(missing)
}

async function missingOf(steps: readonly Step[], content: PackageContent): Promise<readonly Step[]> {
  const here = await Promise.all(steps.map(({ pack }) => content.isHere(pack.cid, pack.registry)))
  return steps.filter((_, i) => here[i] !== true)
}

function notHere(steps: readonly Step[]): RegistryError {
  const named = steps.slice(0, LIMITS.project.namedFiles)
  return new RegistryError(
    'CONTENT_UNAVAILABLE',
    `--offline, and the bytes of ${named.map(({ pack }) => `${pack.id}@${pack.version}`).join(', ')} are not on this disk`,
    {
      tried: named.map(({ pack }) => `looked for ${pack.cid} in the local block store`),
      next: 'run it once without --offline where a peer has them'
    }
  )
}
