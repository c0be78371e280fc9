import { parentPort } from 'node:worker_threads'
import { RegistryError } from '../../../protocol/errors.ts'
import type { UpdateRequest, UpdateResult } from '../../../protocol/document/document.ts'
import { serveDocuments } from '../../../node/documents/serve.ts'
import { flagsOf, type Deed } from './requests.ts'

/** What a worker for documents might do, by the subject of the request. */
const DEEDS: Readonly<Record<Deed, (request: UpdateRequest, onStep: () => void) => void>> = {
  answer: () => undefined,
  /** Says how large the buffer behind the bytes is that it was given. */
  size: () => undefined,
  wait: request => void Atomics.wait(flagsOf(request), 1, 0),
  loop: forEver,
  heap: () => {
    const kept: number[][] = []
    for (;;) kept.push(Array.from({ length: 1_000 }, (_, index) => index + kept.length + 0.5))
  },
  buffers: () => {
    const kept: Uint8Array[] = []
    for (;;) kept.push(new Uint8Array(1024 * 1024).fill(kept.length))
  },
  wasm: () => {
    growWasm(256)
    forEver()
  },
  keep: () => growWasm(64),
  steps: (_, onStep) => {
    const until = burntMs() + 400
    while (burntMs() < until) onStep()
  },
  refuse: () => {
    throw new RegistryError('LIMIT_EXCEEDED', 'too many edits')
  },
  throw: () => {
    throw new TypeError('unreachable')
  },
  'crash later': () =>
    void setImmediate(() => {
      throw new TypeError('nobody catches this')
    }),
  exit: () => process.exit(3)
}

interface WasmMemory {
  grow(pages: number): number
}

/** A global of Node that its types leave to browsers. */
declare const WebAssembly: { readonly Memory: new (init: { readonly initial: number }) => WasmMemory }

const grown: WasmMemory[] = []

function growWasm(mebibytes: number): void {
  const memory = new WebAssembly.Memory({ initial: 1 })
  memory.grow(mebibytes * 16)
  grown.push(memory)
}

function forEver(): never {
  for (;;);
}

function burntMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

serveDocuments(
  {
    update(request, onStep = () => undefined): UpdateResult {
      Atomics.store(flagsOf(request), 0, 1)
      DEEDS[request.subject as Deed](request, onStep)
      const made = request.subject === 'size' ? String(request.saved?.buffer.byteLength) : request.made
      const state = { made, epoch: null, heads: [], content: [] }
      return { kind: 'updated', state, saved: new Uint8Array([1]), statuses: [] }
    },
    compose: request => ({
      kind: 'composed',
      epoch: null,
      after: [],
      edits: [],
      change: new TextEncoder().encode(request.key)
    })
  },
  parentPort
)
