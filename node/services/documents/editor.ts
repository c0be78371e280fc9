import { createHash } from 'node:crypto'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { DocumentState } from '../../../protocol/document/document.ts'
import { scanChange } from '../../../protocol/document/change.ts'
import { editFault, keyOf, pathOf } from '../../../protocol/document/edits.ts'
import type { DocumentValue, Edit, Path } from '../../../protocol/document/edits.ts'
import type { Metadata } from '../../../protocol/document/payload.ts'
import { isRegistryError, RegistryError } from '../../../protocol/errors.ts'
import type { Subject } from '../../../protocol/fact.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { CitedAuthority, Payload } from '../../../protocol/payload.ts'
import type { AuthoredFact, Signer } from '../author.ts'
import { claimOf, placeOf } from '../authority/place.ts'
import type { Place } from '../authority/place.ts'
import { assertCounts } from '../authority/writer.ts'
import type { WriterComponents } from '../authority/writer.ts'
import type { Documents } from './documents.ts'
import type { DocumentChange, WholeField } from './methods.ts'

export interface EditorComponents extends WriterComponents {
  readonly documents: Pick<Documents, 'current' | 'compose' | 'standings'>
}

/** What a signed edit did. */
export interface Edited {
  /** Null: the document said all that already. */
  readonly fact: FactId | null
  readonly changed: readonly DocumentChange[]
  readonly settled: readonly Path[]
}

/** What the document says decides what there is to do: an edit that changes nothing is not signed. */
export type Planned = (state: DocumentState | undefined, place: Place) => readonly Edit[]

export interface EditOrderFor {
  readonly registry: RegistryId
  readonly subject: Subject
  readonly signer: Signer
  readonly plan: Planned
}

interface Plan {
  readonly before: DocumentState | undefined
  readonly edits: readonly Edit[]
}

const UNCHANGED: Edited = { fact: null, changed: [], settled: [] }

/**
 * Signs edits of the words about a package or a registry. They are one statement: all of them or none.
 * @throws RegistryError INVALID_EDIT | NOT_AUTHORIZED | UNKNOWN_PACKAGE | DOCUMENT_FULL | DOCUMENT_FAILED
 */
export async function edit(components: EditorComponents, order: EditOrderFor): Promise<Edited> {
  const { gate, author, documents, announce, now } = components
  const { registry, subject, signer, plan } = order
  const place = await placeOf(gate, registry, subject)
  const authority = citedHere(place)
  const planned = async (): Promise<Plan> => {
    const before = await documents.current(registry, subject)
    return { before, edits: effective(before, checked(subject, plan(before, place))) }
  }
  const { edits } = await planned()
  if (edits.length === 0) return UNCHANGED
  await assertCounts(place, { type: 'metadata', value: trial(authority, edits) }, { signer, now: now() })
  const idle = new RegistryError('INTERNAL', 'an edit changes nothing after all')
  let difference: Pick<Edited, 'changed' | 'settled'> = UNCHANGED
  const payload = async (chain: string): Promise<Payload> => {
    // Planned again: another command may have said something since.
    const turn = await planned()
    if (turn.edits.length === 0) throw idle
    const writing = { registry, subject, author: signer.principal, chain, edits: turn.edits }
    const { epoch, after, edits: kept, change } = await documents.compose(writing)
    if (change === undefined) throw idle
    difference = differenceOf(turn.before, kept)
    const value = { authority, epoch, after, edits: kept, change: { ...scanChange(change), bytes: change } }
    return { type: 'metadata', value }
  }
  try {
    const fact = await author.write(registry, subject, payload, { signer })
    announce(registry, fact)
    await made(documents, order)
    return { fact: fact.id, ...difference }
  } catch (error) {
    if (error === idle) return UNCHANGED
    throw error
  }
}

