import { isBearable } from '../protocol/attest/read-model.ts'
import type { AttestationRecord } from '../protocol/attest/read-model.ts'
import type { ReleaseBytes } from '../protocol/attest/release-subjects.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { PackageName } from '../protocol/package-name.ts'
import { fetchInto } from './content.ts'
import type { NodeParts } from './parts.ts'
import { namedKeys } from './named-keys.ts'
import { heeding, heedOf, NOBODY } from './services/attest/heeded.ts'
import type { Heeded } from './services/attest/heeded.ts'
import type { ShownAttestation, ShownRelease } from './services/attest/methods.ts'
import { releasesWith, shownRelease } from './services/attest/release.ts'
import type { Release } from './services/attest/release.ts'
import { namedIn } from './services/policy/named.ts'
import { trusted } from './trust.ts'

/** What is said of a release. Predicates that are content are asked for, where nothing else speaks against who says them. */
export async function attestationsFor(
  parts: NodeParts,
  release: ReleaseBytes,
  signal: AbortSignal
): Promise<readonly ShownAttestation[]> {
  const aliases = new Map(parts.registries.all.map(({ id, alias }) => [id, alias]))
  const taken = await trusted(parts)
  // As rules hear it: what is shown to somebody is what he is judged by.
  const heeded = heeding(
    taken.map(({ who }) => who),
    await namedHere(parts)
  )
  const first = await parts.attestations.of(release, heeded)
  const came = await bringPredicates(parts, first, { heeded, signal })
  const records = came ? await parts.attestations.of(release, heeded) : first
  const issuers = records.map(({ issuer }) => issuer)
  const publishers = new Map((await namedKeys(parts, issuers)).map(one => [one.key, one]))
  return records.map(record => {
    const about = taken.filter(({ who }) => who === record.registry || who === record.issuer)
    const alias = aliases.get(record.registry) ?? record.registry
    const publisher = publishers.get(record.issuer) ?? null
    const domain = publisher?.domain ?? null
    return { ...record, alias, domain, publisher, trusted: [...new Set(about.map(({ purpose }) => purpose))] }
  })
}

/** Whether any came. What does not come stays marked `not-here`. */
async function bringPredicates(
  parts: NodeParts,
  records: readonly AttestationRecord[],
  { heeded, signal }: { readonly heeded: Heeded; readonly signal: AbortSignal }
): Promise<boolean> {
  // Attack: more predicates than are fetched, before that of somebody whose word is taken.
  const sorted = records.toSorted((a, b) => heedOf(heeded, b) - heedOf(heeded, a))
  const missing = sorted.flatMap(({ registry, content, marks }) =>
    content !== null && marks.every(mark => mark === 'not-here' || isBearable(mark)) && marks.includes('not-here')
      ? [{ registry, root: content.cid, size: content.size }]
      : []
  )
  const both = AbortSignal.any([signal, AbortSignal.timeout(LIMITS.fetch.blockTimeoutMs)])
  const wanted = missing.slice(0, LIMITS.attestations.fetched)
  const brought = await Promise.allSettled(wanted.map(one => fetchInto(parts, one, both)))
  signal.throwIfAborted()
  return brought.some(({ status }) => status === 'fulfilled')
}

/** Whom the policies of this node heed. One that can't be read refuses what is installed, and hides nothing from who looks. */
async function namedHere({ policy }: NodeParts): Promise<Heeded> {
  try {
    return namedIn(await policy.policies(undefined))
  } catch (error) {
    if (isRegistryError(error)) return NOBODY
    throw error
  }
}

/** Releases of all registries that are followed here. Looks through all of them. */
export async function searchAll(
  parts: NodeParts,
  isMeant: (release: Release) => boolean
): Promise<readonly ShownRelease[]> {
  const found: ShownRelease[] = []
  for (const { id, alias } of parts.registries.all) {
    for await (const view of parts.view.packages(id)) {
      for (const release of releasesWith(id, view, isMeant)) found.push(shownRelease(release, alias))
    }
  }
  return found
}

/** Those of one name. */
export async function searchNamed(
  parts: NodeParts,
  name: PackageName,
  isMeant: (release: Release) => boolean
): Promise<readonly ShownRelease[]> {
  const found: ShownRelease[] = []
  for (const { id, alias } of parts.registries.all) {
    const view = await parts.view.find(id, name)
    const same = view === undefined ? [] : releasesWith(id, view, isMeant)
    found.push(...same.map(release => shownRelease(release, alias)))
  }
  return found
}
