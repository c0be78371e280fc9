import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { messageOf } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { PackageName } from '../protocol/package-name.ts'
import { shortPeer } from '../protocol/peer-text.ts'
import type { Version } from '../protocol/version.ts'
import { listBlocks } from '../storage/content/walk-dag.ts'
import type { BlockKeeper } from './block-keeper.ts'
import { fetchInto } from './content.ts'
import type { FetchComponents } from './content.ts'
import type { Log } from './runtime/log.ts'
import type { CallContext } from './services/api.ts'
import { FetchProgress, tellingOf } from './services/fetch-progress.ts'
import type { Mirror } from './services/mirror.ts'
import type { RegistryView } from './services/registry-view.ts'
import type { UnrepairedRoot } from './services/store/methods.ts'
import { brokenRoots } from './services/store/verify.ts'
import type { Reading, VerifiedStore } from './services/store/verify.ts'
import type { Trail } from './services/trail.ts'
import type { Space } from './spaces.ts'

export interface RepairComponents extends FetchComponents {
  readonly registries: { readonly ids: readonly RegistryId[] }
  readonly view: Pick<RegistryView, 'digests' | 'packages'>
  readonly keeper: Pick<BlockKeeper, 'coming' | 'giveUpLost' | 'tidyAfter'>
  readonly mirror: Mirror
  readonly log: Log
}

/** Whoever waits for it may be told how far it is. */
export interface Repairing extends Reading {
  readonly onProgress?: CallContext['onProgress']
}

/** What repairing came to. */
export interface Repaired {
  readonly broken: number
  readonly repaired: number
  /** The first few. */
  readonly unrepaired: readonly UnrepairedRoot[]
}

/** The blocks of a space as they are on the disk, for whoever looks through them. */
export function verifiedStoreOf(space: Space): VerifiedStore {
  const { stored } = space
  return {
    blocks: { ...stored, list: (root, signal) => listBlocks(root, stored, { signal }) },
    roots: space
  }
}

/**
 * Finds content of which something is missing, and fetches it again. What does not come is no longer recorded as being here,
 * so that whoever needs it asks for it, and is asked for again when a peer comes.
 */
export async function repairSpace(
  components: RepairComponents,
  space: Space,
  { signal, onBlock, onProgress = () => {} }: Repairing
): Promise<Repaired> {
  const { takedowns } = components.spaces
  // Of what an operator withholds nothing is expected to be here.
  const found = await brokenRoots(verifiedStoreOf(space), { signal, onBlock })
  const broken = found.filter(root => !takedowns.isTakenDown(root))
  if (broken.length === 0) return { broken: 0, repaired: 0, unrepaired: [] }
  const known = await locate(components, space, new Set(broken))
  const unrepaired: UnrepairedRoot[] = []
  let repaired = 0
  const { clock, swarms } = components
  const total = broken.reduce((sum, root) => sum + (known.get(root)?.size ?? 0), 0)
  const isRelayed = (peer: string): boolean => swarms.isRelayed(peer)
  const progress = new FetchProgress({ now: () => clock.now(), total, isRelayed })
  for (const [done, root] of broken.entries()) {
    signal.throwIfAborted()
    const { trail, end } = progress.begin(shortPeer(root))
    const tell = (): void => onProgress({ ...progress.read(), done, of: broken.length })
    const repairing = repairOne(components, space, { root, found: known.get(root), signal, trail }).finally(end)
    const reason = await tellingOf(repairing, tell)
    if (reason === undefined) repaired += 1
    else if (unrepaired.length < LIMITS.store.named) {
      const { registry = null, name = null, version = null } = known.get(root) ?? {}
      unrepaired.push({ root, registry, name, version, reason })
    }
  }
  return { broken: broken.length, repaired, unrepaired }
}

interface Located {
  readonly registry: RegistryId
  readonly size: number
  /** Null of a predicate, which is about digests. */
  readonly name: PackageName | null
  readonly version: Version | null
}

