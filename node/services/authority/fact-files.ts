import type { Admission } from '../../../protocol/admission.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { parseEnvelope } from '../../../protocol/fact.ts'
import type { Envelope, FactType, Subject } from '../../../protocol/fact.ts'
import { formatFactFile, parseFactFile } from '../../../protocol/fact-file.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { citedHead, namedKeys } from '../../../protocol/payload.ts'
import { authPrevOf } from '../../../protocol/authority-tree.ts'
import type { Source } from '../admit.ts'
import type { PlaceGate } from './place.ts'

/** Files on disk, as commands name them. */
export interface Files {
  /** @throws RegistryError UNKNOWN_FILE | LIMIT_EXCEEDED */
  read(path: string, maxBytes: number): Promise<Uint8Array>
  /** Writes a whole file; a crash leaves the old one or the new one. @throws RegistryError UNKNOWN_FILE */
  replace(path: string, bytes: Uint8Array): Promise<void>
  /** Refuses a path that something is at already. @throws RegistryError ALREADY_EXISTS */
  assertFree(path: string): Promise<void>
}

export interface FactFileComponents {
  readonly gate: PlaceGate & {
    admitMany(facts: readonly Uint8Array[], source: Source): Promise<readonly Admission[]>
  }
  readonly files: Files
  /** The envelope of a fact that is known here. */
  readonly envelope: (registry: RegistryId, id: FactId) => Promise<Uint8Array | undefined>
  readonly announce: (registry: RegistryId, fact: { readonly id: FactId; readonly bytes: Uint8Array }) => void
}

/** What became of one fact of a file. */
export interface AdmittedFact {
  readonly fact: FactId
  readonly type: FactType
  readonly registry: RegistryId
  readonly subject: Subject
  readonly author: Principal
  readonly verdict: Admission['verdict']
  readonly reason: string | null
}

/** Whose facts these are, for the gate: nobody's, so a file that lies costs nobody but its reader. */
const FROM_FILE: Source = { peer: 'file' }

/**
 * Reads a file and lets each fact through the gate, again while that helps: what comes early in a file may wait for what
 * comes later.
 * @throws RegistryError UNKNOWN_FILE | LIMIT_EXCEEDED | MALFORMED
 */
export async function admitFile(
  components: FactFileComponents,
  path: string
): Promise<{ readonly envelopes: readonly Envelope[]; readonly facts: readonly AdmittedFact[] }> {
  const envelopes = parseFactFile(await components.files.read(path, LIMITS.factFile.bytes))
  const verdicts = new Map<FactId, Verdict>()
  let open = envelopes
  for (let pass = 0; pass < LIMITS.factFile.passes && open.length > 0; pass++) {
    const admissions = await components.gate.admitMany(
      open.map(({ bytes }) => bytes),
      FROM_FILE
    )
    for (const [i, admission] of admissions.entries()) {
      const envelope = open[i]
      if (envelope === undefined) continue
      const verdict = verdictOf(admission, verdicts.get(envelope.id))
      verdicts.set(envelope.id, verdict)
      if (verdict.verdict === 'accept') components.announce(registryOf(envelope), envelope)
    }
    const waiting = open.filter(({ id }) => mayChange(verdicts.get(id)))
    if (waiting.length === open.length) break
    open = waiting
  }
  return { envelopes, facts: envelopes.map(envelope => resultOf(envelope, verdicts.get(envelope.id))) }
}

type Verdict = Pick<AdmittedFact, 'verdict' | 'reason'>

/** What waited in the gate's buffer and came in with what it waited for is known when it is asked for again. */
function verdictOf(admission: Admission, before: Verdict | undefined): Verdict {
  const reason = admission.verdict === 'accept' ? null : admission.reason
  const isLate = before?.verdict === 'pending' && reason === 'seen'
  return isLate ? { verdict: 'accept', reason: null } : { verdict: admission.verdict, reason }
}

function mayChange(verdict: Verdict | undefined): boolean {
  return verdict?.verdict === 'pending' || verdict?.reason === 'pending-full'
}

function resultOf(
  envelope: Envelope,
  verdict: Verdict = { verdict: 'ignore', reason: 'unknown-registry' }
): AdmittedFact {
  const { id, body } = envelope
  const { type, subject, author } = body
  return { fact: id, type, registry: registryOf(envelope), subject, author, ...verdict }
}

function registryOf({ id, body }: Envelope): RegistryId {
  return body.registry ?? (id as string as RegistryId)
}

/** Facts of one registry that go into a file. */
export interface Bundle {
  readonly registry: RegistryId
  readonly facts: readonly { readonly id: FactId; readonly subject: Subject }[]
  /** What the file held before. */
  readonly others?: readonly Envelope[]
}

/**
 * Facts with everything that a node that follows the registry needs to let them in and to count them alike: their
 * predecessors, the changes they cite with all signatures under them, and who named their authors.
 * @throws RegistryError LIMIT_EXCEEDED
 */
export async function bundleOf(components: FactFileComponents, bundle: Bundle): Promise<Uint8Array> {
  const { registry, facts, others = [] } = bundle
  const state = components.gate.state(registry)
  const subjects = new Set<Subject>(['registry', ...facts.map(({ subject }) => subject)])
  const pool = new Map<FactId, VerifiedFact>()
  for (const subject of subjects) {
    for (const fact of (await state?.factsOf(subject)) ?? []) pool.set(fact.id, fact)
  }
  const needed = closureOf(
    pool,
    facts.map(({ id }) => id)
  )
  const envelopes = new Map(others.map(envelope => [envelope.id, envelope]))
  for (const id of needed) {
    const bytes = envelopes.has(id) ? undefined : await components.envelope(registry, id)
    if (bytes !== undefined) envelopes.set(id, parseEnvelope(bytes))
  }
  return formatFactFile(envelopes.values())
}

function closureOf(pool: ReadonlyMap<FactId, VerifiedFact>, start: readonly FactId[]): ReadonlySet<FactId> {
  const all = [...pool.values()]
  const namers = new Map<Principal, VerifiedFact[]>()
  for (const fact of all) {
    for (const key of namedKeys(fact.payload)) namers.set(key, [...(namers.get(key) ?? []), fact])
  }
  const cosigns = Map.groupBy(all, ({ payload }) => (payload.type === 'cosign' ? payload.value.fact : undefined))
  const needed = new Set<FactId>()
  const open = [...start]
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    const fact = pool.get(id)
    if (fact === undefined || needed.has(id)) continue
    needed.add(id)
    const naming = (namers.get(fact.body.author) ?? []).map(namer => namer.id)
    open.push(...citedBy(fact), ...naming, ...(cosigns.get(id) ?? []).map(cosign => cosign.id))
  }
  return needed
}

/** Facts that a fact names by their ids. */
function citedBy(fact: VerifiedFact): readonly FactId[] {
  const { body, payload } = fact
  const more: FactId[] = []
  if (payload.type === 'cosign') more.push(payload.value.fact)
  if (payload.type === 'resolve') more.push(payload.value.keep, ...payload.value.over)
  if (payload.type === 'unquarantine') more.push(...payload.value.quarantines)
  if (payload.type === 'unyank') more.push(...payload.value.yanks)
  if ('authority' in payload.value) more.push(payload.value.authority.package)
  return [body.prev, authPrevOf(fact), citedHead(payload), ...more].filter(id => id !== null && id !== undefined)
}
