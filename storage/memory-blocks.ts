import { create as createDigest } from 'multiformats/hashes/digest'
import { CID } from 'multiformats/cid'
import { fromHex, toHex } from '../protocol/bytes.ts'
import { corruptBlock, isBlock, missingBlock, verifiedBlocks } from './verified-blocks.ts'
import type { VerifiedBlocks } from './verified-blocks.ts'

/** The one part that it has. */
const ALL = 'all'

/** Blocks that are gone with the process. Bytes are checked here too, so that tests meet what a disk would do to them. */
export function memoryBlocks(): VerifiedBlocks {
  const blocks = new Map<string, Uint8Array>()
  const nameOf = (cid: CID) => toHex(cid.multihash.digest)
  return verifiedBlocks({
    write: async (cid, bytes) => void blocks.set(nameOf(cid), Uint8Array.from(bytes)),
    read: async (cid, { signal } = {}) => {
      signal?.throwIfAborted()
      const bytes = blocks.get(nameOf(cid))
      if (bytes === undefined || isBlock(cid, bytes)) return bytes === undefined ? undefined : Uint8Array.from(bytes)
      blocks.delete(nameOf(cid))
      throw corruptBlock(cid)
    },
    readNow: cid => {
      const bytes = blocks.get(nameOf(cid))
      return bytes === undefined ? undefined : Uint8Array.from(bytes)
    },
    has: async (cid, { signal } = {}) => {
      signal?.throwIfAborted()
      return blocks.has(nameOf(cid))
    },
    delete: async (cid, { signal } = {}) => {
      signal?.throwIfAborted()
      blocks.delete(nameOf(cid))
    },
    flush: async (cids, { signal } = {}) => {
      signal?.throwIfAborted()
      for (const cid of cids) if (!blocks.has(nameOf(cid))) throw missingBlock(cid)
    },
    shards: async () => [ALL],
    keysIn: async function* () {
      for (const name of blocks.keys()) yield CID.createV1(0x55, createDigest(0x12, fromHex(name) ?? new Uint8Array(0)))
    },
    sizeOf: cid => blocks.get(nameOf(cid))?.length,
    sweep: (cid, isFree) => {
      const bytes = blocks.get(nameOf(cid))
      if (bytes === undefined || !isFree()) return undefined
      blocks.delete(nameOf(cid))
      return bytes.length
    },
    deadBytes: () => 0,
    compact: async () => 0,
    close: async () => undefined,
    usage: async () => ({
      blocks: blocks.size,
      bytes: [...blocks.values()].reduce((sum, { length }) => sum + length, 0)
    })
  })
}
