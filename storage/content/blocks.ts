import { hash } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { equalBytes } from '../../protocol/bytes.ts'
import type { ContentLimits } from '../../protocol/content-path.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { checkContentCid, DAG_PB } from '../../protocol/unixfs-node.ts'

/** Where blocks go; every interface-blockstore is one. */
export interface BlockSink {
  put(cid: CID, bytes: Uint8Array, options?: { readonly signal?: AbortSignal }): Promise<CID> | CID
}

/** Where blocks come from; every interface-blockstore is one, whose `get` is an async generator. */
export interface BlockSource {
  get(
    cid: CID,
    options?: { readonly signal?: AbortSignal }
  ): AsyncIterable<Uint8Array> | Iterable<Uint8Array> | Promise<Uint8Array>
  /** Bytes that are at hand, not verified; undefined says nothing. See `VerifiedBlocks`. */
  readonly readNow?: (cid: CID) => Uint8Array | undefined
}

export interface ReadOptions {
  readonly limits: ContentLimits
  readonly signal?: AbortSignal | undefined
}

/**
 * The bytes of a block, verified against its CID. A source is never trusted: not a peer, not our own disk.
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED | CORRUPT_BLOCK, and what the source throws
 */
export async function readBlock(source: BlockSource, cid: CID, { limits, signal }: ReadOptions): Promise<Uint8Array> {
  checkContentCid(cid)
  signal?.throwIfAborted()
  const maxBytes = cid.code === DAG_PB ? limits.nodeBytes : limits.chunkBytes
  const near = source.readNow?.(cid)
  // What does not match is left to `get`, which knows what to do about a damaged disk.
  if (near !== undefined && near.length <= maxBytes && isOf(near, cid)) return near
  const given = await source.get(cid, signal === undefined ? {} : { signal })
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of given instanceof Uint8Array ? [given] : given) {
    length += part.length
    // Attack: exhaustion. The cap comes before the copy.
    if (length > maxBytes) {
      throw new RegistryError('LIMIT_EXCEEDED', `block ${cid.toString()} has more than ${maxBytes} bytes`)
    }
    parts.push(part)
  }
  const [only] = parts
  const bytes = parts.length === 1 && only !== undefined ? only : Buffer.concat(parts)
  if (!isOf(bytes, cid)) {
    throw new RegistryError('CORRUPT_BLOCK', `the bytes of block ${cid.toString()} are not the ones it names`, {
      detail: { cid: cid.toString() }
    })
  }
  return bytes
}

function isOf(bytes: Uint8Array, { multihash }: CID): boolean {
  return equalBytes(hash('sha256', bytes, 'buffer'), multihash.digest)
}
