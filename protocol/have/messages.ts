import { decodeCbor, encodeCbor } from '../cbor.ts'
import { RegistryError } from '../errors.ts'
import { recordOf } from '../fact.ts'
import { LIMITS } from '../limits.ts'
import { RootFilter } from './filter.ts'

/** Which content roots a host holds, told before anybody asks. docs/spec/have.md */
export const HAVE_PROTOCOL = '/ggen/have/1'

/**
 * `full` replaces everything that was said; `delta` changes what was said up to version `from`: hashes of roots that came,
 * and of roots that went. A delta without either says that all is as it was.
 */
export type HaveMessage =
  | { readonly type: 'full'; readonly version: number; readonly filter: RootFilter }
  | {
      readonly type: 'delta'
      readonly from: number
      readonly version: number
      /** Short hashes, ascending, each once, and none in both. */
      readonly added: readonly number[]
      readonly removed: readonly number[]
    }

export function encodeHaveMessage(message: HaveMessage): Uint8Array {
  if (message.type === 'delta')
    return encodeCbor({ ...message, added: pack(message.added), removed: pack(message.removed) })
  const { version, filter } = message
  return encodeCbor({ type: 'full', version, salt: filter.salt, roots: filter.roots, filter: filter.bytes })
}

/** @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function decodeHaveMessage(bytes: Uint8Array): HaveMessage {
  const value = decodeCbor(bytes, 1, 11)
  const isFull = typeof value === 'object' && value !== null && Object.hasOwn(value, 'filter')
  return isFull ? fullOf(value) : deltaOf(value)
}

function fullOf(value: object): HaveMessage {
  const { type, version, salt, roots, filter } = recordOf(value, ['type', 'version', 'salt', 'roots', 'filter'])
  const isWhole = isCount(version) && isCount(roots) && salt instanceof Uint8Array && filter instanceof Uint8Array
  if (type !== 'full' || !isWhole || salt.length !== LIMITS.have.saltBytes) throw malformed()
  return { type, version, filter: RootFilter.parse({ salt, roots, bytes: filter }) }
}

function deltaOf(value: unknown): HaveMessage {
  const { type, from, version, added, removed } = recordOf(value, ['type', 'from', 'version', 'added', 'removed'])
  // Versions that stand still or go back: what came before could be taken for what comes after.
  if (type !== 'delta' || !isCount(from) || !isCount(version) || version <= from) throw malformed()
  const [came, went] = [unpack(added), unpack(removed)]
  if (came.length + went.length > LIMITS.have.changes)
    throw new RegistryError('LIMIT_EXCEEDED', `${came.length + went.length} changes in one delta`)
  const gone = new Set(went)
  if (came.some(hash => gone.has(hash))) throw malformed()
  return { type, from, version, added: came, removed: went }
}

function pack(hashes: readonly number[]): Uint8Array {
  const { hashBytes } = LIMITS.have
  const bytes = new Uint8Array(hashes.length * hashBytes)
  const view = new DataView(bytes.buffer)
  hashes.forEach((hash, i) => {
    view.setUint32(i * hashBytes, Math.floor(hash / 2 ** 16))
    view.setUint16(i * hashBytes + 4, hash % 2 ** 16)
  })
  return bytes
}

function unpack(bytes: unknown): readonly number[] {
  const { hashBytes } = LIMITS.have
  if (!(bytes instanceof Uint8Array) || bytes.length % hashBytes !== 0) throw malformed()
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const hashes = Array.from(
    { length: bytes.length / hashBytes },
    (_, i) => view.getUint32(i * hashBytes) * 2 ** 16 + view.getUint16(i * hashBytes + 4)
  )
  if (hashes.some((hash, i) => i > 0 && hash <= (hashes[i - 1] ?? 0))) throw malformed()
  return hashes
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'a message about what is held does not have its shape')
}
