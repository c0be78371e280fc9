import type { Connection, Stream } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { Clock, Log } from '../../node/p2p/components.ts'
import { fetchDag } from '../../node/p2p/dag-fetch.ts'
import type { LocalStore } from '../../node/p2p/dag-lane.ts'
import { dagHandler } from '../../node/p2p/dag-server.ts'
import { likeliest } from '../../node/p2p/likeliest.ts'
import { Shown } from '../../node/p2p/shown.ts'
import { tuningOf } from '../../node/p2p/tuning.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { StreamEnd } from './fake-stream.ts'
import type { Wire } from './fake-stream.ts'
import type { MadeDag } from './random-dag.ts'
import { VirtualTime } from './virtual-time.ts'

export interface CrowdShape {
  readonly seed: number
  readonly peers: number
  /** Of each peer, and of the source, both ways. */
  readonly bytesPerSecond: number
  readonly sourceBytesPerSecond?: number
  readonly latencyMs: number
  /** One machine that all of them run on: what a block, a stream and a handshake cost it. */
  readonly machine?: { readonly bytesPerSecond: number; readonly streamMs: number; readonly dialMs: number }
  /** The part of the peers that nobody but the source reaches. */
  readonly unreachable?: number
  /** The part of them that takes and gives nothing. */
  readonly leeches?: number
  /** Peers come one after the other, so long apart. */
  readonly everyMs?: number
}

export interface CrowdOutcome {
  /** Bytes of blocks that the source sent, in copies of the content. */
  readonly copies: number
  /** All bytes of blocks that were sent, in copies for each peer: 1 is the least. */
  readonly sent: number
  /** When the last one had it all, in virtual seconds; and the median. */
  readonly lastS: number
  readonly medianS: number
  readonly streams: number
  readonly dials: number
  /** Fetches that ended without all of it. */
  readonly gaveUp: number
}

/** Streams that share a link: each has its turn with one frame. */
class Link {
  readonly #time: Clock
  readonly #waiting = new Map<object, (() => number)[]>()
  #isBusy = false

  constructor(time: Clock) {
    this.#time = time
  }

  /** @param start called when it is its turn; returns for how long it has the link */
  add(stream: object, start: () => number): void {
    const queue = this.#waiting.get(stream) ?? []
    queue.push(start)
    this.#waiting.set(stream, queue)
    if (!this.#isBusy) this.#next()
  }

  #next(): void {
    const [first] = this.#waiting
    this.#isBusy = first !== undefined
    if (first === undefined) return
    const [stream, queue] = first
    const start = queue.shift()
    this.#waiting.delete(stream)
    if (queue.length > 0) this.#waiting.set(stream, queue)
    this.#time.after(start?.() ?? 0, () => this.#next())
  }
}

/** A queue that works off what it is given, one after the other. */
class Server {
  readonly #time: Clock
  #freeAt = 0

  constructor(time: Clock) {
    this.#time = time
  }

  take(ms: number, from: number = this.#time.now()): number {
    this.#freeAt = Math.max(this.#freeAt, from) + ms
    return this.#freeAt
  }
}

interface Node {
  readonly id: string
  readonly blocks: Map<string, Uint8Array>
  readonly up: Link
  readonly down: Server
  readonly bytesPerMs: number
  readonly links: Map<string, Connection>
  readonly shown: Shown
  /** Who has said here that he has it all. */
  readonly said: Map<string, 'yes'>
  readonly isReachable: boolean
  handler: ((stream: Stream, connection: Connection) => void) | undefined
  bytesServed: number
  doneAt: number | undefined
}

const silent = (): undefined => undefined
const log: Log = { debug: silent, info: silent, warn: silent }

/**
 * A source and a crowd that knows the source alone, each with the real two sides of `/ggen/dag/1`, over streams that take the
 * time that links and machines take. Everything but the wire, the disk and the dialling is what runs in a node.
 */
