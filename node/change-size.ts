import { toLink } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { placesBelow, topPlace } from '../protocol/dag/order.ts'
import { LIMITS } from '../protocol/limits.ts'
import { parseUnixfsNode, RAW } from '../protocol/unixfs-node.ts'
import { readBlock } from '../storage/content/blocks.ts'
import type { Spaces } from './spaces.ts'

/**
 * How many bytes of one content are in no file of another one: what somebody reads who audits the change. By what is on this disk;
 * undefined where a part of either is not, because nobody is asked for what is only to be counted.
 */
export async function changedBytes(
  spaces: Spaces,
  registry: RegistryId,
  { before, after }: { readonly before: ContentId; readonly after: ContentId },
  signal: AbortSignal
): Promise<number | undefined> {
  const { blocks } = spaces.of(registry)
  const leavesOf = async (root: ContentId): Promise<ReadonlyMap<string, number> | undefined> => {
    const leaves = new Map<string, number>()
    const pending = [topPlace(toLink(root))]
    for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
      signal.throwIfAborted()
      const key = place.cid.toString()
      if (place.cid.code === RAW && place.size !== undefined) {
        leaves.set(key, place.size)
        continue
      }
      if (leaves.size > LIMITS.content.blocks || !(await blocks.has(place.cid))) return undefined
      const bytes = await readBlock(blocks, place.cid, { limits: LIMITS.content, signal })
      if (place.cid.code === RAW) leaves.set(key, bytes.length)
      else pending.push(...placesBelow(parseUnixfsNode(bytes, LIMITS.content), place, LIMITS.content))
    }
    return leaves
  }
  const [old, fresh] = [await leavesOf(before), await leavesOf(after)]
  if (old === undefined || fresh === undefined) return undefined
  return [...fresh].reduce((sum, [cid, size]) => sum + (old.has(cid) ? 0 : size), 0)
}
