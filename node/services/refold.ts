import { setImmediate } from 'node:timers/promises'
import type { Authority } from '../../protocol/authority.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import { isEdit } from '../../protocol/document/counted.ts'
import { isDatedType } from '../../protocol/fact.ts'
import type { Subject } from '../../protocol/fact.ts'
import { isBeyondBounds } from '../../protocol/fold-apart.ts'
import { foldSubject } from '../../protocol/fold-subject.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { namedKeys } from '../../protocol/payload.ts'
import { encodeAuthorityRow, sealRow } from '../../protocol/view-row.ts'
import { changeOf, staleSubjects } from './authority-change.ts'
import type { AcceptedFact, Draft, Side } from './draft.ts'
import { foldRegistry, movesBetween, namedFrom, split } from './membership.ts'
import type { Known } from './membership.ts'
import type { FactReader, RegistryState } from './registry-state.ts'

interface FactWrite {
  readonly id: FactId
  readonly subject: Subject
  readonly author: Principal
  readonly time: number
  readonly bytes: Uint8Array
  readonly names: readonly Principal[]
  readonly isDated: boolean
}

interface FactMove {
  readonly id: FactId
  readonly subject: Subject
}

interface ViewBatch {
  readonly registry: RegistryId
  readonly facts: readonly FactWrite[]
  readonly cut?: readonly FactWrite[]
  readonly leave?: readonly FactMove[]
  readonly back?: readonly FactMove[]
  /** Undefined: no fact of the set is about it any more. */
  readonly rows: readonly (readonly [Subject, Uint8Array | undefined])[]
  readonly aside: readonly (readonly [Subject, boolean])[]
  /** Subjects whose documents have to be looked at again. */
  readonly documents?: readonly Subject[]
  readonly named: readonly Principal[]
  readonly unnamed?: readonly Principal[]
  readonly stale?: boolean
}

/** What folding needs of the store. */
export interface ViewStore extends FactReader {
  commit(batch: ViewBatch, options: { readonly sync: boolean }): Promise<void>
  asideSubjects(registry: RegistryId): Promise<readonly Subject[]>
  subjects(registry: RegistryId): AsyncIterable<Subject>
  subjectsOf(registry: RegistryId, author: Principal): Promise<readonly Subject[]>
  namesBy(
    registry: RegistryId,
    author: Principal
  ): Promise<readonly { readonly id: FactId; readonly subject: Subject; readonly keys: readonly Principal[] }[]>
  /** Keys that facts of the set named when the set was last counted through. */
  namedKeys(registry: RegistryId): AsyncIterable<Principal>
  areNamed(registry: RegistryId, keys: readonly Principal[]): Promise<readonly boolean[]>
  isStale(registry: RegistryId): Promise<boolean>
  /** Whether they are stale not by the rules of another program alone. */
  isMarked(registry: RegistryId): Promise<boolean>
  known(registry: RegistryId, ids: readonly FactId[]): Promise<readonly (Side | undefined)[]>
}

/** Rows and moves that wait to be written together. */
class RowBatch {
  readonly rows: (readonly [Subject, Uint8Array | undefined])[] = []
  readonly aside: (readonly [Subject, boolean])[] = []
  readonly documents: Subject[] = []
  readonly leave: FactMove[] = []
  readonly back: FactMove[] = []
  #bytes = 0

  /** A row has at most a few MiB (`LIMITS.view`), so one more than the bound still fits into a write. */
  get isFull(): boolean {
    const { rowBytesPerWrite, factsPerWrite } = LIMITS.admission
    return (
      this.#bytes >= rowBytesPerWrite ||
      this.rows.length >= factsPerWrite ||
      this.leave.length + this.back.length >= factsPerWrite
    )
  }

  /** Without its genesis a set says nothing: crash state of a disk that lost the beginning and kept something later. */
  addAuthority({ shown, set, cut }: Known & { readonly shown: Authority | undefined }): void {
    if (shown === undefined) this.rows.push(['registry', undefined])
    else this.#add('registry', sealRow(encodeAuthorityRow(shown, set)))
    this.noteEdits('registry', { set, cut })
  }

  /** Whose document may say something else now. What left the set counts too: its words must go. */
  noteEdits(subject: Subject, { set, cut }: Known): void {
    if (set.some(isEdit) || cut.some(isEdit)) this.documents.push(subject)
  }

