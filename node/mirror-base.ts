import type { ContentId, FactId, RegistryId } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import { parseEnvelope } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { readMirrorFile } from '../storage/mirror-file.ts'
import type { WrittenMirrorRecord } from '../storage/mirror-file.ts'
import type { NodeParts } from './parts.ts'

/** What somebody has who took in a mirror file, and all that it was based on. */
export interface MirrorBase {
  readonly facts: ReadonlySet<FactId>
  readonly roots: ReadonlySet<ContentId>
}

/**
 * What an earlier export holds. All of it is read: a file that is damaged would leave out of the next one what nobody has.
 * Its facts are not verified, since nothing of them is taken in.
 * @throws RegistryError UNKNOWN_FILE | MALFORMED | LIMIT_EXCEEDED | STORE_FORMAT | WRONG_REGISTRY
 */
export async function readBase(file: string, registry: RegistryId, signal: AbortSignal): Promise<MirrorBase> {
  const facts = new Set<FactId>()
  const roots = new Set<ContentId>()
  for await (const record of readMirrorFile(file)) {
    signal.throwIfAborted()
    switch (record.type) {
      case 'head':
        if (record.registry === registry) break
        throw new RegistryError('WRONG_REGISTRY', `${file} holds registry ${record.registry}, and not ${registry}`, {
          next: 'give --since an earlier export of the same registry'
        })
      case 'base':
        for (const id of record.facts) facts.add(id)
        for (const root of record.roots) roots.add(root)
        break
      case 'facts':
        for (const envelope of record.envelopes) facts.add(parseEnvelope(envelope).id)
        break
      case 'root':
        roots.add(record.root)
        break
      case 'block':
      case 'end':
    }
    if (facts.size > LIMITS.mirror.baseEntries || roots.size > LIMITS.mirror.baseEntries) {
      throw new RegistryError('LIMIT_EXCEEDED', `${file} holds more than an export can be based on`, {
        next: 'export all of the registry, without --since'
      })
    }
  }
  return { facts, roots }
}

/** The same as records of the next file, so that a third one can be based on that. */
export function* baseRecords({ facts, roots }: MirrorBase): Generator<WrittenMirrorRecord> {
  const { factsPerRecord } = LIMITS.backup
  const [ids, contents] = [[...facts], [...roots]]
  for (let at = 0; at < Math.max(ids.length, contents.length); at += factsPerRecord) {
    yield {
      type: 'base',
      facts: ids.slice(at, at + factsPerRecord),
      roots: contents.slice(at, at + factsPerRecord)
    }
  }
}

/**
 * Whether this node has what a file is based on. Without it most of the file would wait for ever, and what came between
 * would be missed without a word.
 * @throws RegistryError PENDING
 */
export async function assertBase(
  { facts, registries }: Pick<NodeParts, 'facts' | 'registries'>,
  registry: RegistryId,
  { file, signal }: { readonly file: string; readonly signal: AbortSignal }
): Promise<void> {
  const isFollowed = registries.ids.includes(registry)
  let missing = 0
  for await (const record of readMirrorFile(file)) {
    signal.throwIfAborted()
    if (record.type === 'head') continue
    if (record.type !== 'base') break
    const known = isFollowed ? await facts.known(registry, record.facts) : []
    missing += record.facts.length - known.filter(side => side !== undefined).length
  }
  if (missing === 0) return
  throw new RegistryError('PENDING', 'the file holds what is new since an earlier export, and that is not here', {
    tried: [`${missing} of the statements that it is based on are missing`],
    next: 'import the earlier files first, in their order; or ask for an export without --since'
  })
}
