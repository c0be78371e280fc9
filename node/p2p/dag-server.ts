import type { Connection, Stream } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { ContentId } from '../../protocol/cid.ts'
import { concatBytes } from '../../protocol/bytes.ts'
import { answerHeader, decodeDagRequest, encodeAnswerFrame } from '../../protocol/dag/messages.ts'
import type { DagRequest, NamedPeer } from '../../protocol/dag/messages.ts'
import { BlockOrder } from '../../protocol/dag/order.ts'
import { RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { RAW, parseUnixfsNode } from '../../protocol/unixfs-node.ts'
import type { UnixfsNode } from '../../protocol/unixfs-node.ts'
import type { Clock, Log, ServedBlocks, Sight, Throttle } from './components.ts'
import { Pieces } from './dag-pieces.ts'
import { isBlockOf } from './dag-lane.ts'
import { StreamSight } from './dag-sight.ts'
import { Uploads } from './dag-uploads.ts'
import type { Upload } from './dag-uploads.ts'
import { deadline } from './deadline.ts'
import { FramedStream } from './framed-stream.ts'

export interface DagServerComponents {
  readonly blocks: ServedBlocks
  /** What of them this host may show: what its other protocols show. */
  readonly sight: Sight
  readonly clock: Clock
  readonly log: Log
  /** Who is here, and says that it holds a root. */
  readonly holders: (root: ContentId) => readonly string[]
  /** Whether a peer is here, introduced in this swarm, so that others may be sent to it; and where it is. */
  readonly isPeer: (peer: string) => boolean
  /** Bytes of blocks went out. */
  readonly onServed: (bytes: number) => void
  readonly addressesOf: (peer: string) => readonly string[]
  /** What an operator bounds the bytes to that are sent, over all hosts. */
  readonly throttle: Throttle | undefined
  /** The peer sent what no honest program sends. */
  readonly onMalformed: (peer: string) => void
}

/** Answers `/ggen/dag/1`: the blocks of one content root, as many requests as a stream has. */
export function dagHandler(components: DagServerComponents): (stream: Stream, connection: Connection) => void {
  const uploads = new Uploads(components)
  return (stream, connection) => void serve(components, uploads, { stream, peer: connection.remotePeer.toString() })
}

async function serve(
  components: DagServerComponents,
  uploads: Uploads,
  { stream, peer }: { readonly stream: Stream; readonly peer: string }
): Promise<void> {
  const { log, onMalformed } = components
  const io = new FramedStream(stream)
  const below = new StreamSight(components)
  let upload: Upload | undefined
  let letGo: (() => void) | undefined
  let isWhole = false
  const { firstMs, idleMs } = LIMITS.dag
  try {
    for (let served = 0; served < LIMITS.dag.requestsPerStream; served++) {
      const request = await readRequest(components, io, upload === undefined ? firstMs : idleMs)
      if (request === undefined) {
        isWhole &&= served > 0
        break
      }
      if (upload === undefined) {
        upload = uploads.take(peer, request.root)
        if (upload === undefined) {
          await sendBusy(components, io, othersWith(components, uploads, { peer, root: request.root }))
          break
        }
      }
      letGo ??= components.blocks.hold?.(upload.root)
      if (upload.root !== request.root) throw new RegistryError('MALFORMED', 'a second root on one stream')
      const answered = await answer(components, { io, below, upload }, request)
      isWhole = answered.isWhole && (served === 0 || isWhole)
      if (answered.kept.length === 0) continue
      const { root } = upload
      await sendBusy(components, io, othersWith(components, uploads, { peer, root, kept: answered.kept }))
      break
    }
    await io.end(AbortSignal.timeout(LIMITS.connections.closeMs))
  } catch (error) {
    isWhole = false
    log.debug('serving content ended', { peer, reason: messageOf(error) })
    if (isRegistryError(error) && (error.code === 'MALFORMED' || error.code === 'LIMIT_EXCEEDED')) onMalformed(peer)
    io.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'serving failed', { cause: error }))
  } finally {
    letGo?.()
    upload?.release(isWhole)
  }
}

async function readRequest(
  { clock }: DagServerComponents,
  io: FramedStream,
  ms: number
): Promise<DagRequest | undefined> {
  const time = deadline(clock, ms)
  try {
    const bytes = await io.read(LIMITS.dag.requestBytes, time.signal)
    return bytes === undefined ? undefined : decodeDagRequest(bytes)
  } finally {
    time.clear()
  }
}

