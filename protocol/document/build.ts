import { sha256 } from '@noble/hashes/sha2.js'
import { compareText, toHex } from '../bytes.ts'
import { encodeCbor } from '../cbor.ts'
import type { FactId } from '../cid.ts'
import { RegistryError } from '../errors.ts'
import type { DocumentBackend, PlainChange, PlainOp } from './backend.ts'
import type { Applied, BuildRecord } from './build-record.ts'
import { packBuild, unpackBuild } from './build-record.ts'
import type { Clock } from './clock.ts'
import type { Composed, DocumentState, FactStatus, HeldKey, MetadataFact } from './document.ts'
import { keyOf } from './edits.ts'
import type { Edit } from './edits.ts'
import { actorIn, counterOf, KeyHistory } from './key-history.ts'
import { chainOf, Knowledge, lineOf } from './knowledge.ts'
import type { Entry, Known } from './knowledge.ts'
import { DOCUMENT_LIMITS } from './limits.ts'
import { Room } from './room.ts'
import type { RoomLimits } from './room.ts'

/** What a change is made from. */
interface Making {
  readonly actor: string
  readonly known: Known
  readonly edits: readonly Edit[]
  /** Deletions of what is not there are left out, not refused. */
  readonly isLenient: boolean
}

interface Made {
  readonly change: PlainChange
  readonly bytes: Uint8Array
  readonly hash: string
}

type Become = Pick<Entry, 'status' | 'stands'>

/**
 * One epoch of a document: what its facts add up to. docs/spec/metadata.md section 4.
 *
 * Invariants:
 * 1. A change of somebody else is applied only if it is, byte for byte, what is made here from its edits. So nothing that
 *    a stranger encoded is ever read by Automerge.
 * 2. What an edit replaces is what is there for one who knows what its author knew: nobody's value goes unseen. What is
 *    known is said by the facts, not by the changes.
 * 3. What an entry becomes depends on the facts that it follows and on nothing else, unless the document is full. So facts
 *    may come in any order that keeps what they follow before them.
 * 4. The changes of an actor are in a row: each has the one before it among its deps.
 */
export class DocumentBuild {
  readonly #backend: DocumentBackend
  readonly #knowledge: Knowledge
  readonly #keys: KeyHistory
  readonly #room: Room
  readonly #applied = new Map<string, Applied>()
  readonly #lastSeq = new Map<string, number>()
  readonly #epoch: FactId | null

  constructor(
    backend: DocumentBackend,
    epoch: FactId | null,
    { knowledge = new Knowledge(), keys = new KeyHistory(), room = new Room() }: Partial<Parts> = {}
  ) {
    this.#backend = backend
    this.#epoch = epoch
    this.#knowledge = knowledge
    this.#keys = keys
    this.#room = room
  }

  static restore(backend: DocumentBackend, record: BuildRecord): DocumentBuild {
    const { knowledge, applied } = unpackBuild(record)
    const parts = { knowledge, keys: KeyHistory.restore(record.keys), room: Room.restore(record.room) }
    const build = new DocumentBuild(backend, record.epoch, parts)
    for (const [hash, change] of applied) build.#note(hash, change)
    return build
  }

