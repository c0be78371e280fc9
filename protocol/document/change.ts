import { toHex } from '../bytes.ts'
import { RegistryError } from '../errors.ts'
import { ByteReader } from './byte-reader.ts'
import { openChunk } from './chunk.ts'
import { readColumns } from './columns.ts'
import { DOCUMENT_LIMITS } from './limits.ts'
import { readOperations, type ScannedOp } from './operations.ts'

export type { ScannedOp } from './operations.ts'

/** What a change says, read without Automerge. Hashes and actors are lower-case hex. */
export interface ScannedChange {
  /** sha2-256 of the chunk, as Automerge computes it. */
  readonly hash: string
  readonly actor: string
  readonly seq: number
  readonly startOp: number
  /** Ascending, distinct. */
  readonly deps: readonly string[]
  readonly ops: readonly ScannedOp[]
}

/** Of a hash, and of an actor, which is one too. */
const HASH_BYTES = 32

/**
 * What one uncompressed Automerge change says, if it is one that this project allows: puts of texts and `true` and
 * deletes, on the root, in the one spelling that Automerge writes them in. Nothing is expanded beyond its limit, so
 * bytes of strangers cost what their length is, and what passes is safe to compare with what we would write.
 *
 *   contents = deps actor seq startOp time message actors columns
 *   deps     = count *hash            ; ascending
 *   actor    = %x20 32OCTET
 *   time     = %x00                   ; no clock
 *   message  = %x00                   ; none
 *   actors   = count *actor           ; the others that are referred to, ascending
 *
 * @throws RegistryError MALFORMED or LIMIT_EXCEEDED
 */
export function scanChange(bytes: Uint8Array): ScannedChange {
  const { hash, contents } = openChunk(bytes)
  const reader = new ByteReader(contents)
  const deps = readSorted(reader, DOCUMENT_LIMITS.deps, () => toHex(reader.take(HASH_BYTES)))
  const actor = readActor(reader)
  const seq = readPosition(reader)
  const startOp = readPosition(reader)
  if (reader.int() !== 0) throw new RegistryError('MALFORMED', 'a change says a time')
  if (reader.uint() !== 0) throw new RegistryError('MALFORMED', 'a change has a message')
  const others = readSorted(reader, DOCUMENT_LIMITS.actorsPerChange, () => readActor(reader))
  if (others.includes(actor)) throw new RegistryError('MALFORMED', 'a change names its own actor among the others')
  const ops = readOperations(readColumns(reader), { startOp, actors: [actor, ...others] })
  if (startOp + ops.length - 1 > DOCUMENT_LIMITS.ops) throw beyondDocument()
  return { hash: toHex(hash), actor, seq, startOp, deps, ops }
}

function readActor(reader: ByteReader): string {
  if (reader.uint() !== HASH_BYTES) throw new RegistryError('MALFORMED', `an actor is not ${HASH_BYTES} bytes long`)
  return toHex(reader.take(HASH_BYTES))
}

/** Counts from 1. Every change has an operation, so no document has more changes than it may have operations. */
function readPosition(reader: ByteReader): number {
  const position = reader.uint()
  if (position === 0) throw new RegistryError('MALFORMED', 'a change claims a position before the first')
  // Attack: one operation near 2^32 makes a document that can be saved and never loaded again.
  if (position > DOCUMENT_LIMITS.ops) throw beyondDocument()
  return position
}

function beyondDocument(): RegistryError {
  return new RegistryError('LIMIT_EXCEEDED', `a document has at most ${DOCUMENT_LIMITS.ops} operations`)
}

function readSorted(reader: ByteReader, limit: number, readOne: () => string): readonly string[] {
  const count = reader.uint()
  if (count > limit) throw new RegistryError('LIMIT_EXCEEDED', `a change names more than ${limit} hashes or actors`)
  const all: string[] = []
  for (let i = 0; i < count; i++) {
    const one = readOne()
    const before = all.at(-1)
    if (before !== undefined && one <= before)
      throw new RegistryError('MALFORMED', 'hashes or actors in a change are not sorted or not distinct')
    all.push(one)
  }
  return all
}
