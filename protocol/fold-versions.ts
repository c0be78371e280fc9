import { sha256 } from '@noble/hashes/sha2.js'
import { compareText, toHex } from './bytes.ts'
import type { VerifiedFact } from './chains.ts'
import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import type { FactType } from './fact.ts'
import { LIMITS } from './limits.ts'
import { ecosystemOf } from './package-name.ts'
import type { PackageName } from './package-name.ts'
import { encodeContent } from './payload.ts'
import type { Payload, ReleaseContent } from './payload.ts'
import { orderingOf } from './version.ts'
import type { Version } from './version.ts'

export interface ContentView extends ReleaseContent {
  readonly fact: FactId
  readonly by: Principal
  readonly time: number
  readonly marks: readonly 'forked-author'[]
}

/** One version. More than one content is a conflict: both are kept, neither is served. */
export interface VersionView {
  readonly version: Version
  readonly contents: readonly ContentView[]
  readonly yanks: readonly { readonly fact: FactId; readonly by: Principal; readonly reason: string }[]
  /** Absent while nobody has stopped it. */
  readonly quarantines?: readonly QuarantineView[]
}

/** Who stopped a version, and on which level: what the registry stopped, the package's own people cannot let go. */
export interface QuarantineView {
  readonly fact: FactId
  readonly by: Principal
  readonly reason: string
  readonly level: 'package' | 'registry'
}

/** Neither withdrawn nor stopped: what somebody may be told to take. */
export function isOpen(version: Pick<VersionView, 'quarantines' | 'yanks'>): boolean {
  return version.yanks.length === 0 && !isQuarantined(version)
}

/** Whether a version is stopped for now. */
export function isQuarantined({ quarantines = [] }: Pick<VersionView, 'quarantines'>): boolean {
  return quarantines.length > 0
}

/** A fact whose payload is known to be of one type. */
export type Typed<T extends FactType> = VerifiedFact & { readonly payload: Extract<Payload, { type: T }> }

export interface VersionContext {
  readonly name: PackageName
  readonly isForked: (author: Principal) => boolean
  /** Those that stand, of a version; what the registry stopped first. */
  readonly quarantinesOf: (version: Version) => readonly QuarantineView[]
  readonly tooMany: (fact: VerifiedFact) => void
}

/**
 * Highest version first, until the row is full. Attack: rows without end, which no store would take and which would so
 * keep every other fact of a batch out. The bound is over the contents, so that it falls at the same place everywhere.
 */
export function foldVersions(
  releases: readonly Typed<'release'>[],
  yanks: readonly Typed<'yank'>[],
  context: VersionContext
): readonly VersionView[] {
  const byVersion = Map.groupBy(releases, fact => fact.payload.value.version)
  const yanksOf = Map.groupBy(yanks, fact => fact.payload.value.version)
  const { compare } = orderingOf(ecosystemOf(context.name))
  const views: VersionView[] = []
  let bytes = 0
  for (const [version, facts] of [...byVersion].toSorted(([a], [b]) => compare(b, a))) {
    const distinct = distinctContents(facts)
    const kept = distinct.slice(0, LIMITS.view.contentsPerVersion)
    const standing = (yanksOf.get(version) ?? []).toSorted(byId).slice(0, LIMITS.view.yanksPerVersion)
    bytes += kept.reduce((sum, fact) => sum + encodeContent(fact.payload.value).length, 0)
    const stopped = context.quarantinesOf(version)
    bytes += standing.reduce((sum, fact) => sum + fact.body.payload.length, 0)
    const isBeyond = bytes > LIMITS.view.versionsBytes
    for (const fact of isBeyond ? facts : distinct.slice(kept.length)) context.tooMany(fact)
    if (isBeyond) continue
    views.push({
      version,
      contents: kept.map(fact => toContentView(fact, context)),
      yanks: standing.map(({ id, body, payload }) => ({ fact: id, by: body.author, reason: payload.value.reason })),
      ...(stopped.length === 0 ? {} : { quarantines: stopped })
    })
  }
  return views
}

/** The same content said twice is no conflict: the lowest fact id speaks for it. */
function distinctContents(facts: readonly Typed<'release'>[]): readonly Typed<'release'>[] {
  const [only] = facts
  if (only !== undefined && facts.length === 1) return [only]
  const contents = new Map<string, Typed<'release'>>()
  for (const fact of facts.toSorted(byId)) {
    const key = toHex(sha256(encodeContent(fact.payload.value)))
    if (!contents.has(key)) contents.set(key, fact)
  }
  return [...contents.values()]
}

function toContentView({ id, body, payload }: Typed<'release'>, { isForked }: VersionContext): ContentView {
  const { manifest, root, size, digests } = payload.value
  const marks = isForked(body.author) ? (['forked-author'] as const) : []
  return { manifest, root, size, digests, fact: id, by: body.author, time: body.time, marks }
}

function byId(a: VerifiedFact, b: VerifiedFact): number {
  return compareText(a.id, b.id)
}

export function ofType<T extends FactType>(facts: readonly VerifiedFact[], type: T): readonly Typed<T>[] {
  return facts.filter((fact): fact is Typed<T> => fact.payload.type === type)
}