  record(): BuildRecord {
    const packed = packBuild(this.#knowledge, this.#applied)
    return { epoch: this.#epoch, ...packed, keys: this.#keys.record(), room: this.#room.record() }
  }

  get epoch(): FactId | null {
    return this.#epoch
  }

  /** True once an edit was left out for want of room: which one depends on all of them. */
  get isFull(): boolean {
    return this.#room.isFull
  }

  /** True for a put whose chain was refused one before it: wherever it stands among all, it comes after that. */
  isRefusedAnyway(fact: MetadataFact): boolean {
    const before = this.#knowledge.lastOf(chainOf(fact))
    const isRefused = before?.status === 'document-full' && !before.isFolded
    return isRefused && fact.edits.some(({ op }) => op === 'put')
  }

  get entries(): ReadonlyMap<FactId, Entry> {
    return this.#knowledge.entries
  }

  /** True for a fact that another one follows which came before it. */
  isMissed(id: FactId): boolean {
    return this.#knowledge.isMissed(id)
  }

  /** The last position of a chain that counts and is known here. */
  lastOf(chain: string): number {
    return this.#knowledge.lastOf(chain)?.seq ?? -1
  }

  /** The epoch that a rollover begins with what stands here: all facts that were added are folded. This build is used up. */
  next(fresh: () => DocumentBackend, rollover: MetadataFact): DocumentBuild {
    // Read before there is another one: it is the end of this one.
    const { content } = this.state()
    this.#knowledge.fold(lineOf(rollover))
    const room = new Room(this.#room.limits)
    const build = new DocumentBuild(fresh(), rollover.id, { knowledge: this.#knowledge, room })
    build.#begin(content, rollover.id)
    return build
  }

  /**
   * Where a key held several values, as many changes say one each and replace nothing: a conflict that nobody settled is
   * not settled by folding. They are in a row, so that who follows the rollover has one change to follow.
   */
  #begin(content: readonly HeldKey[], rollover: FactId): void {
    const actor = hashOf(['base', rollover])
    const depth = Math.max(0, ...content.map(({ values }) => values.length))
    let deps: readonly string[] = []
    let startOp = 1
    for (let layer = 0; layer < depth; layer++) {
      // Last first: of the values of one key the one with the highest counter is shown, and so their order stays.
      const held = content.flatMap(({ key, values }) => {
        const value = values[values.length - 1 - layer]
        return value === undefined ? [] : [{ key, ...value }]
      })
      const ops = held.map(({ key, value }): PlainOp => ({ key, value, pred: [] }))
      const change: PlainChange = { actor, seq: layer + 1, startOp, deps, ops }
      const made = { change, ...this.#backend.encode(change) }
      this.#apply(made, null)
      for (const [i, { key, fact }] of held.entries())
        this.#keys.put(key, `${startOp + i}@${actor}`, this.#knowledge.placeOf(fact))
      this.#room.fill(ops.length, made.bytes.length)
      startOp += ops.length
      deps = [made.hash]
    }
    this.#knowledge.begin(deps, rollover)
  }

  /** Adds one fact. Whatever it follows and is known was added before. */
  add(fact: MetadataFact): void {
    const line = lineOf(fact)
    const known = this.#knowledge.of(line)
    this.#knowledge.enter(line, { ...this.#become(fact, known), clock: known.clock })
  }

  /** The change that says edits on top of all that is here, and what it follows. */
  compose(actor: string, chain: string, edits: readonly Edit[]): Composed {
    const after = this.#followed(chain)
    const known = this.#knowledge.of({ chain, after, epoch: this.#epoch, counts: true })
    const isIdle = (edit: Edit): boolean =>
      edit.op === 'delete' && this.#keys.visible(keyOf(edit.path), known.clock).length === 0
    const kept = edits.filter(edit => !isIdle(edit))
    const made = this.#make({ actor, known, edits: kept, isLenient: false })
    if (made === undefined) return { epoch: this.#epoch, after, edits: [], change: undefined }
    if (made.bytes.length > DOCUMENT_LIMITS.changeBytes) throw tooLarge()
    if (
      this.#isNewBeyond(actor) ||
      !this.#room.has({ ...costOf(chain.slice(0, chain.indexOf(' ')), kept), bytes: made.bytes.length })
    )
      throw full()
    return { epoch: this.#epoch, after, edits: kept, change: made.bytes }
  }

  /** What a rollover would fold now. */
  tips(): readonly FactId[] {
    return this.#followed(undefined)
  }

  /**
   * The heads, and of each chain the last that counts, folded or not. The heads alone know of those too. But when the facts
   * of an author are cut, what only they knew of is forgotten. What comes next in a chain follows it without saying so.
   */
  #followed(chain: string | undefined): readonly FactId[] {
    const heads = this.#backend.heads().map(hash => this.#applied.get(hash)?.fact ?? this.#epoch ?? [])
    const { said, lasts } = this.#knowledge.endsBeside(chain)
    const inOrder = [heads, said, lasts].flatMap(ids => ids.flat().toSorted(compareText))
    return [...new Set(inOrder)].slice(0, DOCUMENT_LIMITS.after).toSorted(compareText)
  }

  /** What the document says. */
  state(): Omit<DocumentState, 'made'> {
    const content = this.#backend.content().map(({ key, values }): HeldKey => ({
      key,
      values: values.map(({ value, op }) => ({ value, fact: this.#factOf(key, op) }))
    }))
    return { epoch: this.#epoch, heads: this.#backend.heads(), content }
  }

  #become(fact: MetadataFact, known: Known): Become {
    const { edits, change } = fact
    const passed = (status: FactStatus): Become => ({ status, stands: known.deps })
    if (!fact.counts) return passed('aside')
    if (change === null) return passed('no-effect')
    const cost = costOf(fact.author, edits)
    if (!this.#room.has(cost)) return this.#refuse(cost, known)
    // Its author stood where we stand, as far as changes can say. Where the deps differ he saw less than we do, or more.
    if (fact.epoch === this.#epoch && isSameList(change.deps, known.deps)) {
      const made = this.#make({ actor: change.actor, known, edits, isLenient: false })
      if (made?.hash === change.hash) return this.#take(made, fact, 'native') ?? this.#refuse(cost, known)
      // The hashes of what it follows leave nothing open: what does not fit is no accident.
      if (!known.isCut) {
        const bytes = made?.bytes.length ?? 0
        return passed(this.#room.take({ ...cost, bytes }) ? 'change-disagrees' : 'document-full')
      }
    }
    const made = this.#make({ actor: hashOf(['derived', change.actor]), known, edits, isLenient: true })
    if (made !== undefined) return this.#take(made, fact, 'derived') ?? this.#refuse(cost, known)
    return passed(this.#room.take(cost) ? 'derived' : 'document-full')
  }

  #refuse(cost: ReturnType<typeof costOf>, { deps }: Known): Become {
    this.#room.refuse(cost)
    return { status: 'document-full', stands: deps }
  }

  #take(made: Made, fact: MetadataFact, status: 'native' | 'derived'): Become | undefined {
    const { change, bytes, hash } = made
    if (this.#isNewBeyond(change.actor)) return undefined
    if (!this.#room.take({ ...costOf(fact.author, fact.edits), bytes: bytes.length })) return undefined
    const place = this.#knowledge.numberOf(lineOf(fact))
    this.#apply(made, fact.id)
    for (const [i, { key, value, pred }] of change.ops.entries()) {
      for (const op of pred) this.#keys.replace(key, op, place)
      if (value !== undefined) this.#keys.put(key, `${change.startOp + i}@${change.actor}`, place)
    }
    return { status, stands: [hash] }
  }

  #isNewBeyond(actor: string): boolean {
    return !this.#lastSeq.has(actor) && this.#lastSeq.size >= this.#room.limits.actors
  }

  #apply({ change, bytes, hash }: Made, fact: FactId | null): void {
    const keys = change.ops.map(({ key }) => key)
    this.#backend.apply(bytes, keys)
    const { actor, seq, startOp, ops } = change
    this.#note(hash, { actor, seq, lastOp: startOp + ops.length - 1, fact })
  }

  /** Undefined when there is nothing to be done, or where that is asked for, not all of it can be. */
  #make({ actor, known, edits, isLenient }: Making): Made | undefined {
    const { deps, clock } = known
    const ops: PlainOp[] = []
    const others = new Set<string>()
    for (const edit of edits) {
      const key = keyOf(edit.path)
      const pred = this.#replaced(key, clock, { actor, others })
      const isIdle = edit.op === 'delete' && pred.length === 0
      if (isIdle && !isLenient) return undefined
      if (!isIdle) ops.push({ key, value: edit.op === 'put' ? edit.value : undefined, pred })
    }
    if (ops.length === 0) return undefined
    const below = deps.map(hash => this.#applied.get(hash)?.lastOp ?? 0)
    // Where deps were left out an operation may replace one that is not below them.
    const startOp = 1 + Math.max(0, ...below, ...ops.map(({ pred }) => Math.max(0, ...pred.map(counterOf))))
    const change: PlainChange = { actor, seq: (this.#lastSeq.get(actor) ?? 0) + 1, startOp, deps, ops }
    return { change, ...this.#backend.encode(change) }
  }

  /** What an operation replaces: of more values than a change may name, those that are shown first. */
  #replaced(
    key: string,
    clock: Clock,
    { actor, others }: { readonly actor: string; readonly others: Set<string> }
  ): readonly string[] {
    const pred: string[] = []
    for (const op of this.#keys.visible(key, clock).toReversed()) {
      const by = actorIn(op)
      // The author's own is named beside them, so there is always room for that one.
      if (by !== actor && !others.has(by) && others.size >= DOCUMENT_LIMITS.actorsPerChange) continue
      if (by !== actor) others.add(by)
      pred.push(op)
      if (pred.length === DOCUMENT_LIMITS.predecessors) break
    }
    return pred.toReversed()
  }

  #factOf(key: string, op: string): FactId {
    const place = this.#keys.placeOf(key, op)
    const fact = place === undefined ? undefined : this.#knowledge.factAt(place)
    if (fact === undefined) throw new RegistryError('INTERNAL', 'a document holds an operation that nobody said')
    return fact
  }

  #note(hash: string, applied: Applied): void {
    this.#applied.set(hash, applied)
    this.#lastSeq.set(applied.actor, Math.max(applied.seq, this.#lastSeq.get(applied.actor) ?? 0))
  }
}

interface Parts {
  readonly knowledge: Knowledge
  readonly keys: KeyHistory
  readonly room: Room
}

/** The room of a new document, for whoever wants less than the limit. */
export function newBuild(backend: DocumentBackend, limits?: RoomLimits): DocumentBuild {
  return new DocumentBuild(backend, null, { room: new Room(limits) })
}

function costOf(author: string, edits: readonly Edit[]) {
  return { author, ops: edits.length, bytes: 0, isDelete: edits.every(({ op }) => op === 'delete') }
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i])
}

function hashOf(what: readonly (string | number)[]): string {
  return toHex(sha256(encodeCbor(what)))
}

function full(): RegistryError {
  return new RegistryError('DOCUMENT_FULL', 'the history of this document has reached its bound', {
    next: 'an owner folds it into a new one: ggen-node rollover NAME'
  })
}

function tooLarge(): RegistryError {
  return new RegistryError('LIMIT_EXCEEDED', `an edit is at most ${DOCUMENT_LIMITS.changeBytes} bytes long`, {
    next: 'make it in several steps'
  })
}
