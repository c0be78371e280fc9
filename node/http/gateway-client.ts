import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import { CAR_TYPE, RAW_TYPE } from '../../protocol/gateway/accept.ts'
import type { Format } from '../../protocol/gateway/accept.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from '../runtime/clock.ts'

/** A gateway that the configuration names, and the sockets to it. */
export class GatewayClient {
  readonly url: URL
  readonly #clock: Pick<Clock, 'now' | 'after'>
  readonly #agent: HttpAgent

  constructor(url: URL, clock: Pick<Clock, 'now' | 'after'>) {
    this.url = url
    this.#clock = clock
    const options = { keepAlive: true, maxSockets: LIMITS.gatewaySource.requests }
    this.#agent = url.protocol === 'https:' ? new HttpsAgent(options) : new HttpAgent(options)
  }

  /** As messages name it. */
  get name(): string {
    return `${this.url.origin}${this.url.pathname.replace(/\/$/, '')}`
  }

  /**
   * The body of an answer as it comes. It is in the form that was asked for, and verified by nobody. A redirect is not
   * followed: the operator named this address and no other. Attack: one that leads to a service of the local network.
   * @throws RegistryError CONTENT_UNAVAILABLE with what it said | TIMEOUT for one that is silent or slow
   */
  async *get(cid: string, format: Format, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    const response = await this.#open(cid, format, signal)
    try {
      this.#check(response, format)
      yield* this.#paced(response)
    } catch (error) {
      signal.throwIfAborted()
      throw isRegistryError(error) ? error : this.#failed(`broke off: ${messageOf(error)}`, error)
    } finally {
      response.destroy()
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  async #open(cid: string, format: Format, signal: AbortSignal): Promise<IncomingMessage> {
    const { headerBytes, answerMs } = LIMITS.gatewaySource
    const query = format === 'car' ? 'format=car&dag-scope=all&car-order=dfs&car-dups=n' : 'format=raw'
    const accept = format === 'car' ? `${CAR_TYPE};version=1;order=dfs;dups=n` : RAW_TYPE
    const late = new AbortController()
    const settled = new AbortController()
    this.#clock.after(answerMs, () => late.abort(), settled.signal)
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const send = this.url.protocol === 'https:' ? httpsRequest : httpRequest
    const outgoing = send(`${this.name}/ipfs/${cid}?${query}`, {
      agent: this.#agent,
      maxHeaderSize: headerBytes,
      // Nothing that tells one node from another: whoever runs a gateway learns an address and a CID.
      headers: { accept, 'accept-encoding': 'identity', 'user-agent': 'ggen-node' },
      signal: AbortSignal.any([signal, late.signal])
    })
    outgoing.once('response', resolve)
    // Also after the response has come: an error that nobody listens for would end the process.
    outgoing.on('error', reject)
    outgoing.end()
    try {
      return await promise
    } catch (error) {
      signal.throwIfAborted()
      if (late.signal.aborted) throw this.#failed(`did not answer in ${answerMs / 1_000} s`, error, 'TIMEOUT')
      throw this.#failed(`could not be asked: ${messageOf(error)}`, error)
    } finally {
      settled.abort()
    }
  }

  #check({ statusCode = 0, headers }: IncomingMessage, format: Format): void {
    if (statusCode >= 300 && statusCode < 400) throw this.#failed(`said ${statusCode}, which is not followed`)
    if (statusCode !== 200) throw this.#failed(`said ${statusCode}`)
    const type = headers['content-type'] ?? ''
    if (!type.startsWith(format === 'car' ? CAR_TYPE : RAW_TYPE)) {
      throw this.#failed(`sends ${JSON.stringify(type.slice(0, 60))}, it is no trustless gateway`)
    }
    // Attack: a kilobyte that unpacks to gigabytes. Nothing is unpacked here.
    if (!['', 'identity'].includes(headers['content-encoding'] ?? '')) throw this.#failed('sends packed bytes')
  }

  /** The pieces of a body. What counts is the time that is spent waiting for them, not what is done with them here. */
  async *#paced(response: IncomingMessage): AsyncGenerator<Uint8Array, void> {
    const { bytesPerSecond, windowMs } = LIMITS.gatewaySource
    const pieces = (response as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
    let waitedMs = 0
    let bytes = 0
    for (;;) {
      const from = this.#clock.now()
      const settled = new AbortController()
      // Destroyed, the response ends the wait for its next piece.
      const endWait = (): void => void response.destroy(this.#slow())
      this.#clock.after(Math.max(0, windowMs - waitedMs), endWait, settled.signal)
      let next: IteratorResult<Buffer>
      try {
        next = await pieces.next()
      } finally {
        settled.abort()
      }
      if (next.done === true) break
      waitedMs += Math.max(0, this.#clock.now() - from)
      bytes += next.value.length
      yield next.value
      if (bytes < (bytesPerSecond * windowMs) / 1_000) continue
      waitedMs = 0
      bytes = 0
    }
    if (!response.complete) throw this.#failed('broke off')
  }

  #slow(): RegistryError {
    return this.#failed(`sends less than ${LIMITS.gatewaySource.bytesPerSecond / 1_024} KiB/s`, undefined, 'TIMEOUT')
  }

  #failed(what: string, cause?: unknown, code: 'CONTENT_UNAVAILABLE' | 'TIMEOUT' = 'CONTENT_UNAVAILABLE') {
    return new RegistryError(code, `${this.name} ${what}`.slice(0, LIMITS.gatewaySource.urlChars + 200), { cause })
  }
}