  addPackage(subject: Subject, facts: readonly VerifiedFact[], authority: Authority | undefined): void {
    if (subject === 'registry') return
    if (facts.length === 0 || authority === undefined) {
      this.rows.push([subject, undefined])
      this.aside.push([subject, false])
      return
    }
    const { row, hasAside } = foldSubject(subject, authority, facts)
    this.#add(subject, sealRow(row))
    this.aside.push([subject, hasAside])
  }

  addMoves(subject: Subject, before: Known, after: Known): void {
    const { leave, back } = movesBetween(before, after)
    for (const id of leave) this.leave.push({ id, subject })
    for (const id of back) this.back.push({ id, subject })
  }

  #add(subject: Subject, row: Uint8Array): void {
    this.rows.push([subject, row])
    this.#bytes += row.length
  }
}

export interface Folded {
  /** New facts that a revocation in the same draft keeps out of the set. */
  readonly left: readonly FactId[]
  /** What the gate kept aside and is in the set after all. */
  readonly joined: readonly AcceptedFact[]
  /** Keys that are named from now on by what came back into the set. */
  readonly gained: readonly Principal[]
}

/**
 * Folds what a draft touched and writes facts and rows as one. What that leaves to be folded (rows beyond one write, or
 * packages that a changed authority changes) follows; until it is done the registry is marked stale.
 */
export async function foldDraft(draft: Draft, store: ViewStore, { sync }: { readonly sync: boolean }): Promise<Folded> {
  if (!draft.isUsed) return { left: [], joined: [], gained: [] }
  const { state, registry, touched } = draft
  const before = state.authority
  const isKnown = await namedAmong(store, registry, touched.values())
  const isNamed = (key: Principal): boolean => draft.named.includes(key) || isKnown(key)
  const about = touched.get('registry')
  const folded = about === undefined ? undefined : foldRegistry(registry, [...about.set, ...about.cut], isNamed)
  const authority = folded === undefined ? before : folded.authority
  const change = changeOf(before, authority)
  const batch = new RowBatch()
  const later: Subject[] = [...(await waitingFor(draft, store))]
  const sides = new Map<Subject, Known>()
  if (folded !== undefined) batch.addAuthority(folded)
  for (const [subject, known] of touched) {
    const isSettled = folded === undefined && known.cut.length === 0
    const after = isSettled ? known : split([...known.set, ...known.cut], authority, isNamed)
    sides.set(subject, after)
    if (batch.isFull) later.push(subject)
    else batch.addPackage(subject, after.set, authority)
    if (subject !== 'registry') batch.noteEdits(subject, after)
  }
  const isOutside = outsideOf(sides)
  const left = draft.accepted.filter(isOutside).map(({ fact }) => fact.id)
  // What the draft kept aside may be in the set after all: the same batch can hold what ends the revocation.
  const known = [...draft.accepted, ...draft.cut]
  const joined = draft.cut.filter(item => !isOutside(item))
  addOldMoves(batch, draft, sides)
  const isRenamed = movesNames(draft, sides)
  const isStale = change.kind !== 'none' || later.length > 0 || isRenamed
  // Asked before the write: what has no room outside the set is forgotten with the names it said.
  const isUnsettled = change.kind !== 'none' && store.cutCount(registry) + draft.cut.length > 0
  const isNaming =
    change.kind === 'all' || isUnsettled || isRenamed || (isStale && (await doName(draft, store, change.keys)))
  const cut = known.filter(isOutside)
  await commitMoves(
    store,
    {
      registry,
      facts: known.filter(item => !isOutside(item)).map(toWrite),
      cut: cut.map(toWrite),
      leave: batch.leave,
      back: batch.back,
      rows: batch.rows,
      aside: batch.aside,
      documents: batch.documents,
      named: [...draft.named, ...joined.flatMap(({ fact }) => namedKeys(fact.payload))],
      ...(isStale ? { stale: true } : {})
    },
    { sync, sides }
  )
  state.landed(authority, sides, batch.documents)
  if (!isStale) return { left, joined, gained: [] }
  if (change.kind === 'all') return { left, joined, gained: await refoldAll(state, store) }
  const subjects = [...later, ...(await staleSubjects(change, registry, store))]
  return { left, joined, gained: await refold(state, store, { subjects, isNaming }) }
}

