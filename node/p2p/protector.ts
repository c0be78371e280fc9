import { randomBytes } from 'node:crypto'
import type { AbortOptions, ConnectionProtector, MessageStream, MultiaddrConnection } from '@libp2p/interface'
import { AbstractMultiaddrConnection, byteStream } from '@libp2p/utils'
import xsalsa20 from 'xsalsa20'
import { equalBytes } from '../../protocol/bytes.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'

const NONCE_BYTES = 24

/** What whoever dials says first, under the key: the header of multistream-select with its length. */
const HEADER = Buffer.from('\u0013/multistream/1.0.0\n')

type Cipher = ReturnType<typeof xsalsa20>

/**
 * The outer wall of a private swarm: pnet, `/key/swarm/psk/1.0.0` of the libp2p specification. Both sides send 24 random
 * bytes, and from there everything goes through XSalsa20 under the pre-shared key. It is a filter, no proof: nothing in it
 * is authenticated, and noise and the introduction come after it as they would without.
 *
 * Not `@libp2p/pnet`, which it talks to: that one has one key, and never gives back the 64 bytes of WebAssembly memory of
 * each cipher; after some 4,600 connections the memory has to grow, and then grows on every message until it cannot.
 *
 * Invariants:
 * 1. Whoever is dialled says its random bytes only after it has got some, and nothing else before what it was sent made
 *    sense under one of the keys; otherwise the socket is closed.
 * 2. Whoever dials uses the newest key, unless the last try at that very address came to nothing under it.
 */
export class PskProtector implements ConnectionProtector {
  readonly #keys: readonly Uint8Array[]
  /** Which key an address is tried with next; none is the newest. */
  readonly #choices = new Map<string, number>()

  /** @param keys newest first */
  constructor(keys: readonly Uint8Array[]) {
    this.#keys = keys
  }

  async protect(stream: MessageStream, options?: AbortOptions): Promise<MessageStream> {
    // libp2p's types know less than its upgrader hands in: a connection of a transport, and the options of the dial.
    const connection = stream as MultiaddrConnection
    const signal = options?.signal ?? AbortSignal.timeout(LIMITS.connections.upgradeTimeoutMs)
    // The one that punches a hole from the second side dials and then listens.
    const isDialler = connection.direction === 'outbound' && (options as { initiator?: boolean }).initiator !== false
    try {
      return await (isDialler ? this.#dialled(connection, signal) : this.#accepted(connection, signal))
    } catch (error) {
      connection.abort(error instanceof Error ? error : new RegistryError('PEER_SILENT', 'no pre-shared key'))
      throw error
    }
  }

  async #accepted(connection: MultiaddrConnection, signal: AbortSignal): Promise<MessageStream> {
    const bytes = byteStream(connection)
    const remoteNonce = (await bytes.read({ bytes: NONCE_BYTES, signal })).subarray()
    const localNonce = new Uint8Array(randomBytes(NONCE_BYTES))
    await bytes.write(localNonce, { signal })
    const sent = (await bytes.read({ bytes: HEADER.length, signal })).subarray()
    for (const key of this.#keys) {
      const inbound = xsalsa20(remoteNonce, key)
      if (equalBytes(inbound.update(sent), HEADER)) {
        return new Protected(bytes.unwrap(), { inbound, outbound: xsalsa20(localNonce, key), first: HEADER })
      }
      inbound.finalize()
    }
    throw new RegistryError('PEER_SILENT', 'the peer has another pre-shared key')
  }

