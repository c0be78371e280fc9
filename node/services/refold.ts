import { setImmediate } from 'node:timers/promises'
import { foldAuthority } from '../../protocol/authority.ts'
import type { Authority } from '../../protocol/authority.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import type { Subject } from '../../protocol/fact.ts'
import { foldPackage } from '../../protocol/fold.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { encodeAuthorityRow, encodePackageRow, sealRow } from '../../protocol/view-row.ts'
import type { Draft } from './draft.ts'
import type { FactReader, RegistryState } from './registry-state.ts'

interface ViewBatch {
  readonly registry: RegistryId
  readonly facts: readonly { readonly id: FactId; readonly subject: Subject; readonly bytes: Uint8Array }[]
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

interface Rows {
  readonly rows: (readonly [Subject, Uint8Array])[]
  readonly aside: (readonly [Subject, boolean])[]
}

/** Folds what a batch touched and writes facts and rows as one. Then, if the authority changed, folds what that changes. */
export async function foldDraft(draft: Draft, store: ViewStore, { sync }: { readonly sync: boolean }): Promise<void> {
  if (draft.accepted.length === 0) return
  const { state, registry } = draft
  const before = state.authority
  const about = draft.touched.get('registry')
  const authority = about === undefined ? before : foldAuthority(registry, about)
  const isChanged = about !== undefined
  const folded: Rows = { rows: [], aside: [] }
  if (isChanged && authority !== undefined) folded.rows.push(['registry', sealRow(encodeAuthorityRow(authority))])
  for (const [subject, facts] of draft.touched) foldInto(folded, subject, facts, authority)
  const facts = draft.accepted.map(({ fact, bytes }) => ({ id: fact.id, subject: fact.body.subject, bytes }))
  const stale = isChanged ? { stale: true } : {}
  await store.commit({ registry, facts, ...folded, named: draft.named, ...stale }, { sync })
  state.setAuthority(authority)
  for (const [subject, all] of draft.touched) state.remember(subject, all)
  if (!isChanged) return
  if (onlyGrew(before, authority)) await refold(state, store, await store.asideSubjects(registry))
  else await refoldAll(state, store)
}

/** Folds every package again. Runs to its end after a crash too, because `stale` is cleared last. */
export async function refoldAll(state: RegistryState, store: ViewStore): Promise<void> {
  await refold(state, store, store.subjects(state.registry))
}

async function refold(
  state: RegistryState,
  store: ViewStore,
  subjects: Iterable<Subject> | AsyncIterable<Subject>
): Promise<void> {
  const { registry, authority } = state
  let folded: Rows = { rows: [], aside: [] }
  if (authority !== undefined) folded.rows.push(['registry', sealRow(encodeAuthorityRow(authority))])
  for await (const subject of subjects) {
    foldInto(folded, subject, await state.factsOf(subject), authority)
    if (folded.rows.length < LIMITS.admission.factsPerBatch) continue
    await store.commit({ registry, facts: [], ...folded, named: [] }, { sync: false })
    folded = { rows: [], aside: [] }
    await setImmediate()
  }
  await store.commit({ registry, facts: [], ...folded, named: [], stale: false }, { sync: false })
}

function foldInto(
  { rows, aside }: Rows,
  subject: Subject,
  facts: readonly VerifiedFact[],
  authority: Authority | undefined
): void {
  if (subject === 'registry' || authority === undefined) return
  const view = foldPackage(subject, authority, facts)
  rows.push([subject, sealRow(encodePackageRow(view))])
  aside.push([subject, view.setAside.length > 0])
}

/**
 * Whether all that counted before still counts. Then only packages with facts set aside can change: what counted under
 * a smaller authority counts under a larger one, and a rival claim is always set aside.
 */
function onlyGrew(before: Authority | undefined, after: Authority | undefined): boolean {
  if (before === undefined || after === undefined) return before === undefined
  return [...before.order.keys()].every(id => after.order.has(id))
}