/** Writes, and takes out of `sides` what the bounded room outside the set had no place for: memory must not know more than the store. */
async function commitMoves(
  store: ViewStore,
  batch: ViewBatch,
  { sync, sides }: { readonly sync: boolean; readonly sides: Map<Subject, Known> }
): Promise<void> {
  const { registry, cut = [], leave = [], back = [] } = batch
  const before = store.cutCount(registry)
  await store.commit(batch, { sync })
  if (store.cutCount(registry) === before + cut.length + leave.length - back.length) return
  for (const [subject, known] of sides) {
    const are = await store.known(
      registry,
      known.cut.map(({ id }) => id)
    )
    sides.set(subject, { set: known.set, cut: known.cut.filter((_, i) => are[i] !== undefined) })
  }
}

/** Could any of the keys whose say changed, or that are named again, have named others? Nobody else is counted through. */
async function doName(draft: Draft, store: ViewStore, changed: readonly Principal[]): Promise<boolean> {
  const keys = store.cutCount(draft.registry) === 0 ? changed : [...changed, ...draft.named]
  if (keys.length === 0) return false
  const are = new Set(keys)
  const isSaid = [...draft.accepted, ...draft.cut].some(
    ({ fact }) => are.has(fact.body.author) && namedKeys(fact.payload).length > 0
  )
  if (isSaid) return true
  const names = await Promise.all([...are].map(key => store.namesBy(draft.registry, key)))
  return names.some(said => said.length > 0)
}

/** Who is named, of the authors of what is kept aside. All others were asked about at the gate. */
async function namedAmong(
  store: ViewStore,
  registry: RegistryId,
  about: Iterable<Known>
): Promise<(key: Principal) => boolean> {
  const authors = [...new Set([...about].flatMap(({ cut }) => cut.map(({ body }) => body.author)))]
  if (authors.length === 0) return () => true
  const are = await store.areNamed(registry, authors)
  const unnamed = new Set(authors.filter((_, i) => are[i] !== true))
  return key => !unnamed.has(key)
}

/** What keys wrote about that are named for the first time, or again after a loss: it may wait outside the set. */
async function waitingFor({ named, registry }: Draft, store: ViewStore): Promise<readonly Subject[]> {
  if (store.cutCount(registry) === 0) return []
  const subjects = await Promise.all(named.map(key => store.subjectsOf(registry, key)))
  return subjects.flat()
}

function toWrite({ fact, bytes }: AcceptedFact): FactWrite {
  const { id, body, payload } = fact
  const { type, subject, author, time } = body
  return { id, subject, author, time, bytes, names: namedKeys(payload), isDated: isDatedType(type) }
}

function outsideOf(sides: ReadonlyMap<Subject, Known>): (item: AcceptedFact) => boolean {
  const outside = new Set([...sides.values()].flatMap(({ cut }) => cut.map(({ id }) => id)))
  return outside.size === 0 ? () => false : ({ fact }) => outside.has(fact.id)
}

/**
 * Does a fact that names somebody change sides, or a new one end on another side than the draft put it? What a decision rests
 * on comes into the set with the fork that makes it rest there, while nothing that counts changes.
 */
function movesNames({ touched }: Draft, sides: ReadonlyMap<Subject, Known>): boolean {
  if (outsideCount(sides) === 0 && outsideCount(touched) === 0) return false
  for (const [subject, before] of touched) {
    const after = sides.get(subject)
    if (after === undefined) continue
    const wasIn = new Set(before.set.map(({ id }) => id))
    const isIn = new Set(after.set.map(({ id }) => id))
    const moved = [...before.set, ...before.cut].filter(({ id }) => wasIn.has(id) !== isIn.has(id))
    if (moved.some(({ payload }) => namedKeys(payload).length > 0)) return true
  }
  return false
}

function outsideCount(sides: ReadonlyMap<Subject, Known>): number {
  return [...sides.values()].reduce((sum, { cut }) => sum + cut.length, 0)
}

/** Facts of the touched subjects that were known before and now stand on the other side. */
function addOldMoves(batch: RowBatch, draft: Draft, sides: ReadonlyMap<Subject, Known>): void {
  const isNew = new Set([...draft.accepted, ...draft.cut].map(({ fact }) => fact.id))
  const old = ({ set, cut }: Known): Known => ({
    set: set.filter(({ id }) => !isNew.has(id)),
    cut: cut.filter(({ id }) => !isNew.has(id))
  })
  for (const [subject, known] of draft.touched) {
    const after = sides.get(subject)
    if (after !== undefined && after.cut.length + known.cut.length > 0) batch.addMoves(subject, old(known), after)
  }
}

