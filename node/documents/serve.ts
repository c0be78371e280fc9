import { getHeapStatistics } from 'node:v8'
import type { MessagePort } from 'node:worker_threads'
import { isRegistryError, messageOf, RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { ComposeRequest, ComposeResult, UpdateRequest, UpdateResult } from '../../protocol/document/document.ts'
import type { DocumentAnswer, DocumentCall, SentUpdate, WorkerMessage } from './messages.ts'

/** What makes documents of facts, synchronously. */
export interface SyncEngine {
  /** Calls `onStep` between two steps of a long update. */
  update(request: UpdateRequest, onStep?: () => void): UpdateResult
  compose(request: ComposeRequest): ComposeResult
}

/** Answers the calls that arrive at a port, one after the other, for as long as the thread lives. */
export function serveDocuments(engine: SyncEngine, port: MessagePort | null): void {
  if (port === null) throw new RegistryError('INTERNAL', 'documents are served by a worker thread')
  const say = (message: WorkerMessage): void => port.postMessage(message)
  // Only the thread that started this one holds the other end.
  port.on('message', (call: DocumentCall) => say(reply(engine, call, stepper(say))))
  say({ kind: 'ready' })
}

function reply(engine: SyncEngine, call: DocumentCall, onStep: () => void): WorkerMessage {
  try {
    return { kind: 'answer', answer: answer(engine, call, onStep), memoryBytes: memoryBytes() }
  } catch (error) {
    // A panic of Automerge leaves its memory as it was in the middle of something.
    if (!isRegistryError(error) || error.code === 'INTERNAL') return { kind: 'broken', message: messageOf(error) }
    return { kind: 'refused', code: error.code, message: error.message, memoryBytes: memoryBytes() }
  }
}

function answer(engine: SyncEngine, call: DocumentCall, onStep: () => void): DocumentAnswer {
  switch (call.kind) {
    case 'update':
      return { kind: 'update', result: sent(engine.update(call.request, onStep)) }
    case 'compose':
      return { kind: 'compose', result: engine.compose(call.request) }
  }
}

function sent(result: UpdateResult): SentUpdate {
  if (result.kind !== 'updated') return result
  const { kind, sealed, saved, standings } = result
  return { kind, sealed, saved, standings }
}

/** Says that a call got further, though not for each of thousands of small steps. */
function stepper(say: (message: WorkerMessage) => void): () => void {
  let saidAt = performance.now()
  return () => {
    const now = performance.now()
    if (now - saidAt < LIMITS.document.stepMessageMs) return
    saidAt = now
    say({ kind: 'step' })
  }
}

/** V8 counts the memory of WebAssembly here, and in no limit of a worker. It never shrinks, whatever is freed in it. */
function memoryBytes(): number {
  return getHeapStatistics().external_memory
}
