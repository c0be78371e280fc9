import type { CID } from 'multiformats/cid'
import { toLink } from '../cid.ts'
import type { ContentId } from '../cid.ts'
import type { ContentLimits } from '../content-path.ts'
import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { RAW } from '../unixfs-node.ts'
import type { UnixfsNode } from '../unixfs-node.ts'
import type { DagReach, DagRequest } from './messages.ts'
import { placesBelow, topPlace } from './order.ts'
import type { Place } from './order.ts'

/** Whoever has asked for blocks and waits for them: one stream to one peer. */
export interface Holder {
  readonly peer: string
}

interface Entry extends Place {
  /** How many leaves were named before it. */
  readonly ordinal: number
  holder: Holder | undefined
  /** Peers that said that it is not there. */
  refused: Set<string> | undefined
  /** Peers that have it and said that others are to be asked first. */
  kept: Set<string> | undefined
}

/** What is wanted, and how much of it the signed release declares. */
export interface PlannedContent {
  readonly root: ContentId
  readonly size: number
}

/** What content of that size may weigh at most with its nodes: generous for many small files, small for large ones. */
export function allowedBytes(size: number): number {
  return size + 16 * LIMITS.content.blockBytes + Math.ceil(size / 8)
}

/**
 * What is known of one DAG and what is still missing of it, whoever brings it.
 *
 * Invariants:
 * 1. A block is missing until it was here, and is missing once: what came twice, or from two peers, is taken once.
 * 2. What one peer is asked for is asked of no other one, unless it was let go.
 * 3. What a peer said it has not is not asked of it again.
 * 4. What the DAG names is bounded before it is asked for: in depth, in blocks, and in bytes by what the release declares.
 */
export class DagPlan {
  readonly root: ContentId
  readonly #size: number
  readonly #limits: ContentLimits
  readonly #nodes = new Map<string, Entry>()
  readonly #leaves = new Map<string, Entry>()
  readonly #named = new Set<string>()
  /** Bytes of the leaves whose nodes say how many they have, and how many others there are. */
  #sizedBytes = 0
  #unsized = 0
  #leafCount = 0
  /** The part of the leaves that is asked for last: 0 where they are asked for in their order. */
  #startAt = 0
  #fetched = 0
  #arrived = 0
  /** Whether some of what the root names is here: then each node is asked for alone, once it is known not to be here. */
  #isPartlyHere: boolean | undefined

  constructor({ root, size }: PlannedContent, limits: ContentLimits = LIMITS.content) {
    this.root = root
    this.#size = size
    this.#limits = limits
    this.#name(topPlace(toLink(root)), undefined)
  }

  get isComplete(): boolean {
    return this.#nodes.size === 0 && this.#leaves.size === 0
  }

  /** Every block of it came from a peer just now: none was here before, so none of them may be damaged there. */
  get isAllNew(): boolean {
    return this.isComplete && this.#arrived === this.#named.size
  }

  /** Bytes of all blocks that were missing and came. */
  get fetched(): number {
    return this.#fetched
  }

