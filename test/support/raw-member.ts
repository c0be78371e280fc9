import { randomBytes } from 'node:crypto'
import type { Connection, Libp2p } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { HELLO_PROTOCOL } from '../../protocol/hello.ts'
import { LIMITS } from '../../protocol/limits.ts'
import {
  decodeReply,
  decodeTurn,
  encodeOpening,
  encodeProof,
  encodeTurn,
  isSameMac,
  openingMac,
  proofMac,
  replyMac
} from '../../protocol/membership/private-hello.ts'
import type { Introduction, Sides, Turn } from '../../protocol/membership/private-hello.ts'

import { rawPeer } from './raw-peer.ts'

/** A program that knows a secret of a swarm and says what it likes: one message at a time. */
export class RawMember {
  readonly io: FramedStream
  readonly sides: Sides
  readonly nonce = Uint8Array.from(randomBytes(32))
  readonly #key: Uint8Array
  #theirs: Uint8Array = new Uint8Array(32)

  private constructor(io: FramedStream, sides: Sides, key: Uint8Array) {
    this.io = io
    this.sides = sides
    this.#key = key
  }

  static async on(connection: Connection, host: Libp2p, key: Uint8Array): Promise<RawMember> {
    const sides = sidesOf(host.peerId.toString(), connection.remotePeer.toString())
    return new RawMember(new FramedStream(await connection.newStream(HELLO_PROTOCOL)), sides, key)
  }

  async say(message: Uint8Array): Promise<void> {
    await this.io.write(message, AbortSignal.timeout(60_000))
  }

  /** The next message, or undefined when the stream ended or broke. */
  async hear(): Promise<Uint8Array | undefined> {
    try {
      return await this.io.read(LIMITS.membership.helloBytes, AbortSignal.timeout(60_000))
    } catch {
      return undefined
    }
  }

  opening(): Uint8Array {
    return encodeOpening({ nonce: this.nonce, macs: [openingMac(this.#key, this.sides, this.nonce)] })
  }

  /** Opens and hears the answer. @throws when there is none, or it does not hold */
  async open(): Promise<void> {
    await this.say(this.opening())
    const bytes = await this.hear()
    if (bytes === undefined) throw new Error('no reply')
    const { nonce, mac } = decodeReply(bytes)
    if (!isSameMac(mac, replyMac(this.#key, this.sides, [this.nonce, nonce]))) throw new Error('a wrong reply')
    this.#theirs = nonce
  }

  proof(introduction: Introduction | null): Uint8Array {
    return encodeProof({ mac: proofMac(this.#key, this.sides, [this.nonce, this.#theirs]), introduction })
  }

  /** Says the proof, with or without an introduction, and hears the turn that follows. */
  async introduce(introduction: Introduction | null): Promise<Turn | undefined> {
    await this.say(this.proof(introduction))
    return await this.hearTurn()
  }

  async hearTurn(): Promise<Turn | undefined> {
    const bytes = await this.hear()
    return bytes === undefined ? undefined : decodeTurn(bytes)
  }

  async accept(introduction: Introduction | null = null): Promise<void> {
    await this.say(encodeTurn({ introduction, refused: null }))
  }
}

export function sidesOf(dialler: string, listener: string): Sides {
  return {
    dialler: peerIdFromString(dialler).toMultihash().bytes,
    listener: peerIdFromString(listener).toMultihash().bytes
  }
}

/** An introduction as an honest host says it, with whatever is in it. */
export function introductionOf(parts: Partial<Introduction> = {}): Introduction {
  return {
    versions: [1],
    agent: 'raw',
    registries: [],
    roles: [],
    epoch: 1,
    certificate: null,
    binding: null,
    evidence: [],
    ...parts
  }
}

/**
 * A peer that keeps everything that others send to it on any stream, behind the encryption and without the headers of
 * yamux: what they negotiate and what they say, in the order in which it came.
 */
export async function listeningPeer(): Promise<{ readonly host: Libp2p; readonly heard: () => string }> {
  const chunks: Uint8Array[] = []
  const host = await rawPeer(bytes => void chunks.push(bytes))
  return { host, heard: () => payloadsOf(Buffer.concat(chunks)) }
}

/** yamux: version, type, flags (2), stream (4), length (4); the length of data frames is that of what follows. */
function payloadsOf(bytes: Buffer): string {
  let text = ''
  for (let at = 0; at + 12 <= bytes.length;) {
    const isData = bytes[at + 1] === 0
    const length = isData ? bytes.readUInt32BE(at + 8) : 0
    text += bytes.toString('latin1', at + 12, at + 12 + length)
    at += 12 + length
  }
  return text
}
