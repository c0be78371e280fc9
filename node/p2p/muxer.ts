import { StreamStateError } from '@libp2p/interface'
import type { StreamMuxerFactory } from '@libp2p/interface'
import { yamux } from '@libp2p/yamux'
import { LIMITS } from '../../protocol/limits.ts'

/** yamux with bounds of our own, and without its way to end a process. */
export function muxer(): () => StreamMuxerFactory {
  const { streams } = LIMITS
  const factory = yamux({
    // What comes of it is what alive.ts looks for.
    keepAliveInterval: LIMITS.connections.aliveEveryMs,
    maxInboundStreams: streams.yamuxInbound,
    maxOutboundStreams: streams.yamuxOutbound,
    streamOptions: {
      maxStreamWindowSize: streams.yamuxWindowBytes,
      maxReadBufferLength: streams.readBufferBytes,
      maxWriteBufferLength: streams.writeBufferBytes
    }
  })
  return () => {
    const inner = factory()
    const create = inner.createStreamMuxer.bind(inner)
    inner.createStreamMuxer = connection => withStreams(silentOnceClosed(create(connection)))
    return inner
  }
}

/**
 * yamux 8.0.3 sends the first frame of a new stream in a microtask that nobody watches. A connection that ends between
 * the two makes it throw, and an exception that nobody catches stops the node. What is sent into a closed connection
 * goes nowhere in any case: its streams are told by the end of the connection.
 */
function silentOnceClosed<M extends { send(data: never): boolean }>(made: M): M {
  const send: (data: never) => boolean = made.send.bind(made)
  made.send = data => {
    try {
      return send(data)
    } catch (error) {
      if (error instanceof StreamStateError) return true
      throw error
    }
  }
  return made
}

/** What the library keeps of a stream's window: what it may have at most, and what the other side may send still. */
interface Windowed {
  readonly state: number
  readonly readStatus: string
  readonly recvWindow: number
  readonly recvWindowCapacity: number
  sendWindowUpdate(): void
  sendResume(): void
}

/** The library's `StreamState.Established`: neither side waits for a flag in the next update. */
const ESTABLISHED = 3

/** The streams of a connection, each changed as soon as it is made. */
function withStreams<M>(made: M): M {
  const inner = made as M & { _newStream(...about: unknown[]): Windowed }
  const open = inner._newStream.bind(made)
  inner._newStream = (...about) => {
    const stream = open(...about)
    giveBackSparingly(stream)
    stayPaused(stream)
    return stream
  }
  return made
}

/**
 * yamux 8.0.3 gives window back after every frame: a message of its own to encrypt and a write to the socket for each 32 KiB,
 * a seventh of what a receiver does. As in other implementations half of the window is used up before the rest is given back:
 * the sender always has the other half.
 */
function giveBackSparingly(stream: Windowed): void {
  const update = stream.sendWindowUpdate.bind(stream)
  stream.sendWindowUpdate = () => {
    if (stream.state === ESTABLISHED && stream.recvWindowCapacity > stream.recvWindow / 2) return
    update()
  }
}

/**
 * A stream that goes on hands on what came meanwhile, and then gives window back. Whoever pauses it again while that is
 * handed on was paused no more at the other side (@libp2p/utils 7.4.1, `resume`): it sent on without end, until what nobody had
 * read was too much and the stream was lost.
 */
function stayPaused(stream: Windowed): void {
  const resume = stream.sendResume.bind(stream)
  stream.sendResume = () => {
    if (stream.readStatus !== 'paused') resume()
  }
}
