import type { CID } from 'multiformats/cid'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { allowedBytes } from '../protocol/dag/plan.ts'
import type { PlannedContent } from '../protocol/dag/plan.ts'
import { RegistryError, isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { BlockSource } from '../storage/content/blocks.ts'
import { listBlocks } from '../storage/content/walk-dag.ts'
import type { Trail } from './services/trail.ts'

/** The verified blocks on this disk. */
export interface LocalBlocks extends BlockSource {
  has(cid: CID): Promise<boolean>
  put(cid: CID, bytes: Uint8Array, options?: { readonly atOnce?: boolean }): Promise<unknown>
  /** Makes blocks durable: bytes before the records that refer to them. */
  flush(cids: readonly CID[]): Promise<void>
}

/** What is asked of the own disk on the way: a block that is damaged there is not there. */
interface ReadableStore extends Pick<LocalBlocks, 'has'> {
  put(cid: CID, bytes: Uint8Array): Promise<unknown>
  read(cid: CID): Promise<Uint8Array | undefined>
}

/** Gets blocks from peers; what arrives is verified and stored by whoever implements it. */
export interface RemoteBlocks {
  open(
    registry: RegistryId | undefined,
    signal: AbortSignal,
    trail?: Trail
  ): {
    /**
     * Brings what neighbours send of it in one go; what they have not got stays missing. While nobody is here, `patience` ends the
     * wait for somebody.
     */
    content(
      content: PlannedContent,
      local: ReadableStore,
      options: { signal: AbortSignal; patience?: AbortSignal }
    ): Promise<{ readonly stored: readonly CID[]; readonly bytes: number; readonly isAll?: boolean }>
    block(cid: CID, options: { signal: AbortSignal }): Promise<Uint8Array>
    close(): void
  }
}

export interface FetchOrder {
  readonly registry: RegistryId | undefined
  readonly root: ContentId
  /** Bytes of the files as the release declares them. */
  readonly size: number
}

/**
 * Brings every block below a root onto this disk and makes them durable: first as one stream, then block by block what is
 * missing still, leaves many at a time.
 * A DAG that holds more than its release declares is given up as soon as that shows. `fetched` is the bytes from peers.
 * @throws RegistryError CONTENT_UNAVAILABLE | LIMIT_EXCEEDED | MALFORMED | HOSTILE_PATH
 */
export async function fetchContent(
  { local, remote, trail }: { local: LocalBlocks; remote: RemoteBlocks | undefined; trail?: Trail },
  { registry, root, size }: FetchOrder,
  signal: AbortSignal
): Promise<{ readonly fetched: number }> {
  const abort = new AbortController()
  const both = AbortSignal.any([signal, abort.signal])
  const session = remote?.open(registry, both, trail)
  let fetched = 0
  const got = new Map<string, CID>()
  const keep = (cid: CID): void => void got.set(cid.toString(), cid)
  const take = async (cid: CID): Promise<Uint8Array> => {
    const here = await readLocal(local, cid)
    if (here !== undefined) {
      if (!got.has(cid.toString())) trail?.here(here.length)
      return here
    }
    if (session === undefined) throw notHere(root)
    const bytes = await session.block(cid, { signal: both })
    fetched += bytes.length
    if (fetched > allowedBytes(size))
      throw new RegistryError('LIMIT_EXCEEDED', `content ${root} is larger than the release declares`)
    keep(cid)
    return bytes
  }
  const running = new Set<Promise<unknown>>()
  const durable = async (cids: readonly CID[], bytes: number): Promise<{ readonly fetched: number }> => {
    trail?.stored()
    await local.flush(cids)
    trail?.flushed()
    return { fetched: bytes }
  }
  try {
    if (session !== undefined) {
      const store: ReadableStore = {
        has: cid => local.has(cid),
        put: (cid, block) => local.put(cid, block, { atOnce: true }),
        read: cid => readLocal(local, cid)
      }
      const { stored, bytes, isAll = false } = await session.content({ root, size }, store, { signal: both })
      // Nothing is left to look for, and what has just been verified is not read again.
      if (isAll) return await durable(stored, bytes)
      stored.forEach(keep)
      fetched += bytes
    }
    for await (const cid of listBlocks(root, { get: take }, { signal: both, ahead: LIMITS.fetch.nodesAhead })) {
      // What has just been verified and stored is not read again.
      if (cid.code !== 0x55 || got.has(cid.toString())) continue
      const run = take(cid).finally(() => running.delete(run))
      // The first failure ends the walk below; an unhandled one would end the process.
      run.catch(error => abort.abort(error))
      running.add(run)
      if (running.size >= LIMITS.fetch.concurrentBlocks) await Promise.race(running)
    }
    await Promise.all(running)
    return await durable([...got.values()], fetched)
  } catch (error) {
    abort.abort(error)
    await Promise.allSettled(running)
    const reason: unknown = abort.signal.reason
    throw isRegistryError(reason) && !isRegistryError(error) ? reason : error
  } finally {
    session?.close()
  }
}

/** A block that is damaged on disk is as good as missing: it is set aside there and fetched again. */
async function readLocal(local: LocalBlocks, cid: CID): Promise<Uint8Array | undefined> {
  if (!(await local.has(cid))) return undefined
  try {
    return await collect(local.get(cid))
  } catch (error) {
    if (isRegistryError(error) && error.code === 'CORRUPT_BLOCK') return undefined
    throw error
  }
}

async function collect(source: ReturnType<BlockSource['get']>): Promise<Uint8Array> {
  if (source instanceof Promise) return source
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(part)
  const [only] = parts
  return parts.length === 1 && only !== undefined ? only : new Uint8Array(Buffer.concat(parts))
}

function notHere(root: ContentId): RegistryError {
  return new RegistryError('CONTENT_UNAVAILABLE', `the bytes of ${root} are not on this disk`, {
    tried: ['looked in the local block store', 'no network: this node is not connected to anybody'],
    next: 'connect to a peer that has them: ggen-node connect ADDRESS'
  })
}
