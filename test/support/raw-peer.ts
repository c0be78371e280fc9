import { noise } from '@libp2p/noise'
import type { Connection, Libp2p, Stream, StreamMuxerFactory } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { deadline } from '../../node/p2p/deadline.ts'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { HELLO_PROTOCOL, decodeHelloAnswer, encodeHello, encodeHelloAnswer } from '../../protocol/hello.ts'
import type { Hello } from '../../protocol/hello.ts'
import { realClock } from './swarm-node.ts'

const hosts: Libp2p[] = []

/**
 * A libp2p host that knows nothing of ggen: what a stranger or an attacker brings.
 * @param onDecrypted told of all that comes over any connection, behind the encryption: frames of yamux
 */
export async function rawPeer(onDecrypted?: (bytes: Uint8Array) => void): Promise<Libp2p> {
  const host = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [onDecrypted === undefined ? yamux() : listeningYamux(onDecrypted)],
    connectionMonitor: { enabled: false }
  })
  hosts.push(host)
  return host
}

function listeningYamux(onDecrypted: (bytes: Uint8Array) => void): () => StreamMuxerFactory {
  return () => {
    const inner = yamux()()
    const create = inner.createStreamMuxer.bind(inner)
    inner.createStreamMuxer = connection => {
      const dispatch = connection.dispatchEvent.bind(connection)
      connection.dispatchEvent = (event: Event): boolean => {
        if (event.type === 'message' && 'data' in event) {
          onDecrypted(Uint8Array.from((event.data as { subarray(): Uint8Array }).subarray()))
        }
        return dispatch(event)
      }
      return create(connection)
    }
    return inner
  }
}

export async function stopRawPeers(): Promise<void> {
  for (const host of hosts.splice(0)) await host.stop()
}

export async function dialRaw(host: Libp2p, address: string): Promise<Connection> {
  return await host.dial(multiaddr(address))
}

/** Says hello as it should be said, with whatever is in it. */
export async function sayHello(connection: Connection, hello: Partial<Hello> = {}): Promise<void> {
  const { signal, clear } = deadline(realClock, 60_000)
  const io = new FramedStream(await connection.newStream(HELLO_PROTOCOL))
  await io.write(encodeHello({ versions: [1], agent: 'raw', registries: [], roles: [], ...hello }), signal)
  await io.read(65_536, signal)
  await io.write(encodeHelloAnswer({ refused: null }), signal)
  const answer = await io.read(65_536, signal)
  if (answer === undefined || decodeHelloAnswer(answer).refused !== null) throw new Error('the hello was refused')
  await io.end(signal)
  clear()
}

/** Everything that comes on a stream until it ends or breaks. */
export async function drain(stream: Stream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of stream) chunks.push(chunk.subarray())
  } catch {
    // a reset is an end like any other here
  }
  return Buffer.concat(chunks)
}
