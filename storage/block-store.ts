import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { LIMITS } from '../protocol/limits.ts'
import { BlockFiles } from './block-files.ts'
import { toWriteError } from './disk-errors.ts'
import { FlushTogether } from './flush-together.ts'
import type { FlushFailures } from './flush-together.ts'
import { Quarantine } from './quarantine.ts'
import { isSmallPart, SmallBlocks } from './segments/small-blocks.ts'
import type { SegmentBounds } from './segments/segments.ts'
import { Turn } from './turn.ts'
import { verifiedBlocks } from './verified-blocks.ts'
import type { BlockCore, PutOptions, VerifiedBlocks } from './verified-blocks.ts'

/**
 * Blocks in a folder. Whoever opens it holds the lock of the data directory.
 *
 *   <dir>/XY/            blocks above 64 KiB, each in a file (block-files.ts); small ones too, that an older program wrote
 *   <dir>/small/         small blocks, many in one file (segments/small-blocks.ts)
 *   <dir>/.quarantine/   damaged blocks, the newest few, for whoever asks what happened
 */
export async function openBlocks(dir: string, bounds: SegmentBounds = LIMITS.segments): Promise<VerifiedBlocks> {
  const turn = new Turn()
  const quarantine = new Quarantine(join(dir, '.quarantine'))
  const files = new BlockFiles(dir, { quarantine, turn })
  await files.recover()
  try {
    const nameOf = (cid: CID): string => files.nameOf(cid)
    const small = await SmallBlocks.open({ dir: join(dir, 'small'), quarantine, turn, nameOf, bounds })
    return verifiedBlocks(bothOf(files, small, turn))
  } catch (cause) {
    throw toWriteError(cause, 'the folder of blocks')
  }
}

/** Small blocks are looked for first: that takes no look at the disk. */
function bothOf(files: BlockFiles, small: SmallBlocks, turn: Turn): BlockCore {
  const together = new FlushTogether(async cids => {
    const packed = cids.filter(cid => small.has(cid))
    const single = cids.filter(cid => !small.has(cid))
    // One after the other: they wait for one disk.
    const failures: FlushFailures = await small.flush(packed)
    return new Map([...failures, ...(await files.flush(single))])
  })
  return {
    write: (cid, bytes, options) => write({ files, small, turn }, { cid, bytes }, options),
    read: async (cid, options) => (await small.read(cid, options)) ?? (await files.read(cid, options)),
    readNow: cid => small.readNow(cid) ?? files.readNow(cid),
    has: async (cid, options = {}) => {
      options.signal?.throwIfAborted()
      await turn.rest()
      return small.has(cid) || (await files.has(cid, options))
    },
    delete: async (cid, options) => {
      options?.signal?.throwIfAborted()
      small.remove(cid)
      await files.delete(cid, options)
    },
    flush: async (cids, { signal } = {}) => {
      signal?.throwIfAborted()
      await together.flush(cids)
    },
    shards: async () => [...(await files.shards()), ...small.parts()],
    keysIn: async function* (shard) {
      if (isSmallPart(shard)) yield* small.keysIn(shard)
      else yield* files.keysIn(shard)
    },
    sizeOf: cid => small.sizeOf(cid) ?? files.sizeOf(cid),
    sweep: (cid, isFree) => {
      if (!small.has(cid)) return files.sweep(cid, isFree)
      return isFree() ? small.remove(cid) : undefined
    },
    usage: async () => {
      const [single, packed] = [await files.usage.total(), small.usage()]
      return { blocks: single.blocks + packed.blocks, bytes: single.bytes + packed.bytes }
    },
    deadBytes: () => small.deadBytes(),
    compact: options => small.compact(options),
    close: () => small.close()
  }
}

interface Where {
  readonly files: BlockFiles
  readonly small: SmallBlocks
  readonly turn: Turn
}

async function write(
  { files, small, turn }: Where,
  { cid, bytes }: { readonly cid: CID; readonly bytes: Uint8Array },
  { atOnce = false }: PutOptions
): Promise<void> {
  if (bytes.length > LIMITS.segments.blockBytes) return files.write(cid, bytes, { atOnce })
  if (!atOnce) await turn.rest()
  if (small.isSound(cid)) return
  // A block that an older program wrote stays where it is.
  if (!small.hasRoom || files.mayHave(cid)) return files.write(cid, bytes, { atOnce: true })
  small.put(cid, bytes)
}
