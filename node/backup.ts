import { readFile } from 'node:fs/promises'
import type { CID } from 'multiformats/cid'
import type { BackupRecord } from '../protocol/backup.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { isRegistryError, messageOf } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { writeBackup } from '../storage/backup-file.ts'
import { listBlocks } from '../storage/content/walk-dag.ts'
import { nodePolicyFile, readPolicyText } from './policy-files.ts'
import { meantBy } from './services/store/pins.ts'
import { homePaths } from '../storage/home.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import type { NodeParts } from './parts.ts'
import type { ApiMethods, CallContext } from './services/api.ts'
import type { Space } from './spaces.ts'

type Written = Exclude<BackupRecord, { type: 'end' }>

/** What is counted while records are made. */
interface Tally {
  facts: number
  roots: number
  readonly skipped: string[]
}

/**
 * Writes everything that makes this node what it is into one file: sealed keys if there are any, settings, registries
 * and all their facts; with `blocks`, the bytes of every content root that is held as a whole.
 *
 * Never in it: the chain of this data directory, so that what is restored from it writes a chain of its own and no
 * position twice; the keys of swarms, so that no two machines answer to one peer id.
 *
 * It runs beside everything else the node does. Facts that arrive meanwhile may be in it or not. They are written so that
 * each comes after the one before it and after the one that names its author: a restore takes them in in one pass.
 */
export async function backup(
  parts: NodeParts,
  { file, blocks, keys }: ApiMethods['backup']['params'],
  { signal, onProgress }: CallContext
): Promise<ApiMethods['backup']['result']> {
  const tally: Tally = { facts: 0, roots: 0, skipped: [] }
  const { registries } = parts
  const all = registries.all
  async function* records(): AsyncGenerator<Written> {
    yield { type: 'head', created: parts.clock.now(), program: `ggen-node/${parts.version}` }
    for (const { name, text } of keys) yield { type: 'key', name, text }
    const config = await configText(parts.home)
    if (config !== undefined) yield { type: 'config', text: config }
    const policy = await readPolicyText(nodePolicyFile(parts.home))
    if (policy !== undefined) yield { type: 'policy', text: policy }
    const addresses = await parts.records.dialled()
    if (addresses.length > 0) yield { type: 'peers', addresses }
    for (const entry of all) yield await registryRecord(parts, entry)
    for (const entry of all) yield* factRecords(parts, entry, { signal, onProgress, tally })
    if (blocks) yield* blockRecords(parts, { signal, onProgress, tally })
  }
  const { bytes } = await writeBackup(file, records())
  const { facts, roots, skipped } = tally
  return { file, bytes, keys: keys.length, registries: all.length, facts, roots, skipped }
}

/** Of a private registry what its swarm needs to run again; without the sealed keys it does not. */
async function registryRecord({ privates }: NodeParts, entry: FollowedRegistry): Promise<Written> {
  const { id, alias, isDefault, swarm } = entry
  const kept = await privates.recordOf(swarm)
  if (kept === undefined) return { type: 'registry', id, alias, isDefault }
  const { secrets, vouched } = kept
  return { type: 'private', id, alias, isDefault, swarm, epoch: secrets.epoch, psk: secrets.psk, addresses: vouched }
}

type Making = CallContext & { readonly tally: Tally }

async function* factRecords(
  parts: NodeParts,
  { id, alias }: FollowedRegistry,
  { signal, onProgress, tally }: Making
): AsyncGenerator<Written> {
  for await (const envelopes of factPages(parts, id, signal)) {
    tally.facts += envelopes.length
    onProgress({ text: `${tally.facts} facts, ${alias}`, done: tally.facts })
    yield { type: 'facts', registry: id, envelopes }
  }
}

/** The facts of a registry in records of bounded size, each after those that it needs. */
export async function* factPages(
  { facts }: Pick<NodeParts, 'facts'>,
  registry: RegistryId,
  signal: AbortSignal
): AsyncGenerator<readonly Uint8Array[]> {
  const { factsPerRecord, factBytesPerRecord } = LIMITS.backup
  let envelopes: Uint8Array[] = []
  let bytes = 0
  for await (const envelope of facts.snapshot(registry)) {
    signal.throwIfAborted()
    const isFull = envelopes.length >= factsPerRecord || bytes + envelope.length > factBytesPerRecord
    if (isFull && envelopes.length > 0) {
      yield envelopes
      envelopes = []
      bytes = 0
    }
    envelopes.push(envelope)
    bytes += envelope.length
  }
  if (envelopes.length > 0) yield envelopes
}