export class CrowdWorld {
  readonly time = new VirtualTime()
  readonly #shape: CrowdShape
  readonly #dag: MadeDag
  readonly #nodes = new Map<string, Node>()
  readonly #cpu: Server
  #seed: number
  #streams = 0
  #dials = 0
  #gaveUp = 0

  constructor(shape: CrowdShape, dag: MadeDag) {
    this.#shape = shape
    this.#dag = dag
    this.#seed = shape.seed
    this.#cpu = new Server(this.time)
    const source = this.#add('source', { isReachable: true, isLeech: false })
    for (const [key, { bytes }] of dag.blocks.map) source.blocks.set(key, bytes)
    for (let n = 0; n < shape.peers; n++) {
      const isReachable = this.#random() >= (shape.unreachable ?? 0)
      const isLeech = this.#random() < (shape.leeches ?? 0)
      const node = this.#add(`peer-${n}`, { isReachable, isLeech })
      this.#link(node, source)
    }
  }

  async run(mostMs = 600_000): Promise<CrowdOutcome> {
    const peers = [...this.#nodes.values()].filter(({ id }) => id !== 'source')
    const failures: unknown[] = []
    for (const [n, node] of peers.entries())
      this.time.after(n * (this.#shape.everyMs ?? 1), () => {
        this.#fetch(node).catch((error: unknown) => failures.push(error))
      })
    await this.time.runUntil(() => failures.length > 0 || peers.every(({ doneAt }) => doneAt !== undefined), mostMs)
    if (failures.length > 0) throw failures[0]
    const times = peers.map(({ doneAt = 0 }) => doneAt / 1_000).toSorted((a, b) => a - b)
    const all = [...this.#nodes.values()].reduce((sum, { bytesServed }) => sum + bytesServed, 0)
    return {
      copies: (this.#nodes.get('source')?.bytesServed ?? 0) / this.#dag.size,
      sent: all / this.#dag.size / peers.length,
      lastS: times.at(-1) ?? 0,
      medianS: times[Math.floor(times.length / 2)] ?? 0,
      streams: this.#streams,
      dials: this.#dials,
      gaveUp: this.#gaveUp
    }
  }

  async #fetch(node: Node): Promise<void> {
    const { root, size, blocks } = this.#dag
    const { signal } = new AbortController()
    const local: LocalStore = {
      has: async cid => node.blocks.has(cid.toString()),
      read: async cid => node.blocks.get(cid.toString()),
      put: async (cid, bytes) => void node.blocks.set(cid.toString(), bytes)
    }
    const components = {
      peers: { connection: (peer: string) => node.links.get(peer), blame: silent },
      clock: this.time,
      log,
      tuning: tuningOf(),
      shown: node.shown,
      throttle: undefined,
      random: () => this.#random(),
      further: {
        find: async () => [],
        again: async () => false,
        reach: async ({ id }: { readonly id: string }) => await this.#dial(node, id)
      }
    }
    while (node.blocks.size < blocks.map.size) {
      const likelihood = { said: node.said, lacking: new Set<string>(), shown: node.shown }
      await fetchDag(
        components,
        { root, size },
        {
          local,
          signal,
          candidates: told => likeliest([...told, ...node.links.keys()], { ...likelihood, told }),
          isHopeful: () => true
        }
      )
      if (node.blocks.size < blocks.map.size) this.#gaveUp += 1
    }
    node.doneAt = this.time.now()
    this.time.after(LIMITS.have.changeMs, () => {
      for (const peer of node.links.keys()) this.#nodes.get(peer)?.said.set(node.id, 'yes')
    })
  }

  #add(id: string, { isReachable, isLeech }: { readonly isReachable: boolean; readonly isLeech: boolean }): Node {
    const { bytesPerSecond, sourceBytesPerSecond = bytesPerSecond } = this.#shape
    const node: Node = {
      id,
      blocks: new Map(),
      up: new Link(this.time),
      down: new Server(this.time),
      bytesPerMs: (id === 'source' ? sourceBytesPerSecond : bytesPerSecond) / 1_000,
      links: new Map(),
      shown: new Shown(this.time),
      said: new Map(),
      isReachable,
      handler: undefined,
      bytesServed: 0,
      doneAt: undefined
    }
    this.#nodes.set(id, node)
    if (isLeech) return node
    node.handler = dagHandler({
      blocks: {
        get: async function* (cid: CID) {
          const bytes = node.blocks.get(cid.toString())
          if (bytes === undefined) throw new Error('not here')
          yield bytes
        }
      },
      sight: { isNamed: async () => true, strange: async () => [], has: async () => true },
      clock: this.time,
      log,
      holders: () => [...node.said.keys()],
      isPeer: peer => node.links.has(peer),
      addressesOf: peer => [`/memory/${peer}`],
      throttle: undefined,
      onServed: bytes => (node.bytesServed += bytes),
      onMalformed: peer => {
        throw new Error(`${peer} sent ${id} what no honest program sends`)
      }
    })
    return node
  }

  #link(a: Node, b: Node): void {
    if (a.links.has(b.id)) return
    const one = (from: Node, to: Node): Connection => {
      const connection = {
        remotePeer: { toString: () => to.id },
        status: 'open',
        newStream: async (_: string, options: { readonly signal: AbortSignal }) =>
          await this.#open(from, to, options.signal)
      }
      return connection as unknown as Connection
    }
    a.links.set(b.id, one(a, b))
    b.links.set(a.id, one(b, a))
    if (a.doneAt !== undefined || a.id === 'source') b.said.set(a.id, 'yes')
    if (b.doneAt !== undefined || b.id === 'source') a.said.set(b.id, 'yes')
  }

