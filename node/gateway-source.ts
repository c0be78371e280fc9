import type { CID } from 'multiformats/cid'
import { concatBytes } from '../protocol/bytes.ts'
import { ContentCarReader } from '../protocol/content-car.ts'
import type { CarSection } from '../protocol/content-car.ts'
import { maxBytesOf } from '../protocol/dag/order.ts'
import { allowedBytes, DagPlan } from '../protocol/dag/plan.ts'
import type { PlannedContent } from '../protocol/dag/plan.ts'
import { RegistryError, isRegistryError, messageOf } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { parseUnixfsNode, RAW } from '../protocol/unixfs-node.ts'
import { isBlock } from '../storage/verified-blocks.ts'
import { GatewayClient } from './http/gateway-client.ts'
import { parseGatewayUrl } from './http/gateway-url.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'

export interface GatewaysInit {
  readonly urls: readonly string[]
  readonly clock: Pick<Clock, 'now' | 'after'>
  readonly log: Pick<Log, 'warn'>
}

interface Gateway {
  readonly client: GatewayClient
  bannedUntil: number
  bytes: number
}

/** Where what a gateway sends goes: only what hashes to what was asked for ever gets there. */
export interface GatewayStore {
  has(cid: CID): Promise<boolean>
  put(cid: CID, bytes: Uint8Array): Promise<unknown>
  read(cid: CID): Promise<Uint8Array | undefined>
}

/**
 * The gateways that an operator has named, asked for public content that peers do not send. They are believed nothing: every
 * block is hashed, what is not asked for is dropped, and who sent wrong bytes is not asked again for an hour.
 */
export class Gateways {
  readonly #init: GatewaysInit
  readonly #gateways: readonly Gateway[]

  constructor(init: GatewaysInit) {
    this.#init = init
    const urls = init.urls.slice(0, LIMITS.gatewaySource.gateways).flatMap(text => parseGatewayUrl(text) ?? [])
    this.#gateways = urls.map(url => ({ client: new GatewayClient(url, init.clock), bannedUntil: 0, bytes: 0 }))
  }

  get isEmpty(): boolean {
    return this.#gateways.length === 0
  }

  /** Bytes that each has sent, by its address. */
  received(): readonly (readonly [gateway: string, bytes: number])[] {
    return this.#gateways.map(({ client, bytes }) => [client.name, bytes])
  }

