import { toHex } from './bytes.ts'
import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import type { Envelope } from './fact.ts'
import { LIMITS } from './limits.ts'

/** What a fact waits for: a key to be named, or the fact before it. */
export type WaitsFor = { readonly key: Principal } | { readonly fact: FactId }

/** A fact that can't be decided yet, who brought it, and what would decide it. */
export interface PendingFact {
  readonly envelope: Envelope
  readonly source: string
  readonly waitsFor: WaitsFor
}

interface Bounds {
  readonly facts: number
  readonly bytes: number
  readonly factsPerSource: number
  readonly bytesPerSource: number
}

/** What one source holds, oldest first. */
interface Share {
  readonly keys: Set<string>
  bytes: number
}

/**
 * Facts that can't be decided yet, in memory only: nothing unverified is stored.
 *
 * Invariants:
 * 1. Never more facts or bytes than the bounds, and never more of one source than its share, so that a flood from one
 *    peer can't push out what another sent.
 * 2. When it is full, the source that holds most of what is short loses its oldest: sync offers an honest fact again.
 * 3. An entry is a body under one signature. Most signatures in here are unchecked, so a forged one must not take the
 *    place of the true one.
 */
export class PendingBuffer {
  readonly #bounds: Bounds
  readonly #facts = new Map<string, PendingFact>()
  readonly #waiting = new Map<string, Set<string>>()
  readonly #bySource = new Map<string, Share>()
  #bytes = 0

  constructor(bounds: Bounds = LIMITS.pending) {
    this.#bounds = bounds
  }

  get size(): number {
    return this.#facts.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** What this very envelope waits for here, if it does. */
  find(envelope: Envelope): WaitsFor | undefined {
    return this.#facts.size === 0 ? undefined : this.#facts.get(keyOf(envelope))?.waitsFor
  }

  /** False when the source already holds its share. */
  add(pending: PendingFact): boolean {
    const { envelope, source, waitsFor } = pending
    const key = keyOf(envelope)
    if (this.#facts.has(key)) return true
    const size = envelope.bytes.length
    const share = this.#bySource.get(source) ?? { keys: new Set<string>(), bytes: 0 }
    const { facts, bytes, factsPerSource, bytesPerSource } = this.#bounds
    if (size > bytes || share.keys.size >= factsPerSource || share.bytes + size > bytesPerSource) return false
    this.#facts.set(key, pending)
    this.#bytes += size
    share.keys.add(key)
    share.bytes += size
    this.#bySource.set(source, share)
    const name = nameOf(waitsFor)
    const waiting = this.#waiting.get(name)
    if (waiting === undefined) this.#waiting.set(name, new Set([key]))
    else waiting.add(key)
    while (this.#facts.size > facts) this.#evict(other => other.keys.size)
    while (this.#bytes > bytes) this.#evict(other => other.bytes)
    return this.#facts.has(key)
  }

  /** Takes out what waited for this, oldest first. */
  take(waitsFor: WaitsFor): readonly PendingFact[] {
    const keys = [...(this.#waiting.get(nameOf(waitsFor)) ?? [])]
    return keys.flatMap(key => this.#remove(key) ?? [])
  }

  #evict(weight: (share: Share) => number): void {
    let heaviest: Share | undefined
    for (const share of this.#bySource.values()) {
      if (heaviest === undefined || weight(share) > weight(heaviest)) heaviest = share
    }
    const [oldest] = heaviest?.keys ?? []
    if (oldest !== undefined) this.#remove(oldest)
  }

  #remove(key: string): PendingFact | undefined {
    const pending = this.#facts.get(key)
    if (pending === undefined) return undefined
    const size = pending.envelope.bytes.length
    this.#facts.delete(key)
    this.#bytes -= size
    const name = nameOf(pending.waitsFor)
    const waiting = this.#waiting.get(name)
    waiting?.delete(key)
    if (waiting?.size === 0) this.#waiting.delete(name)
    const share = this.#bySource.get(pending.source)
    if (share === undefined) return pending
    share.keys.delete(key)
    share.bytes -= size
    if (share.keys.size === 0) this.#bySource.delete(pending.source)
    return pending
  }
}

function keyOf({ id, signature }: Envelope): string {
  return `${id} ${toHex(signature)}`
}

function nameOf(waitsFor: WaitsFor): string {
  return 'key' in waitsFor ? waitsFor.key : waitsFor.fact
}