/** Space after space, the public one first. */
async function* blockRecords(parts: NodeParts, making: Making): AsyncGenerator<Written> {
  const { spaces } = parts
  for (const space of spaces.all) {
    if (space !== spaces.public) yield { type: 'space', swarm: space.name }
    yield* spaceRecords(space, { ...making, named: await namedIn(parts, space, making.tally) })
  }
}

/** Undefined where a damaged row keeps that back: what is there too long costs room, what goes may be gone for good. */
async function namedIn(
  parts: NodeParts,
  space: Space,
  { skipped }: Tally
): Promise<ReadonlySet<ContentId> | undefined> {
  try {
    return await namedByPins(parts, space)
  } catch (error) {
    if (!isRegistryError(error) || error.code !== 'STORE_CORRUPT') throw error
    skipped.push(`${space.name}: what is not pinned is written as if it were: ${messageOf(error)}`)
    return undefined
  }
}

/** What somebody pinned by name. A mirror is no such thing: where it is set up again, it chooses again what it holds. */
async function namedByPins({ pins, spaces, view }: NodeParts, space: Space): Promise<ReadonlySet<ContentId>> {
  const named = new Set<ContentId>()
  for (const pin of pins.all.filter(({ policy }) => policy === null)) {
    if (pin.type === 'root' && pin.swarm === space.name) named.add(pin.root)
    if (pin.type === 'root' || spaces.of(pin.registry) !== space) continue
    for await (const found of view.packages(pin.registry)) for (const { root } of meantBy(pin, found)) named.add(root)
  }
  return named
}

/** Blocks before the root that needs them. A root whose blocks are damaged here is left out and named. */
async function* spaceRecords(
  space: Space,
  { signal, onProgress, tally, named }: Making & { readonly named: ReadonlySet<ContentId> | undefined }
): AsyncGenerator<Written> {
  const written = new Set<string>()
  for await (const { root, pinned, whole } of space.keptEntries()) {
    if (!whole) continue
    signal.throwIfAborted()
    const cids = await blocksOf(space, root, signal)
    if (cids instanceof Error) {
      tally.skipped.push(`${root}: ${messageOf(cids)}`)
      continue
    }
    let isWhole = true
    for (const cid of cids) {
      const key = cid.toString()
      if (written.has(key)) continue
      const bytes = await readBlock(space, cid)
      if (bytes === undefined) {
        tally.skipped.push(`${root}: block ${key} is damaged or missing`)
        isWhole = false
        break
      }
      yield { type: 'block', cid: cid.bytes, bytes }
      // Full: the same block may then be in the file twice, which is only longer.
      if (written.size < LIMITS.backup.blocksRemembered) written.add(key)
    }
    if (!isWhole) continue
    yield { type: 'root', root, ...(pinned || named?.has(root) !== false ? {} : { pinned: false }) }
    tally.roots += 1
    onProgress({ text: `${tally.roots} content roots`, done: tally.roots })
  }
}

/** The blocks below a root, or why they can't be listed. Only names are kept: at most `LIMITS.content.blocks`. */
async function blocksOf({ blocks }: Space, root: ContentId, signal: AbortSignal): Promise<readonly CID[] | Error> {
  const cids: CID[] = []
  try {
    for await (const cid of listBlocks(root, blocks, { signal })) cids.push(cid)
    return cids
  } catch (error) {
    if (signal.aborted || !(isRegistryError(error) || isNotFound(error))) throw error
    return error
  }
}

async function readBlock({ blocks }: Space, cid: CID): Promise<Uint8Array | undefined> {
  try {
    return await blocks.read(cid)
  } catch (error) {
    if (isRegistryError(error) && error.code === 'CORRUPT_BLOCK') return undefined
    throw error
  }
}

function isNotFound(error: unknown): error is Error {
  return error instanceof Error && error.name === 'NotFoundError'
}

async function configText(home: string): Promise<string | undefined> {
  try {
    return await readFile(homePaths(home).config, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
