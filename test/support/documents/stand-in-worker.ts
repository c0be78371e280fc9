import { parentPort } from 'node:worker_threads'
import { sealState } from '../../../protocol/document/saved.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import type { UpdateRequest, UpdateResult } from '../../../protocol/document/document.ts'
import { serveDocuments } from '../../../node/documents/serve.ts'
import { deedOf, flagsOf, type Deed } from './requests.ts'

/** What a worker for documents might do, by the key of the request. */
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
  steps: (_, onStep) => burn(400, onStep),
  refuse: () => {
    throw new RegistryError('LIMIT_EXCEEDED', 'too many edits')
  },
  fault: () => {
    throw new RegistryError('INTERNAL', 'this cannot be')
  },
  throw: () => {
    throw new TypeError('unreachable')
  },
  /** Once it is told that its answer arrived: an error may overtake it. */
  'crash later': request => {
    const { value } = Atomics.waitAsync(flagsOf(request), 1, 0)
    void Promise.resolve(value).then(() => {
      throw new TypeError('nobody catches this')
    })
  },
  exit: () => parentPort?.close()
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

function burn(ms: number, onStep: () => void = () => undefined): void {
  const until = burntMs() + ms
  while (burntMs() < until) onStep()
}

function burntMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

// As slow to load as the file is asked to be.
if (import.meta.url.endsWith('?slow')) burn(300)

serveDocuments(
  {
    update(request, onStep = () => undefined): UpdateResult {
      Atomics.store(flagsOf(request), 0, 1)
      DEEDS[deedOf(request)](request, onStep)
      const made = deedOf(request) === 'size' ? String(request.saved?.buffer.byteLength) : request.made
      const state = { made, epoch: null, heads: [], content: [] }
      return { kind: 'updated', state, sealed: sealState(state), saved: new Uint8Array([1]), standings: [] }
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