  session(watch?: GatewayWatch): GatewaySession {
    return new GatewaySession(this.#gateways, { ...this.#init, watch })
  }

  close(): void {
    for (const { client } of this.#gateways) client.close()
  }
}

/** Told of what is asked of them and what they send. */
export interface GatewayWatch {
  asked(): void
  block(way: 'gateway', from: string, bytes: number): void
}

type SessionInit = GatewaysInit & { readonly watch?: GatewayWatch | undefined }

/** The gateways as they are asked for one content. */
export class GatewaySession {
  readonly #gateways: readonly Gateway[]
  readonly #init: SessionInit
  readonly #said = new Map<string, string>()
  readonly #waiting: (() => void)[] = []
  readonly #stored: CID[] = []
  #running = 0
  #favourite: Gateway | undefined

  constructor(gateways: readonly Gateway[], init: SessionInit) {
    this.#gateways = gateways
    this.#init = init
  }

  /** What archives have brought into the store, also of those that broke off. */
  get stored(): readonly CID[] {
    return this.#stored
  }

  /** Whether one of them has sent something of this content. */
  get hasServed(): boolean {
    return this.#favourite !== undefined
  }

  /** What each said that did not send what it was asked for, for people. */
  get said(): readonly string[] {
    return [...this.#said.values()]
  }

  /**
   * The content as one archive, from the first gateway that has it as a whole; what an earlier one has sent is kept. Returns
   * how many bytes came.
   * @throws RegistryError LIMIT_EXCEEDED | MALFORMED for content that could not have been published, and what the store throws;
   * CONTENT_UNAVAILABLE when none of them sent all of it
   */
  async content(content: PlannedContent, store: GatewayStore, signal: AbortSignal): Promise<number> {
    const plan = new DagPlan(content)
    const keys = new Set<string>()
    for (const gateway of this.#usable()) {
      await this.#tried(gateway, signal, () =>
        this.#archive(gateway, { plan, size: content.size, store, keys, signal })
      )
      if (plan.isComplete) return plan.fetched
      if (!this.#said.has(gateway.client.name)) this.#note(gateway, 'sent an archive that is not whole')
    }
    if (keys.size > 0) return plan.fetched
    throw this.#unavailable()
  }

  /** One block, verified. @throws RegistryError CONTENT_UNAVAILABLE with what each of them said */
  async block(cid: CID, signal: AbortSignal): Promise<Uint8Array> {
    await this.#turn()
    try {
      for (const gateway of this.#usable()) {
        const found = await this.#tried(gateway, signal, () => this.#raw(gateway, cid, signal))
        if (found === undefined) continue
        signal.throwIfAborted()
        this.#init.watch?.block('gateway', gateway.client.name, found.length)
        return found
      }
    } finally {
      this.#running -= 1
      this.#waiting.shift()?.()
    }
    throw this.#unavailable()
  }

  /** Those that have not lied lately; who has just sent something first. */
  #usable(): readonly Gateway[] {
    const now = this.#init.clock.now()
    const usable = this.#gateways.filter(({ bannedUntil, client }) => {
      if (bannedUntil > now) this.#said.set(client.name, `${client.name} sent wrong bytes before`)
      return bannedUntil <= now
    })
    return usable.toSorted((a, b) => Number(b === this.#favourite) - Number(a === this.#favourite))
  }

  async #tried<T>(gateway: Gateway, signal: AbortSignal, ask: () => Promise<T>): Promise<T | undefined> {
    this.#init.watch?.asked()
    try {
      const found = await ask()
      this.#favourite = gateway
      return found
    } catch (error) {
      signal.throwIfAborted()
      if (!isRegistryError(error)) throw error
      if (error.code === 'PEER_LIED') {
        gateway.bannedUntil = this.#init.clock.now() + LIMITS.gatewaySource.liedMs
        this.#init.log.warn({ gateway: gateway.client.name, reason: error.message }, 'a gateway sent wrong bytes')
      } else if (error.code !== 'CONTENT_UNAVAILABLE' && error.code !== 'TIMEOUT') throw error
      if (this.#favourite === gateway) this.#favourite = undefined
      this.#said.set(gateway.client.name, error.message)
      return undefined
    }
  }

  async #raw(gateway: Gateway, cid: CID, signal: AbortSignal): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    let length = 0
    for await (const part of gateway.client.get(cid.toString(), 'raw', signal)) {
      length += part.length
      gateway.bytes += part.length
      // Attack: a block without end. The cap comes before the copy.
      if (length > maxBytesOf(cid, LIMITS.content)) throw lied(gateway, 'a block that is too large')
      parts.push(part)
    }
    const bytes = concatBytes(parts)
    if (!isBlock(cid, bytes)) throw lied(gateway, 'bytes that are not the block that they stand for')
    return bytes
  }

  async #archive(gateway: Gateway, task: Archive): Promise<void> {
    const { plan, signal } = task
    const reader = new ContentCarReader()
    let strange = 0
    let all = 0
    for await (const part of gateway.client.get(plan.root, 'car', signal)) {
      gateway.bytes += part.length
      all += part.length
      // Attack: what is here already, again and again. Twice is what another gateway that broke off explains.
      if (all > 2 * allowedBytes(task.size)) throw lied(gateway, 'an archive without end')
      for (const section of read(gateway, () => reader.push(part))) {
        if ((await this.#takeSection(gateway, section, task)) || task.keys.has(section.cid.toString())) continue
        strange += section.bytes.length
        if (strange <= LIMITS.gatewaySource.wastedBytes) continue
        const { name } = gateway.client
        throw new RegistryError('CONTENT_UNAVAILABLE', `${name} sent blocks in another order, or of something else`)
      }
      if (plan.isComplete) return
    }
    read(gateway, () => reader.end())
  }

  /** False for a block that nothing known so far names, or that is here already. */
  async #takeSection(gateway: Gateway, { cid, bytes }: CarSection, task: Archive): Promise<boolean> {
    const { plan, store, keys } = task
    if (!plan.isMissing(cid)) return false
    if (bytes.length > maxBytesOf(cid, LIMITS.content) || !isBlock(cid, bytes))
      throw lied(gateway, 'bytes that are not the block that they stand for')
    // From here on it is the content's own fault: its bytes are those that were signed.
    const node = cid.code === RAW ? undefined : parseUnixfsNode(bytes, LIMITS.content)
    plan.arrived(cid, bytes, node === undefined ? {} : { node })
    await store.put(cid, bytes)
    keys.add(cid.toString())
    this.#stored.push(cid)
    this.#init.watch?.block('gateway', gateway.client.name, bytes.length)
    return true
  }

  async #turn(): Promise<void> {
    while (this.#running >= LIMITS.gatewaySource.requests) {
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
    this.#running += 1
  }

  #note({ client }: Gateway, what: string): void {
    this.#said.set(client.name, `${client.name} ${what}`)
  }

  #unavailable(): RegistryError {
    return new RegistryError('CONTENT_UNAVAILABLE', `no gateway sent it: ${this.said.join(', ')}`, { tried: this.said })
  }
}

interface Archive {
  readonly plan: DagPlan
  readonly size: number
  readonly store: GatewayStore
  /** What it brought, as texts. */
  readonly keys: Set<string>
  readonly signal: AbortSignal
}

/** What cannot be read of an archive is the fault of whoever sent it. */
function read<T>(gateway: Gateway, task: () => T): T {
  try {
    return task()
  } catch (cause) {
    throw lied(gateway, `no archive: ${messageOf(cause)}`, cause)
  }
}

function lied({ client }: Gateway, what: string, cause?: unknown): RegistryError {
  return new RegistryError('PEER_LIED', `${client.name} sent ${what}`, { cause })
}
