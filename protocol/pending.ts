import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import type { Envelope } from './fact.ts'
import { LIMITS } from './limits.ts'

/** What a fact waits for: a key to be named, or the fact before it. */
export type WaitsFor = { readonly key: Principal } | { readonly fact: FactId }

export interface PendingFact {
  readonly envelope: Envelope
  readonly source: string
  readonly waitsFor: WaitsFor
}

interface Bounds {
  readonly facts: number
  readonly bytes: number
  readonly factsPerSource: number
}

/**
 * Facts that can't be decided yet, in memory only: nothing unverified is stored.
 *
 * Invariants:
 * 1. Never more facts or bytes than the bounds, and never more of one source than its share, so that a flood from one
 *    peer can't push out what another sent.
 * 2. When it is full, the source that holds most loses its oldest: sync offers an honest fact again.
 */
export class PendingBuffer {
  readonly #bounds: Bounds
  readonly #facts = new Map<FactId, PendingFact>()
  readonly #waiting = new Map<string, Set<FactId>>()
  readonly #bySource = new Map<string, Set<FactId>>()
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

  has(id: FactId): boolean {
    return this.#facts.has(id)
  }

  /** False when the source already holds its share. */
  add(pending: PendingFact): boolean {
    const { envelope, source } = pending
    if (this.#facts.has(envelope.id)) return true
    if ((this.#bySource.get(source)?.size ?? 0) >= this.#bounds.factsPerSource) return false
    if (envelope.bytes.length > this.#bounds.bytes) return false
    this.#facts.set(envelope.id, pending)
    this.#bytes += envelope.bytes.length
    addTo(this.#waiting, keyOf(pending.waitsFor), envelope.id)
    addTo(this.#bySource, source, envelope.id)
    while (this.#facts.size > this.#bounds.facts || this.#bytes > this.#bounds.bytes) this.#evict()
    return this.#facts.has(envelope.id)
  }

  /** Takes out what waited for this, oldest first. */
  take(waitsFor: WaitsFor): readonly PendingFact[] {
    const ids = this.#waiting.get(keyOf(waitsFor))
    if (ids === undefined) return []
    const taken = [...ids].flatMap(id => this.#facts.get(id) ?? [])
    for (const { envelope } of taken) this.#remove(envelope.id)
    return taken
  }

  #evict(): void {
    const heaviest = [...this.#bySource.values()].reduce<Set<FactId> | undefined>(
      (most, ids) => (most === undefined || ids.size > most.size ? ids : most),
      undefined
    )
    const [oldest] = heaviest ?? []
    if (oldest !== undefined) this.#remove(oldest)
  }

  #remove(id: FactId): void {
    const pending = this.#facts.get(id)
    if (pending === undefined) return
    this.#facts.delete(id)
    this.#bytes -= pending.envelope.bytes.length
    removeFrom(this.#waiting, keyOf(pending.waitsFor), id)
    removeFrom(this.#bySource, pending.source, id)
  }
}

function keyOf(waitsFor: WaitsFor): string {
  return 'key' in waitsFor ? waitsFor.key : waitsFor.fact
}

function addTo(index: Map<string, Set<FactId>>, key: string, id: FactId): void {
  const ids = index.get(key)
  if (ids === undefined) index.set(key, new Set([id]))
  else ids.add(id)
}

function removeFrom(index: Map<string, Set<FactId>>, key: string, id: FactId): void {
  const ids = index.get(key)
  ids?.delete(id)
  if (ids?.size === 0) index.delete(key)
}
