import type { Authority } from '../../../protocol/authority.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { editsOfCatalogue, fingerprintOf } from '../../../protocol/document/counted.ts'
import type {
  Composed,
  DocumentEngine,
  DocumentState,
  MetadataFact,
  Standing,
  UpdateResult
} from '../../../protocol/document/document.ts'
import type { Edit } from '../../../protocol/document/edits.ts'
import { actorOf } from '../../../protocol/document/payload.ts'
import { madeOfState, openState, summaryOf } from '../../../protocol/document/saved.ts'
import { isRegistryError, RegistryError } from '../../../protocol/errors.ts'
import type { Subject } from '../../../protocol/fact.ts'
import { isDigestSubject } from '../../../protocol/subject.ts'
import { foldWithEdits } from '../../../protocol/fold.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { Backlog } from './backlog.ts'

/** What documents need of the store. */
export interface DocumentRecords {
  state(registry: RegistryId, subject: Subject): Promise<Uint8Array | undefined>
  saved(registry: RegistryId, subject: Subject): Promise<Uint8Array | undefined>
  since(registry: RegistryId, subject: Subject): Promise<Uint8Array | undefined>
  todo(registry: RegistryId, limit: number): Promise<readonly Subject[]>
  put(
    registry: RegistryId,
    about: { readonly subject: Subject; readonly since: Uint8Array | undefined },
    document: { readonly state: Uint8Array; readonly saved: Uint8Array } | 'same' | undefined
  ): Promise<void>
}

export interface DocumentsComponents {
  readonly gate: {
    state(
      registry: RegistryId
    ):
      | { readonly authority: Authority | undefined; factsOf(subject: Subject): Promise<readonly VerifiedFact[]> }
      | undefined
  }
  readonly engine: DocumentEngine
  readonly records: DocumentRecords
  /** Called when a document could not be made. */
  readonly onFailed: (registry: RegistryId, subject: Subject, error: unknown) => void
  /** Called when what a document says has changed. */
  readonly onChanged: (registry: RegistryId, subject: Subject) => void
}

/** Who is about to edit, and what. */
export interface Writing {
  readonly registry: RegistryId
  readonly subject: Subject
  readonly author: Principal
  readonly chain: string
  readonly edits: readonly Edit[]
}

/** What is known of a document that was made before. */
interface Known {
  readonly made: string
  /** What it says. Attack: it may be large, so that nobody reads it who does not want to know. */
  readonly sealed: Uint8Array
  readonly standings: ReadonlyMap<FactId, Standing>
}

/**
 * Keeps the documents of all registries as their facts say, in the background and whenever one is asked for.
 *
 * Invariants:
 * 1. A document that is shown is made of exactly the facts of the set: one that is of others is brought up to date first.
 * 2. One document is made by one call at a time; what comes meanwhile is seen by the next.
 * 3. One that cannot be made fails whoever asks for it and nobody else, and is left alone until its facts change.
 */
export class Documents {
  readonly #components: DocumentsComponents
  readonly #backlog: Backlog
  readonly #turns = new Map<string, Promise<unknown>>()
  /** Least recently used first. */
  readonly #known = new Map<string, Known>()
  #knownFacts = 0
  #knownBytes = 0
  readonly #strikes = new Map<string, { readonly made: string; readonly count: number }>()

