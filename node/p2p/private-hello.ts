import { randomBytes } from 'node:crypto'
import type { PeerId } from '@libp2p/interface'
import { RegistryError, messageOf } from '../../protocol/errors.ts'
import { commonVersion } from '../../protocol/hello.ts'
import type { Hello, HelloRefusal } from '../../protocol/hello.ts'
import { LIMITS } from '../../protocol/limits.ts'
import {
  decodeOpening,
  decodeProof,
  decodeReply,
  decodeTurn,
  encodeOpening,
  encodeProof,
  encodeReply,
  encodeTurn,
  isSameMac,
  openingMac,
  proofMac,
  replyMac
} from '../../protocol/membership/private-hello.ts'
import type { Introduction, Opening, Proof, Sides, Turn } from '../../protocol/membership/private-hello.ts'
import type { Log } from './components.ts'
import { isLie } from './facts-client.ts'
import type { Conversation, HelloVerdict, Introduce } from './hello.ts'
import type { HelloSecret, KnownMember, Membership } from './membership.ts'

export interface PrivateHelloComponents {
  readonly membership: Membership
  readonly self: PeerId
  readonly local: () => Hello
  readonly log: Log
  /** A peer that knows a secret of the swarm sent what no honest program sends. */
  readonly onMalformed: (peer: string) => void
}

/** A side that could not show a secret. It was told nothing, and nothing more is expected of it. */
const NO_SECRET: HelloVerdict = { accepted: false, reason: 'no-secret' }
const NOTHING: Turn = { introduction: null, refused: null }

type Judged =
  | { readonly refused: HelloRefusal }
  | { readonly refused: null; readonly member: KnownMember; readonly version: number }

/**
 * The introduction in a private swarm, docs/spec/hello.md section 3.
 *
 * Invariants:
 * 1. A listener sends no byte to a dialler that has not shown a secret of the swarm.
 * 2. A side says who it is only to a peer that has shown a secret in this very conversation, and that is known or was
 *    judged to be a member.
 * 3. A refusal is one word, and the last one.
 */
export function privateHello(components: PrivateHelloComponents): Introduce {
  return async conversation => {
    const dialogue = new Dialogue(components, conversation)
    return conversation.asks ? await dialogue.dial() : await dialogue.listen()
  }
}

class Dialogue {
  readonly #components: PrivateHelloComponents
  readonly #conversation: Conversation
  readonly #sides: Sides
  readonly #peer: string
  readonly #nonce = Uint8Array.from(randomBytes(32))

  constructor(components: PrivateHelloComponents, conversation: Conversation) {
    this.#components = components
    this.#conversation = conversation
    const [ours, theirs] = [components.self.toMultihash().bytes, conversation.peer.toMultihash().bytes]
    this.#sides = conversation.asks ? { dialler: ours, listener: theirs } : { dialler: theirs, listener: ours }
    this.#peer = conversation.peer.toString()
  }

