import { resolve } from 'node:path'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { diskSpace } from '../storage/disk-space.ts'
import { usedBytes } from './block-keeper.ts'
import { locate, repairSpace, verifiedStoreOf } from './block-repair.ts'
import type { NodeParts } from './parts.ts'
import { pinTarget, pinText } from './pin-target.ts'
import { rootsIn } from './project-pins.ts'
import type { Api, ApiMethods, CallContext } from './services/api.ts'
import type { CollectedSpace, ShownPin, StoredSpace, StoreMethods, VerifiedSpace } from './services/store/methods.ts'
import { meantBy } from './services/store/pins.ts'
import type { MirrorPolicy, Pin } from './services/store/pins.ts'
import { readShard } from './services/store/verify.ts'
import type { ReadBlocks } from './services/store/verify.ts'
import type { Space } from './spaces.ts'
import { trace } from './trace-api.ts'

/** The calls about the block stores. */
export function storeApi(parts: NodeParts): Pick<Api, keyof StoreMethods> {
  return {
    trace: (params, { signal }) => trace(parts, params, signal),
    storeStat: (_params, context) => stat(parts, context),
    storeGc: (params, context) => collectAll(parts, params, context),
    storeVerify: (_params, context) => verifyAll(parts, context),
    storePin: ({ what }, { signal }) => addPin(parts, what, signal),
    storeUnpin: ({ what }) => unpin(parts, what),
    storePins: () => listPins(parts),
    storeQuota: params => setQuota(parts, params)
  }
}

async function stat(parts: NodeParts, context: CallContext): Promise<ApiMethods['storeStat']['result']> {
  const spaces: StoredSpace[] = []
  for (const space of parts.spaces.all) spaces.push(await statSpace(parts, space, context))
  return {
    spaces,
    disk: await diskSpace(parts.home),
    readOnly: parts.isReadOnly(),
    pins: parts.pins.all.length
  }
}

/** What a collection would leave if there were room for nothing but what is pinned. */
async function statSpace(
  { keeper, scrubs }: NodeParts,
  space: Space,
  { signal, onProgress }: CallContext
): Promise<StoredSpace> {
  const found = await keeper.collect(space, { budgetBytes: 0, isDry: true, signal, onProgress })
  const { blocks, bytes } = await space.stored.usage()
  return {
    swarm: space.name,
    blocks,
    bytes,
    deadBytes: space.stored.deadBytes(),
    roots: found.kept.roots + found.roots,
    pinned: found.pinned,
    reclaimableBytes: found.bytes,
    quotaBytes: keeper.roomOf(space).quotaBytes ?? null,
    broken: found.broken.slice(0, LIMITS.store.named),
    scrub: (await scrubs.last(space.name)) ?? null
  }
}

async function collectAll(
  { spaces, keeper, mirror }: NodeParts,
  { all, dryRun }: ApiMethods['storeGc']['params'],
  { signal, onProgress }: CallContext
): Promise<ApiMethods['storeGc']['result']> {
  const collected: CollectedSpace[] = []
  for (const space of spaces.all) {
    const quota = keeper.roomOf(space).quotaBytes ?? Number.POSITIVE_INFINITY
    const budgetBytes = all ? 0 : quota
    const { roots, blocks, bytes } = await keeper.collect(space, { budgetBytes, isDry: dryRun, signal, onProgress })
    const left = await space.stored.usage()
    collected.push({ swarm: space.name, roots, blocks, bytes, left })
  }
  if (!dryRun) {
    keeper.changed()
    // What did not fit may fit now.
    mirror.retry()
  }
  return { spaces: collected, dryRun }
}

async function verifyAll(parts: NodeParts, context: CallContext): Promise<ApiMethods['storeVerify']['result']> {
  const spaces: VerifiedSpace[] = []
  for (const space of parts.spaces.all) spaces.push(await verifySpace(parts, space, context))
  return { spaces }
}

/** Reads and hashes every block, then fetches again what is missing below a kept root. */
async function verifySpace(
  parts: NodeParts,
  space: Space,
  { signal, onProgress }: CallContext
): Promise<VerifiedSpace> {
  const store = verifiedStoreOf(space)
  const into: ReadBlocks = { blocks: 0, bytes: 0, damaged: 0 }
  const onBlock = async (): Promise<void> => undefined
  const shards = await store.blocks.shards()
  for (const [at, shard] of shards.entries()) {
    await readShard(store, shard, { into, signal, onBlock })
    onProgress({ text: `verifying ${space.name}`, done: at + 1, of: shards.length })
  }
  const repaired = await repairSpace(parts, space, { signal, onBlock, onProgress })
  return { swarm: space.name, ...into, ...repaired }
}

async function addPin(parts: NodeParts, what: string, signal: AbortSignal): Promise<ApiMethods['storePin']['result']> {
  const pin = await pinTarget(parts, what)
  parts.disk.assertWritable()
  const isNew = await parts.pins.add(pin)
  const space = spaceFor(parts, pin)
  parts.keeper.changed()
  // A collection that runs has read the pins before this one was written.
  for (const { root } of await contentsOf(parts, pin)) space.inUse.wanted(root)
  await wantPinned(parts, pin, signal)
  return { ...(await shown(parts, pin)), isNew }
}

/** What is pinned by its content id and is not here is asked for again; what else is pinned follows from its registry. */
export async function wantPinnedRoots(parts: NodeParts): Promise<void> {
  for (const pin of parts.pins.all) {
    const isThere = pin.type === 'root' && parts.spaces.all.some(({ name }) => name === pin.swarm)
    if (isThere) await wantPinned(parts, pin, new AbortController().signal)
  }
}

