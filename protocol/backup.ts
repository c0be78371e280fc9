import { withoutByteOrderMark } from './bytes.ts'
import { decodeCbor, encodeCbor } from './cbor.ts'
import { contentIdFromLink, factIdFromLink, toLink } from './cid.ts'
import type { ContentId, RegistryId } from './cid.ts'
import { RegistryError } from './errors.ts'
import { recordOf } from './fact.ts'
import { LIMITS } from './limits.ts'
import { recordFields } from './record-fields.ts'
import { parseAlias } from './reference.ts'

const { index, text, binary, list, malformed } = recordFields('backup')

/** The first line of a backup: the same in every version, so that any program can say what it found. */
export const BACKUP_MAGIC = 'ggen-node backup 1\n'

/** One record of a backup file, docs/spec/backup.md. The ranks of their types never fall from one record to the next. */
export type BackupRecord =
  | { readonly type: 'head'; readonly created: number; readonly program: string }
  /** A key sealed under a passphrase: the text that `key export` writes. */
  | { readonly type: 'key'; readonly name: string; readonly text: string }
  | { readonly type: 'config'; readonly text: string }
  /** What may be installed on this node. */
  | { readonly type: 'policy'; readonly text: string }
  /** Peers that the node stays connected to. */
  | { readonly type: 'peers'; readonly addresses: readonly string[] }
  | { readonly type: 'registry'; readonly id: RegistryId; readonly alias: string; readonly isDefault: boolean }
  /** A private registry. The secret of its swarm is the key `secret-<swarm>`. `addresses`: where members were found. */
  | {
      readonly type: 'private'
      readonly id: RegistryId
      readonly alias: string
      readonly isDefault: boolean
      readonly swarm: string
      readonly epoch: number
      readonly psk: boolean
      readonly addresses: readonly string[]
    }
  /** Envelopes of one registry, each after those that it needs. */
  | { readonly type: 'facts'; readonly registry: RegistryId; readonly envelopes: readonly Uint8Array[] }
  /** Blocks and roots from here on are those of this private swarm; before the first of these they are public. */
  | { readonly type: 'space'; readonly swarm: string }
  | { readonly type: 'block'; readonly cid: Uint8Array; readonly bytes: Uint8Array }
  /** Every block below this root is in a record before. `pinned`: it stays whatever else does; absent where it does. */
  | { readonly type: 'root'; readonly root: ContentId; readonly pinned?: false }
  | { readonly type: 'end'; readonly records: number; readonly digest: Uint8Array }

/** Where each type stands in a file. Spaces, blocks and roots come in turn. */
export const BACKUP_RANKS: Readonly<Record<BackupRecord['type'], number>> = {
  head: 0,
  key: 1,
  config: 2,
  policy: 2,
  peers: 3,
  registry: 4,
  private: 4,
  facts: 5,
  space: 6,
  block: 6,
  root: 6,
  end: 7
}

export function encodeBackupRecord(record: BackupRecord): Uint8Array {
  switch (record.type) {
    case 'registry':
    case 'private':
      return encodeCbor({ ...record, id: toLink(record.id) })
    case 'facts':
      return encodeCbor({ ...record, registry: toLink(record.registry) })
    case 'root':
      return encodeCbor({ ...record, root: toLink(record.root) })
    case 'head':
    case 'key':
    case 'peers':
    case 'space':
    case 'block':
    case 'end':
      return encodeCbor(record)
    case 'config':
    case 'policy':
      return encodeCbor({ ...record, text: withoutByteOrderMark(record.text) })
  }
}

/**
 * One record, every field of it. Whether keys open, facts are signed and blocks match is for those who take them in.
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED
 */
