import type { Rng } from './rng.ts'
import type { Schedule } from './schedule.ts'
import type { Trace } from './trace.ts'
import type { Weather } from './weather.ts'

/** What the network tells one who takes part in it. */
export interface Endpoint {
  readonly name: string
  isUp(): boolean
  refuses(peer: string): boolean
  onCame(peer: string, dialled: boolean): void
  onGone(peer: string): void
  onGossip(peer: string, bytes: Uint8Array): Promise<void>
  /** `isRequest`: it came on the stream that the peer opened. */
  onSync(peer: string, bytes: Uint8Array, isRequest: boolean): Promise<void>
  onRestarted(peer: string): void
  onBroken(peer: string): void
}

/** One of the two streams of a connection: its owner asks in it, the other side answers. */
interface Stream {
  isTold: boolean
  /** When the last message of each direction arrives: a stream keeps its order. */
  readonly last: Map<string, number>
}

interface Connection {
  readonly streams: Map<string, Stream>
  inFlight: number
}

interface Link {
  readonly ends: readonly [Endpoint, Endpoint]
  readonly delayMs: number
  connection: Connection | undefined
  isDialling: boolean
  isCut: boolean
}

/** Messages of one connection that are on their way. A session has one, so this is far more than honest programs need. */
const IN_FLIGHT = 64

/**
 * Links that lose, delay, double and reorder gossip; connections over them that keep the order of each stream and may be
 * cut between any two messages; streams that break while their connection lives. Links that are down are dialled again.
 */
export class Network {
  readonly #schedule: Schedule
  readonly #weather: Weather
  readonly #rng: Rng
  readonly #trace: Trace
  readonly #links = new Map<string, Link>()
  readonly #endpoints = new Map<string, Endpoint>()
  #groups: ReadonlyMap<string, number> = new Map()
  #isCalm = false
  maxInFlight = 0
  syncMessages = 0

  constructor(schedule: Schedule, trace: Trace, weather: Weather, rng: Rng) {
    this.#schedule = schedule
    this.#trace = trace
    this.#weather = weather
    this.#rng = rng
  }

  add(endpoint: Endpoint): void {
    this.#endpoints.set(endpoint.name, endpoint)
  }

