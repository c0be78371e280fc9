import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { serialize } from 'node:v8'
import type { Subject } from '../protocol/fact.ts'
import { DocumentCorpus, put } from './document-corpus.ts'
import type { ChildTask, HonestEdit, MemoryAnswer, SiegeAnswer } from './documents-child.ts'
import { HostileFacts } from './hostile-facts.ts'
import { at } from './writer.ts'
import type { WrittenDocument } from './document-corpus.ts'
import { nameAt } from './corpus.ts'
import { DOCUMENTS, documentsHome, openDocuments } from './documents-home.ts'
import type { OpenedDocuments } from './documents-home.ts'
import { LIMITS } from '../protocol/limits.ts'
import { below, informative, quantile, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'
import { subject, person } from '../test/support/facts.ts'

const EDITS_EACH = 8
const LOADS = 2_000
const WARM_UPS = 50
const VICTIMS = 200
const WRITTEN = 50
const HONEST_EDITS = 1_000

/** What the words about packages cost. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (workbench.wants('documents/rebuild')) {
    const { rebuildMs, facts } = await documentsHome(workbench)
    const input = `${DOCUMENTS} documents, ${facts} facts`
    yield below({ bench: 'documents/rebuild', value: rebuildMs / 1000, unit: 's', input }, 60)
  }
  // Before anything is edited, and each document once.
  if (workbench.wants('documents/load')) yield* load(workbench)
  if (workbench.wants('documents/memory')) yield* memory(workbench)
  if (workbench.wants('documents/edit')) yield* edit(workbench)
  if (workbench.wants('documents/hostile')) yield* hostile(workbench)
}

/**
 * From an edit that a peer signed to the document stored with it, over 500 documents that are at hand in the worker and
 * in memory, one edit after the other. Each is durable before the clock stops.
 */
async function* edit(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const { folder, registry, written } = await documentsHome(workbench)
  const opened = await openDocuments(folder, registry)
  const rounds = Array.from({ length: EDITS_EACH + 1 }, () =>
    written.map(document => ({ document, ...document.next() }))
  )
  const times: number[] = []
  const admitTimes: number[] = []
  for (const [round, edits] of rounds.entries()) {
    for (const { document, bytes } of edits) {
      const started = performance.now()
      const { verdict } = await opened.gate.admit(bytes, { peer: 'bench', registry })
      const admitted = performance.now()
      await opened.documents.current(registry, document.about)
      const ended = performance.now()
      if (verdict !== 'accept') throw new Error(`an edit was not accepted: ${verdict}`)
      // The first round makes them ready.
      if (round === 0) continue
      times.push(ended - started)
      admitTimes.push(admitted - started)
    }
  }
  for (const edits of rounds) for (const one of edits) await assertSaid(opened, one.document)
  await opened.close()
  const admitted = `at the gate ${quantile(admitTimes, 0.5).toFixed(2)} and ${quantile(admitTimes, 0.99).toFixed(2)}`
  const input = `${times.length} edits of ${written.length} documents; p50 and p99 ${admitted}`
  yield informative({ bench: 'documents/edit-p50', value: quantile(times, 0.5), unit: 'ms', input })
  yield below({ bench: 'documents/edit', value: quantile(times, 0.99), unit: 'ms', input }, 10)
}

async function assertSaid({ documents, registry }: OpenedDocuments, { about }: WrittenDocument): Promise<void> {
  const standings = await documents.standings(registry, about)
  for (const { status } of standings.values())
    if (status !== 'native') throw new Error(`an edit of the corpus became ${status}`)
}

/**
 * What a document says and a change on top of it, of documents that nothing holds: not the worker, not the service, and
 * not the gate, which has not read their facts. The worker runs and the files were read by nobody since the store was opened.
 */
async function* load(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const { folder, registry } = await documentsHome(workbench)
  const opened = await openDocuments(folder, registry)
  const author = person('bench load')
  const times: number[] = []
  for (let visit = 0; visit < LOADS + WARM_UPS; visit++) {
    // In no order that the files have; 7 and 10,000 have no divisor in common.
    const about = subject(nameAt((visit * 4_567) % DOCUMENTS)) as Subject
    const started = performance.now()
    const state = await opened.documents.current(registry, about)
    const edits = [put('title', `Said on visit ${visit}`)]
    const { change } = await opened.documents.compose({
      registry,
      subject: about,
      author: author.did,
      chain: author.chain,
      edits
    })
    if (visit >= WARM_UPS) times.push(performance.now() - started)
    if (state === undefined || change === undefined) throw new Error('there is no such document')
  }
  await opened.close()
  const input = `${LOADS} of ${DOCUMENTS} documents, each for the first time`
  yield informative({ bench: 'documents/load-p50', value: quantile(times, 0.5), unit: 'ms', input })
  yield below({ bench: 'documents/load', value: quantile(times, 0.99), unit: 'ms', input }, 20)
}

/** What a node takes more with 1,000 documents ready to be shown and to be changed, its worker included. */
async function* memory(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const { folder, registry } = await documentsHome(workbench)
  const documents = LIMITS.document.hot
  const { growthMb, outsideMb } = await inChild<MemoryAnswer>(workbench, {
    kind: 'memory',
    folder,
    registry,
    documents
  })
  const input = `${documents} documents; of the worker outside its heap ${outsideMb.toFixed(1)} MB`
  yield below({ bench: 'documents/memory', value: growthMb, unit: 'MB', input }, 256)
}

/** One peer sends what it can think of as fast as the gate takes it, while people go on editing the documents it aims at. */
async function* hostile(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const corpus = new DocumentCorpus()
  const { registry } = corpus
  const victims = Array.from({ length: VICTIMS }, (_, index) => corpus.write(index))
  const before = [...corpus.founding, ...victims.flatMap(({ facts }) => facts)]
  const documents = victims.map(({ document }) => document)
  // What is stuffed is beyond them: who writes there follows what was stuffed into it.
  const written = documents.slice(0, WRITTEN)
  const honest = Array.from({ length: HONEST_EDITS }, (_, i): HonestEdit => {
    const document = at(written, i)
    const path = `keywords/honest-${i}`
    return { bytes: document.edit(at(document.people, i), [put(path)]), about: document.about, key: path }
  })
  const facts = new HostileFacts(corpus, documents).all()
  const folder = await workbench.tempDir()
  const siege = join(folder, 'siege')
  await writeFile(siege, serialize({ before, honest, hostile: facts }))
  for (const document of documents) document.free()
  const task = { kind: 'hostile', folder: join(folder, 'store'), registry, siege } as const
  const answer = await inChild<SiegeAnswer>(workbench, task)
  if (answer.wrong.length > 0)
    throw new Error(`${answer.wrong.length} went wrong: ${answer.wrong.slice(0, 10).join('; ')}`)
  yield* told(answer)
}

function* told(answer: SiegeAnswer): Generator<Figure, void, void> {
  const { delayP99Ms, delayMaxMs, growthMb, sent, blamed, seconds, honest, honestMs, answers } = answer
  if (process.env['BENCH_VERBOSE'] !== undefined) console.error(answers)
  const input = `${sent} facts in ${seconds.toFixed(1)} s beside ${honest} honest edits; longest delay ${delayMaxMs.toFixed()} ms`
  yield below({ bench: 'documents/hostile', value: delayP99Ms, unit: 'ms', input }, 50)
  yield below({ bench: 'documents/hostile-mb', value: growthMb, unit: 'MB', input }, 64)
  yield informative({ bench: 'documents/hostile-blamed', value: blamed, unit: 'facts', input })
  yield informative({ bench: 'documents/hostile-edit', value: quantile(honestMs, 0.99), unit: 'ms', input })
}

async function inChild<T>(workbench: Workbench, task: ChildTask): Promise<T> {
  const child = workbench.fork(join(import.meta.dirname, 'documents-child.ts'))
  child.send(task)
  const gone = once(child, 'close').then(() => {
    throw new Error('the process that measures ended early')
  })
  const [answer] = (await Promise.race([once(child, 'message'), gone])) as [T]
  await gone.catch(() => undefined)
  return answer
}