export function parseBackupRecord(bytes: Uint8Array): BackupRecord {
  if (bytes.length > LIMITS.backup.recordBytes)
    throw new RegistryError('LIMIT_EXCEEDED', 'a record of a backup is too large')
  const value = decodeCbor(bytes, 2)
  const type: unknown = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined
  const fields = <K extends string>(...names: readonly K[]): Record<K, unknown> => recordOf(value, ['type', ...names])
  switch (type) {
    case 'head': {
      const { created, program } = fields('created', 'program')
      return { type, created: index(created), program: text(program, LIMITS.hello.agentChars) }
    }
    case 'key': {
      const { name, text: sealed } = fields('name', 'text')
      return { type, name: text(name, LIMITS.keys.nameChars), text: text(sealed, LIMITS.keys.fileBytes) }
    }
    case 'config':
      return { type, text: text(fields('text').text, LIMITS.config.fileBytes) }
    case 'policy':
      return { type, text: text(fields('text').text, LIMITS.policy.fileBytes) }
    case 'peers': {
      const addresses = list(fields('addresses').addresses, LIMITS.peers.bootstrap)
      return { type, addresses: addresses.map(address => text(address, LIMITS.backup.addressChars)) }
    }
    case 'registry': {
      const { id, alias, isDefault } = fields('id', 'alias', 'isDefault')
      if (typeof isDefault !== 'boolean') throw malformed(type)
      const registry = factIdFromLink(id) as string as RegistryId
      return { type, id: registry, alias: aliasIn(text(alias, LIMITS.names.aliasChars)), isDefault }
    }
    case 'private':
      return privateIn(fields('id', 'alias', 'isDefault', 'swarm', 'epoch', 'psk', 'addresses'))
    case 'facts': {
      const { registry, envelopes } = fields('registry', 'envelopes')
      const all = list(envelopes, LIMITS.backup.factsPerRecord).map(envelope => binary(envelope))
      return { type, registry: factIdFromLink(registry) as string as RegistryId, envelopes: all }
    }
    case 'block': {
      const { cid, bytes: block } = fields('cid', 'bytes')
      return { type, cid: binary(cid, LIMITS.bitswap.cidBytes), bytes: binary(block, LIMITS.content.blockBytes) }
    }
    case 'space':
      return { type, swarm: aliasIn(text(fields('swarm').swarm, LIMITS.names.aliasChars)) }
    case 'root':
      // Without the word, as all are in files from before there was one, it is pinned: what stays too long costs room.
      if (!Object.hasOwn(value as object, 'pinned')) return { type, root: contentIdFromLink(fields('root').root) }
      return unpinnedIn(fields('root', 'pinned'))
    case 'end': {
      const { records, digest } = fields('records', 'digest')
      return { type, records: index(records), digest: binary(digest, 32) }
    }
    default:
      throw malformed('kind')
  }
}

function unpinnedIn({ root, pinned }: Record<'root' | 'pinned', unknown>): BackupRecord {
  if (pinned !== false) throw malformed('pinned')
  return { type: 'root', root: contentIdFromLink(root), pinned }
}

function privateIn(
  record: Record<'id' | 'alias' | 'isDefault' | 'swarm' | 'epoch' | 'psk' | 'addresses', unknown>
): BackupRecord {
  const { id, alias, isDefault, swarm, epoch, psk, addresses } = record
  if (typeof isDefault !== 'boolean' || typeof psk !== 'boolean') throw malformed('private')
  return {
    type: 'private',
    id: factIdFromLink(id) as string as RegistryId,
    alias: aliasIn(text(alias, LIMITS.names.aliasChars)),
    isDefault,
    swarm: aliasIn(text(swarm, LIMITS.names.aliasChars)),
    epoch: index(epoch),
    psk,
    addresses: list(addresses, LIMITS.membership.tokenAddresses).map(each => text(each, LIMITS.backup.addressChars))
  }
}

/** What is wrong is the file: nobody typed this name, so nobody is told how to spell it. */
function aliasIn(name: string): string {
  try {
    return parseAlias(name)
  } catch (cause) {
    throw new RegistryError('MALFORMED', 'a record of the backup does not have its shape: alias', { cause })
  }
}