  link(one: Endpoint, other: Endpoint): void {
    const key = keyOf(one.name, other.name)
    if (one === other || this.#links.has(key)) return
    const delayMs = 1 + this.#rng.int(this.#weather.delayMs)
    this.#links.set(key, { ends: [one, other], delayMs, connection: undefined, isDialling: false, isCut: false })
  }

  get links(): readonly (readonly [string, string])[] {
    return [...this.#links.values()].map(({ ends: [one, other] }) => [one.name, other.name])
  }

  peersOf(name: string): readonly string[] {
    return [...this.#links.values()].flatMap(({ ends: [one, other], connection }) => {
      if (connection === undefined) return []
      if (one.name === name) return [other.name]
      return other.name === name ? [one.name] : []
    })
  }

  /** Dials whatever should be up and is not. */
  review(): void {
    for (const link of this.#links.values()) if (this.#mayConnect(link)) this.#dial(link)
  }

  /** Nobody hears anybody of another group. */
  partition(groups: ReadonlyMap<string, number>): void {
    this.#groups = groups
    for (const link of this.#links.values()) if (!this.#isReachable(link)) this.#close(link)
    this.review()
  }

  cut(one: string, other: string): void {
    const link = this.#links.get(keyOf(one, other))
    if (link !== undefined) this.#close(link)
    this.review()
  }

  /** Somebody died or left: whoever was connected notices before long. */
  left(name: string): void {
    for (const link of this.#links.values()) if (link.ends.some(end => end.name === name)) this.#close(link)
  }

  /** From now on nothing is lost, late or cut. */
  heal(): void {
    this.#isCalm = true
    this.partition(new Map())
  }

  gossip(from: string, to: string, bytes: Uint8Array): void {
    const { gossipLoss, gossipDouble } = this.#weather
    if (!this.#isCalm && this.#rng.chance(gossipLoss)) return
    const times = !this.#isCalm && this.#rng.chance(gossipDouble) ? 2 : 1
    for (let time = 0; time < times; time++) {
      this.#schedule.plan(this.#delay(from, to), `gossip ${from}>${to}`, async () => {
        const target = this.#endpoints.get(to)
        if (this.#connection(from, to) !== undefined && target?.isUp() === true) await target.onGossip(from, bytes)
      })
    }
  }

  /** Sends on the stream that `from` opened (a request), or on the one that it was asked on. */
  sync(from: string, to: string, bytes: Uint8Array, isRequest: boolean): void {
    const connection = this.#connection(from, to)
    if (connection === undefined) return
    const owner = isRequest ? from : to
    if (isRequest && !connection.streams.has(owner)) connection.streams.set(owner, { isTold: false, last: new Map() })
    const stream = connection.streams.get(owner)
    if (stream === undefined) return
    const at = Math.max(this.#schedule.now + this.#delay(from, to), stream.last.get(from) ?? 0)
    stream.last.set(from, at)
    connection.inFlight += 1
    this.syncMessages += 1
    this.maxInFlight = Math.max(this.maxInFlight, connection.inFlight)
    this.#schedule.plan(at - this.#schedule.now, `sync ${from}>${to}`, async () => {
      connection.inFlight -= 1
      const target = this.#endpoints.get(to)
      const isSame = this.#connection(from, to) === connection && connection.streams.get(owner) === stream
      if (!isSame || target?.isUp() !== true) return
      if (isRequest && !stream.isTold) {
        stream.isTold = true
        target.onRestarted(from)
      }
      await target.onSync(from, bytes, isRequest)
    })
  }

  get isFlooded(): boolean {
    return this.maxInFlight > IN_FLIGHT
  }

  isConnected(one: string, other: string): object | undefined {
    return this.#connection(one, other)
  }

  /** Ends a stream of a connection; its owner notices, the other side when a new one begins. */
  closeStream(by: string, peer: string, owner: string): void {
    const connection = this.#connection(by, peer)
    if (connection === undefined || !connection.streams.delete(owner) || owner === by) return
    this.#schedule.plan(this.#delay(by, peer), `broken ${owner}`, () => {
      if (this.#connection(by, peer) !== connection || connection.streams.has(owner)) return
      this.#trace.add(this.#schedule.now, `${owner} stream to ${by} broken`)
      this.#endpoints.get(owner)?.onBroken(by)
    })
  }

  /** A fault: the stream breaks, and its owner is told at once. */
  resetStream(owner: string, peer: string): void {
    const connection = this.#connection(owner, peer)
    if (connection === undefined || !connection.streams.delete(owner)) return
    this.#trace.add(this.#schedule.now, `${owner} stream to ${peer} reset`)
    this.#endpoints.get(owner)?.onBroken(peer)
  }

  #dial(link: Link): void {
    const [one, other] = link.ends
    link.isDialling = true
    const dialler = this.#rng.chance(0.5) ? one : other
    const dialled = dialler === one ? other : one
    this.#schedule.plan(
      this.#rng.between(20, this.#isCalm ? 500 : 4_000),
      `dial ${dialler.name}>${dialled.name}`,
      () => {
        link.isDialling = false
        if (!this.#mayConnect(link)) return
        link.connection = { streams: new Map(), inFlight: 0 }
        this.#trace.add(this.#schedule.now, `${dialler.name} connected to ${dialled.name}`)
        dialler.onCame(dialled.name, true)
        dialled.onCame(dialler.name, false)
        this.#flap(link)
      }
    )
  }

  /** Cuts a connection in one of its first exchanges. */
  #flap(link: Link): void {
    const { connection, delayMs } = link
    if (this.#isCalm || !this.#rng.chance(this.#weather.flaps)) return
    this.#schedule.plan(delayMs * this.#rng.between(1, 8) + this.#rng.int(50), 'flap', () => {
      if (this.#isCalm || link.connection !== connection) return
      this.#close(link)
      this.review()
    })
  }

  #close(link: Link): void {
    if (link.connection === undefined) return
    link.connection = undefined
    const [one, other] = link.ends
    this.#trace.add(this.#schedule.now, `${one.name} and ${other.name} disconnected`)
    // A new connection comes after both have noticed.
    link.isCut = true
    let waiting = link.ends.length
    for (const [end, peer] of [
      [one, other],
      [other, one]
    ] as const) {
      this.#schedule.plan(this.#rng.int(this.#isCalm ? 100 : 2_000), `gone ${end.name}`, () => {
        end.onGone(peer.name)
        waiting -= 1
        if (waiting > 0) return
        link.isCut = false
        if (this.#mayConnect(link)) this.#dial(link)
      })
    }
  }

  #mayConnect(link: Link): boolean {
    const [one, other] = link.ends
    if (link.connection !== undefined || link.isDialling || link.isCut) return false
    const isWanted = !one.refuses(other.name) && !other.refuses(one.name)
    return isWanted && one.isUp() && other.isUp() && this.#isReachable(link)
  }

  #isReachable({ ends: [one, other] }: Link): boolean {
    return (this.#groups.get(one.name) ?? 0) === (this.#groups.get(other.name) ?? 0)
  }

  #connection(one: string, other: string): Connection | undefined {
    return this.#links.get(keyOf(one, other))?.connection
  }

  #delay(from: string, to: string): number {
    const { delayMs = 1 } = this.#links.get(keyOf(from, to)) ?? {}
    return delayMs + (this.#isCalm ? 0 : this.#rng.int(this.#weather.jitterMs + 1))
  }
}

function keyOf(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`
}
