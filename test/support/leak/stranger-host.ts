import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { FramedStream } from '../../../node/p2p/framed-stream.ts'
import { PskProtector } from '../../../node/p2p/protector.ts'
import { FACTS_PROTOCOL, encodeFactsResponse } from '../../../protocol/facts-messages.ts'
import {
  HELLO_PROTOCOL,
  decodeHello,
  decodeHelloAnswer,
  encodeHello,
  encodeHelloAnswer
} from '../../../protocol/hello.ts'
import type { Hello } from '../../../protocol/hello.ts'
import { parseRegistryId } from '../../../protocol/cid.ts'
import { SYNC_PROTOCOL, decodeSyncRequest, encodeSyncMessage } from '../../../protocol/sync/messages.ts'
import { BITSWAP_PROTOCOLS, PUBLIC_KAD, readBitswap } from './questions.ts'
import type { Answer } from './questions.ts'
import { recordingNoise } from './recording-noise.ts'
import type { Recording } from './recording.ts'

export interface StrangerInit {
  readonly recording: Recording
  readonly listen: readonly string[]
  /** Public registries that he says he follows, so that he is told of them. */
  readonly registries: readonly string[]
  /** In hexadecimal. */
  readonly psk?: string
}

export interface StrangerHost {
  readonly libp2p: Libp2p
  /** Introduces himself as the public swarm wants it; whether he was accepted. */
  greet(connection: Connection): Promise<boolean>
  /** What others said of themselves in their hello. */
  readonly hellos: readonly Hello[]
  /** Topics that others said they listen to, by who said it. */
  readonly topics: ReadonlyMap<string, ReadonlySet<string>>
  /** What bitswap told, in the order in which it came. */
  readonly answers: readonly Answer[]
}

const MESSAGE_BYTES = 4 * 1024 * 1024
const signal = (): AbortSignal => AbortSignal.timeout(60_000)

/**
 * A member of the public swarm that keeps to its rules and serves nothing: he says hello, is in the DHT, joins every topic
 * he hears of, and writes down all he is told.
 */
export async function strangerHost({ recording, listen, registries, psk }: StrangerInit): Promise<StrangerHost> {
  const hellos: Hello[] = []
  const topics = new Map<string, Set<string>>()
  const answers: Answer[] = []
  const own: Hello = {
    versions: [1],
    agent: 'ggen-node/0.1.0',
    registries: registries.map(parseRegistryId),
    roles: ['mirror']
  }
  const libp2p = await createLibp2p({
    addresses: { listen: [...listen] },
    transports: [tcp()],
    ...(psk !== undefined && { connectionProtector: () => new PskProtector([Buffer.from(psk, 'hex')]) }),
    connectionEncrypters: [recordingNoise(recording)],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({ protocol: PUBLIC_KAD, clientMode: false, peerInfoMapper: passthroughMapper }),
      pubsub: gossipsub({ globalSignaturePolicy: 'StrictNoSign', allowPublishToZeroTopicPeers: true })
    }
  })
  const { pubsub } = libp2p.services
  pubsub.addEventListener('subscription-change', ({ detail }) => {
    const peer = detail.peerId.toString()
    for (const { topic } of detail.subscriptions) {
      topics.set(peer, (topics.get(peer) ?? new Set()).add(topic))
      pubsub.subscribe(topic)
    }
  })
  await libp2p.handle(
    HELLO_PROTOCOL,
    quietly(async io => {
      hellos.push(decodeHello(await message(io)))
      await io.write(encodeHello(own), signal())
      await io.write(encodeHelloAnswer({ refused: null }), signal())
      await message(io)
      await io.end(signal())
    })
  )
  await libp2p.handle(SYNC_PROTOCOL, quietly(serveSync))
  await libp2p.handle(
    FACTS_PROTOCOL,
    quietly(async io => {
      await message(io)
      await io.write(encodeFactsResponse({ type: 'refused', reason: 'unknown-registry' }), signal())
    })
  )
  await libp2p.handle([...BITSWAP_PROTOCOLS], (stream: Stream) => {
    void drain(stream).then(async bytes => void answers.push(...(await readBitswap(bytes))))
  })
  const greet = async (connection: Connection): Promise<boolean> => {
    const io = new FramedStream(await connection.newStream(HELLO_PROTOCOL, { signal: signal() }))
    await io.write(encodeHello(own), signal())
    const hello = await io.read(MESSAGE_BYTES, signal())
    if (hello === undefined) return false
    hellos.push(decodeHello(hello))
    await io.write(encodeHelloAnswer({ refused: null }), signal())
    const answer = await io.read(MESSAGE_BYTES, signal())
    await io.end(signal())
    return answer !== undefined && decodeHelloAnswer(answer).refused === null
  }
  return { libp2p, greet, hellos, topics, answers }
}

/** Says of every registry that it is not known here. */
async function serveSync(io: FramedStream): Promise<void> {
  for (;;) {
    const request = decodeSyncRequest(await message(io))
    if (request.type === 'done') continue
    const { session } = request
    await io.write(encodeSyncMessage({ type: 'refused', session, reason: 'unknown-registry' }), signal())
  }
}

async function message(io: FramedStream): Promise<Uint8Array> {
  const bytes = await io.read(MESSAGE_BYTES, AbortSignal.timeout(60_000))
  if (bytes === undefined) throw new Error('the stream ended')
  return bytes
}

/** A handler whose failures are nobody's business: the bytes are recorded by then. */
function quietly(serve: (io: FramedStream) => Promise<void>): (stream: Stream) => void {
  return stream => {
    const io = new FramedStream(stream)
    serve(io).catch((error: unknown) => io.abort(error instanceof Error ? error : new Error(String(error))))
  }
}

/** Everything that comes on a stream until it ends or breaks. */
async function drain(stream: Stream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of stream) chunks.push(chunk.subarray())
  } catch {
    // a reset is an end like any other here
  }
  return Buffer.concat(chunks)
}
