import { compareText } from '../bytes.ts'
import type { FactId } from '../cid.ts'
import { Heap } from '../heap.ts'
import type { DocumentBackend } from './backend.ts'
import { newBuild } from './build.ts'
import type { DocumentBuild } from './build.ts'
import type { MetadataFact } from './document.ts'
import { chainOf } from './knowledge.ts'
import { DOCUMENT_LIMITS } from './limits.ts'
import type { RoomLimits } from './room.ts'

export interface Workshop {
  /** A new empty document. The one before it is not used any more. */
  readonly fresh: () => DocumentBackend
  /** Called between two facts, so that whoever watches sees work and not a hang. */
  readonly onStep?: (() => void) | undefined
  /** What the document may hold, where that is less than the limit. */
  readonly room?: RoomLimits | undefined
}

/**
 * The document of all these facts. Pure: equal facts give equal documents, in whatever order they are given.
 * docs/spec/metadata.md sections 4 and 5.
 */
export function assemble(facts: readonly MetadataFact[], { fresh, onStep, room }: Workshop): DocumentBuild {
  const history = new History(facts)
  let build = newBuild(fresh(), room)
  let rest = history.order
  const add = (some: readonly MetadataFact[]): void => {
    for (const fact of some) {
      build.add(fact)
      onStep?.()
    }
  }
  // Bounded: who owns a package may roll its document over as often as a chain is long.
  for (let epochs = 0; epochs < DOCUMENT_LIMITS.epochs; epochs++) {
    const rollover = history.rolloverOf(build.epoch)
    if (rollover === undefined) break
    const below = history.below(rollover)
    const { folded = [], left = [] } = Object.groupBy(rest, ({ id }) => (below.has(id) ? 'folded' : 'left'))
    add(folded)
    const ended = build
    build = ended.next(fresh, rollover)
    rest = left.filter(({ id }) => id !== rollover.id)
  }
  add(rest)
  return build
}

/**
 * Adds facts that came later to a document that was made of others. False when they change what the others are: then all
 * of it is made anew, and this build must not be used any more.
 */
export function append(build: DocumentBuild, facts: readonly MetadataFact[], onStep?: () => void): boolean {
  if (facts.some(fact => changesOthers(build, fact))) return false
  for (const fact of new History(facts).order) {
    // What comes before others of its chain is below them; of two at one position one is chosen.
    if (fact.counts && fact.seq <= build.lastOf(chainOf(fact))) return false
    const wasFull = build.isFull
    // Which edit finds no room depends on the order of all. What takes none wherever it stands is no part of that.
    if (wasFull && fact.counts && !build.isRefusedAnyway(fact)) return false
    build.add(fact)
    onStep?.()
    if (build.isFull && !wasFull) return false
  }
  return true
}

function changesOthers(build: DocumentBuild, fact: MetadataFact): boolean {
  if (build.entries.has(fact.id) || build.isMissed(fact.id)) return true
  // A rollover may be the lowest of any epoch, and then all that came after is another document.
  return fact.counts && fact.change === null
}

/** Facts in the order in which they are taken: what a fact follows comes before it; of what may come next, the lowest id. */
class History {
  readonly order: readonly MetadataFact[]
  readonly #byId: ReadonlyMap<FactId, MetadataFact>
  /** Of a fact that counts, the one before it in its chain that does. */
  readonly #before: ReadonlyMap<FactId, FactId>
  /** By the epoch that they end, lowest first. */
  readonly #rollovers: ReadonlyMap<FactId | null, readonly MetadataFact[]>

  constructor(facts: readonly MetadataFact[]) {
    const { byId, before } = chainsOf(facts)
    this.#byId = byId
    this.#before = before
    this.order = this.#sort()
    const rollovers = this.order.filter(fact => fact.counts && fact.change === null)
    this.#rollovers = Map.groupBy(
      rollovers.toSorted((a, b) => compareText(a.id, b.id)),
      ({ epoch }) => epoch
    )
  }

  /** The rollover that ends an epoch: of several the lowest. One that folds nothing that is here does not. */
  rolloverOf(epoch: FactId | null): MetadataFact | undefined {
    return this.#rollovers.get(epoch)?.find(({ after }) => after.some(id => this.#byId.has(id)))
  }

  /** All that a fact follows. */
  below({ id }: MetadataFact): ReadonlySet<FactId> {
    const found = new Set<FactId>()
    const open = [id]
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (const parent of this.#parentsOf(at)) {
        if (found.has(parent) || parent === id) continue
        found.add(parent)
        open.push(parent)
      }
    }
    return found
  }

  #parentsOf(id: FactId): readonly FactId[] {
    const { after = [], epoch = null } = this.#byId.get(id) ?? {}
    const before = this.#before.get(id)
    const all = [...after, ...(epoch === null ? [] : [epoch]), ...(before === undefined ? [] : [before])]
    return all.filter(parent => this.#byId.has(parent))
  }

  #sort(): readonly MetadataFact[] {
    const waits = new Map<FactId, number>()
    const children = new Map<FactId, FactId[]>()
    const ready = new Heap<FactId>(compareText)
    for (const id of this.#byId.keys()) {
      const parents = new Set(this.#parentsOf(id))
      waits.set(id, parents.size)
      if (parents.size === 0) ready.push(id)
      for (const parent of parents) {
        const list = children.get(parent)
        if (list === undefined) children.set(parent, [id])
        else list.push(id)
      }
    }
    const order: MetadataFact[] = []
    const done = new Set<FactId>()
    // Hashes go in no circle, and what counts of one chain is in a row. Should a circle be here all the same, it is cut.
    const rest = [...this.#byId.keys()].toSorted(compareText)
    for (let next = 0; order.length < this.#byId.size;) {
      const id = ready.pop() ?? rest[next++]
      const fact = id === undefined ? undefined : this.#byId.get(id)
      if (fact === undefined || done.has(fact.id)) continue
      done.add(fact.id)
      order.push(fact)
      for (const child of children.get(fact.id) ?? []) {
        const left = (waits.get(child) ?? 0) - 1
        waits.set(child, left)
        if (left === 0) ready.push(child)
      }
    }
    return order
  }
}

/** Each fact once. Of two that count at one position of a chain only the lowest does: an actor's changes are in a row. */
function chainsOf(facts: readonly MetadataFact[]): {
  readonly byId: ReadonlyMap<FactId, MetadataFact>
  readonly before: ReadonlyMap<FactId, FactId>
} {
  const byId = new Map(facts.map(fact => [fact.id, fact]))
  const before = new Map<FactId, FactId>()
  const counting = [...byId.values()].filter(({ counts }) => counts)
  for (const chain of Map.groupBy(counting, chainOf).values()) {
    let last: MetadataFact | undefined
    for (const fact of chain.toSorted((a, b) => a.seq - b.seq || compareText(a.id, b.id))) {
      if (last?.seq === fact.seq) {
        byId.set(fact.id, { ...fact, counts: false })
        continue
      }
      if (last !== undefined) before.set(fact.id, last.id)
      last = fact
    }
  }
  return { byId, before }
}