/** What is not here yet is fetched in the background. */
async function wantPinned(parts: NodeParts, pin: Pin, signal: AbortSignal): Promise<void> {
  const { mirror, spaces } = parts
  if (pin.type === 'root') {
    const space = spaces.named(pin.swarm)
    const found = (await locate(parts, space, new Set([pin.root]))).get(pin.root)
    if (found !== undefined) mirror.want({ ...found, root: pin.root })
    return
  }
  for (const { root, size } of await contentsOf(parts, pin)) {
    signal.throwIfAborted()
    mirror.want({ registry: pin.registry, root, size })
  }
}

async function unpin(parts: NodeParts, what: string): Promise<ApiMethods['storeUnpin']['result']> {
  const { pins, projectPins, keeper } = parts
  parts.disk.assertWritable()
  // A folder, as `store pins` writes it: a project that moved, or that nobody needs any more.
  if (what.startsWith('/') && (await projectPins.forget(resolve(what)))) {
    keeper.changed()
    return { what, roots: 0 }
  }
  // As `store pins` writes it: also of what is not followed any more, or was never published.
  const pin =
    pins.all.find(each => each.policy === null && pinText(parts, each) === what) ?? (await pinTarget(parts, what))
  const contents = await contentsOf(parts, pin)
  if (!(await pins.remove(pin)) && !(await unpinOwn(parts, pin, contents))) {
    throw new RegistryError('UNKNOWN_ENTRY', `${what} is not pinned here`, { next: 'ggen-node store pins lists them' })
  }
  keeper.changed()
  return { what: pinText(parts, pin), roots: contents.length }
}

/**
 * What was published here or restored is pinned by itself. A whole registry is not let go of with one word: it may be
 * nowhere else.
 */
async function unpinOwn(
  parts: NodeParts,
  pin: Pin,
  contents: readonly { readonly root: ContentId }[]
): Promise<boolean> {
  if (pin.type === 'registry') return false
  let released = 0
  for (const { root } of contents) if (await spaceFor(parts, pin).unpinKept(root)) released += 1
  return released > 0
}

async function listPins(parts: NodeParts): Promise<readonly ShownPin[]> {
  const { pins, projectPins, spaces } = parts
  const found: ShownPin[] = []
  for (const pin of pins.all) found.push(await shown(parts, pin))
  for await (const project of projectPins.current()) {
    for (const space of spaces.all) {
      const roots = rootsIn(project, registry => spaces.of(registry).name === space.name)
      if (roots.length === 0) continue
      const held = await heldOf(space, roots)
      const { name: swarm } = space
      found.push({ type: 'project', what: project.path, registry: null, swarm, roots: roots.length, held })
    }
  }
  for (const space of spaces.all) {
    for await (const { root, pinned, whole } of space.keptEntries()) {
      if (!pinned || found.length >= LIMITS.store.pins) continue
      const held = whole ? 1 : 0
      found.push({ type: 'published', what: root, registry: null, swarm: space.name, roots: 1, held })
    }
  }
  return found
}

async function setQuota(
  { spaces, keeper }: NodeParts,
  { swarm, bytes }: ApiMethods['storeQuota']['params']
): Promise<ApiMethods['storeQuota']['result']> {
  const space = spaces.all.find(({ name }) => name === swarm)
  if (space === undefined) {
    throw new RegistryError('USAGE', `there is no swarm ${JSON.stringify(swarm.slice(0, 80))} here`, {
      next: `there are ${spaces.all.map(({ name }) => name).join(', ')}`
    })
  }
  const room = keeper.roomOf(space)
  room.quotaBytes = bytes === 0 ? undefined : bytes
  keeper.changed()
  return { swarm, quotaBytes: room.quotaBytes ?? null, usedBytes: await usedBytes(space) }
}

async function shown(parts: NodeParts, pin: Pin & { readonly policy?: MirrorPolicy | null }): Promise<ShownPin> {
  const roots = (await contentsOf(parts, pin)).map(({ root }) => root)
  const space = spaceFor(parts, pin)
  const registry: RegistryId | null = pin.type === 'root' ? null : pin.registry
  const held = await heldOf(space, roots)
  const type = pin.policy === undefined || pin.policy === null ? pin.type : 'mirror'
  return { type, what: pinText(parts, pin), registry, swarm: space.name, roots: roots.length, held }
}

/** What a pin stands for now. */
async function contentsOf(
  { view }: NodeParts,
  pin: Pin
): Promise<readonly { readonly root: ContentId; readonly size: number }[]> {
  switch (pin.type) {
    case 'root':
      return [{ root: pin.root, size: 0 }]
    case 'package': {
      const found = await view.find(pin.registry, pin.name)
      return found === undefined ? [] : meantBy(pin, found)
    }
    case 'registry': {
      const all: { readonly root: ContentId; readonly size: number }[] = []
      for await (const found of view.packages(pin.registry)) all.push(...meantBy(pin, found))
      return all
    }
  }
}

function spaceFor({ spaces }: NodeParts, pin: Pin): Space {
  return pin.type === 'root' ? spaces.named(pin.swarm) : spaces.of(pin.registry)
}

async function heldOf(space: Space, roots: readonly ContentId[]): Promise<number> {
  let held = 0
  for (const root of roots) if (await space.isKept(root)) held += 1
  return held
}
