import { sha256 } from '@noble/hashes/sha2.js'
import { compareText, equalBytes, toHex } from '../bytes.ts'
import { encodeCbor } from '../cbor.ts'
import type { FactId } from '../cid.ts'
import { RegistryError } from '../errors.ts'
import type { Composed, DocumentState, FactStatus, HeldKey, MetadataFact } from './document.ts'
import type { DocumentBackend, PlainChange, PlainOp } from './backend.ts'
import { keyOf } from './edits.ts'
import type { Edit } from './edits.ts'
import { DOCUMENT_LIMITS } from './limits.ts'

/** How a fact became part of a document, and what a later one needs to know of it. */
export interface Entry {
  readonly id: FactId
  readonly status: FactStatus
  /** Whether the registry counts it. */
  readonly counts: boolean
  /** `author chain` and position: the one before it in its chain is among what it follows. */
  readonly chain: string
  readonly seq: number
  /** The applied changes that stand for it: its own, or where it has none those of what it follows. */
  readonly stands: readonly string[]
}

/** A change that was applied. */
export interface Applied {
  readonly actor: string
  readonly seq: number
  readonly startOp: number
  /** The last operation. */
  readonly lastOp: number
  /** Who said each operation; of a base, one for each. */
  readonly facts: readonly FactId[]
}

export interface BuildTotals {
  readonly ops: number
  readonly bytes: number
}

/** What of a build is kept beside the saved document. */
export interface BuildRecord {
  readonly epoch: FactId | null
  readonly base: readonly string[]
  readonly entries: readonly Entry[]
  readonly applied: readonly (readonly [string, Applied])[]
  readonly missing: readonly FactId[]
  readonly totals: BuildTotals
  readonly isFull: boolean
}

/** What a change is made from. */
interface Making {
  readonly actor: string
  readonly deps: readonly string[]
  readonly edits: readonly Edit[]
  /** Deletions of what is not there are left out, not refused. */
  readonly isLenient: boolean
}

/**
 * One epoch of a document: what its facts add up to. docs/spec/metadata.md section 4.
 *
 * Invariants:
 * 1. A change of somebody else is applied only if it is, byte for byte, what is made here from its edits. So nothing that
 *    a stranger encoded is ever read by Automerge.
 * 2. Whatever was said before in a chain is below what is said after, through `stands`: an actor's changes are in a row.
 * 3. What an entry becomes depends on the facts that it follows and on nothing else, unless the document is full. So facts
 *    may come in any order that keeps what they follow before them.
 */
export class DocumentBuild {
  readonly #backend: DocumentBackend
  readonly #entries = new Map<FactId, Entry>()
  readonly #applied = new Map<string, Applied>()
  readonly #lastOfChain = new Map<string, Entry>()
  readonly #lastSeq = new Map<string, number>()
  readonly #missing = new Set<FactId>()
  readonly #epoch: FactId | null
  #base: readonly string[] = []
  #ops = 0
  #bytes = 0
  #isFull = false

  constructor(backend: DocumentBackend, epoch: FactId | null) {
    this.#backend = backend
    this.#epoch = epoch
  }

  static restore(backend: DocumentBackend, record: BuildRecord): DocumentBuild {
    const build = new DocumentBuild(backend, record.epoch)
    for (const entry of record.entries) build.#enter(entry)
    for (const [hash, applied] of record.applied) build.#note(hash, applied)
    for (const id of record.missing) build.#missing.add(id)
    build.#base = record.base
    build.#ops = record.totals.ops
    build.#bytes = record.totals.bytes
    build.#isFull = record.isFull
    return build
  }