/** An owner begins the history of a document anew. Null when there is nothing to fold. @throws as `edit` */
export async function rollOver(
  components: EditorComponents,
  { registry, subject, signer }: Omit<EditOrderFor, 'plan'>
): Promise<{ readonly fact: AuthoredFact | null; readonly folded: number }> {
  const { gate, author, documents, announce, now } = components
  const place = await placeOf(gate, registry, subject)
  const authority = citedHere(place)
  const { size } = await documents.standings(registry, subject)
  // What an edit of nothing would follow is what there is to fold.
  const here = { registry, subject, author: signer.principal, chain: signer.chain(), edits: [] }
  const { epoch, after } = await documents.compose(here)
  // Nothing was said since the last one.
  const isFresh = after.length === 1 && after[0] === epoch
  if (after.length === 0 || isFresh) return { fact: null, folded: 0 }
  const value = { authority, epoch, after, edits: [], change: null }
  await assertCounts(place, { type: 'metadata', value }, { signer, now: now() })
  const fact = await author.write(registry, subject, { type: 'metadata', value }, { signer })
  announce(registry, fact)
  await made(documents, { registry, subject })
  return { fact, folded: size }
}

/** The next command finds the document as it is now. What was signed is signed, whatever comes of that. */
async function made(
  documents: EditorComponents['documents'],
  { registry, subject }: Pick<EditOrderFor, 'registry' | 'subject'>
): Promise<void> {
  try {
    await documents.current(registry, subject)
  } catch (error) {
    if (!isRegistryError(error)) throw error
  }
}

/** The edits that a field, as it is wanted, differs by from the field as it is. */
export function editsToward(
  subject: Subject,
  state: DocumentState | undefined,
  { field, entries }: WholeField
): readonly Edit[] {
  const wanted = new Set(entries.map(({ path }) => keyOf(path)))
  const gone = (state?.content ?? []).filter(({ key }) => key.split('/')[0] === field && !wanted.has(key))
  return [
    ...entries.map(({ path, value }): Edit => ({ op: 'put', path, value })),
    ...gone.map(({ key }): Edit => ({ op: 'delete', path: pathOf(subject, key) }))
  ]
}

/** A short name for something that is said now: from what is said, and when. */
export function nameFor(text: string, now: number): string {
  const day = new Date(now).toISOString().slice(0, 10)
  return `${day}-${createHash('sha256').update(`${now} ${text}`).digest('hex').slice(0, 8)}`
}

function checked(subject: Subject, edits: readonly Edit[]): readonly Edit[] {
  const keys = new Set<string>()
  for (const one of edits) {
    const fault = editFault(subject, one)
    if (fault !== undefined) throw invalid(fault)
    if (keys.has(keyOf(one.path))) throw invalid(`${keyOf(one.path)} is said twice`)
    keys.add(keyOf(one.path))
  }
  if (edits.length > LIMITS.document.edits) throw invalid(`more than ${LIMITS.document.edits} edits in one statement`)
  return edits
}

function invalid(fault: string): RegistryError {
  return new RegistryError('INVALID_EDIT', fault, { next: 'ggen-node edit --help shows what can be said' })
}

/** Only what changes something. To say a value again where several are held settles the conflict, so that counts. */
function effective(state: DocumentState | undefined, edits: readonly Edit[]): readonly Edit[] {
  const held = heldIn(state)
  return edits.filter(one => {
    const values = new Set(held.get(keyOf(one.path)))
    return one.op === 'delete' ? values.size > 0 : values.size !== 1 || !values.has(one.value)
  })
}

function differenceOf(before: DocumentState | undefined, edits: readonly Edit[]): Pick<Edited, 'changed' | 'settled'> {
  const held = heldIn(before)
  const changed = edits.map((one): DocumentChange => ({
    path: one.path,
    from: [...new Set(held.get(keyOf(one.path)) ?? [])],
    to: one.op === 'put' ? one.value : null
  }))
  return { changed, settled: changed.filter(({ from }) => from.length > 1).map(({ path }) => path) }
}

function heldIn(state: DocumentState | undefined): ReadonlyMap<string, readonly DocumentValue[]> {
  return new Map((state?.content ?? []).map(({ key, values }) => [key, values.map(({ value }) => value)]))
}

/** @throws RegistryError UNKNOWN_PACKAGE */
function citedHere(place: Place): CitedAuthority {
  const registry = place.authority.head
  return { registry, package: place.subject === 'registry' ? registry : claimOf(place).head }
}

/** Who may edit does not depend on the change, which is made when its turn comes. */
function trial(authority: CitedAuthority, edits: readonly Edit[]): Metadata {
  const change = { hash: '', actor: '', seq: 1, startOp: 1, deps: [], ops: [], bytes: new Uint8Array(0) }
  return { authority, epoch: null, after: [], edits, change }
}
