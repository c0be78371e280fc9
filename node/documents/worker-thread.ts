import { Worker } from 'node:worker_threads'
import type { ResourceLimits } from 'node:worker_threads'
import { messageOf, RegistryError } from '../../protocol/errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { DocumentAnswer, DocumentCall, WorkerMessage } from './messages.ts'
import { watchThread, type WorkerLimits } from './thread-watch.ts'

export interface ThreadInit {
  readonly clock: Clock
  readonly file: URL
  readonly limits: WorkerLimits
}

interface Running {
  readonly call: DocumentCall
  readonly done: AbortController
  readonly resolve: (answer: DocumentAnswer) => void
  readonly reject: (error: RegistryError) => void
}

/** One life of a worker. It runs one call at a time and ends with the first that it cannot take. */
export class DocumentThread {
  /** Fulfilled when nothing of it runs any more. */
  readonly gone: Promise<void>
  readonly #worker: Worker
  readonly #init: ThreadInit
  #running: Running | undefined
  #ready = false
  #step = 0
  #memoryBytes = 0
  #ended = false

  constructor(init: ThreadInit) {
    this.#init = init
    const worker = new Worker(init.file, {
      resourceLimits: heapLimits(init.limits),
      // Nothing of ours is for it: no secrets, no flags, and no way to write into the answer of a command.
      env: {},
      argv: [],
      execArgv: [],
      // Nobody reads these: a stream that is read keeps the process alive, and what little is said in a panic ends with the thread.
      stdout: true,
      stderr: true
    })
    worker.unref()
    this.#worker = worker
    worker.on('message', (message: WorkerMessage) => this.#hear(message))
    worker.on('messageerror', error => this.#break(messageOf(error), error))
    worker.on('error', error => this.#break(messageOf(error), error))
    this.gone = new Promise(resolve => {
      worker.on('exit', () => {
        this.#break('the worker ended by itself')
        resolve()
      })
    })
  }

  /** Whether it takes no further call. */
  get ended(): boolean {
    return this.#ended
  }

  /** What its WebAssembly and buffers took after the last call. */
  get memoryBytes(): number {
    return this.#memoryBytes
  }

  /**
   * Runs a call. The process stays alive until it is done.
   * @throws RegistryError DOCUMENT_FAILED when the thread did not survive it
   */
  run(call: DocumentCall): Promise<DocumentAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<DocumentAnswer>()
    if (this.#ended || this.#running !== undefined) {
      reject(new RegistryError('INTERNAL', 'a worker for documents is asked out of turn'))
      return promise
    }
    const done = new AbortController()
    this.#running = { call, done, resolve, reject }
    this.#worker.ref()
    if (this.#ready) this.#send()
    const { clock, limits } = this.#init
    watchThread({
      worker: this.#worker,
      clock,
      limits,
      isLoaded: () => this.#ready,
      step: () => this.#step,
      onOverrun: overrun => this.#break(`it takes too much ${overrun}`),
      signal: done.signal
    })
    return promise
  }

  /** Ends the thread in the middle of whatever it does; a call that it runs is rejected with the reason. */
  async end(reason: RegistryError): Promise<void> {
    this.#ended = true
    this.#settle(running => running.reject(reason))
    await this.#worker.terminate()
    await this.gone
  }

  #hear(message: WorkerMessage): void {
    if (this.#ended) return
    this.#step += 1
    switch (message.kind) {
      case 'ready':
        this.#ready = true
        return this.#send()
      case 'step':
        return
      case 'answer':
        this.#memoryBytes = message.memoryBytes
        return this.#settle(running => running.resolve(message.answer))
      case 'refused': {
        this.#memoryBytes = message.memoryBytes
        const { code, message: words } = message
        return this.#settle(running => running.reject(new RegistryError(code, words)))
      }
      case 'broken':
        return this.#break(message.message)
    }
  }

  #send(): void {
    if (this.#running === undefined) return
    try {
      this.#worker.postMessage(ownBytes(this.#running.call))
    } catch (cause) {
      // Thrown here it would end the process: this may be called by an event.
      this.#settle(({ reject }) => reject(new RegistryError('INTERNAL', 'a call cannot cross to a worker', { cause })))
    }
  }

  /** The thread is of no further use. What it runs takes the blame. */
  #break(words: string, cause?: unknown): void {
    if (this.#ended) return
    this.#settle(({ call, reject }) => {
      const detail = { document: call.request.key }
      reject(new RegistryError('DOCUMENT_FAILED', `the document could not be made: ${words}`, { cause, detail }))
    })
    this.#ended = true
    void this.#worker.terminate()
  }

  #settle(how: (running: Running) => void): void {
    const running = this.#running
    this.#running = undefined
    if (running === undefined) return
    running.done.abort()
    this.#worker.unref()
    how(running)
  }
}

/** V8 counts what is new apart from what is old. Together they are the heap. */
function heapLimits({ heapMiB, heapMaxMiB }: WorkerLimits): ResourceLimits {
  const young = Math.ceil(heapMiB / 8)
  return { maxYoungGenerationSizeMb: young, maxOldGenerationSizeMb: heapMaxMiB - young }
}

/**
 * A call whose bytes lie in buffers of their own. A clone of a view copies the whole buffer behind it.
 */
function ownBytes(call: DocumentCall): DocumentCall {
  if (call.kind === 'compose') return { kind: 'compose', request: { ...call.request, saved: own(call.request.saved) } }
  return { kind: 'update', request: { ...call.request, saved: own(call.request.saved) } }
}

function own<T extends Uint8Array | undefined>(bytes: T): T | Uint8Array {
  return bytes === undefined || bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes)
}
