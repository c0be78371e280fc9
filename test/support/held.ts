import { randomBytes } from 'node:crypto'
import type { Libp2p } from '@libp2p/interface'
import type { HeldRoots } from '../../node/p2p/components.ts'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { toLink } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { RootFilter, rootHash } from '../../protocol/have/filter.ts'
import { HAVE_PROTOCOL, encodeHaveMessage } from '../../protocol/have/messages.ts'

/** The record of what is held, in memory. */
export class MapHeld implements HeldRoots {
  readonly #roots = new Set<ContentId>()
  readonly #listeners = new Set<(root: ContentId, isHeld: boolean) => void>()

  constructor(roots: readonly ContentId[] = []) {
    for (const root of roots) this.#roots.add(root)
  }

  set(root: ContentId, isHeld: boolean): void {
    if (isHeld) this.#roots.add(root)
    else this.#roots.delete(root)
    for (const listener of this.#listeners) listener(root, isHeld)
  }

  async *list(): AsyncGenerator<ContentId> {
    yield* this.#roots
  }

  onChange(listener: (root: ContentId, isHeld: boolean) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}

export function filterOf(roots: readonly ContentId[], salt: Uint8Array = randomBytes(16)): RootFilter {
  return RootFilter.of(
    salt,
    roots.map(root => rootHash(salt, toLink(root).multihash.digest))
  )
}

/** A made-up peer says what it holds, whether or not that is so. Returns the stream, for whatever it says next. */
export async function tellRoots(host: Libp2p, roots: readonly ContentId[]): Promise<FramedStream> {
  const io = await toldBy(host, encodeHaveMessage({ type: 'full', version: 1, filter: filterOf(roots) }))
  return io
}

/** Bytes of a made-up peer as they are. */
export async function toldBy(host: Libp2p, message: Uint8Array): Promise<FramedStream> {
  const [connection] = host.getConnections()
  if (connection === undefined) throw new Error('the peer is not connected')
  const io = new FramedStream(await connection.newStream(HAVE_PROTOCOL))
  await io.write(message, AbortSignal.timeout(60_000))
  return io
}
