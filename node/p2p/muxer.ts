import { StreamStateError } from '@libp2p/interface'
import type { StreamMuxerFactory } from '@libp2p/interface'
import { yamux } from '@libp2p/yamux'
import { LIMITS } from '../../protocol/limits.ts'

/** yamux with bounds of our own, and without its way to end a process. */
export function muxer(): () => StreamMuxerFactory {
  const { streams } = LIMITS
  const factory = yamux({
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
    inner.createStreamMuxer = connection => silentOnceClosed(create(connection))
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
