import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WORKER_FILE, workerEngine } from '../../node/documents/worker-engine.ts'
import type { WorkerEngine } from '../../node/documents/worker-engine.ts'
import type { WorkerLimits } from '../../node/documents/thread-watch.ts'
import type { UpdateRequest } from '../../protocol/document/document.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { composeRequest, flagsOf, updateRequest } from '../support/documents/requests.ts'
import { run } from '../support/run.ts'
import { REPOSITORY } from '../support/shared.ts'
import { testClock, type TestClock } from '../support/test-clock.ts'

const STAND_IN = new URL('../support/documents/stand-in-worker.ts', import.meta.url)

/** Looks come as fast as this test can make them, so only what it is about may bound a worker. */
const PATIENT: WorkerLimits = { ...LIMITS.document, stepMs: 600_000, wallMs: 2 ** 31 }

let clock: TestClock
let engine: WorkerEngine

function open(limits: Partial<WorkerLimits> = {}, file = STAND_IN): WorkerEngine {
  engine = workerEngine({ file, limits: { ...PATIENT, ...limits } })({ clock })
  return engine
}

beforeEach(() => {
  clock = testClock()
  open()
})

afterEach(async () => {
  await engine.close()
  expect(clock.pending()).toBe(0)
})

/** Moves time on, look by look, until something is settled. */
async function moving<T>(promise: Promise<T>): Promise<T> {
  let settled = false
  const stop = () => void (settled = true)
  promise.then(stop, stop)
  while (!settled) await clock.advance(PATIENT.lookMs)
  return promise
}

/** The event loop goes round until something is so. */
async function until(so: () => boolean): Promise<void> {
  while (!so()) await nextTurn()
}

const begun = (request: UpdateRequest): Promise<void> => until(() => Atomics.load(flagsOf(request), 0) === 1)

function release(request: UpdateRequest): void {
  Atomics.store(flagsOf(request), 1, 1)
  Atomics.notify(flagsOf(request), 1)
}

describe('a worker for documents', () => {
  test('is not started before the first call', async () => {
    await nextTurn()
    expect(engine.stats()).toEqual({ running: false, starts: 0, waiting: 0, memoryBytes: 0 })
    await engine.close()
    expect(engine.stats().starts).toBe(0)
  })

  test('answers one call after the other, and those that a person waits for first', async () => {
    const first = updateRequest('wait', 'first')
    const order: string[] = []
    const noted = <T>(name: string, promise: Promise<T>): Promise<unknown> => promise.then(() => order.push(name))
    const all = [noted('first', engine.update(first))]
    await begun(first)
    for (const made of ['second', 'third']) all.push(noted(made, engine.update(updateRequest('answer', made))))
    for (const key of ['edit', 'other edit']) all.push(noted(key, engine.compose(composeRequest(key))))
    expect(engine.stats().waiting).toBe(4)
    release(first)
    await Promise.all(all)
    expect(order).toEqual(['first', 'edit', 'other edit', 'second', 'third'])
    expect(engine.stats()).toMatchObject({ starts: 1, waiting: 0, running: true })
  })

  test('is by default the one that makes documents with Automerge', async () => {
    open({}, WORKER_FILE)
    const request: UpdateRequest = { ...updateRequest('answer'), saved: undefined }
    await expect(engine.update(request)).resolves.toMatchObject({ kind: 'updated', state: { heads: [], content: [] } })
    expect(engine.stats().memoryBytes).toBeGreaterThan(1024 * 1024)
  })

  test('gives each caller the answer to its own question', async () => {
    const answers = await Promise.all([
      engine.update(updateRequest('answer', 'one')),
      engine.compose(composeRequest('two')),
      engine.update(updateRequest('answer', 'three'))
    ])
    expect(answers).toMatchObject([
      { kind: 'updated', state: { made: 'one' } },
      { kind: 'composed', change: new TextEncoder().encode('two') },
      { kind: 'updated', state: { made: 'three' } }
    ])
  })

  test('is not given the buffers that bytes happen to lie in', async () => {
    const saved = new Uint8Array(1_000).subarray(8, 16)
    const answer = await engine.update({ ...updateRequest('size'), saved })
    expect(answer).toMatchObject({ state: { made: '8' } })
  })

  test('leaves the main thread free while it works', async () => {
    const request = updateRequest('loop')
    let settled = false
    const refused = expect(engine.update(request).finally(() => (settled = true))).rejects.toThrow(RegistryError)
    await begun(request)
    for (let turn = 0; turn < 1_000; turn++) await nextTurn()
    expect(settled).toBe(false)
    await engine.close()
    await refused
  })

  test('is ended after a while without work, and started anew for the next call', async () => {
    await engine.update(updateRequest('answer'))
    await clock.advance(PATIENT.idleMs - 1)
    expect(engine.stats().running).toBe(true)
    await engine.compose(composeRequest('puts it off'))
    await clock.advance(PATIENT.idleMs - 1)
    expect(engine.stats()).toMatchObject({ running: true, starts: 1 })
    await clock.advance(1)
    expect(engine.stats().running).toBe(false)
    await engine.update(updateRequest('answer'))
    expect(engine.stats()).toMatchObject({ running: true, starts: 2 })
  })

  test('keeps a process alive while it works and no longer', async () => {
    const script = join(REPOSITORY, 'test', 'support', 'documents', 'idle-worker.ts')
    const result = await run(process.execPath, [script], { cwd: REPOSITORY, env: {} })
    expect(result).toEqual({ code: 0, stdout: 'updated true\n', stderr: '' })
  })

  test('holds a bounded number of waiting calls', async () => {
    open({ queue: 2 })
    const first = updateRequest('wait')
    const running = engine.update(first)
    await begun(first)
    const waiting = [engine.update(updateRequest('answer')), engine.compose(composeRequest('edit'))]
    await expect(engine.compose(composeRequest('one too many'))).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    release(first)
    await Promise.all([running, ...waiting])
  })
})