  async dial(): Promise<HelloVerdict> {
    const { membership } = this.#components
    const secrets = membership.secrets()
    const macs = secrets.map(({ key }) => openingMac(key, this.#sides, this.#nonce))
    await this.#write(encodeOpening({ nonce: this.#nonce, macs }))
    const bytes = await this.#readReply()
    if (bytes === undefined) return NO_SECRET
    const reply = decodeReply(bytes)
    const nonces = [this.#nonce, reply.nonce] as const
    const secret = secrets.find(({ key }) => isSameMac(replyMac(key, this.#sides, nonces), reply.mac))
    if (secret === undefined) return NO_SECRET
    return await this.#blaming(async () => {
      const goesFirst = this.#mayGoFirst()
      const introduction = goesFirst ? await this.#ours() : null
      await this.#write(encodeProof({ mac: proofMac(secret.key, this.#sides, nonces), introduction }))
      const { refused, introduction: theirs } = await this.#readTurn()
      if (refused !== null) return { accepted: false, reason: refused, by: 'them' }
      if (theirs === null) throw malformed()
      return goesFirst ? await this.#speakLast(theirs, secret) : await this.#speakThenWait(theirs, secret)
    })
  }

  async listen(): Promise<HelloVerdict> {
    // Attack: a stranger who must find out whether this is a host of some swarm. What is wrong and what is missing look
    // alike to him: the stream ends, and nothing was said.
    const opening = await this.#readOpening()
    const secret = opening === undefined ? undefined : this.#secretOf(opening)
    if (opening === undefined || secret === undefined) return NO_SECRET
    const nonces = [opening.nonce, this.#nonce] as const
    await this.#write(encodeReply({ nonce: this.#nonce, mac: replyMac(secret.key, this.#sides, nonces) }))
    const proof = await this.#readProof()
    // Attack: an old opening, said again by a host that no longer has the secret. This mac is over a nonce of ours.
    if (proof === undefined || !isSameMac(proofMac(secret.key, this.#sides, nonces), proof.mac)) return NO_SECRET
    return await this.#blaming(async () => {
      if (proof.introduction !== null) return await this.#speakThenWait(proof.introduction, secret)
      if (!this.#mayGoFirst()) return await this.#refuse('unknown-peer')
      await this.#write(encodeTurn({ introduction: await this.#ours(), refused: null }))
      const { refused, introduction } = await this.#readTurn()
      if (refused !== null) return { accepted: false, reason: refused, by: 'them' }
      if (introduction === null) throw malformed()
      return await this.#speakLast(introduction, secret)
    })
  }

  /** Theirs has come, ours was said before: the answer ends it. */
  async #speakLast(theirs: Introduction, { key }: HelloSecret): Promise<HelloVerdict> {
    const judged = await this.#judge(theirs)
    if (judged.refused !== null) return await this.#refuse(judged.refused)
    await this.#write(encodeTurn(NOTHING))
    return accepted(theirs, judged, key)
  }

  /** Theirs has come and is judged before they hear ours; their answer ends it. */
  async #speakThenWait(theirs: Introduction, { key }: HelloSecret): Promise<HelloVerdict> {
    const judged = await this.#judge(theirs)
    if (judged.refused !== null) return await this.#refuse(judged.refused)
    await this.#write(encodeTurn({ introduction: await this.#ours(), refused: null }))
    const { refused, introduction } = await this.#readTurn()
    if (refused !== null) return { accepted: false, reason: refused, by: 'them' }
    if (introduction !== null) throw malformed()
    return accepted(theirs, judged, key)
  }

  /** Attack: an expelled host that is still remembered as one that proved itself. It must show first what it has. */
  #mayGoFirst(): boolean {
    const { membership } = this.#components
    return membership.isKnown(this.#peer) && !membership.isBarred(this.#peer)
  }

  async #judge(theirs: Introduction): Promise<Judged> {
    const { membership, local } = this.#components
    const { certificate, binding, evidence } = theirs
    const { signal } = this.#conversation
    const verdict = await membership.judge(this.#peer, { certificate, binding, evidence }, signal)
    // A member first, then what we speak: who is none is told nothing about us.
    if (!verdict.accepted) return { refused: verdict.reason }
    const version = commonVersion(local().versions, theirs.versions)
    if (version === undefined) return { refused: 'no-common-version' }
    return { refused: null, member: verdict.member, version }
  }

  async #refuse(reason: HelloRefusal): Promise<HelloVerdict> {
    await this.#write(encodeTurn({ introduction: null, refused: reason }))
    return { accepted: false, reason, by: 'us' }
  }

  async #ours(): Promise<Introduction> {
    const { membership, local } = this.#components
    const { certificate, binding, evidence } = await membership.proof()
    return { ...local(), epoch: membership.secrets()[0]?.epoch ?? 0, certificate, binding, evidence }
  }

  /** The newest of ours that the dialler has too. */
  #secretOf({ nonce, macs }: Opening): HelloSecret | undefined {
    return this.#components.membership
      .secrets()
      .find(({ key }) => macs.filter(mac => isSameMac(openingMac(key, this.#sides, nonce), mac)).length > 0)
  }

  /** From here on the peer has shown a secret: what it says wrong, it says as somebody who should know. */
  async #blaming(task: () => Promise<HelloVerdict>): Promise<HelloVerdict> {
    try {
      return await task()
    } catch (error) {
      if (isLie(error)) this.#components.onMalformed(this.#peer)
      throw error
    }
  }

  async #readOpening(): Promise<Opening | undefined> {
    const bytes = await this.#read(LIMITS.membership.openingBytes)
    if (bytes === undefined) return undefined
    try {
      return decodeOpening(bytes)
    } catch (error) {
      this.#components.log.debug('not the opening of a private hello', { peer: this.#peer, reason: messageOf(error) })
      return undefined
    }
  }

  /** A listener that does not know our secret lets go of the stream, one way or the other. */
  async #readReply(): Promise<Uint8Array | undefined> {
    try {
      return await this.#read(LIMITS.membership.openingBytes)
    } catch (error) {
      this.#conversation.signal.throwIfAborted()
      if (isLie(error)) throw error
      return undefined
    }
  }

  async #readProof(): Promise<Proof | undefined> {
    const bytes = await this.#read()
    return bytes === undefined ? undefined : decodeProof(bytes)
  }

  async #readTurn(): Promise<Turn> {
    const bytes = await this.#read()
    if (bytes === undefined) throw new RegistryError('PEER_SILENT', 'the peer ended its hello early')
    return decodeTurn(bytes)
  }

  async #read(maxBytes: number = LIMITS.membership.helloBytes): Promise<Uint8Array | undefined> {
    const { io, signal } = this.#conversation
    return await io.read(maxBytes, signal)
  }

  async #write(message: Uint8Array): Promise<void> {
    const { io, signal } = this.#conversation
    await io.write(message, signal)
  }
}

function accepted(
  { versions, agent, registries, roles, epoch }: Introduction,
  { member, version }: Extract<Judged, { refused: null }>,
  under: Uint8Array
): HelloVerdict {
  return { accepted: true, hello: { versions, agent, registries, roles }, version, member, epoch, under }
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'an introduction where none belongs, or none where one does')
}
