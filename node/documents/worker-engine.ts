import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type {
  ComposeRequest,
  ComposeResult,
  DocumentEngine,
  UpdateRequest,
  UpdateResult
} from '../../protocol/document/document.ts'
import { openState } from '../../protocol/document/saved.ts'
import type { Clock } from '../runtime/clock.ts'
import type { DocumentAnswer, DocumentCall, SentUpdate } from './messages.ts'
import type { WorkerLimits } from './thread-watch.ts'
import { DocumentThread } from './worker-thread.ts'

/** What the engine uses of the node. */
export interface WorkerEngineComponents {
  readonly clock: Clock
}

export interface WorkerEngineInit {
  /** The program of the worker: it calls `serveDocuments`. */
  readonly file?: URL
  readonly limits?: WorkerLimits
}

/** How the engine is doing: for metrics. */
export interface WorkerEngineStats {
  readonly running: boolean
  /** Workers started so far: more than a few say that documents fail. */
  readonly starts: number
  /** Calls that wait for their turn. */
  readonly waiting: number
  /** What the worker took outside its heap after its last call; 0 without a worker. */
  readonly memoryBytes: number
}

/** Documents made in a thread of their own, so that nothing that is in them can hold up or end the node. */
export interface WorkerEngine extends DocumentEngine {
  stats(): WorkerEngineStats
}

/** The program of the worker in the sources. The build replaces the name by that of the bundle's entry. */
export const WORKER_FILE: URL = new URL('./worker.ts', import.meta.url)

/** Starts nothing: the first call does, and loads Automerge where it cannot be in the way. */
export function workerEngine(init: WorkerEngineInit = {}): (components: WorkerEngineComponents) => WorkerEngine {
  const { file = WORKER_FILE, limits = LIMITS.document } = init
  return ({ clock }) => new ThreadedEngine({ clock, file, limits })
}

interface Waiting {
  readonly call: DocumentCall
  readonly resolve: (answer: DocumentAnswer) => void
  readonly reject: (error: unknown) => void
}

interface ThreadedInit {
  readonly clock: Clock
  readonly file: URL
  readonly limits: WorkerLimits
}

/**
 * One call at a time, first come, first served.
 *
 * Invariants:
 * 1. There is one thread at most, also while one ends and the next begins.
 * 2. A thread that breaks takes down the call it runs and no other, and each thread is started for a call:
 *    one that cannot even start fails one call a start, and never goes round in circles.
 */
class ThreadedEngine implements WorkerEngine {
  readonly #init: ThreadedInit
  /** A person waits for these. */
  readonly #composes: Waiting[] = []
  readonly #updates: Waiting[] = []
  #thread: DocumentThread | undefined
  #starts = 0
  #working: Promise<void> | undefined
  #rest = new AbortController()
  #closed = false

  constructor(init: ThreadedInit) {
    this.#init = init
  }

  async update(request: UpdateRequest): Promise<UpdateResult> {
    const answer = await this.#ask({ kind: 'update', request }, this.#updates)
    if (answer.kind !== 'update') throw mixedUp()
    return received(answer.result)
  }

  async compose(request: ComposeRequest): Promise<ComposeResult> {
    const answer = await this.#ask({ kind: 'compose', request }, this.#composes)
    if (answer.kind !== 'compose') throw mixedUp()
    return answer.result
  }

  stats(): WorkerEngineStats {
    const running = this.#thread?.ended === false
    return {
      running,
      starts: this.#starts,
      waiting: this.#composes.length + this.#updates.length,
      memoryBytes: running ? (this.#thread?.memoryBytes ?? 0) : 0
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#rest.abort()
    for (const { reject } of [...this.#composes.splice(0), ...this.#updates.splice(0)]) reject(closing())
    await this.#thread?.end(closing())
    await this.#working
  }

  #ask(call: DocumentCall, queue: Waiting[]): Promise<DocumentAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<DocumentAnswer>()
    if (this.#closed) reject(closing())
    else if (this.#composes.length + this.#updates.length >= this.#init.limits.queue) {
      const detail = { waiting: this.#init.limits.queue }
      reject(new RegistryError('LIMIT_EXCEEDED', 'too many documents wait to be made', { detail }))
    } else {
      queue.push({ call, resolve, reject })
      this.#rest.abort()
      this.#working ??= this.#work()
    }
    return promise
  }

  async #work(): Promise<void> {
    for (let next = this.#next(); next !== undefined; next = this.#next()) await this.#run(next)
    this.#working = undefined
    if (!this.#closed && this.#thread?.ended === false) this.#restLater()
  }

  #next(): Waiting | undefined {
    return this.#composes.shift() ?? this.#updates.shift()
  }

  async #run({ call, resolve, reject }: Waiting): Promise<void> {
    try {
      if (this.#thread?.ended === true) {
        await this.#thread.gone
        this.#thread = undefined
      }
      // Closed while the last thread ended. From here to the call nothing else has a turn.
      if (this.#closed) throw closing()
      this.#thread ??= this.#start()
      resolve(await this.#thread.run(call))
    } catch (error) {
      reject(error)
    }
    // Memory of WebAssembly grows and never shrinks: the only way to get it back is a new thread.
    const thread = this.#thread
    if (thread !== undefined && thread.memoryBytes > this.#init.limits.memoryBytes) await thread.end(closing())
  }

  #start(): DocumentThread {
    this.#starts += 1
    return new DocumentThread(this.#init)
  }

  #restLater(): void {
    const { clock, limits } = this.#init
    this.#rest = new AbortController()
    const { signal } = this.#rest
    // A repeating task, because those do not keep the process alive.
    const end = async (): Promise<void> => {
      this.#rest.abort()
      await this.#thread?.end(closing())
    }
    clock.every(limits.idleMs, end, signal)
  }
}

function closing(): RegistryError {
  return new RegistryError('CANCELLED', 'documents are not made any more: the node is stopping')
}

/** What the document says is read when somebody looks. */
function received(result: SentUpdate): UpdateResult {
  if (result.kind !== 'updated') return result
  return {
    ...result,
    get state() {
      return openState(result.sealed)
    }
  }
}

function mixedUp(): RegistryError {
  return new RegistryError('INTERNAL', 'the worker for documents answered another question')
}
