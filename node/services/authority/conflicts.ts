import { compareText, toHex } from '../../../protocol/bytes.ts'
import { readChains } from '../../../protocol/chains.ts'
import type { Fork } from '../../../protocol/chains.ts'
import type { ContentId, FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { parseEnvelope } from '../../../protocol/fact.ts'
import type { Envelope, Subject } from '../../../protocol/fact.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import { ofType } from '../../../protocol/fold-versions.ts'
import type { Typed } from '../../../protocol/fold-versions.ts'
import { formatForkProof } from '../../../protocol/fork-proof.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { shortNameOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { encodeContent } from '../../../protocol/payload.ts'
import { authorityOf, changeHere, placeOf } from './place.ts'
import type { Place } from './place.ts'
import type { Located } from './cosign.ts'
import { writeOrder } from './writer.ts'
import type { WriterComponents, Written } from './writer.ts'

export interface ConflictComponents extends WriterComponents {
  readonly view: { packages(registry: RegistryId): AsyncIterable<PackageView> }
  readonly locate: (id: FactId, registry: RegistryId | undefined) => Promise<Located>
  readonly envelope: (registry: RegistryId, id: FactId) => Promise<Uint8Array | undefined>
}

/** One version with more than one content. */
export interface VersionConflict {
  readonly name: PackageName
  readonly version: string
  readonly contents: readonly {
    readonly cid: ContentId
    readonly fact: FactId
    readonly by: Principal
    readonly time: number
  }[]
}

/** Statements at one place that nobody has decided between. */
export interface OpenFork extends Fork {
  readonly subject: Subject
}

export interface Conflicts {
  readonly versions: readonly VersionConflict[]
  readonly forks: readonly OpenFork[]
}

/** What a registry is of two minds about. @throws RegistryError UNKNOWN_REGISTRY | PENDING */
export async function conflictsIn(
  { gate, view }: Pick<ConflictComponents, 'gate' | 'view'>,
  registry: RegistryId
): Promise<Conflicts> {
  const authority = authorityOf(gate, registry)
  const versions: VersionConflict[] = []
  const forks: OpenFork[] = openForks('registry', authority.forks)
  for await (const found of view.packages(registry)) {
    forks.push(...openForks(found.name, found.forks))
    for (const { version, contents } of found.versions) {
      if (contents.length < 2) continue
      const told = contents.map(({ root, fact, by, time }) => ({ cid: root, fact, by, time }))
      versions.push({ name: found.name, version, contents: told })
    }
  }
  return { versions, forks }
}

function openForks(subject: Subject, forks: PackageView['forks']): OpenFork[] {
  return forks
    .filter(({ settled }) => !settled)
    .map(({ author, chain, seq, facts }) => ({ subject, author, chain, seq, facts }))
}

/** Which of what excludes each other is kept. */
export interface ResolveAsked {
  readonly registry: RegistryId
  readonly key: string | undefined
  /** A fact, or the content of a version. */
  readonly keep: string
}

/** Settles a version with several contents. @throws RegistryError UNKNOWN_VERSION | USAGE | NOT_AUTHORIZED */
export async function resolveVersion(
  components: ConflictComponents,
  { registry, key, keep }: ResolveAsked,
  { name, version }: { readonly name: PackageName; readonly version: string }
): Promise<Written> {
  const place = await placeOf(components.gate, registry, name)
  const releases = ofType(place.facts, 'release').filter(({ payload }) => payload.value.version === version)
  const what = `${shortNameOf(name)}@${version}`
  if (releases.length === 0) throw new RegistryError('UNKNOWN_VERSION', `there is no ${what}`)
  const entry = place.view?.versions.find(known => known.version === version)
  // Of facts that say the same, the one that speaks for them in the view.
  const speaking = new Set(entry?.contents.map(({ fact }) => fact))
  const candidates = releases.toSorted((a, b) => Number(speaking.has(b.id)) - Number(speaking.has(a.id)))
  const kept = candidates.find(({ id, payload }) => id === keep || payload.value.root === keep)
  if (kept === undefined) {
    throw new RegistryError('USAGE', `${what} has no content ${keep.slice(0, 80)}`, {
      tried: candidates.slice(0, 8).map(({ id, payload }) => `content ${payload.value.root} of fact ${id}`),
      next: 'name one of these with --keep'
    })
  }
  const over = candidates.filter(other => contentKey(other) !== contentKey(kept)).map(({ id }) => id)
  if (over.length === 0) throw new RegistryError('USAGE', `${what} has one content only: there is nothing to settle`)
  return settle(components, { place, key, keep: kept.id, over })
}

function contentKey({ payload }: Typed<'release'>): string {
  const { manifest, root, size, digests } = payload.value
  return toHex(encodeContent({ manifest, root, size, digests }))
}

/** Settles a fork: of the statements at one place, one is kept. @throws RegistryError USAGE | NOT_AUTHORIZED */
export async function resolveFork(
  components: ConflictComponents,
  {
    fork: id,
    keep,
    key,
    registry
  }: { fork: FactId; keep: FactId; key: string | undefined; registry: RegistryId | undefined }
): Promise<Written> {
  const located = await components.locate(id, registry)
  const place = await placeOf(components.gate, located.registry, located.subject)
  const { facts } = forkAt(place, id)
  if (!facts.includes(keep)) {
    throw new RegistryError('USAGE', `fact ${keep.slice(0, 80)} is not one of that fork`, {
      tried: facts.slice(0, 8).map(fact => `at that place: ${fact}`),
      next: 'name one of these with --keep'
    })
  }
  return settle(components, { place, key, keep, over: facts.filter(fact => fact !== keep) })
}

/** The fork that a fact is one side of. @throws RegistryError USAGE */
function forkAt({ facts }: Place, id: FactId): Fork {
  const fork = readChains(facts).forks.find(known => known.facts.includes(id))
  if (fork !== undefined) return fork
  throw new RegistryError('USAGE', `fact ${id} stands alone at its place: there is no fork`, {
    next: 'ggen-node conflict list shows the forks that are open'
  })
}

interface Settling {
  readonly place: Place
  readonly key: string | undefined
  readonly keep: FactId
  readonly over: readonly FactId[]
}

async function settle(components: WriterComponents, { place, key, keep, over }: Settling): Promise<Written> {
  const { registry, subject } = place
  // Sides beyond what one fact names are settled by the next one.
  const against = over.slice(0, LIMITS.fact.resolvedFacts).toSorted(compareText)
  return writeOrder(components, {
    registry,
    subject,
    signer: await components.signer(key),
    payload: at => ({ type: 'resolve', value: { ...changeHere(at), keep, over: against } })
  })
}

/** The proof of a fork, as it goes into a file. @throws RegistryError USAGE when the fact is in none */
export async function proofOf(
  { gate, locate, envelope }: Pick<ConflictComponents, 'gate' | 'locate' | 'envelope'>,
  id: FactId,
  registry: RegistryId | undefined
): Promise<{ readonly bytes: Uint8Array; readonly fork: OpenFork; readonly registry: RegistryId }> {
  const located = await locate(id, registry)
  const place = await placeOf(gate, located.registry, located.subject)
  const fork = forkAt(place, id)
  const envelopes: Envelope[] = []
  let size = 64
  // The fact that was asked for is one of those that prove it, however many there are.
  const sides = [id, ...fork.facts.filter(fact => fact !== id)].slice(0, LIMITS.proof.facts)
  for (const side of sides) {
    const bytes = await envelope(located.registry, side)
    if (bytes === undefined) continue
    size += bytes.length + 8
    // Two are a proof; more of them only while they fit.
    if (envelopes.length >= 2 && size > LIMITS.proof.bytes) break
    envelopes.push(parseEnvelope(bytes))
  }
  const proven = envelopes.map(({ id: fact }) => fact).toSorted(compareText)
  const { author, chain, seq } = fork
  return {
    bytes: formatForkProof(envelopes),
    fork: { author, chain, seq, subject: located.subject, facts: proven },
    registry: located.registry
  }
}

/** Facts that are in the set and do not count, by their reasons. */
export function countReasons(setAside: readonly { readonly reason: string }[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { reason } of setAside) counts[reason] = (counts[reason] ?? 0) + 1
  return counts
}
