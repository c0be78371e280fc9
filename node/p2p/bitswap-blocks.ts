import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Blockstore, Sight, Throttle } from './components.ts'

export interface BitswapBlocksInit {
  /** Asked only of blocks that are here, so that whoever asks for anything costs no more than a look at the disk. */
  readonly sight: Sight
  readonly isLeech: boolean
  readonly upload: Throttle | undefined
}

/**
 * The blocks as bitswap sees them, which sends whatever it is asked for: what is not to be shown is not there, a host that
 * gives nothing shows it an empty store, and what goes out that way is bounded as on every other.
 */
export function bitswapBlocks(blocks: Blockstore, { sight, isLeech, upload }: BitswapBlocksInit): Blockstore {
  const has: Blockstore['has'] = async (cid, options) => {
    if (isLeech || !(await blocks.has(cid, options))) return false
    return sight.has(cid, options?.signal ?? AbortSignal.timeout(LIMITS.gateway.lookMs))
  }
  const get: Blockstore['get'] = async function* (cid, options) {
    if (!(await has(cid, options)))
      throw new RegistryError('CONTENT_UNAVAILABLE', 'this host gives no such block to others')
    for await (const part of blocks.get(cid, options)) {
      await upload?.turn(part.length)
      yield part
    }
  }
  const own: Readonly<Record<string | symbol, unknown>> = { has, get }
  return new Proxy(blocks, {
    get: (target, name) => {
      const value: unknown = own[name] ?? Reflect.get(target, name)
      return typeof value === 'function' ? (...args: unknown[]): unknown => Reflect.apply(value, target, args) : value
    }
  })
}
