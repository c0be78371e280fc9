import type {
  DocumentState,
  ComposeRequest,
  ComposeResult,
  UpdateRequest,
  UpdateResult
} from '../../protocol/document/document.ts'
import { append, assemble } from '../../protocol/document/assemble.ts'
import { DocumentBuild } from '../../protocol/document/build.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { openStored, sealState, sealStored } from '../../protocol/document/saved.ts'
import { AutomergeDocument } from './automerge.ts'

/** A document that is ready to be changed. */
interface Hot {
  readonly made: string
  readonly build: DocumentBuild
  readonly document: AutomergeDocument
  /** Of its saved form: what it takes in memory is some times as much. */
  readonly bytes: number
}

interface Kept {
  readonly changed: readonly string[]
  readonly onStep: (() => void) | undefined
}

/**
 * Makes documents of facts, and keeps those ready that were used last. Everything it does, it does at once: it belongs into
 * a worker, or into a simulation.
 */
export class Engine {
  /** Least recently used first. */
  readonly #hot = new Map<string, Hot>()
  #bytes = 0

  /** `onStep` is called between two facts. */
  update(request: UpdateRequest, onStep?: () => void): UpdateResult {
    const { key, from, facts } = request
    if (from === undefined) return this.#anew(request, onStep)
    const hot = this.#take(key, from, request.saved)
    if (hot === undefined) return { kind: 'cold' }
    let isDone = false
    try {
      isDone = append(hot.build, facts, onStep)
      if (!isDone) return { kind: 'anew' }
      return this.#keep(request, hot, { changed: facts.map(({ id }) => id), onStep })
    } catch (error) {
      isDone = false
      throw error
    } finally {
      // A build that was changed half is of no use to anybody.
      if (!isDone) this.#drop(key)
    }
  }

  compose({ key, made, saved, actor, author, chain, edits }: ComposeRequest): ComposeResult {
    if (made === undefined) {
      const document = new AutomergeDocument()
      try {
        return { kind: 'composed', ...new DocumentBuild(document, null).compose(actor, `${author} ${chain}`, edits) }
      } finally {
        document.free()
      }
    }
    const hot = this.#take(key, made, saved)
    if (hot === undefined) return { kind: 'cold' }
    return { kind: 'composed', ...hot.build.compose(actor, `${author} ${chain}`, edits) }
  }

  /** Forgets every document. */
  dropAll(): void {
    for (const { document } of this.#hot.values()) document.free()
    this.#hot.clear()
    this.#bytes = 0
  }

  #anew(request: UpdateRequest, onStep: (() => void) | undefined): UpdateResult {
    this.#drop(request.key)
    let document = new AutomergeDocument()
    let isUsed = false
    const fresh = (): AutomergeDocument => {
      // One epoch after the other: the document of the last one is done with.
      if (isUsed) {
        document.free()
        document = new AutomergeDocument()
      }
      isUsed = true
      return document
    }
    try {
      const build = assemble(request.facts, { fresh, onStep })
      const hot: Hot = { made: request.made, build, document, bytes: 0 }
      this.#hot.set(request.key, hot)
      return this.#keep(request, hot, { changed: [...build.entries.keys()], onStep })
    } catch (error) {
      if (this.#hot.has(request.key)) this.#drop(request.key)
      else document.free()
      throw error
    }
  }

  /** What a document says now and its saved form. It stays ready. */
  #keep({ key, made }: UpdateRequest, { build, document }: Hot, { changed, onStep }: Kept): UpdateResult {
    // All of this grows with the document. Each part of it has its own time.
    const state: DocumentState = { made, ...build.state() }
    onStep?.()
    const sealed = sealState(state)
    onStep?.()
    const bytes = document.save()
    onStep?.()
    const saved = sealStored({ made, build: build.record(), bytes })
    onStep?.()
    this.#remember(key, { made, build, document, bytes: saved.length })
    const isChanged = new Set(changed)
    const entries = [...build.entries.values()].filter(({ id }) => isChanged.has(id))
    const standings = entries.map(({ id, status, counts }) => [id, { status, counts }] as const)
    return { kind: 'updated', state, sealed, saved, standings }
  }

  /** The document as it was when it was made of these facts, from memory or from what was saved. */
  #take(key: string, made: string, saved: Uint8Array | undefined): Hot | undefined {
    const hot = this.#hot.get(key)
    if (hot?.made === made) {
      this.#hot.delete(key)
      this.#hot.set(key, hot)
      return hot
    }
    if (saved === undefined) return undefined
    const stored = openStored(saved)
    if (stored.made !== made) return undefined
    const document = AutomergeDocument.open(stored.bytes)
    const found = { made, build: DocumentBuild.restore(document, stored.build), document, bytes: saved.length }
    this.#remember(key, found)
    return found
  }

  #remember(key: string, hot: Hot): void {
    const before = this.#hot.get(key)
    if (before?.document === hot.document) this.#forget(key)
    else this.#drop(key)
    this.#hot.set(key, hot)
    this.#bytes += hot.bytes
    for (const [oldest] of this.#hot) {
      if (this.#hot.size <= LIMITS.document.hot && this.#bytes <= LIMITS.document.hotBytes) return
      if (oldest !== key) this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    this.#hot.get(key)?.document.free()
    this.#forget(key)
  }

  #forget(key: string): void {
    this.#bytes -= this.#hot.get(key)?.bytes ?? 0
    this.#hot.delete(key)
  }
}
