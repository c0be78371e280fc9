import type { CID } from 'multiformats/cid'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { isRegistryError, messageOf, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { listBlocks } from '../storage/content/walk-dag.ts'
import { writeMirrorFile } from '../storage/mirror-file.ts'
import type { WrittenMirrorRecord } from '../storage/mirror-file.ts'
import { factPages } from './backup.ts'
import { PUBLIC_SWARM } from './config-schema.ts'
import type { NodeParts } from './parts.ts'
import type { ApiMethods, CallContext } from './services/api.ts'
import type { SkippedRoot } from './services/store/mirror-methods.ts'
import type { Space } from './spaces.ts'

/** What is counted while records are made. */
interface Tally {
  facts: number
  roots: number
  missing: number
  readonly skipped: SkippedRoot[]
}

/**
 * Writes a registry into one file: all its facts, and the bytes of each content that is here as a whole. One block is in
 * memory at a time. Facts that arrive meanwhile may be in it or not.
 * @throws RegistryError UNKNOWN_REGISTRY | NOT_AUTHORIZED | ALREADY_EXISTS | DISK_FULL | UNKNOWN_FILE
 */
export async function exportMirror(
  parts: NodeParts,
  { registry: which, file, private: mayBePrivate }: ApiMethods['mirrorExport']['params'],
  context: CallContext
): Promise<ApiMethods['mirrorExport']['result']> {
  const entry = parts.registries.find(which)
  const { id: registry, alias, swarm } = entry
  const visibility = parts.gate.state(registry)?.authority?.genesis.visibility
  if (visibility === undefined) {
    throw new RegistryError('PENDING', `nothing of ${alias} is here yet`, {
      next: 'ggen-node start, and export it later'
    })
  }
  if ((visibility === 'private' || swarm !== PUBLIC_SWARM) && !mayBePrivate) {
    throw new RegistryError('NOT_AUTHORIZED', `${alias} is private, and a file of it tells everything in it`, {
      tried: ['the file is not encrypted: whoever has it can read every statement and every package'],
      next: `if that is what you want: ggen-node mirror export ${alias} FILE --private`
    })
  }
  const tally: Tally = { facts: 0, roots: 0, missing: 0, skipped: [] }
  async function* records(): AsyncGenerator<WrittenMirrorRecord> {
    yield { type: 'head', created: parts.clock.now(), program: `ggen-node/${parts.version}`, registry }
    for await (const envelopes of factPages(parts, registry, context.signal)) {
      tally.facts += envelopes.length
      context.onProgress({ text: `${tally.facts} facts`, done: tally.facts })
      yield { type: 'facts', envelopes }
    }
    yield* contentRecords(parts, registry, { ...context, tally })
  }
  const { bytes } = await writeMirrorFile(file, records())
  return { file, bytes, registry, ...tally }
}

type Making = CallContext & { readonly tally: Tally }

async function* contentRecords(
  { spaces, view }: NodeParts,
  registry: RegistryId,
  making: Making
): AsyncGenerator<WrittenMirrorRecord> {
  const space = spaces.of(registry)
  const { tally, onProgress } = making
  const seen = new Set<ContentId>()
  /** With all that is below them. */
  const written = new Set<string>()
  for await (const { versions } of view.packages(registry)) {
    for (const { root } of versions.flatMap(({ contents }) => contents)) {
      if (seen.has(root)) continue
      seen.add(root)
      const release = space.blocks.hold(root)
      try {
        const fault = await faultOf(space, root, making.signal)
        if (fault === undefined) {
          yield* rootRecords(space, root, { written, signal: making.signal })
          tally.roots += 1
          onProgress({ text: `${tally.roots} content roots`, done: tally.roots })
          continue
        }
        tally.missing += 1
        if (tally.skipped.length < LIMITS.mirror.named) tally.skipped.push({ root, reason: fault })
      } finally {
        release()
      }
    }
  }
}

/** Why a content cannot be in the file. All of it is read before the first of it is written: half of one is none. */
async function faultOf(space: Space, root: ContentId, signal: AbortSignal): Promise<string | undefined> {
  if (!(await space.isKept(root))) return 'it is not here'
  try {
    for await (const cid of listBlocks(root, space.blocks, { signal })) await readBlock(space, cid)
    return undefined
  } catch (error) {
    signal.throwIfAborted()
    if (!isRegistryError(error) && !(error instanceof Error && error.name === 'NotFoundError')) throw error
    return messageOf(error)
  }
}

/** A root, then what of it is not in the file yet: a node before what it names. */
async function* rootRecords(
  space: Space,
  root: ContentId,
  { written, signal }: { readonly written: Set<string>; readonly signal: AbortSignal }
): AsyncGenerator<WrittenMirrorRecord> {
  yield { type: 'root', root }
  const own: string[] = []
  const skip = (cid: CID): boolean => written.has(cid.toString())
  for await (const cid of listBlocks(root, space.blocks, { signal, skip })) {
    yield { type: 'block', cid: cid.bytes, bytes: await readBlock(space, cid) }
    own.push(cid.toString())
  }
  // Full: the same block may then be in the file twice, which is only longer.
  for (const cid of own) if (written.size < LIMITS.backup.blocksRemembered) written.add(cid)
}

/** @throws RegistryError CORRUPT_BLOCK */
async function readBlock({ blocks }: Space, cid: CID): Promise<Uint8Array> {
  const bytes = await blocks.read(cid)
  if (bytes !== undefined) return bytes
  throw new RegistryError('CORRUPT_BLOCK', `block ${cid.toString()} is damaged or missing`, {
    next: 'ggen-node store verify, while a node runs'
  })
}
