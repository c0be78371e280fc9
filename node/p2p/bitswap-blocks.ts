import { RegistryError } from '../../protocol/errors.ts'
import type { Blockstore, Throttle } from './components.ts'

/**
 * The blocks as bitswap sees them, which sends whatever it is asked for: a host that gives nothing shows it an empty store,
 * and what goes out that way is bounded as on every other.
 */
export function bitswapBlocks(
  blocks: Blockstore,
  { isLeech = false, upload }: { readonly isLeech?: boolean; readonly upload: Throttle | undefined }
): Blockstore {
  if (!isLeech && upload === undefined) return blocks
  const has: Blockstore['has'] = async (cid, options) => !isLeech && (await blocks.has(cid, options))
  const get: Blockstore['get'] = async function* (cid, options) {
    if (isLeech) throw new RegistryError('CONTENT_UNAVAILABLE', 'this host gives no content to others')
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