  async #dialled(connection: MultiaddrConnection, signal: AbortSignal): Promise<MessageStream> {
    const address = connection.remoteAddr.toString()
    const choice = this.#choices.get(address) ?? 0
    const key = this.#keys[choice] ?? this.#keys[0]
    if (key === undefined) throw new RegistryError('INTERNAL', 'no pre-shared key')
    // Until it has answered in kind, this counts as a try that came to nothing.
    this.#choose(address, (choice + 1) % this.#keys.length)
    const bytes = byteStream(connection)
    const localNonce = new Uint8Array(randomBytes(NONCE_BYTES))
    const [remoteNonce] = await Promise.all([
      bytes.read({ bytes: NONCE_BYTES, signal }),
      bytes.write(localNonce, { signal })
    ])
    return new Protected(bytes.unwrap(), {
      inbound: xsalsa20(remoteNonce.subarray(), key),
      outbound: xsalsa20(localNonce, key),
      expect: HEADER,
      onExpected: () => this.#choose(address, choice)
    })
  }

  #choose(address: string, choice: number): void {
    this.#choices.delete(address)
    if (choice === 0) return
    this.#choices.set(address, choice)
    if (this.#choices.size <= LIMITS.reach.psk.addresses) return
    const oldest = this.#choices.keys().next().value
    if (oldest !== undefined) this.#choices.delete(oldest)
  }
}

interface ProtectedInit {
  readonly inbound: Cipher
  readonly outbound: Cipher
  /** What was read from the connection already, in the clear. */
  readonly first?: Uint8Array
  /** What the other side must begin with. */
  readonly expect?: Uint8Array
  readonly onExpected?: () => void
}

/** A connection whose bytes go through two ciphers. */
class Protected extends AbstractMultiaddrConnection {
  readonly #connection: MultiaddrConnection
  readonly #init: ProtectedInit
  #expected: Buffer
  #isOver = false

  constructor(connection: MultiaddrConnection, init: ProtectedInit) {
    const { remoteAddr, direction, log } = connection
    super({ remoteAddr, direction, log: log.newScope('psk') })
    this.#connection = connection
    this.#init = init
    this.#expected = Buffer.from(init.expect ?? [])
    if (init.first !== undefined) this.onData(init.first)
    connection.addEventListener('message', ({ data }) => {
      for (const piece of data instanceof Uint8Array ? [data] : data) this.#take(piece)
    })
    connection.addEventListener('drain', () => this.onMuxerDrain())
    connection.addEventListener('close', ({ error, local }) => {
      if (error === undefined) this.onTransportClosed()
      else if (local === true) this.abort(error)
      else this.onRemoteReset()
      this.#end()
    })
  }

  override sendData(data: Parameters<AbstractMultiaddrConnection['sendData']>[0]): {
    sentBytes: number
    canSendMore: boolean
  } {
    if (this.#isOver) return { sentBytes: data.byteLength, canSendMore: true }
    const sealed = inPieces(this.#init.outbound, data.subarray())
    return { sentBytes: data.byteLength, canSendMore: this.#connection.send(sealed) }
  }

  override sendReset(error: Error): void {
    this.#connection.abort(error)
    this.#end()
  }

  override sendPause(): void {
    this.#connection.pause()
  }

  override sendResume(): void {
    this.#connection.resume()
  }

  override async sendClose(options?: AbortOptions): Promise<void> {
    await this.#connection.close(options)
  }

  #take(sealed: Uint8Array): void {
    if (this.#isOver) return
    const clear = inPieces(this.#init.inbound, sealed)
    if (this.#expected.length > 0 && !this.#isAsExpected(clear)) {
      this.abort(new RegistryError('PEER_SILENT', 'the peer has another pre-shared key'))
      return
    }
    this.onData(clear)
  }

  #isAsExpected(clear: Uint8Array): boolean {
    const length = Math.min(clear.length, this.#expected.length)
    if (!equalBytes(clear.subarray(0, length), this.#expected.subarray(0, length))) return false
    this.#expected = this.#expected.subarray(length)
    if (this.#expected.length === 0) this.#init.onExpected?.()
    return true
  }

  /** Wipes the ciphers and gives their memory back, once: after that the same memory is another connection's. */
  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#init.inbound.finalize()
    this.#init.outbound.finalize()
  }
}

function inPieces(cipher: Cipher, bytes: Uint8Array): Uint8Array {
  const { pieceBytes } = LIMITS.reach.psk
  const out = new Uint8Array(bytes.length)
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const end = Math.min(at + pieceBytes, bytes.length)
    cipher.update(bytes.subarray(at, end), out.subarray(at, end))
  }
  return out
}
