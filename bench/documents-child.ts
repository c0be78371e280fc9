import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { deserialize } from 'node:v8'
import type { RegistryId } from '../protocol/cid.ts'
import type { Subject } from '../protocol/fact.ts'
import { person, subject } from '../test/support/facts.ts'
import { nameAt } from './corpus.ts'
import { put } from './document-corpus.ts'
import { DOCUMENTS, openDocuments } from './documents-home.ts'
import type { OpenedDocuments } from './documents-home.ts'
import { watchResident } from './resident.ts'
import { withstand } from './siege.ts'
import type { SiegeAnswer, SiegeTask } from './siege.ts'

/** What a process of its own is asked to measure: memory is that of a process, and so are the pauses in which garbage is collected. */
export interface ChildTasks {
  memory: { task: Stored & { readonly documents: number }; answer: MemoryAnswer }
  load: { task: Stored & { readonly documents: number }; answer: TimesAnswer }
  /** `edits` is a file. */
  edit: { task: Stored & { readonly edits: string }; answer: TimesAnswer & { readonly gateMs: readonly number[] } }
  hostile: { task: SiegeTask; answer: SiegeAnswer }
}

export type ChildTask = {
  readonly [K in keyof ChildTasks]: { readonly kind: K } & ChildTasks[K]['task']
}[keyof ChildTasks]

interface Stored {
  readonly folder: string
  readonly registry: RegistryId
}

export interface MemoryAnswer {
  readonly growthMb: number
  /** Of the worker outside its heap. */
  readonly outsideMb: number
}

export interface TimesAnswer {
  readonly ms: readonly number[]
  /** What all threads took meanwhile, the collection of garbage included: on a busy machine it says more than the time does. */
  readonly cpuMs: readonly number[]
}

/** Rounds over the same documents; the first makes them ready and is not counted. */
export type EditRounds = readonly (readonly { readonly about: Subject; readonly bytes: Uint8Array }[])[]

const WARM_UPS = 50
const SETTLE_MS = 2_000

process.once('message', (task: ChildTask) => {
  void measure(task).then(
    answer => process.send?.(answer, () => process.disconnect()),
    error => {
      console.error(error)
      process.exit(1)
    }
  )
})

function measure(task: ChildTask): Promise<ChildTasks[keyof ChildTasks]['answer']> {
  switch (task.kind) {
    case 'memory':
      return memory(task)
    case 'load':
      return load(task)
    case 'edit':
      return edit(task)
    case 'hostile':
      return withstand(task)
  }
}

async function memory({ folder, registry, documents }: ChildTasks['memory']['task']): Promise<MemoryAnswer> {
  const opened = await openDocuments(folder, registry)
  const resident = await watchResident()
  // What is only shown is not made ready to be changed.
  for (let index = 0; index < documents; index++) await visit(opened, subject(nameAt(index)))
  await pause(SETTLE_MS)
  const growthMb = resident.growthMb()
  resident.stop()
  const outsideMb = opened.engine.stats().memoryBytes / 2 ** 20
  await opened.close()
  return { growthMb, outsideMb }
}

/**
 * Documents that nothing holds: not the worker, not the service, and not the gate, which has not read their facts. The worker
 * runs, and nobody read these records since the store was opened.
 */
async function load({ folder, registry, documents }: ChildTasks['load']['task']): Promise<TimesAnswer> {
  const opened = await openDocuments(folder, registry)
  const times = stopwatch()
  for (let turn = 0; turn < documents + WARM_UPS; turn++) {
    // In no order that the files have, and none twice: the two numbers have no divisor in common.
    const about = subject(nameAt((turn * 4_567) % DOCUMENTS))
    await times.time(() => visit(opened, about), turn >= WARM_UPS)
  }
  await opened.close()
  return times.answer
}

/** What a document says, and a change on top of it. */
async function visit({ documents, registry }: OpenedDocuments, about: Subject): Promise<void> {
  const { did: author, chain } = VISITOR
  const state = await documents.current(registry, about)
  const edits = [put('title', `As a visitor would say it`)]
  const { change } = await documents.compose({ registry, subject: about, author, chain, edits })
  if (state === undefined || change === undefined) throw new Error(`there is no document of ${about}`)
}

const VISITOR = person('bench visitor')

/** From an edit that a peer signed to the document stored with it, one after the other. */
async function edit({ folder, registry, edits }: ChildTasks['edit']['task']): Promise<ChildTasks['edit']['answer']> {
  const rounds = deserialize(await readFile(edits)) as EditRounds
  const opened = await openDocuments(folder, registry)
  const { gate, documents } = opened
  const times = stopwatch()
  const gateMs: number[] = []
  for (const [round, all] of rounds.entries())
    for (const { about, bytes } of all) {
      await times.time(async () => {
        const started = performance.now()
        const { verdict } = await gate.admit(bytes, { peer: 'bench', registry })
        if (round > 0) gateMs.push(performance.now() - started)
        await documents.current(registry, about)
        if (verdict !== 'accept') throw new Error(`an edit was not accepted: ${verdict}`)
      }, round > 0)
    }
  for (const { about } of rounds[0] ?? [])
    for (const { status } of (await documents.standings(registry, about)).values())
      if (status !== 'native') throw new Error(`an edit of the corpus became ${status}`)
  await opened.close()
  return { ...times.answer, gateMs }
}

function stopwatch() {
  const ms: number[] = []
  const cpuMs: number[] = []
  const time = async (work: () => Promise<void>, isCounted: boolean): Promise<void> => {
    const cpu = process.cpuUsage()
    const started = performance.now()
    await work()
    if (!isCounted) return
    ms.push(performance.now() - started)
    const { user, system } = process.cpuUsage(cpu)
    cpuMs.push((user + system) / 1000)
  }
  return { time, answer: { ms, cpuMs } }
}