  /** Some of what the root names, to be looked up once; undefined when it was, or the root is not known yet. */
  get sample(): readonly CID[] | undefined {
    if (this.#isPartlyHere !== undefined || this.#named.size === 1) return undefined
    const { lookupsAtOnce } = LIMITS.dag
    const some = [this.#nodes, this.#leaves].flatMap(missing => [...missing.values()].slice(0, lookupsAtOnce))
    return some.map(({ cid }) => cid)
  }

  sampled(isPartlyHere: boolean): void {
    this.#isPartlyHere ??= isPartlyHere
  }

  /** Nodes that are missing, as far as they are known. */
  get missingNodes(): readonly CID[] {
    return [...this.#nodes.values()].map(({ cid }) => cid)
  }

  isMissing(cid: CID): boolean {
    return this.#of(cid).has(cid.toString())
  }

  /**
   * A block came from a peer, verified. False when it was not missing, and nobody needs it.
   * @param node what a dag-pb block is; what it names is missing from now on, and is on its way from `coming`
   * @throws RegistryError LIMIT_EXCEEDED for more than the release declares, or deeper or more than any package may be
   */
  arrived(cid: CID, bytes: Uint8Array, { node, coming }: { node?: UnixfsNode; coming?: Arrivals } = {}): boolean {
    if (!this.isMissing(cid)) return false
    this.#fetched += bytes.length
    if (this.#fetched > allowedBytes(this.#size)) throw this.#tooLarge()
    this.#arrived += 1
    this.here(cid, node, coming)
    return true
  }

  /** A block is here already. */
  here(cid: CID, node?: UnixfsNode, coming?: Arrivals): void {
    const missing = this.#of(cid)
    const entry = missing.get(cid.toString())
    if (entry === undefined) return
    missing.delete(cid.toString())
    if (node === undefined) return
    for (const place of placesBelow(node, entry, this.#limits)) {
      const isComing = place.cid.code === RAW ? coming?.leaves === true : coming !== undefined
      this.#name(place, isComing ? coming?.holder : undefined)
    }
  }

  /** A peer says that it has not got it, so others are asked. */
  refuse(cid: CID, peer: string): void {
    const entry = this.#of(cid).get(cid.toString())
    if (entry === undefined) return
    if (entry.holder?.peer === peer) entry.holder = undefined
    entry.refused ??= new Set()
    entry.refused.add(peer)
  }

  /** A peer says that others have it, who are to be asked first. */
  keep(cid: CID, peer: string): void {
    const entry = this.#of(cid).get(cid.toString())
    if (entry === undefined) return
    if (entry.holder?.peer === peer) entry.holder = undefined
    entry.kept ??= new Set()
    entry.kept.add(peer)
  }

  /** Some of what a peer has kept back it is asked for again. @param most how many leaves */
  insist(peer: string, most: number): void {
    const start = Math.floor(this.#startAt * this.#leafCount)
    const all = [...this.#leaves.values()].filter(entry => entry.kept?.has(peer) === true)
    const first = all.filter(({ ordinal }) => ordinal >= start)
    const later = all.filter(({ ordinal }) => ordinal < start)
    for (const entry of [...first, ...later].slice(0, most)) entry.kept?.delete(peer)
  }

  /** What a peer had not got it may have by now. */
  forgive(peer: string): void {
    for (const missing of [this.#nodes, this.#leaves]) {
      for (const entry of missing.values()) entry.refused?.delete(peer)
    }
  }

  /** Leaves are asked for from somewhere else on, once and for all. @param part of all of them, from 0 to below 1 */
  beginAt(part: number): void {
    if (this.#startAt === 0) this.#startAt = part
  }

  /** What a holder waits for may be asked of others. */
  release(holder: Holder): void {
    for (const missing of [this.#nodes, this.#leaves]) {
      for (const entry of missing.values()) if (entry.holder === holder) entry.holder = undefined
    }
  }

  /** Whether there is anything to ask a peer for. */
  hasWorkFor(peer: string): boolean {
    return !this.#loose(this.#nodes, peer).next().done || !this.#looseLeaves(peer).next().done
  }

  /** About how many bytes nobody is asked for, counted as far as `enough`. */
  looseBytes(enough: number): number {
    let bytes = 0
    for (const entry of this.#leaves.values()) {
      if (bytes >= enough) break
      if (entry.holder === undefined) bytes += this.#weigh(entry)
    }
    return bytes
  }

  /** How many blocks a holder waits for, counted as far as `enough`. */
  heldBy(holder: Holder, enough: number): number {
    let held = 0
    for (const missing of [this.#nodes, this.#leaves]) {
      for (const entry of missing.values()) {
        if (entry.holder === holder) held += 1
        if (held >= enough) return held
      }
    }
    return held
  }

  /**
   * What a peer is asked for next, held by whoever asks; undefined when there is nothing for it. Where several share the
   * work, the less there is left, the less one of them gets: all of them end at about the same time.
   */
  next(holder: Holder, sharing = 1, most: number = LIMITS.dag.leafBytesPerRequest): DagRequest | undefined {
    const { root } = this
    const nodes = this.#hold(this.#loose(this.#nodes, holder.peer), holder, {
      count: LIMITS.dag.wants,
      bytes: Number.POSITIVE_INFINITY
    })
    if (nodes.length > 0) return { reach: this.#nodesReach(), root, wants: nodes }
    const { leavesPerRequest: count, shareBytes } = LIMITS.dag
    const share = sharing > 1 ? this.looseBytes(most * 2 * sharing) / (2 * sharing) : most
    const bounds = { count, bytes: Math.min(most, Math.max(shareBytes, share)) }
    const wants = this.#hold(this.#looseLeaves(holder.peer), holder, bounds)
    return wants.length > 0 ? { reach: 'blocks', root, wants } : undefined
  }

  /** Little content costs less than another turn there and back; of large content much may be here already. */
  #nodesReach(): DagReach {
    if (this.#named.size > 1) return this.#isPartlyHere === true ? 'blocks' : 'nodes'
    return this.#size <= LIMITS.dag.eagerBytes ? 'all' : 'blocks'
  }

  #hold(entries: Iterable<Entry>, holder: Holder, most: { readonly count: number; readonly bytes: number }): CID[] {
    const held: CID[] = []
    let bytes = 0
    for (const entry of entries) {
      if (held.length >= most.count || bytes >= most.bytes) break
      entry.holder = holder
      held.push(entry.cid)
      bytes += this.#weigh(entry)
    }
    return held
  }

  *#loose(missing: ReadonlyMap<string, Entry>, peer: string, from = 0, to = Infinity): Generator<Entry, void> {
    for (const entry of missing.values()) {
      const isIn = entry.ordinal >= from && entry.ordinal < to
      const isRefused = entry.refused?.has(peer) === true || entry.kept?.has(peer) === true
      if (isIn && entry.holder === undefined && !isRefused) yield entry
    }
  }

  *#looseLeaves(peer: string): Generator<Entry, void> {
    const start = Math.floor(this.#startAt * this.#leafCount)
    yield* this.#loose(this.#leaves, peer, start)
    if (start > 0) yield* this.#loose(this.#leaves, peer, 0, start)
  }

  #weigh({ size }: Entry): number {
    if (size !== undefined) return size
    return Math.min(this.#limits.chunkBytes, Math.max(0, this.#size - this.#sizedBytes) / Math.max(1, this.#unsized))
  }

  #of({ code }: CID): Map<string, Entry> {
    return code === RAW ? this.#leaves : this.#nodes
  }

  #name(place: Place, holder: Holder | undefined): void {
    const key = place.cid.toString()
    if (this.#named.has(key)) return
    if (this.#named.size >= this.#limits.blocks)
      throw new RegistryError('LIMIT_EXCEEDED', `a package has at most ${this.#limits.blocks} blocks`)
    this.#named.add(key)
    const isLeaf = place.cid.code === RAW
    this.#of(place.cid).set(key, {
      ...place,
      holder,
      refused: undefined,
      kept: undefined,
      ordinal: isLeaf ? this.#leafCount : 0
    })
    if (!isLeaf) return
    this.#leafCount += 1
    if (place.size === undefined) this.#unsized += 1
    this.#sizedBytes += place.size ?? 0
    // Attack: a node of 50 KiB that names gigabytes. They are refused before the first of them is asked for.
    if (this.#sizedBytes > this.#size) throw this.#tooLarge()
  }

  #tooLarge(): RegistryError {
    return new RegistryError('LIMIT_EXCEEDED', `content ${this.root} is larger than the release declares`)
  }
}

/** What a stream goes on to send of its own accord: the nodes below a node, and the leaves too. */
export interface Arrivals {
  readonly holder: Holder
  readonly leaves: boolean
}
