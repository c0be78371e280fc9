import type { CID } from 'multiformats/cid'
import type { ContentId } from '../protocol/cid.ts'
import { isRegistryError, messageOf, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { listBlocks } from '../storage/content/walk-dag.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import { writeMirrorFile } from '../storage/mirror-file.ts'
import type { WrittenMirrorRecord } from '../storage/mirror-file.ts'
import { factPages } from './backup.ts'
import { parseEnvelope } from '../protocol/fact.ts'
import { PUBLIC_SWARM } from './config-schema.ts'
import { baseRecords, readBase } from './mirror-base.ts'
import type { MirrorBase } from './mirror-base.ts'
import type { NodeParts } from './parts.ts'
import { namingsIn, rootsIn } from './shown-roots.ts'
import type { Naming } from './shown-roots.ts'
import type { ApiMethods, CallContext } from './services/api.ts'
import type { SkippedRoot } from './services/store/mirror-methods.ts'
import type { Space } from './spaces.ts'

/** What is counted while records are made. */
interface Tally {
  facts: number
  roots: number
  missing: number
  /** Contents that whoever reads it has from the earlier file. */
  before: number
  readonly skipped: SkippedRoot[]
}

/**
 * Writes a registry into one file: all its facts, and the bytes of each content that is here as a whole. One block is in
 * memory at a time. Facts that arrive meanwhile may be in it or not. With `since`, an earlier file, it is what that one and
 * those before it do not hold. A content in quarantine is shown to nobody, in no file either.
 * @throws RegistryError UNKNOWN_REGISTRY | NOT_AUTHORIZED | ALREADY_EXISTS | DISK_FULL | UNKNOWN_FILE | WRONG_REGISTRY | MALFORMED
 */
export async function exportMirror(
  parts: NodeParts,
  { registry: which, file, private: mayBePrivate, since }: ApiMethods['mirrorExport']['params'],
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
  const tally: Tally = { facts: 0, roots: 0, missing: 0, before: 0, skipped: [] }
  const base = since === undefined ? undefined : await readBase(since, registry, context.signal)
  async function* records(): AsyncGenerator<WrittenMirrorRecord> {
    yield { type: 'head', created: parts.clock.now(), program: `ggen-node/${parts.version}`, registry }
    if (base !== undefined) yield* baseRecords(base)
    for await (const page of factPages(parts, registry, context.signal)) {
      const envelopes = base === undefined ? page : page.filter(bytes => !base.facts.has(parseEnvelope(bytes).id))
      if (envelopes.length === 0) continue
      tally.facts += envelopes.length
      context.onProgress({ text: `${tally.facts} facts`, done: tally.facts })
      yield { type: 'facts', envelopes }
    }
    yield* contentRecords(parts, entry, { ...context, tally, base })
  }
  const { bytes } = await writeMirrorFile(file, records())
  return { file, bytes, registry, ...tally }
}

type Making = CallContext & { readonly tally: Tally; readonly base: MirrorBase | undefined }

async function* contentRecords(
  { spaces, view }: NodeParts,
  { id: registry, alias }: Pick<FollowedRegistry, 'alias' | 'id'>,
  making: Making
): AsyncGenerator<WrittenMirrorRecord> {
  const space = spaces.of(registry)
  const { tally, base, onProgress, signal } = making
  const seen = new Set<ContentId>()
  const stopped = new Map<ContentId, Naming>()
  const leave = (root: ContentId, { name, version }: Naming, reason: string): void => {
    tally.missing += 1
    const skipped = { root, registry, alias, name, version, reason }
    if (tally.skipped.length < LIMITS.mirror.named) tally.skipped.push(skipped)
  }
  /** With all that is below them. */
  const written = new Set<string>()
  if (base !== undefined) await passOver(space, base, { written, signal })
  for await (const found of view.packages(registry)) {
    const roots = rootsIn(found)
    const namings = new Map([...namingsIn(found)].toReversed())
    const namingOf = (root: ContentId): Naming => namings.get(root) ?? { name: found.name, version: null }
    for (const root of roots.stopped) if (!stopped.has(root)) stopped.set(root, namingOf(root))
    for (const root of roots.named) {
      if (seen.has(root)) continue
      seen.add(root)
      if (base?.roots.has(root) === true) {
        tally.before += 1
        continue
      }
      const release = space.blocks.hold(root)
      try {
        const fault = await faultOf(space, root, signal)
        if (fault !== undefined) {
          leave(root, namingOf(root), fault)
          continue
        }
        yield* rootRecords(space, root, { written, signal })
        tally.roots += 1
        onProgress({ text: `${tally.roots} content roots`, done: tally.roots })
      } finally {
        release()
      }
    }
  }
  for (const [root, naming] of stopped) if (!seen.has(root)) leave(root, naming, 'it is in quarantine')
}

/** Blocks that the earlier files hold are not written again. What is not here any more is not known, and may be. */
async function passOver(
  space: Space,
  { roots }: MirrorBase,
  { written, signal }: { readonly written: Set<string>; readonly signal: AbortSignal }
): Promise<void> {
  for (const root of roots) {
    if (written.size >= LIMITS.backup.blocksRemembered) return
    if (!(await space.isKept(root))) continue
    const release = space.blocks.hold(root)
    try {
      const own: string[] = []
      for await (const cid of listBlocks(root, space.blocks, { signal })) own.push(cid.toString())
      for (const cid of own) if (written.size < LIMITS.backup.blocksRemembered) written.add(cid)
    } catch {
      // Damaged here: then its blocks are in the file once more.
      signal.throwIfAborted()
    } finally {
      release()
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