  constructor(components: DocumentsComponents) {
    this.#components = components
    const { records, onFailed } = components
    this.#backlog = new Backlog({
      todo: registry => records.todo(registry, LIMITS.document.queue),
      work: async (registry, subject) => void (await this.#current(registry, subject)),
      onFailed
    })
  }

  /** Facts about the words of these subjects came or went. */
  noted(registry: RegistryId, subjects: readonly Subject[]): void {
    this.#backlog.add(registry, subjects)
  }

  /** Begins with what a crash, or another start, left to be done. */
  open(registry: RegistryId): void {
    this.#backlog.look(registry)
  }

  /** Fulfilled when nothing of a registry waits to be brought up to date, as far as it can be. */
  settled(registry: RegistryId): Promise<void> {
    return this.#backlog.settled(registry)
  }

  /** Undefined while nobody ever said a word. @throws RegistryError DOCUMENT_FAILED */
  async current(registry: RegistryId, subject: Subject): Promise<DocumentState | undefined> {
    const known = await this.#current(registry, subject)
    return known === undefined ? undefined : openState(known.sealed)
  }

  /** How each fact is part of the document. @throws RegistryError DOCUMENT_FAILED */
  async standings(registry: RegistryId, subject: Subject): Promise<ReadonlyMap<FactId, Standing>> {
    return (await this.#current(registry, subject))?.standings ?? new Map()
  }

  /** Edits on top of what the document says now, as a change of that chain. @throws RegistryError DOCUMENT_FAILED | DOCUMENT_FULL */
  async compose({ registry, subject, author, chain, edits }: Writing): Promise<Composed> {
    const key = keyFor(registry, subject)
    const actor = actorOf({ author, registry, subject, chain })
    for (let attempt = 0; attempt < LIMITS.doctor.attempts; attempt++) {
      const known = await this.#current(registry, subject)
      const request = { key, made: known?.made, actor, author, chain, edits }
      const { engine, records } = this.#components
      const hot = await engine.compose({ ...request, saved: undefined })
      if (hot.kind === 'composed') return hot
      const cold = await engine.compose({ ...request, saved: await records.saved(registry, subject) })
      if (cold.kind === 'composed') return cold
      // The record went, or is another one by now: it is made again before the next try.
      this.#forget(key)
    }
    throw new RegistryError('DOCUMENT_FAILED', `the words about ${subject} keep changing`, { next: 'try again' })
  }

  /** Has the engine ready by the time it is needed: to start one takes as long as to read a package. */
  warm(author: Principal): void {
    const nothing = { key: '', made: undefined, saved: undefined, actor: '0'.repeat(64), author, chain: '', edits: [] }
    // Whoever needs it is told what is wrong with it.
    this.#components.engine.compose(nothing).catch(() => undefined)
  }

  async close(): Promise<void> {
    this.#backlog.stop()
    // Whatever it is at: a document that was not made is noted on the disk, and the next start makes it.
    await this.#components.engine.close()
    await Promise.allSettled(this.#turns.values())
  }

  /** The metadata facts of a subject and which of them count. Undefined: the gate does not know the registry. */
  async #factsOf(registry: RegistryId, subject: Subject): Promise<readonly MetadataFact[] | undefined> {
    const state = this.#components.gate.state(registry)
    if (state === undefined) return undefined
    if (state.authority === undefined) return []
    const facts = await state.factsOf(subject)
    // Nobody writes words about a digest.
    if (isDigestSubject(subject)) return []
    return subject === 'registry'
      ? editsOfCatalogue(state.authority, facts).facts
      : foldWithEdits(subject, state.authority, facts).edits.facts
  }

  #current(registry: RegistryId, subject: Subject): Promise<Known | undefined> {
    const key = keyFor(registry, subject)
    const task = (): Promise<Known | undefined> => this.#refresh(registry, subject)
    const run = (this.#turns.get(key) ?? Promise.resolve()).then(task, task)
    const settled = run.then(
      () => undefined,
      () => undefined
    )
    this.#turns.set(key, settled)
    void settled.then(() => {
      if (this.#turns.get(key) === settled) this.#turns.delete(key)
    })
    return run
  }

  async #refresh(registry: RegistryId, subject: Subject): Promise<Known | undefined> {
    const { records, onChanged } = this.#components
    const key = keyFor(registry, subject)
    // Read before the facts: a note that is written after them is of facts that are not among them.
    const since = await records.since(registry, subject)
    const facts = await this.#factsOf(registry, subject)
    // Crash state: a gate that is being opened folds all anew, and tells of it before it is open. Nothing is known yet, which
    // is not to say that nothing was said: what is stored stays, with its note, until it can be looked at.
    if (facts === undefined) return undefined
    if (facts.length === 0) {
      const isGone = this.#forget(key) || (await records.state(registry, subject)) !== undefined
      if (isGone || since !== undefined) await records.put(registry, { subject, since }, undefined)
      if (isGone) onChanged(registry, subject)
      return undefined
    }
    const made = fingerprintOf(facts)
    const before = this.#known.get(key) ?? (await this.#read(registry, subject))
    const isSame = before?.made === made
    // A repair of the store, or a purge, may have taken what memory knows; facts came or went with it, so there is a note.
    if (isSame && (since === undefined || (await records.state(registry, subject)) !== undefined)) {
      this.#remember(key, before)
      if (since !== undefined) await records.put(registry, { subject, since }, 'same')
      return before
    }
    const making = { registry, subject, made, before: isSame ? undefined : before, facts }
    const { sealed, saved, standings } = await this.#make(making)
    await records.put(registry, { subject, since }, { state: sealed, saved })
    const known = { made, sealed, standings }
    this.#remember(key, known)
    onChanged(registry, subject)
    return known
  }

  async #make(making: Making): Promise<Made> {
    const { registry, subject, made } = making
    const key = keyFor(registry, subject)
    const strikes = this.#strikes.get(key)
    if (strikes?.made === made && strikes.count >= LIMITS.document.strikes) throw failing(subject)
    try {
      const result = await this.#update(making)
      this.#strikes.delete(key)
      return result
    } catch (error) {
      if (isRegistryError(error) && error.code === 'DOCUMENT_FAILED') this.#strike(key, made)
      throw error
    }
  }

  /** Adds what is new where that is enough, and makes all of it anew where it is not. */
  async #update({ registry, subject, made, before, facts }: Making): Promise<Made> {
    const { engine, records } = this.#components
    const key = keyFor(registry, subject)
    const news = before === undefined ? undefined : newsOf(before.standings, facts)
    if (before !== undefined && news !== undefined) {
      const request = { key, made, from: before.made, facts: news }
      let result = await engine.update(request)
      if (result.kind === 'cold')
        result = await engine.update({ ...request, saved: await records.saved(registry, subject) })
      if (result.kind === 'updated') return madeOf(result, before.standings)
    }
    const result = await engine.update({ key, made, from: undefined, facts })
    if (result.kind === 'updated') return madeOf(result, new Map())
    throw new RegistryError('INTERNAL', 'a document was not made of all its facts')
  }

  /** What was stored before. What is damaged, or does not fit together, is made anew. */
  async #read(registry: RegistryId, subject: Subject): Promise<Known | undefined> {
    const { records } = this.#components
    const [sealed, saved] = await Promise.all([records.state(registry, subject), records.saved(registry, subject)])
    if (sealed === undefined || saved === undefined) return undefined
    try {
      const { made, standings } = summaryOf(saved)
      return madeOfState(sealed) === made ? { made, sealed, standings } : undefined
    } catch (error) {
      if (isRegistryError(error)) return undefined
      throw error
    }
  }

  #remember(key: string, known: Known): void {
    this.#forget(key)
    this.#known.set(key, known)
    this.#knownFacts += known.standings.size
    this.#knownBytes += known.sealed.length
    const { hot, hotBytes, knownFacts } = LIMITS.document
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= hot && this.#knownBytes <= hotBytes && this.#knownFacts <= knownFacts) return
      this.#forget(oldest)
    }
  }

  #forget(key: string): boolean {
    const known = this.#known.get(key)
    this.#knownFacts -= known?.standings.size ?? 0
    this.#knownBytes -= known?.sealed.length ?? 0
    return this.#known.delete(key)
  }

  #strike(key: string, made: string): void {
    const before = this.#strikes.get(key)
    this.#strikes.set(key, { made, count: before?.made === made ? before.count + 1 : 1 })
    const [oldest] = this.#strikes.keys()
    if (oldest !== undefined && this.#strikes.size > LIMITS.document.queue) this.#strikes.delete(oldest)
  }
}

