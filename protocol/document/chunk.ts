import { sha256 } from '@noble/hashes/sha2.js'
import { equalBytes } from '../bytes.ts'
import { RegistryError } from '../errors.ts'
import { ByteReader } from './byte-reader.ts'
import { DOCUMENT_LIMITS } from './limits.ts'

const MAGIC = Uint8Array.of(0x85, 0x6f, 0x4a, 0x83)
const CHECKSUM_BYTES = 4

/** 0 is a whole document and 2 a change that is deflated. */
const CHANGE = 1

/** What is in a chunk. */
export interface Chunk {
  /** sha2-256 of everything behind the checksum. */
  readonly hash: Uint8Array
  readonly contents: Uint8Array
}

/**
 * Opens the one chunk that the bytes are, an uncompressed change:
 *
 *   chunk = %x85.6F.4A.83 checksum %x01 length contents    ; checksum: the first 4 bytes of the hash
 *
 * @throws RegistryError MALFORMED, or LIMIT_EXCEEDED where it is too long
 */
export function openChunk(bytes: Uint8Array): Chunk {
  if (bytes.length > DOCUMENT_LIMITS.changeBytes)
    throw new RegistryError('LIMIT_EXCEEDED', `a change is longer than ${DOCUMENT_LIMITS.changeBytes} bytes`)
  const reader = new ByteReader(bytes)
  if (!equalBytes(reader.take(MAGIC.length), MAGIC)) throw new RegistryError('MALFORMED', 'bytes are no change')
  const checksum = reader.take(CHECKSUM_BYTES)
  const hashed = bytes.subarray(MAGIC.length + CHECKSUM_BYTES)
  if (reader.uint() !== CHANGE) throw new RegistryError('MALFORMED', 'a chunk is no uncompressed change')
  if (reader.uint() !== reader.left) throw new RegistryError('MALFORMED', 'a change has not the length that it says')
  const hash = sha256(hashed)
  if (!equalBytes(hash.subarray(0, CHECKSUM_BYTES), checksum))
    throw new RegistryError('MALFORMED', 'the checksum of a change is not the one of its bytes')
  return { hash, contents: reader.take(reader.left) }
}