describe('what a worker cannot take', () => {
  /** The call that is too much fails, and what waits behind it is answered by the next worker. */
  async function onlyItFails(request: UpdateRequest): Promise<void> {
    const failing = engine.update(request)
    const behind = Promise.all([engine.update(updateRequest('answer', 'behind')), engine.compose(composeRequest('c'))])
    await expect(moving(failing)).rejects.toMatchObject({ code: 'DOCUMENT_FAILED', detail: { document: request.key } })
    await expect(moving(behind)).resolves.toMatchObject([{ state: { made: 'behind' } }, { kind: 'composed' }])
    expect(engine.stats()).toMatchObject({ running: true, waiting: 0 })
  }

  test('a request that never ends is ended, and only it fails', async () => {
    open({ stepMs: 50 })
    await engine.compose(composeRequest('before'))
    await onlyItFails(updateRequest('loop'))
    expect(engine.stats().starts).toBe(2)
  })

  test('a request that waits for ever is ended by the wall', async () => {
    open({ wallMs: 20_000 })
    await engine.compose(composeRequest('before'))
    const request = updateRequest('wait')
    const waiting = engine.update(request)
    const refused = expect(waiting).rejects.toMatchObject({ code: 'DOCUMENT_FAILED' })
    await begun(request)
    await clock.advance(20_000 - PATIENT.lookMs)
    expect(engine.stats().running).toBe(true)
    await clock.advance(2 * PATIENT.lookMs)
    await refused
  })

  test('a long request may take its time as long as it gets further', async () => {
    open({ stepMs: 200 })
    await expect(moving(engine.update(updateRequest('steps', 'long')))).resolves.toMatchObject({
      state: { made: 'long' }
    })
    expect(engine.stats().starts).toBe(1)
  })

  test('no call pays for what it takes to load the worker', async () => {
    open({ stepMs: 50 }, new URL('?slow', STAND_IN))
    await expect(moving(engine.update(updateRequest('answer')))).resolves.toMatchObject({ kind: 'updated' })
    expect(engine.stats().starts).toBe(1)
  })

  test('a heap that is used up', async () => {
    open({ heapMiB: 32 })
    await onlyItFails(updateRequest('heap'))
  })

  test.each(['buffers', 'wasm'] as const)('memory outside the heap: %s', async deed => {
    open({ memoryMaxBytes: 64 * 1024 * 1024 })
    await onlyItFails(updateRequest(deed))
  })

  test('memory of WebAssembly is given back after the answer, by the next worker', async () => {
    open({ memoryBytes: 32 * 1024 * 1024 })
    await engine.update(updateRequest('answer'))
    await expect(engine.update(updateRequest('keep', 'kept'))).resolves.toMatchObject({ state: { made: 'kept' } })
    await until(() => !engine.stats().running)
    await engine.update(updateRequest('answer'))
    expect(engine.stats().starts).toBe(2)
    expect(engine.stats().memoryBytes).toBeLessThan(32 * 1024 * 1024)
  })

  test.each(['throw', 'fault', 'exit'] as const)('a crash: %s', async deed => {
    await onlyItFails(updateRequest(deed))
    expect(engine.stats().starts).toBe(2)
  })

  test('a crash between two calls fails none', async () => {
    const request = updateRequest('crash later')
    await engine.update(request)
    release(request)
    await until(() => !engine.stats().running)
    await expect(engine.update(updateRequest('answer'))).resolves.toMatchObject({ kind: 'updated' })
  })

  test('a refusal is no crash', async () => {
    await expect(engine.update(updateRequest('refuse'))).rejects.toMatchObject({
      name: 'RegistryError',
      code: 'LIMIT_EXCEEDED',
      message: 'too many edits'
    })
    await engine.update(updateRequest('answer'))
    expect(engine.stats().starts).toBe(1)
  })

  test('a worker that cannot start fails one call for each start', async () => {
    open({}, new URL('no-such-worker.ts', STAND_IN))
    const calls = [engine.update(updateRequest('answer')), engine.compose(composeRequest('edit'))]
    for (const { status } of await Promise.allSettled(calls)) expect(status).toBe('rejected')
    expect(engine.stats()).toMatchObject({ running: false, starts: 2, waiting: 0 })
  })
})

describe('closing a worker', () => {
  test('ends what it does and rejects what waits', async () => {
    const request = updateRequest('loop')
    const calls = [
      engine.update(request),
      engine.update(updateRequest('answer')),
      engine.compose(composeRequest('edit'))
    ]
    const refused = Promise.all(calls.map(call => expect(call).rejects.toMatchObject({ code: 'CANCELLED' })))
    await begun(request)
    await engine.close()
    await refused
    expect(engine.stats()).toMatchObject({ running: false, starts: 1, waiting: 0 })
  })

  test('while it starts, twice, and then asking it', async () => {
    const call = engine.update(updateRequest('answer'))
    const refused = expect(call).rejects.toMatchObject({ code: 'CANCELLED' })
    await Promise.all([engine.close(), engine.close()])
    await refused
    await expect(engine.compose(composeRequest('late'))).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(engine.stats().running).toBe(false)
  })
})