/**
 * Counts through who is named, and folds every package again. Runs to its end after a crash too, because `stale` is cleared last. Where it
 * fails it leaves doubt, so that it is done before the next batch.
 */
export async function refoldAll(
  state: RegistryState,
  store: ViewStore,
  onUnfolded?: (subject: Subject, error: unknown) => void
): Promise<readonly Principal[]> {
  try {
    const what = { subjects: store.subjects(state.registry), isNaming: true }
    return await refold(state, store, onUnfolded === undefined ? what : { ...what, onUnfolded })
  } catch (error) {
    state.doubt()
    throw error
  }
}

async function refold(
  state: RegistryState,
  store: ViewStore,
  what: {
    readonly subjects: Iterable<Subject> | AsyncIterable<Subject>
    readonly isNaming: boolean
    /** The row of a subject that cannot be folded is left as it is, and this told, where the whole is not to fail by it. */
    readonly onUnfolded?: (subject: Subject, error: unknown) => void
  }
): Promise<readonly Principal[]> {
  const { registry } = state
  const { named, gained, subjects: more } = what.isNaming ? await renameKeys(state, store) : NOBODY
  const namedFor = async (known: Known): Promise<(key: Principal) => boolean> =>
    named === undefined ? namedAmong(store, registry, [known]) : key => named.has(key)
  const about = await state.known('registry')
  const own = foldRegistry(registry, [...about.set, ...about.cut], await namedFor(about))
  let batch = new RowBatch()
  batch.addAuthority(own)
  batch.addMoves('registry', about, own)
  const sides = new Map<Subject, Known>([['registry', { set: own.set, cut: own.cut }]])
  const write = async (end: { readonly stale?: false }): Promise<void> => {
    const { rows, aside, documents, leave, back } = batch
    batch = new RowBatch()
    const moves = { registry, facts: [], rows, aside, documents, leave, back, named: [], ...end }
    await commitMoves(store, moves, { sync: false, sides })
    state.landed(own.authority, sides, documents)
    sides.clear()
    await setImmediate()
  }
  const done = new Set<Subject>(['registry'])
  for (const list of [what.subjects, more]) {
    for await (const subject of list) {
      if (done.has(subject)) continue
      done.add(subject)
      const known = await state.known(subject)
      const after = split([...known.set, ...known.cut], own.authority, await namedFor(known))
      try {
        batch.addPackage(subject, after.set, own.authority)
      } catch (error) {
        if (what.onUnfolded === undefined || !isBeyondBounds(error)) throw error
        what.onUnfolded(subject, error)
        continue
      }
      batch.addMoves(subject, known, after)
      if (batch.leave.length + batch.back.length > 0) sides.set(subject, after)
      batch.noteEdits(subject, after)
      if (batch.isFull) await write({})
    }
  }
  await write({ stale: false })
  return gained
}

interface Renamed {
  readonly gained: readonly Principal[]
  /** Undefined: nobody gained or lost a name. */
  readonly named: ReadonlySet<Principal> | undefined
  /** What those wrote about who did. */
  readonly subjects: readonly Subject[]
}

const NOBODY: Renamed = { named: undefined, gained: [], subjects: [] }

/**
 * Keys that only facts outside the set name lose their place in it, with all that they wrote; those that are named again
 * get theirs back. Only a revocation of a key that named others can change that, so nothing else is counted through.
 */
async function renameKeys(state: RegistryState, store: ViewStore): Promise<Renamed> {
  const { registry, authority } = state
  if (authority === undefined) return NOBODY
  const named = await namedFrom(authority, {
    namesBy: author => store.namesBy(registry, author),
    known: subject => state.known(subject)
  })
  const before = new Set<Principal>()
  for await (const key of store.namedKeys(registry)) before.add(key)
  const gained = [...named].filter(key => !before.has(key))
  const lost = [...before].filter(key => !named.has(key))
  for (let from = 0; from < gained.length + lost.length; from += LIMITS.admission.keysPerWrite) {
    const some = [...gained, ...lost].slice(from, from + LIMITS.admission.keysPerWrite)
    const batch = { named: some.filter(key => named.has(key)), unnamed: some.filter(key => !named.has(key)) }
    await store.commit({ registry, facts: [], rows: [], aside: [], ...batch }, { sync: false })
  }
  const subjects = await Promise.all([...gained, ...lost].map(key => store.subjectsOf(registry, key)))
  return { named, gained, subjects: subjects.flat() }
}
