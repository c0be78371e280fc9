import { compareText } from '../bytes.ts'
import type { FactId } from '../cid.ts'
import { Heap } from '../heap.ts'
import type { DocumentBackend } from './backend.ts'
import { chainOf, DocumentBuild } from './build.ts'
import type { MetadataFact } from './document.ts'
import { DOCUMENT_LIMITS } from './limits.ts'

export interface Workshop {
  /** A new empty document. The one before it is not used any more. */
  readonly fresh: () => DocumentBackend
  /** Called between two facts, so that whoever watches sees work and not a hang. */
  readonly onStep?: (() => void) | undefined
}

/**
 * The document of all these facts. Pure: equal facts give equal documents, in whatever order they are given.
 * docs/spec/metadata.md sections 4 and 5.
 */
export function assemble(facts: readonly MetadataFact[], { fresh, onStep }: Workshop): DocumentBuild {
  const history = new History(facts)
  const folded = new Set<FactId>()
  let open = (): DocumentBuild => new DocumentBuild(fresh(), null)
  let epoch: FactId | null = null
  // Bounded: who owns a package may roll its document over as often as a chain is long.
  for (let epochs = 0; epochs < DOCUMENT_LIMITS.epochs; epochs++) {
    const rollover = history.rolloverOf(epoch)
    if (rollover === undefined) break
    const below = history.below(rollover)
    const build = open()
    for (const fact of history.order) {
      if (!below.has(fact.id) || folded.has(fact.id)) continue
      build.add(fact)
      onStep?.()
    }
    const { content } = build.state()
    for (const id of below) folded.add(id)
    const base = history.order.filter(({ id }) => folded.has(id))
    open = () => {
      const next = new DocumentBuild(fresh(), rollover.id)
      next.begin(content, rollover, base)
      return next
    }
    folded.add(rollover.id)
    epoch = rollover.id
  }
  const build = open()
  for (const fact of history.order) {
    if (folded.has(fact.id)) continue
    build.add(fact)
    onStep?.()
  }
  return build
}

/**
 * Adds facts that came later to a document that was made of others. False when they change what the others are: then all
 * of it is made anew, and this build must not be used any more.
 */
export function append(build: DocumentBuild, facts: readonly MetadataFact[]): boolean {
  if (build.isFull || facts.some(fact => changesOthers(build, fact))) return false
  for (const fact of new History(facts).order) {
    if (fact.seq <= build.lastOf(chainOf(fact))) return false
    build.add(fact)
    // Which edit finds no room depends on the order of all.
    if (build.isFull) return false
  }
  return true
}

function changesOthers(build: DocumentBuild, fact: MetadataFact): boolean {
  if (build.entries.has(fact.id) || build.isMissed(fact.id)) return true
  // It may win over the rollover of any epoch, not only end the current one.
  return fact.counts && fact.change === null
}

/** Facts in the order in which they are taken: what a fact follows comes before it; of what may come next, the lowest id. */
class History {
  readonly order: readonly MetadataFact[]
  readonly #byId: ReadonlyMap<FactId, MetadataFact>
  /** The one before a fact in its chain: where the chain forked, the lowest of them. */
  readonly #before: ReadonlyMap<FactId, FactId>

  constructor(facts: readonly MetadataFact[]) {
    this.#byId = new Map(facts.map(fact => [fact.id, fact]))
    this.#before = positionsBefore([...this.#byId.values()])
    this.order = this.#sort()
  }

  /** The rollover that ends an epoch: of several the lowest. */
  rolloverOf(epoch: FactId | null): MetadataFact | undefined {
    return this.order
      .filter(fact => fact.counts && fact.change === null && fact.epoch === epoch)
      .filter(({ after }) => after.every(id => this.#byId.has(id)))
      .toSorted((a, b) => compareText(a.id, b.id))[0]
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
    const after = (this.#byId.get(id)?.after ?? []).filter(parent => this.#byId.has(parent))
    const before = this.#before.get(id)
    return before === undefined ? after : [...after, before]
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
    // A chain that forked can be made to go in a circle, which is cut at its lowest id: its facts do not count anyway.
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

function positionsBefore(facts: readonly MetadataFact[]): ReadonlyMap<FactId, FactId> {
  const before = new Map<FactId, FactId>()
  for (const chain of Map.groupBy(facts, chainOf).values()) {
    const bySeq = [...Map.groupBy(chain, ({ seq }) => seq)].toSorted(([a], [b]) => a - b)
    for (const [i, [, here]] of bySeq.entries()) {
      const [last] = (bySeq[i - 1]?.[1] ?? []).map(({ id }) => id).toSorted(compareText)
      if (last !== undefined) for (const { id } of here) before.set(id, last)
    }
  }
  return before
}
