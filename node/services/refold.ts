import { setImmediate } from 'node:timers/promises'
import { foldAuthority } from '../../protocol/authority.ts'
import type { Authority } from '../../protocol/authority.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import type { Subject } from '../../protocol/fact.ts'
import { foldPackage } from '../../protocol/fold.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { namedKeys } from '../../protocol/payload.ts'
import { encodeAuthorityRow, encodePackageRow, sealRow } from '../../protocol/view-row.ts'
import type { Draft } from './draft.ts'
import type { FactReader, RegistryState } from './registry-state.ts'

interface FactWrite {
  readonly id: FactId
  readonly subject: Subject
  readonly author: Principal
  readonly time: number
  readonly bytes: Uint8Array
  readonly names: readonly Principal[]
}

interface ViewBatch {
  readonly registry: RegistryId
  readonly facts: readonly FactWrite[]
  readonly rows: readonly (readonly [Subject, Uint8Array])[]
  readonly aside: readonly (readonly [Subject, boolean])[]
  readonly named: readonly Principal[]
  readonly stale?: boolean
}

/** What folding needs of the store. */
export interface ViewStore extends FactReader {
  commit(batch: ViewBatch, options: { readonly sync: boolean }): Promise<void>
  asideSubjects(registry: RegistryId): Promise<readonly Subject[]>
  subjects(registry: RegistryId): AsyncIterable<Subject>
  isStale(registry: RegistryId): Promise<boolean>
}

/** Rows that wait to be written together. */
class RowBatch {
  readonly rows: (readonly [Subject, Uint8Array])[] = []
  readonly aside: (readonly [Subject, boolean])[] = []
  readonly named = new Set<Principal>()
  #bytes = 0

  /** A row has at most a few MiB (`LIMITS.view`), so one more than the bound still fits into a write. */
  get isFull(): boolean {
    const { rowBytesPerWrite, factsPerWrite, keysPerWrite } = LIMITS.admission
    return this.#bytes >= rowBytesPerWrite || this.rows.length >= factsPerWrite || this.named.size >= keysPerWrite
  }

  addAuthority(authority: Authority | undefined): void {
    if (authority !== undefined) this.#add('registry', sealRow(encodeAuthorityRow(authority)))
  }

  addPackage(subject: Subject, facts: readonly VerifiedFact[], authority: Authority | undefined): void {
    if (subject === 'registry' || authority === undefined) return
    const view = foldPackage(subject, authority, facts)
    this.#add(subject, sealRow(encodePackageRow(view)))
    this.aside.push([subject, view.setAside.length > 0])
  }

  #add(subject: Subject, row: Uint8Array): void {
    this.rows.push([subject, row])
    this.#bytes += row.length
  }
}

/**
 * Folds what a draft touched and writes facts and rows as one. What that leaves to be folded (rows beyond one write, or
 * packages that a changed authority changes) follows; until it is done the registry is marked stale.
 */
export async function foldDraft(draft: Draft, store: ViewStore, { sync }: { readonly sync: boolean }): Promise<void> {
  if (draft.accepted.length === 0) return
  const { state, registry, touched } = draft
  const before = state.authority
  const about = touched.get('registry')
  const authority = about === undefined ? before : foldAuthority(registry, about)
  const change = changeOf(before, authority)
  const batch = new RowBatch()
  const later: Subject[] = []
  if (about !== undefined) batch.addAuthority(authority)
  for (const [subject, facts] of touched) {
    if (batch.isFull) later.push(subject)
    else batch.addPackage(subject, facts, authority)
  }
  const facts = draft.accepted.map(({ fact: { id, body, payload }, bytes }): FactWrite => {
    return { id, subject: body.subject, author: body.author, time: body.time, bytes, names: namedKeys(payload) }
  })
  const isStale = change !== 'none' || later.length > 0
  const { rows, aside } = batch
  await store.commit(
    { registry, facts, rows, aside, named: draft.named, ...(isStale ? { stale: true } : {}) },
    { sync }
  )
  state.landed(authority, touched)
  if (!isStale) return
  if (change === 'all') return refoldAll(state, store)
  await refold(state, store, change === 'none' ? later : [...later, ...(await store.asideSubjects(registry))])
}

/** Folds every package again, and names every key. Runs to its end after a crash too, because `stale` is cleared last. */
export async function refoldAll(state: RegistryState, store: ViewStore): Promise<void> {
  await refold(state, store, store.subjects(state.registry))
}

async function refold(
  state: RegistryState,
  store: ViewStore,
  subjects: Iterable<Subject> | AsyncIterable<Subject>
): Promise<void> {
  const { registry, authority } = state
  let batch = new RowBatch()
  const write = async (end: { readonly stale?: false }): Promise<void> => {
    const { rows, aside, named } = batch
    batch = new RowBatch()
    await store.commit({ registry, facts: [], rows, aside, named: [...named], ...end }, { sync: false })
    await setImmediate()
  }
  batch.addAuthority(authority)
  for await (const subject of subjects) {
    const facts = await state.factsOf(subject)
    for (const fact of facts) {
      for (const key of namedKeys(fact.payload)) batch.named.add(key)
      if (batch.isFull) await write({})
    }
    batch.addPackage(subject, facts, authority)
    if (batch.isFull) await write({})
  }
  await write({ stale: false })
}

/**
 * What an authority that changed does to packages folded before. While all that counted still counts, only packages
 * with facts set aside can change: what counted under a smaller authority counts under a larger one, and a rival claim
 * is always set aside. Attack: grants that do not count cost no refold, however many a named author writes.
 */
function changeOf(before: Authority | undefined, after: Authority | undefined): 'none' | 'aside' | 'all' {
  if (before === after) return 'none'
  if (before === undefined || after === undefined) return 'all'
  for (const id of before.order.keys()) if (!after.order.has(id)) return 'all'
  return before.order.size === after.order.size ? 'none' : 'aside'
}
