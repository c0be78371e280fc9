import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { serialize } from 'node:v8'
import { LIMITS } from '../protocol/limits.ts'
import { DocumentCorpus, put } from './document-corpus.ts'
import type { ChildTasks, EditRounds, TimesAnswer } from './documents-child.ts'
import { DOCUMENTS, documentsHome } from './documents-home.ts'
import { HostileFacts } from './hostile-facts.ts'
import type { HostileFact } from './hostile-facts.ts'
import { below, informative, quantile, type Figure } from './report.ts'
import type { HonestEdit, Siege, SiegeAnswer } from './siege.ts'
import type { Workbench } from './workbench.ts'
import { at } from './writer.ts'

const EDITS_EACH = 8
const LOADS = 2_000
const ORDINARY = 1_000
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
  if (workbench.wants('documents/load')) yield* load(workbench)
  if (workbench.wants('documents/memory')) yield await memory(workbench)
  // After what reads the documents as they were made.
  if (workbench.wants('documents/edit')) yield* edit(workbench)
  if (workbench.wants('documents/hostile')) yield* hostile(workbench)
}

/** What a document says and a change on top of it, of documents that are only on the disk. */
async function* load(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const { folder, registry } = await documentsHome(workbench)
  const answer = await inChild(workbench, 'load', { folder, registry, documents: LOADS })
  const input = `${LOADS} of ${DOCUMENTS} documents, each for the first time`
  yield* timed({ bench: 'documents/load', limit: 20, input }, answer)
}

/** What a node takes more with as many documents ready to be shown and to be changed as are kept so, its worker included. */
async function memory(workbench: Workbench): Promise<Figure> {
  const { folder, registry } = await documentsHome(workbench)
  const documents = LIMITS.document.hot
  const { growthMb, outsideMb } = await inChild(workbench, 'memory', { folder, registry, documents })
  const input = `${documents} documents; of the worker outside its heap ${outsideMb.toFixed(1)} MB`
  return below({ bench: 'documents/memory', value: growthMb, unit: 'MB', input }, 256)
}

/** From an edit that a peer signed to the document stored with it, over 500 documents that are at hand. */
async function* edit(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const { folder, registry, written } = await documentsHome(workbench)
  const rounds: EditRounds = Array.from({ length: EDITS_EACH + 1 }, () =>
    written.map(document => ({ about: document.about, bytes: document.next() }))
  )
  const edits = join(await workbench.tempDir(), 'edits')
  await writeFile(edits, serialize(rounds))
  const answer = await inChild(workbench, 'edit', { folder, registry, edits })
  const gate = [0.5, 0.99].map(share => quantile(answer.gateMs, share).toFixed(1)).join(' and ')
  const input = `${answer.ms.length} edits of ${written.length} of ${DOCUMENTS} documents; at the gate p50 and p99 ${gate} ms`
  yield* timed({ bench: 'documents/edit', limit: 10, input }, answer)
}

interface TimedInit {
  readonly bench: string
  readonly limit: number
  readonly input: string
}

function* timed({ bench, limit, input }: TimedInit, { ms, cpuMs }: TimesAnswer): Generator<Figure, void, void> {
  yield informative({ bench: `${bench}-p50`, value: quantile(ms, 0.5), unit: 'ms', input })
  // Processor time of all threads: what of the figure below is not for want of a processor.
  yield informative({ bench: `${bench}-cpu`, value: quantile(cpuMs, 0.99), unit: 'ms', input })
  yield below({ bench, value: quantile(ms, 0.99), unit: 'ms', input }, limit)
}

/**
 * One peer sends what it can think of as fast as the gate takes it, while people go on editing the documents it aims at. Then
 * one who may edit fills a document to its bound, which is no offence and costs most.
 */
async function* hostile(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const { attack, stuffing, ...siege } = prepareSiege()
  const withstand = async (sent: readonly HostileFact[]): Promise<SiegeAnswer> => {
    const folder = await workbench.tempDir()
    const file = join(folder, 'siege')
    await writeFile(file, serialize({ ...siege, hostile: sent } satisfies Siege))
    const store = join(folder, 'store')
    const answer = await inChild(workbench, 'hostile', { folder: store, registry: siege.registry, siege: file })
    const { wrong } = answer
    if (wrong.length > 0) throw new Error(`${wrong.length} went wrong: ${wrong.slice(0, 10).join('; ')}`)
    return answer
  }
  const under = await withstand(attack)
  yield below({ bench: 'documents/hostile', value: under.delayP99Ms, unit: 'ms', input: courseOf(under) }, 50)
  yield below({ bench: 'documents/hostile-mb', value: under.growthMb, unit: 'MB', input: growthOf(under) }, 64)
  const blamed = { bench: 'documents/hostile-blamed', value: under.blamed, unit: 'facts' }
  yield informative({
    ...blamed,
    input: Object.entries(under.answers)
      .map(entry => entry.join(' '))
      .join(', ')
  })
  const ms = quantile(under.honestMs, 0.99)
  yield informative({ bench: 'documents/hostile-edit', value: ms, unit: 'ms', input: courseOf(under) })
  const filled = await withstand(stuffing)
  yield informative({ bench: 'documents/full', value: filled.delayP99Ms, unit: 'ms', input: courseOf(filled) })
  yield informative({ bench: 'documents/full-mb', value: filled.growthMb, unit: 'MB', input: growthOf(filled) })
}

function prepareSiege() {
  const corpus = new DocumentCorpus()
  const all = Array.from({ length: ORDINARY }, (_, index) => corpus.write(index))
  const before = [...corpus.founding, ...all.flatMap(({ facts }) => facts)]
  const documents = all.map(({ document }) => document)
  // What is stuffed is beyond them: who writes there follows what was stuffed into it.
  const written = documents.slice(0, WRITTEN)
  const honest = Array.from({ length: HONEST_EDITS }, (_, i): HonestEdit => {
    const document = at(written, i)
    const path = `keywords/honest-${i}`
    return { bytes: document.edit(at(document.people, i), [put(path)]), about: document.about, key: path }
  })
  const facts = new HostileFacts(corpus, documents.slice(0, VICTIMS))
  const [attack, stuffing] = [facts.attack(), facts.stuffing()]
  facts.free()
  for (const document of documents) document.free()
  return { registry: corpus.registry, before, honest, attack, stuffing }
}

function courseOf({ sent, seconds, honest, delayMaxMs }: SiegeAnswer): string {
  return `${sent} facts in ${seconds.toFixed(1)} s beside ${honest} honest edits; longest delay ${delayMaxMs.toFixed()} ms`
}

function growthOf({ ordinaryMb }: SiegeAnswer): string {
  return `beyond the ${ordinaryMb.toFixed()} MB by which ${ORDINARY} documents of honest people made an idle node grow`
}

async function inChild<K extends keyof ChildTasks>(
  workbench: Workbench,
  kind: K,
  task: ChildTasks[K]['task']
): Promise<ChildTasks[K]['answer']> {
  const child = workbench.fork(join(import.meta.dirname, 'documents-child.ts'))
  const answers = once(child, 'message') as Promise<[ChildTasks[K]['answer']]>
  const gone = once(child, 'close')
  child.send({ kind, ...task })
  const first = await Promise.race([answers, gone.then(() => undefined)])
  await gone
  if (first === undefined) throw new Error('the process that measures ended early')
  return first[0]
}
