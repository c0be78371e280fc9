import type { CID } from 'multiformats/cid'
import type { ContentId } from '../../../protocol/cid.ts'
import { isRegistryError } from '../../../protocol/errors.ts'
import { isLost } from './collect.ts'

/** One block store, as whoever looks through it uses it. */
export interface VerifiedStore {
  readonly blocks: {
    shards(): Promise<readonly string[]>
    keysIn(shard: string): AsyncIterable<CID>
    read(cid: CID): Promise<Uint8Array | undefined>
    sizeOf(cid: CID): number | undefined
    list(root: ContentId, signal: AbortSignal): AsyncIterable<CID>
  }
  readonly roots: { keptEntries(): AsyncIterable<{ readonly root: ContentId; readonly whole: boolean }> }
}

export interface Reading {
  readonly signal: AbortSignal
  /** Called after each block with what it had; whoever reads slowly waits in it. */
  readonly onBlock: (bytes: number) => Promise<void>
}

/** What a look through blocks found. */
export interface ReadBlocks {
  blocks: number
  bytes: number
  /** Blocks whose bytes were not what they are called after. They are moved aside and count as not here from then on. */
  damaged: number
}

/** Reads and hashes every block of one part of a store. */
export async function readShard(
  { blocks }: VerifiedStore,
  shard: string,
  { into, signal, onBlock }: Reading & { readonly into: ReadBlocks }
): Promise<void> {
  for await (const cid of blocks.keysIn(shard)) {
    signal.throwIfAborted()
    const size = blocks.sizeOf(cid) ?? 0
    try {
      const bytes = await blocks.read(cid)
      // Deleted since it was listed: nobody needs it.
      if (bytes !== undefined) into.blocks += 1
      into.bytes += bytes?.length ?? 0
    } catch (error) {
      if (!isRegistryError(error) || error.code !== 'CORRUPT_BLOCK') throw error
      into.damaged += 1
    }
    await onBlock(size)
  }
}

/** Kept roots of which something is not here any more, those that were lost before with them. Reads folders; of files it looks whether they are there. */
export async function brokenRoots(
  { blocks, roots }: VerifiedStore,
  { signal, onBlock }: Reading
): Promise<readonly ContentId[]> {
  const broken: ContentId[] = []
  for await (const { root, whole } of roots.keptEntries()) {
    if (!whole) {
      broken.push(root)
      continue
    }
    try {
      for await (const cid of blocks.list(root, signal)) {
        await onBlock(0)
        if (blocks.sizeOf(cid) !== undefined) continue
        broken.push(root)
        break
      }
    } catch (error) {
      signal.throwIfAborted()
      if (!isLost(error)) throw error
      broken.push(root)
    }
  }
  return broken
}