interface Lost {
  readonly root: ContentId
  readonly found: Located | undefined
  readonly signal: AbortSignal
  readonly trail: Trail
}

/** Undefined when all of it is here again; otherwise why not. What is left of it stays, also until that is written down. */
async function repairOne(components: RepairComponents, space: Space, lost: Lost): Promise<string | undefined> {
  const release = space.inUse.hold(lost.root)
  try {
    return await repairHeld(components, space, lost)
  } finally {
    release()
  }
}

async function repairHeld(
  components: RepairComponents,
  space: Space,
  { root, found, signal, trail }: Lost
): Promise<string | undefined> {
  const { swarms, mirror, log } = components
  // Whatever becomes of it: nobody is told meanwhile that all of it is here.
  if (found === undefined) {
    await space.forgetKept(root)
    return 'no registry that is followed here names it'
  }
  await space.lostKept(root)
  const wanted = { registry: found.registry, root, size: found.size }
  mirror.forget(space.name, root)
  if (swarms.of(found.registry) === undefined) return 'no node is running'
  try {
    const timeout = AbortSignal.timeout(LIMITS.fetch.packageTimeoutMs)
    await fetchInto(components, wanted, AbortSignal.any([signal, timeout]), trail)
    await space.markKept(root)
    return undefined
  } catch (error) {
    signal.throwIfAborted()
    log.warn({ root, error }, 'damaged content could not be fetched again')
    mirror.want(wanted)
    return messageOf(error)
  }
}

/** What was lost in a space and is named by a registry is asked for again, by itself and whenever a peer comes. Returns how many are. */
export async function wantLost(
  { swarms, mirror }: Pick<RepairComponents, 'swarms' | 'mirror'>,
  space: Space,
  named: ReadonlyMap<ContentId, Located>
): Promise<number> {
  let wanted = 0
  for (const [root, found] of named) {
    if (swarms.of(found.registry) === undefined) continue
    mirror.forget(space.name, root)
    mirror.want({ ...found, root })
    if (mirror.wants(space.name, root)) wanted += 1
  }
  return wanted
}

/** The same when a node starts, of all that was lost before and did not come again. */
export async function wantAllLost(
  components: Pick<RepairComponents, 'registries' | 'spaces' | 'view' | 'swarms' | 'mirror'>,
  signal: AbortSignal
): Promise<void> {
  for (const space of components.spaces.all) {
    const lost = new Set<ContentId>()
    const { takedowns } = components.spaces
    for await (const { root, whole } of space.keptEntries()) {
      if (!whole && !takedowns.isTakenDown(root)) lost.add(root)
    }
    if (lost.size > 0) await wantLost(components, space, await locate(components, space, lost, signal))
  }
}

/** Which registry names a root, and how large it says that it is. Only registries of the space: their bytes are nowhere else. */
export async function locate(
  { registries, spaces, view }: Pick<RepairComponents, 'registries' | 'spaces' | 'view'>,
  space: Space,
  roots: ReadonlySet<ContentId>,
  signal?: AbortSignal
): Promise<ReadonlyMap<ContentId, Located>> {
  const found = new Map<ContentId, Located>()
  const ids = registries.ids.filter(id => spaces.of(id).name === space.name)
  for (const registry of ids) {
    for await (const { name, versions } of view.packages(registry)) {
      signal?.throwIfAborted()
      for (const { version, contents } of versions) {
        for (const { root, size } of contents) {
          if (roots.has(root) && !found.has(root)) found.set(root, { registry, size, name, version })
        }
      }
    }
  }
  // What is said of digests is more, and rarely content of its own.
  for (const registry of found.size === roots.size ? [] : ids) {
    for await (const { attestations } of view.digests(registry)) {
      signal?.throwIfAborted()
      for (const { content } of attestations) {
        if (content === null || !roots.has(content.cid) || found.has(content.cid)) continue
        found.set(content.cid, { registry, size: content.size, name: null, version: null })
      }
    }
  }
  return found
}