  record(): BuildRecord {
    return {
      epoch: this.#epoch,
      base: this.#base,
      entries: [...this.#entries.values()],
      applied: [...this.#applied],
      missing: [...this.#missing],
      totals: { ops: this.#ops, bytes: this.#bytes },
      isFull: this.#isFull
    }
  }

  get epoch(): FactId | null {
    return this.#epoch
  }

  /** True once an edit was left out for want of room: which one depends on all of them. */
  get isFull(): boolean {
    return this.#isFull
  }

  get entries(): ReadonlyMap<FactId, Entry> {
    return this.#entries
  }

  /** True for a fact that another one follows which came before it. */
  isMissed(id: FactId): boolean {
    return this.#missing.has(id)
  }

  /** The last position of a chain that is known here. */
  lastOf(chain: string): number {
    return this.#lastOfChain.get(chain)?.seq ?? -1
  }

  /**
   * Begins an epoch with what stood in the one before. Where a key held several values, as many actors say one each: a
   * conflict that nobody settled is not settled by folding.
   */
  begin(content: readonly HeldKey[], rollover: MetadataFact, folded: readonly MetadataFact[]): void {
    const hashes: string[] = []
    // Keys with most values first: a key has the same counter in each layer, so the actor decides which value is shown.
    const keys = content.toSorted((a, b) => b.values.length - a.values.length || compareText(a.key, b.key))
    const depth = Math.min(keys[0]?.values.length ?? 0, DOCUMENT_LIMITS.layers)
    for (let layer = 0; layer < depth; layer++) {
      const held = keys.flatMap(({ key, values }) => {
        // Last first: of two values of one key the later actor's is shown, and so the order stays.
        const value = values.slice(0, DOCUMENT_LIMITS.layers).at(-1 - layer)
        return value === undefined ? [] : [{ key, ...value }]
      })
      const actor = hashOf(['base', rollover.id, layer])
      const ops = held.map(({ key, value }): PlainOp => ({ key, value, pred: [] }))
      const change: PlainChange = { actor: layerActor(layer, actor), seq: 1, startOp: 1, deps: [], ops }
      const { bytes, hash } = this.#backend.encode(change)
      this.#apply(change, { bytes, hash, facts: held.map(({ fact }) => fact) })
      hashes.push(hash)
    }
    this.#base = hashes.toSorted(compareText)
    for (const fact of folded) this.#enter({ ...placeOf(fact), status: 'folded', stands: this.#base })
    this.#enter({ ...placeOf(rollover), status: 'rollover', stands: this.#base })
    // What these follow and comes later belongs into the base.
    for (const fact of folded) this.#miss(fact)
  }

  /** Adds one fact. Whatever it follows and is known was added before. */
  add(fact: MetadataFact): void {
    const become = this.#become(fact)
    this.#miss(fact)
    this.#missing.delete(this.#enter({ ...placeOf(fact), ...become }).id)
  }

  /** The change that says edits on top of all that is here, and what it follows. */
  compose(actor: string, chain: string, edits: readonly Edit[]): Composed {
    let after = this.#factsOf(this.#backend.heads()).slice(0, DOCUMENT_LIMITS.after)
    // What stands for the own line comes on top of them, and a change has room for so many.
    while (after.length > 0 && this.#depsOf(chain, after).length > DOCUMENT_LIMITS.deps) after = after.slice(0, -1)
    const deps = this.#depsOf(chain, after)
    const isIdle = (edit: Edit): boolean =>
      edit.op === 'delete' && this.#backend.visible(keyOf(edit.path), deps).length === 0
    const kept = edits.filter(edit => !isIdle(edit))
    const made = this.#make({ actor, deps, edits: kept, isLenient: false })
    if (made === undefined) return { epoch: this.#epoch, after, edits: [], change: undefined }
    if (this.#isBeyond(made)) throw full()
    return { epoch: this.#epoch, after, edits: kept, change: made.bytes }
  }

  /** What a rollover would fold now. */
  tips(): readonly FactId[] {
    return this.#factsOf(this.#backend.heads())
  }

  /** What the document says. */
  state(): Omit<DocumentState, 'made'> {
    const content = this.#backend.content().map(({ key, values }): HeldKey => ({
      key,
      values: values.map(({ value, op }) => ({ value, fact: this.#factOf(op) }))
    }))
    return { epoch: this.#epoch, heads: this.#backend.heads(), content }
  }

  #become(fact: MetadataFact): Pick<Entry, 'status' | 'stands'> {
    const deps = this.#depsOf(placeOf(fact).chain, fact.after)
    const passed = (status: FactStatus): Pick<Entry, 'status' | 'stands'> => ({ status, stands: deps })
    if (!fact.counts) return passed('aside')
    if (fact.change === null) return passed('no-effect')
    const { actor, bytes: given } = fact.change
    if (fact.epoch === this.#epoch) {
      const made = this.#make({ actor, deps, edits: fact.edits, isLenient: false })
      if (made !== undefined && equalBytes(made.bytes, given))
        return this.#take(made, fact.id, 'native') ?? passed('document-full')
      // Its author stood where we stand: the hashes of what it follows leave nothing open. What does not fit is no accident.
      // Where they differ he saw less than we do, or more, which is nobody's fault.
      if (isSameList(fact.change.deps, deps)) return passed('change-disagrees')
    }
    const made = this.#make({ actor: hashOf(['derived', actor]), deps, edits: fact.edits, isLenient: true })
    if (made === undefined) return passed('derived')
    return this.#take(made, fact.id, 'derived') ?? passed('document-full')
  }

  #take(made: Made, id: FactId, status: 'native' | 'derived'): Pick<Entry, 'status' | 'stands'> | undefined {
    const { change, bytes, hash } = made
    if (this.#isBeyond(made)) {
      this.#isFull = true
      return undefined
    }
    this.#apply(change, { bytes, hash, facts: [id] })
    return { status, stands: [hash] }
  }

  #isBeyond({ change, bytes }: Made): boolean {
    const isNewActor = !this.#lastSeq.has(change.actor)
    return (
      this.#ops + change.ops.length > DOCUMENT_LIMITS.ops ||
      this.#bytes + bytes.length > DOCUMENT_LIMITS.bytes ||
      (isNewActor && this.#lastSeq.size >= DOCUMENT_LIMITS.actors)
    )
  }

  #apply(
    change: PlainChange,
    { bytes, hash, facts }: { readonly bytes: Uint8Array; readonly hash: string; readonly facts: readonly FactId[] }
  ): void {
    this.#backend.apply(
      bytes,
      change.ops.map(({ key }) => key)
    )
    const { actor, seq, startOp } = change
    this.#note(hash, { actor, seq, startOp, lastOp: spanOf(change).lastOp, facts })
    this.#ops += change.ops.length
    this.#bytes += bytes.length
  }

  /** Undefined when there is nothing to be done, or where that is asked for, not all of it can be. */
  #make({ actor, deps, edits, isLenient }: Making): Made | undefined {
    const ops: PlainOp[] = []
    for (const edit of edits) {
      const key = keyOf(edit.path)
      const pred = this.#backend.visible(key, deps)
      const isIdle = edit.op === 'delete' && pred.length === 0
      if (isIdle && !isLenient) return undefined
      if (!isIdle) ops.push({ key, value: edit.op === 'put' ? edit.value : undefined, pred })
    }
    if (ops.length === 0) return undefined
    const startOp = 1 + Math.max(0, ...deps.map(hash => this.#applied.get(hash)?.lastOp ?? 0))
    const change: PlainChange = { actor, seq: (this.#lastSeq.get(actor) ?? 0) + 1, startOp, deps, ops }
    return { change, ...this.#backend.encode(change) }
  }

  /**
   * The changes that stand for what a fact follows, ascending. What stands for the one before it in its chain is never left
   * out: an actor's own changes must be below one another.
   */
  #depsOf(chain: string, after: readonly FactId[]): readonly string[] {
    const own = this.#lastOfChain.get(chain)?.stands ?? []
    const deps = new Set(own)
    for (const id of after) {
      for (const hash of this.#entries.get(id)?.stands ?? []) {
        if (deps.size >= DOCUMENT_LIMITS.stands) break
        deps.add(hash)
      }
    }
    return [...deps].toSorted(compareText)
  }

  /** The facts that changes were applied for, ascending; the rollover for those of the base. */
  #factsOf(hashes: readonly string[]): readonly FactId[] {
    const facts = hashes.flatMap(hash => {
      if (this.#base.includes(hash)) return this.#epoch ?? []
      return this.#applied.get(hash)?.facts[0] ?? []
    })
    return [...new Set(facts)].toSorted(compareText)
  }

  #factOf(op: string): FactId {
    const [counter = '', actor = ''] = op.split('@')
    const span = this.#spansOf(actor).find(
      ({ startOp, lastOp }) => startOp <= Number(counter) && Number(counter) <= lastOp
    )
    const fact = span?.facts[span.facts.length === 1 ? 0 : Number(counter) - span.startOp]
    if (fact === undefined) throw new RegistryError('INTERNAL', 'a document holds an operation that nobody said')
    return fact
  }

  #spans: Map<string, Applied[]> | undefined

  #spansOf(actor: string): readonly Applied[] {
    this.#spans ??= Map.groupBy(this.#applied.values(), applied => applied.actor)
    return this.#spans.get(actor) ?? []
  }

  #note(hash: string, applied: Applied): void {
    this.#applied.set(hash, applied)
    this.#lastSeq.set(applied.actor, Math.max(applied.seq, this.#lastSeq.get(applied.actor) ?? 0))
    const spans = this.#spans?.get(applied.actor)
    if (spans !== undefined) spans.push(applied)
    else this.#spans?.set(applied.actor, [applied])
  }

  #miss({ after }: MetadataFact): void {
    for (const id of after) if (!this.#entries.has(id)) this.#missing.add(id)
  }

  #enter(entry: Entry): Entry {
    this.#entries.set(entry.id, entry)
    if (entry.seq > this.lastOf(entry.chain)) this.#lastOfChain.set(entry.chain, entry)
    return entry
  }
}

interface Made {
  readonly change: PlainChange
  readonly bytes: Uint8Array
  readonly hash: string
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i])
}

export function chainOf({ author, chain }: Pick<MetadataFact, 'author' | 'chain'>): string {
  return `${author} ${chain}`
}

function placeOf(fact: MetadataFact): Pick<Entry, 'id' | 'chain' | 'seq' | 'counts'> {
  return { id: fact.id, chain: chainOf(fact), seq: fact.seq, counts: fact.counts }
}

function spanOf({ startOp, ops }: PlainChange): { readonly lastOp: number } {
  return { lastOp: startOp + ops.length - 1 }
}

function hashOf(what: readonly (string | number)[]): string {
  return toHex(sha256(encodeCbor(what)))
}

/** Of two values with one counter the one of the higher actor is shown, so layers are in their order. */
function layerActor(layer: number, hash: string): string {
  return layer.toString(16).padStart(8, '0') + hash.slice(8)
}

function full(): RegistryError {
  return new RegistryError('DOCUMENT_FULL', 'the history of this document has reached its bound', {
    next: 'an owner folds it into a new one: ggen-node edit NAME --rollover'
  })
}