/** Peers that are here and have some of a root: those that have what was `kept` first. */
function othersWith(
  { isPeer, holders }: DagServerComponents,
  uploads: Uploads,
  { peer, root, kept }: { readonly peer: string; readonly root: ContentId; readonly kept?: readonly CID[] }
): readonly string[] {
  const all = new Set([...uploads.receiversOf(root, kept), ...holders(root)])
  return [...all].filter(other => other !== peer && isPeer(other))
}

/** Who is told of others learns where those are who were introduced in the same swarm as himself, and of nobody else. */
async function sendBusy(components: DagServerComponents, io: FramedStream, others: readonly string[]): Promise<void> {
  const { peers: most, addressesPerPeer, addressChars } = LIMITS.dag
  // Not the same ones to everybody: each of them has few places too.
  const first = others.length > most ? Math.floor(components.clock.now()) % others.length : 0
  const some = [...others.slice(first), ...others.slice(0, first)].slice(0, most)
  const peers = some.map((id): NamedPeer => {
    const addresses = components.addressesOf(id).filter(({ length }) => length <= addressChars)
    return { id, addresses: addresses.slice(0, addressesPerPeer) }
  })
  await new Pieces(components, io).end([encodeAnswerFrame({ type: 'busy', peers })])
}

/** What was sent for one request, and whether all of it was here. */
interface Answered {
  readonly isWhole: boolean
  /** Leaves that others have for this peer. Then the answer has no end yet. */
  readonly kept: readonly CID[]
}

async function answer(
  components: DagServerComponents,
  { io, below, upload }: { readonly io: FramedStream; readonly below: StreamSight; readonly upload: Upload },
  request: DagRequest
): Promise<Answered> {
  const hidden = await below.hidden(request)
  const order = new BlockOrder(request)
  const pieces = new Pieces(components, io)
  let isWhole = true
  const kept: CID[] = []
  let lastBytes = 0
  for (let next = order.next; next !== undefined; next = order.next) {
    // What a node names is below it: only what was asked for may be of something else.
    const isShown = !hidden.has(next)
    if (isShown && next.code === RAW && !upload.claim(next)) {
      kept.push(next)
      await pieces.add([answerHeader('elsewhere', 0)])
      order.miss()
      continue
    }
    const bytes = isShown ? await readBlock(components.blocks, next, lastBytes) : undefined
    if (bytes === undefined) {
      isWhole = false
      if (isShown && next.code === RAW) upload.unclaim(next)
      await pieces.add([answerHeader('missing', 0)])
      order.miss()
      continue
    }
    lastBytes = bytes.length
    components.onServed(bytes.length)
    upload.sent(bytes.length)
    await pieces.add([answerHeader('block', bytes.length), bytes])
    below.sent(takeOwn(order, next, bytes))
  }
  await pieces.end(kept.length === 0 ? [answerHeader('end', 0)] : [])
  return { isWhole: isWhole && kept.length === 0, kept }
}

/** The node that these bytes of ours are, if they are one. */
function takeOwn(order: BlockOrder, cid: CID, bytes: Uint8Array): UnixfsNode | undefined {
  try {
    return order.take(bytes) ?? (cid.code === RAW ? undefined : parseUnixfsNode(bytes, LIMITS.content))
  } catch (cause) {
    // The block is here because somebody put it here. That it is no part of a package is not the asker's fault.
    throw new RegistryError('CONTENT_UNAVAILABLE', 'content that could not have been published', { cause })
  }
}

/**
 * Small blocks come off the disk at once, which takes a tenth of the time; after a large one the next is likely to be large
 * too, and is waited for, so that a slow disk holds up nothing else.
 */
async function readBlock(blocks: ServedBlocks, cid: CID, lastBytes: number): Promise<Uint8Array | undefined> {
  if (lastBytes <= LIMITS.dag.readNowBytes) {
    const near = blocks.readNow?.(cid)
    if (near !== undefined && isBlockOf(cid, near)) return near
  }
  try {
    const parts: Uint8Array[] = []
    for await (const part of blocks.get(cid)) parts.push(part)
    const [only] = parts
    return parts.length === 1 && only !== undefined ? only : concatBytes(parts)
  } catch {
    // Not here, damaged and set aside just now, or withheld: to the asker it is all one.
    return undefined
  }
}