interface Making {
  readonly registry: RegistryId
  readonly subject: Subject
  readonly made: string
  readonly before: Known | undefined
  readonly facts: readonly MetadataFact[]
}

interface Made {
  readonly sealed: Uint8Array
  readonly saved: Uint8Array
  readonly standings: ReadonlyMap<FactId, Standing>
}

function madeOf(
  { sealed, saved, standings }: Extract<UpdateResult, { kind: 'updated' }>,
  before: ReadonlyMap<FactId, Standing>
): Made {
  return { sealed, saved, standings: new Map([...before, ...standings]) }
}

/** What came since; undefined when something went, or counts otherwise. */
function newsOf(
  standings: ReadonlyMap<FactId, Standing>,
  facts: readonly MetadataFact[]
): readonly MetadataFact[] | undefined {
  const news: MetadataFact[] = []
  for (const fact of facts) {
    const standing = standings.get(fact.id)
    if (standing === undefined) news.push(fact)
    else if (standing.counts !== fact.counts) return undefined
  }
  return facts.length - news.length === standings.size ? news : undefined
}

function failing(subject: Subject): RegistryError {
  return new RegistryError('DOCUMENT_FAILED', `the words about ${subject} could not be made of what was said`, {
    next: 'they are tried again when something new is said; ggen-node doctor looks at the rest'
  })
}

/** How the engine calls a document. */
function keyFor(registry: RegistryId, subject: Subject): string {
  return `${registry} ${subject}`
}
