import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { Documents } from '../../node/services/documents/documents.ts'
import { RegistryView } from '../../node/services/registry-view.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import type {
  ComposeRequest,
  ComposeResult,
  DocumentEngine,
  UpdateRequest,
  UpdateResult
} from '../../protocol/document/document.ts'
import { isFailedWrite } from './failures.ts'
import type { DocumentRecordsPart, GatePart, StorePart } from './parts.ts'

interface SimDocumentsInit {
  readonly registry: RegistryId
  readonly engine: DocumentEngine
  readonly records: DocumentRecordsPart
  readonly store: StorePart
  readonly gate: GatePart
  /** Runs later, unless the node has gone down by then. */
  readonly later: (label: string, run: () => Promise<void>) => void
  readonly note: (line: string) => void
}

/**
 * The documents of one running node. The worker takes its time: what it was asked in the background is answered by an event
 * of its own, so that facts come in and machines die meanwhile. Whoever asks in an event is answered in that event.
 */
export class SimDocuments {
  readonly documents: Documents
  readonly records: DocumentRecordsPart
  /** Its digest waits until the documents are up to date. */
  readonly view: RegistryView
  readonly #engine: SlowEngine
  readonly #registry: RegistryId

  constructor({ registry, engine, records, store, gate, later, note }: SimDocumentsInit) {
    this.#registry = registry
    this.records = records
    this.#engine = new SlowEngine(engine, release =>
      later('worker', async () => {
        release()
        await atRest()
      })
    )
    this.documents = new Documents({
      gate,
      records,
      engine: this.#engine,
      onFailed: (_, subject, error) => {
        if (this.#engine.isGone) return
        // Where a write fails the machine may have died of it, which whatever is attempted next finds out.
        later(`words of ${subject} failed`, async () => {
          if (!isFailedWrite(error)) throw error
        })
      },
      onChanged: (_, subject) => note(`has the words of ${subject}`)
    })
    this.view = new RegistryView(store, { states: of => records.states(of), settled: () => this.settled() })
  }

  /** What is stored, undefined where some of it is behind the facts. */
  async digest(): Promise<Uint8Array | undefined> {
    const { records } = this
    if ((await records.todo(this.#registry, 1)).length > 0) return undefined
    const hash = createHash('sha256')
    for await (const [subject, sealed] of records.states(this.#registry)) hash.update(subject).update(sealed)
    return hash.digest()
  }

  /** Does something that waits for the worker. */
  hurried<T>(run: (documents: Documents) => Promise<T>): Promise<T> {
    return this.#engine.hurried(() => run(this.documents))
  }

  settled(): Promise<void> {
    return this.hurried(documents => documents.settled(this.#registry))
  }

  /** The process is gone, and what its worker was asked is never answered. */
  async drop(): Promise<void> {
    await this.#engine.drop()
    void this.documents.close()
  }
}

/** Lets everything run that waits for nothing. */
async function atRest(): Promise<void> {
  await setImmediate()
  await setImmediate()
}

/** A worker that is slow, except while somebody waits for it. */
class SlowEngine implements DocumentEngine {
  readonly #engine: DocumentEngine
  readonly #onHeld: (release: () => void) => void
  readonly #held = new Set<() => void>()
  #waiting = 0
  isGone = false

  constructor(engine: DocumentEngine, onHeld: (release: () => void) => void) {
    this.#engine = engine
    this.#onHeld = onHeld
  }

  async update(request: UpdateRequest): Promise<UpdateResult> {
    await this.#turn()
    return this.#engine.update(request)
  }

  async compose(request: ComposeRequest): Promise<ComposeResult> {
    await this.#turn()
    return this.#engine.compose(request)
  }

  async hurried<T>(run: () => Promise<T>): Promise<T> {
    this.#waiting += 1
    try {
      for (const release of this.#held) release()
      return await run()
    } finally {
      this.#waiting -= 1
    }
  }

  async drop(): Promise<void> {
    this.isGone = true
    await this.#engine.close()
  }

  async close(): Promise<void> {
    await this.#engine.close()
  }

  async #turn(): Promise<void> {
    if (this.#waiting === 0 || this.isGone) await new Promise<void>(resolve => this.#hold(resolve))
  }

  #hold(resolve: () => void): void {
    if (this.isGone) return
    const release = (): void => {
      if (this.#held.delete(release) && !this.isGone) resolve()
    }
    this.#held.add(release)
    this.#onHeld(release)
  }
}
