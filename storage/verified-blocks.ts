import { hash } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { concatBytes, equalBytes } from '../protocol/bytes.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { isProven } from '../protocol/proven-block.ts'
import type { BlockCount } from './block-usage.ts'

const SHA2_256 = 0x12

/** What interface-blockstore lets callers pass in place of the bytes of a block. */
export type BlockInput = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>

export interface AbortOptions {
  readonly signal?: AbortSignal
}

export interface PutOptions extends AbortOptions {
  /**
   * Nobody else has a turn before it is written: for blocks that come from outside, at the pace at which they come. A process that is
   * killed has then lost none that came whole, as long as the disk keeps up.
   */
  readonly atOnce?: boolean
}

export interface CompactOptions extends AbortOptions {
  /** Also where little comes free: for bytes that are to be gone, and for a quota that is reached. */
  readonly isThorough?: boolean
}

/**
 * A Blockstore (interface-blockstore 7, which Helia and bitswap use) that believes nobody, its own disk included.
 * What every implementation must do is `test/storage/blocks.contract.ts`.
 *
 * Invariants:
 * 1. Only bytes that hash to the CID by sha2-256 go in, and only such bytes come out.
 * 2. A block that no longer does is moved aside and reported as CORRUPT_BLOCK once; from then on it is a block that is
 *    not there, so that it can be fetched again.
 * 3. Blocks are found by their hash: the codec of the CID does not matter.
 * 4. What `flush` was given survives a power cut; anything else may be gone or damaged after one, and then 1 and 2 hold.
 */
export interface VerifiedBlocks {
  put(cid: CID, bytes: BlockInput, options?: PutOptions): Promise<CID>
  putMany(
    source: Iterable<{ cid: CID; bytes: BlockInput }> | AsyncIterable<{ cid: CID; bytes: BlockInput }>,
    options?: AbortOptions
  ): AsyncGenerator<CID>
  /** An async generator of the whole block in one piece. `await get(cid)` does nothing at all: see `read`. */
  get(cid: CID, options?: AbortOptions): AsyncGenerator<Uint8Array>
  getMany(
    source: Iterable<CID> | AsyncIterable<CID>,
    options?: AbortOptions
  ): AsyncGenerator<{ cid: CID; bytes: AsyncGenerator<Uint8Array> }>
  /** Every block, under a CID of the raw codec, because the real one is not stored. */
  getAll(options?: AbortOptions): AsyncGenerator<{ cid: CID; bytes: AsyncGenerator<Uint8Array> }>
  has(cid: CID, options?: AbortOptions): Promise<boolean>
  delete(cid: CID, options?: AbortOptions): Promise<void>
  deleteMany(source: Iterable<CID> | AsyncIterable<CID>, options?: AbortOptions): AsyncGenerator<CID>
  /** The bytes of a block, or undefined when it is not there. */
  read(cid: CID, options?: AbortOptions): Promise<Uint8Array | undefined>
  /**
   * The bytes of a block that are at hand, at once and not yet verified: whoever takes them does that. Undefined says
   * nothing, and `read` is asked. A package of many small files comes off the disk in a tenth of the time this way.
   */
  readNow(cid: CID): Uint8Array | undefined
  /** Makes blocks that are there survive a power cut: bytes before references. */
  flush(cids: Iterable<CID>, options?: AbortOptions): Promise<void>
  /** The parts that the store is made of, in an order that stays: a walk over all blocks goes on from the one it was at. */
  shards(): Promise<readonly string[]>
  /** The blocks of one part, as `getAll` names them. */
  keysIn(shard: string): AsyncGenerator<CID>
  /** The bytes that a block takes, at once and unread; undefined when it is not there. */
  sizeOf(cid: CID): number | undefined
  /**
   * Deletes a block if `isFree` says so, with nothing in between: whoever needs a block says it before the look for it, so
   * that either it is seen here or the block is not. The bytes that came free, or undefined.
   */
  sweep(cid: CID, isFree: () => boolean): number | undefined
  /** How many blocks there are, and their bytes. */
  usage(): Promise<BlockCount>
  /** Bytes on the disk that deleted blocks still take, until they are given back. */
  deadBytes(): number
  /** Gives them back, where there are enough of them. The bytes of files that came free. */
  compact(options?: CompactOptions): Promise<number>
  /** Nothing is written, and no block read, afterwards. */
  close(): Promise<void>
}

/** The few operations that differ between a disk and memory. They are asked for storable blocks only, but for `flush`. */
export type BlockCore = Pick<
  VerifiedBlocks,
  | 'close'
  | 'compact'
  | 'deadBytes'
  | 'delete'
  | 'flush'
  | 'has'
  | 'keysIn'
  | 'read'
  | 'readNow'
  | 'shards'
  | 'sizeOf'
  | 'sweep'
  | 'usage'
> & {
  /** Called with bytes that match. */
  write(cid: CID, bytes: Uint8Array, options: Pick<PutOptions, 'atOnce'>): Promise<void>
}

