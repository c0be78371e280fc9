import type { Connection, Stream } from '@libp2p/interface'
import { RegistryError } from '../../protocol/errors.ts'
import { HELLO_PROTOCOL } from '../../protocol/hello.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { HelloVerdict } from './hello.ts'

type StreamListener = (event: CustomEvent<Stream>) => void

/** What a libp2p 3 connection has and its types do not say. */
interface Insides {
  readonly muxer?: {
    addEventListener(type: 'stream', listener: StreamListener): void
    removeEventListener(type: 'stream', listener: StreamListener): void
  }
  readonly onIncomingStream?: StreamListener
}

/**
 * Keeps even the names of protocols from who was not introduced.
 *
 * Attack: libp2p agrees on a protocol before any handler is asked. A stranger who says multistream's `ls`, or tries names,
 * learns what runs here, the name of a private DHT included; and a library of ours that opens a stream to him tells him
 * that name itself.
 *
 * Until the verdict, a dialler may agree with us on the introduction, on the first stream that it opens, and on nothing
 * else. Every other stream, in both directions, is held where nothing has been said on it. That keeps nobody waiting who
 * speaks this protocol: who dials opens the stream of the introduction first.
 */
export class Veil {
  #isDrawn = false

  /** Done once, before any connection: says what runs here only when nobody is looking. */
  cover(registrar: { getProtocols(): string[] }): void {
    const all = registrar.getProtocols.bind(registrar)
    registrar.getProtocols = () => (this.#isDrawn ? [HELLO_PROTOCOL] : all())
  }

  /** Done once for each connection, while it opens. */
  hide(connection: Connection, verdict: Promise<HelloVerdict>): void {
    const { muxer, onIncomingStream } = connection as unknown as Insides
    if (muxer === undefined || onIncomingStream === undefined) {
      // A library that works in another way would show everything, and nobody would notice.
      connection.abort(new RegistryError('INTERNAL', 'libp2p negotiates streams in a way that cannot be held back'))
      return
    }
    let left = LIMITS.hello.waitingStreams
    let isFirst = connection.direction === 'inbound'
    const onStream: StreamListener = event => {
      if (isFirst) this.#negotiateHello(onIncomingStream, event)
      else if (left > 0) void hold(event.detail, verdict, () => onIncomingStream(event))
      else event.detail.abort(new RegistryError('LIMIT_EXCEEDED', 'too many streams before the introduction'))
      if (!isFirst) left -= 1
      isFirst = false
    }
    muxer.addEventListener('stream', onStream)
    muxer.removeEventListener('stream', onIncomingStream)
    void verdict.then(({ accepted }) => {
      if (!accepted) return
      muxer.addEventListener('stream', onIncomingStream)
      muxer.removeEventListener('stream', onStream)
    })
  }

  /** libp2p asks what runs here as the first thing, before anything else can happen. */
  #negotiateHello(onIncomingStream: StreamListener, event: CustomEvent<Stream>): void {
    this.#isDrawn = true
    try {
      onIncomingStream(event)
    } finally {
      this.#isDrawn = false
    }
  }
}

/** Nothing is read or written on a stream while it is held, and little piles up. */
async function hold(stream: Stream, verdict: Promise<HelloVerdict>, handOver: () => void): Promise<void> {
  const { maxReadBufferLength } = stream
  stream.maxReadBufferLength = LIMITS.hello.waitingBytes
  const { accepted } = await verdict
  stream.maxReadBufferLength = maxReadBufferLength
  if (accepted) handOver()
  else stream.abort(new RegistryError('PEER_SILENT', 'not introduced'))
}
