import { decodeCbor, encodeCbor } from './cbor.ts'
import { contentIdFromLink, factIdFromLink, toLink } from './cid.ts'
import type { ContentId, FactId, RegistryId } from './cid.ts'
import { RegistryError } from './errors.ts'
import { recordOf } from './fact.ts'
import { LIMITS } from './limits.ts'
import { recordFields } from './record-fields.ts'

const { index, text, binary, list, malformed } = recordFields('mirror file')

/** The first line of such a file: the same in every version, so that any program can say what it found. */
export const MIRROR_MAGIC = 'ggen-node mirror 1\n'

/** One record of a registry in a file, docs/spec/mirror.md. */
export type MirrorRecord =
  | { readonly type: 'head'; readonly created: number; readonly program: string; readonly registry: RegistryId }
  /** Of a file with what is new since another one: what whoever reads it has from before. */
  | { readonly type: 'base'; readonly facts: readonly FactId[]; readonly roots: readonly ContentId[] }
  /** Envelopes of the registry, each after those that it needs; the first of all is its genesis, unless there is a base. */
  | { readonly type: 'facts'; readonly envelopes: readonly Uint8Array[] }
  /** The blocks below it follow, up to the next root: a node before what it names, without those that are in the file before. */
  | { readonly type: 'root'; readonly root: ContentId }
  | { readonly type: 'block'; readonly cid: Uint8Array; readonly bytes: Uint8Array }
  | { readonly type: 'end'; readonly records: number; readonly digest: Uint8Array }

/** Where each type stands in a file. Roots and blocks come in turn. */
export const MIRROR_RANKS: Readonly<Record<MirrorRecord['type'], number>> = {
  head: 0,
  base: 1,
  facts: 2,
  root: 3,
  block: 3,
  end: 4
}

export function encodeMirrorRecord(record: MirrorRecord): Uint8Array {
  switch (record.type) {
    case 'head':
      return encodeCbor({ ...record, registry: toLink(record.registry) })
    case 'base':
      return encodeCbor({
        ...record,
        facts: record.facts.map(id => toLink(id)),
        roots: record.roots.map(id => toLink(id))
      })
    case 'root':
      return encodeCbor({ ...record, root: toLink(record.root) })
    case 'facts':
    case 'block':
    case 'end':
      return encodeCbor(record)
  }
}

/**
 * One record, every field of it. Whether facts are signed and blocks match is for those who take them in.
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED
 */
export function parseMirrorRecord(bytes: Uint8Array): MirrorRecord {
  if (bytes.length > LIMITS.backup.recordBytes)
    throw new RegistryError('LIMIT_EXCEEDED', 'a record of a mirror file is too large')
  const value = decodeCbor(bytes, 3)
  const type: unknown = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined
  const fields = <K extends string>(...names: readonly K[]): Record<K, unknown> => recordOf(value, ['type', ...names])
  switch (type) {
    case 'head': {
      const { created, program, registry } = fields('created', 'program', 'registry')
      const id = factIdFromLink(registry) as string as RegistryId
      return { type, created: index(created), program: text(program, LIMITS.hello.agentChars), registry: id }
    }
    case 'base': {
      const { facts, roots } = fields('facts', 'roots')
      return {
        type,
        facts: list(facts, LIMITS.backup.factsPerRecord).map(link => factIdFromLink(link)),
        roots: list(roots, LIMITS.backup.factsPerRecord).map(link => contentIdFromLink(link))
      }
    }
    case 'facts': {
      const all = list(fields('envelopes').envelopes, LIMITS.backup.factsPerRecord)
      return { type, envelopes: all.map(envelope => binary(envelope)) }
    }
    case 'root':
      return { type, root: contentIdFromLink(fields('root').root) }
    case 'block': {
      const { cid, bytes: block } = fields('cid', 'bytes')
      return { type, cid: binary(cid, LIMITS.bitswap.cidBytes), bytes: binary(block, LIMITS.content.blockBytes) }
    }
    case 'end': {
      const { records, digest } = fields('records', 'digest')
      return { type, records: index(records), digest: binary(digest, 32) }
    }
    default:
      throw malformed('kind')
  }
}