/** What Helia and bitswap expect for a missing block: both look at the name, neither at the class. */
class MissingBlock extends Error {
  override readonly name = 'NotFoundError'
}

/** Everything that is the same over every core. */
export function verifiedBlocks(core: BlockCore): VerifiedBlocks {
  async function put(cid: CID, input: BlockInput, { signal, atOnce = false }: PutOptions = {}): Promise<CID> {
    signal?.throwIfAborted()
    if (!isStorable(cid)) {
      const { code, size } = cid.multihash
      throw new RegistryError('MALFORMED', 'only blocks with a sha2-256 hash are stored', {
        detail: { hash: code, size }
      })
    }
    const bytes = input instanceof Uint8Array ? checkSize(input.length, input) : await gather(input)
    signal?.throwIfAborted()
    if (!isProven(cid, bytes) && !isBlock(cid, bytes)) {
      throw new RegistryError('CORRUPT_BLOCK', `bytes to be stored do not match ${cid.toString()}`, detailOf(cid))
    }
    await core.write(cid, bytes, { atOnce })
    return cid
  }

  async function read(cid: CID, options: AbortOptions = {}): Promise<Uint8Array | undefined> {
    return isStorable(cid) ? core.read(cid, options) : undefined
  }

  async function* get(cid: CID, options: AbortOptions = {}): AsyncGenerator<Uint8Array> {
    const bytes = await read(cid, options)
    if (bytes === undefined) throw new MissingBlock(`no block ${cid.toString()}`)
    yield bytes
  }

  return {
    put,
    get,
    read,
    readNow: cid => (isStorable(cid) ? core.readNow(cid) : undefined),
    has: async (cid, options) => isStorable(cid) && core.has(cid, options),
    delete: async (cid, options) => {
      if (isStorable(cid)) await core.delete(cid, options)
    },
    flush: core.flush,
    shards: core.shards,
    keysIn: core.keysIn,
    sizeOf: cid => (isStorable(cid) ? core.sizeOf(cid) : undefined),
    sweep: (cid, isFree) => (isStorable(cid) ? core.sweep(cid, isFree) : undefined),
    usage: core.usage,
    deadBytes: core.deadBytes,
    compact: core.compact,
    close: core.close,
    putMany: async function* (source, options) {
      for await (const { cid, bytes } of source) yield await put(cid, bytes, options)
    },
    getMany: async function* (source, options) {
      for await (const cid of source) yield { cid, bytes: get(cid, options) }
    },
    getAll: async function* (options = {}) {
      for (const shard of await core.shards()) {
        for await (const cid of core.keysIn(shard)) {
          options.signal?.throwIfAborted()
          yield { cid, bytes: get(cid, options) }
        }
      }
    },
    deleteMany: async function* (source, options) {
      for await (const cid of source) {
        if (isStorable(cid)) await core.delete(cid, options)
        yield cid
      }
    }
  }
}

/**
 * False for other hashes, for truncated ones and for identity, where the "hash" is whatever somebody wrote. Such a block
 * is never stored; a stranger who asks for one is told that it is not here, which is true and no error.
 */
export function isStorable(cid: CID): boolean {
  return cid.multihash.code === SHA2_256 && cid.multihash.size === 32
}

/** Whether the bytes are the block: one synchronous hash, 0.6 ms a MiB, quicker than a trip to a worker and back. */
export function isBlock(cid: CID, bytes: Uint8Array): boolean {
  return bytes.length <= LIMITS.content.blockBytes && equalBytes(hash('sha256', bytes, 'buffer'), cid.multihash.digest)
}

export function corruptBlock(cid: CID, cause?: unknown): RegistryError {
  return new RegistryError('CORRUPT_BLOCK', `the stored bytes of block ${cid.toString()} no longer match it`, {
    ...detailOf(cid),
    cause,
    next: 'fetch the package again: the damaged block was moved aside and comes from a peer'
  })
}

/** What `flush` throws: it is asked only for blocks that a fact is about to refer to. */
export function missingBlock(cid: CID, cause?: unknown): RegistryError {
  return new RegistryError('CONTENT_UNAVAILABLE', `block ${cid.toString()} is not here to be kept`, {
    ...detailOf(cid),
    cause
  })
}

function detailOf(cid: CID): { readonly detail: { readonly cid: string } } {
  return { detail: { cid: cid.toString() } }
}

async function gather(input: Exclude<BlockInput, Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of input) {
    size += part.length
    // Attack: a source that never ends. It is left as soon as it passes the limit.
    parts.push(checkSize(size, part))
  }
  return concatBytes(parts)
}

function checkSize(size: number, bytes: Uint8Array): Uint8Array {
  if (size <= LIMITS.content.blockBytes) return bytes
  throw new RegistryError('LIMIT_EXCEEDED', `a block has at most ${LIMITS.content.blockBytes} bytes`)
}
