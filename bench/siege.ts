import { readFile } from 'node:fs/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'
import { deserialize } from 'node:v8'
import type { Admission } from '../protocol/admission.ts'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import { messageOf } from '../protocol/errors.ts'
import type { Subject } from '../protocol/fact.ts'
import { openDocuments } from './documents-home.ts'
import type { OpenedDocuments } from './documents-home.ts'
import { admitAll } from './filled-home.ts'
import type { HostileFact } from './hostile-facts.ts'
import { watchResident } from './resident.ts'

export interface SiegeTask {
  readonly folder: string
  readonly registry: RegistryId
  /** The file of the siege. */
  readonly siege: string
}

export interface SiegeAnswer {
  readonly delayP99Ms: number
  readonly delayMaxMs: number
  /** What as many facts of honest people made the process grow by, from an idle node: V8 lets garbage lie before it grows no more. */
  readonly ordinaryMb: number
  /** What the attack made of it beyond that. */
  readonly growthMb: number
  /** Hostile facts that were looked at, and those that their sender is blamed for. */
  readonly sent: number
  readonly blamed: number
  readonly seconds: number
  /** Honest edits that are part of their documents, with what they say; and how long each took. */
  readonly honest: number
  readonly honestMs: readonly number[]
  /** What went otherwise than it should. */
  readonly wrong: readonly string[]
  /** How each kind of fact was answered, and what became of what was let in. */
  readonly answers: Readonly<Record<string, number>>
}

/** A key that is put by one fact and touched by no other. */
export interface HonestEdit {
  readonly bytes: Uint8Array
  readonly about: Subject
  readonly key: string
}

/** What an attack is made of, as it lies in a file. */
export interface Siege {
  readonly before: readonly Uint8Array[]
  readonly honest: readonly HonestEdit[]
  readonly hostile: readonly HostileFact[]
}

const HOSTILE_AT_ONCE = 64

/** A node with some documents, which peers write honestly while another peer sends all that it can think of. */
export async function withstand({ folder, registry, siege }: SiegeTask): Promise<SiegeAnswer> {
  const { before, honest, hostile } = deserialize(await readFile(siege)) as Siege
  const failures: string[] = []
  const onFailed = (about: Subject, error: unknown): unknown => failures.push(`${about} failed: ${messageOf(error)}`)
  const opened = await openDocuments(folder, registry, onFailed)
  const memory = await watchResident()
  await admitAll(opened.gate, registry, before)
  await opened.documents.settled(registry)
  const ordinaryMb = memory.growthMb()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const started = performance.now()
  const answers = new Map<string, number>()
  const count = (what: string): unknown => answers.set(what, (answers.get(what) ?? 0) + 1)
  const [attack, written] = await Promise.all([sendAll(opened, hostile, count), writeAll(opened, honest)])
  await opened.documents.settled(registry)
  const seconds = (performance.now() - started) / 1000
  delay.disable()
  const growthMb = memory.growthMb() - ordinaryMb
  memory.stop()
  const wrong = [
    ...failures,
    ...attack.wrong,
    ...(await wrongIn(opened, { honest: written, admitted: attack.admitted, count }))
  ]
  await opened.close()
  const { sent, blamed } = attack
  return {
    delayP99Ms: delay.percentile(99) / 1e6,
    delayMaxMs: delay.max / 1e6,
    ordinaryMb,
    growthMb,
    sent,
    blamed,
    seconds,
    wrong,
    honestMs: written.map(({ ms }) => ms),
    honest: written.length,
    answers: Object.fromEntries(answers)
  }
}

type Count = (what: string) => unknown

interface Admitted {
  readonly hostile: HostileFact
  readonly admission: Extract<Admission, { verdict: 'accept' }>
}

/** As fast as the gate answers: the next ones are sent when it has. */
async function sendAll({ gate, registry }: OpenedDocuments, hostile: readonly HostileFact[], count: Count) {
  const wrong: string[] = []
  const admitted: Admitted[] = []
  let blamed = 0
  for (let from = 0; from < hostile.length; from += HOSTILE_AT_ONCE) {
    const batch = hostile.slice(from, from + HOSTILE_AT_ONCE)
    const verdicts = await gate.admitMany(
      batch.map(({ bytes }) => bytes),
      { peer: 'mallory', registry }
    )
    for (const [i, one] of batch.entries()) {
      const admission = verdicts[i]
      if (admission === undefined) throw new Error('the gate owes a verdict')
      const { verdict } = admission
      count(`${one.kind}: ${verdict}`)
      if (verdict === 'reject') blamed++
      if (verdict === 'accept') admitted.push({ hostile: one, admission })
      if (!isExpected(one, verdict)) wrong.push(`${one.kind}: ${JSON.stringify(verdict)}`)
    }
  }
  return { sent: hostile.length, blamed, admitted, wrong }
}

function isExpected({ expected }: HostileFact, verdict: Admission['verdict']): boolean {
  switch (expected) {
    case 'reject':
      return verdict === 'reject'
    case 'kept':
      return verdict === 'accept'
    case 'waits':
      return verdict === 'pending' || verdict === 'ignore'
    case 'either':
      return verdict === 'reject' || verdict === 'accept'
  }
}

interface Written extends HonestEdit {
  readonly id: FactId
  readonly ms: number
}

async function writeAll(
  { gate, documents, registry }: OpenedDocuments,
  honest: readonly HonestEdit[]
): Promise<readonly Written[]> {
  const written: Written[] = []
  for (const edit of honest) {
    const started = performance.now()
    const admission = await gate.admit(edit.bytes, { peer: 'honest', registry })
    await documents.current(registry, edit.about)
    if (admission.verdict !== 'accept') throw new Error(`an honest edit was not accepted: ${JSON.stringify(admission)}`)
    written.push({ ...edit, id: admission.id, ms: performance.now() - started })
    await setImmediate()
  }
  return written
}

/** Every honest edit is there and says what it says; nothing that was let in is part of a document as its sender wrote it, unless that was in order. */
async function wrongIn(
  { documents, registry }: OpenedDocuments,
  {
    honest,
    admitted,
    count
  }: { readonly honest: readonly Written[]; readonly admitted: readonly Admitted[]; readonly count: Count }
): Promise<readonly string[]> {
  const wrong: string[] = []
  for (const { about, key, id } of honest) {
    const held = (await documents.current(registry, about))?.content.find(one => one.key === key)?.values ?? []
    const standing = (await documents.standings(registry, about)).get(id)
    if (standing?.status !== 'native' || !held.some(({ fact }) => fact === id))
      wrong.push(`an honest edit of ${about} became ${standing?.status}: ${key}`)
  }
  for (const { hostile, admission } of admitted) {
    const { fact } = admission
    const status = (await documents.standings(registry, fact.body.subject)).get(fact.id)?.status
    count(`${hostile.kind}: ${status ?? 'unknown'}`)
    if (hostile.status !== undefined && hostile.status !== status) wrong.push(`${hostile.kind} became ${status}`)
  }
  return wrong
}