  async #dial(from: Node, id: string): Promise<void> {
    const to = this.#nodes.get(id)
    this.#dials += 1
    const { machine, latencyMs } = this.#shape
    const ready = this.#cpu.take(machine?.dialMs ?? 0) - this.time.now() + 6 * latencyMs
    const isReached = to?.isReachable === true && ready < LIMITS.dag.crowdDialMs
    await this.#wait(isReached ? ready : LIMITS.dag.crowdDialMs)
    if (to !== undefined && isReached) this.#link(from, to)
  }

  async #open(from: Node, to: Node, signal: AbortSignal): Promise<Stream> {
    this.#streams += 1
    const { machine, latencyMs } = this.#shape
    await this.#wait(this.#cpu.take(machine?.streamMs ?? 0) - this.time.now() + 2 * latencyMs)
    signal.throwIfAborted()
    const { handler } = to
    const connection = to.links.get(from.id)
    if (handler === undefined || connection === undefined) throw new Error('nobody answers to that here')
    const [mine, theirs] = StreamEnd.pair(this.#wire(from, to), this.#wire(to, from))
    handler(theirs, connection)
    return mine
  }

  #wire(from: Node, to: Node): Wire {
    const { machine, latencyMs } = this.#shape
    const wire: Wire = {
      carry: (bytes, { onSent, onThere }) =>
        from.up.add(wire, () => {
          const down = to.down.take(bytes / to.bytesPerMs)
          const there = machine === undefined ? down : this.#cpu.take((bytes * 1_000) / machine.bytesPerSecond)
          const ms = Math.max(down, there, this.time.now() + bytes / from.bytesPerMs) - this.time.now()
          this.time.after(ms, onSent)
          this.time.after(ms + latencyMs, onThere)
          return bytes / from.bytesPerMs
        })
    }
    return wire
  }

  async #wait(ms: number): Promise<void> {
    await new Promise<void>(resolve => void this.time.after(ms, resolve))
  }

  /** The same every time: a small generator of its own, from 0 to below 1. */
  #random(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0
    return this.#seed / 2 ** 32
  }
}
