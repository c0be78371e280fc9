import type { DigestView } from '../protocol/attest/fold.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import type { Subject } from '../protocol/fact.ts'
import type { PackageName } from '../protocol/package-name.ts'
import type { PackageView } from '../protocol/fold.ts'
import { isQuarantined } from '../protocol/fold-versions.ts'
import type { VersionView } from '../protocol/fold-versions.ts'
import { isPackage } from '../protocol/subject.ts'
import type { Version } from '../protocol/version.ts'
import type { RegistryView } from './services/registry-view.ts'

/** What is read of a registry. */
export type Views = Pick<RegistryView, 'digests' | 'find' | 'packages' | 'said'>

/** Content roots that a package, or statements, lead to. */
export interface Roots {
  readonly named: readonly ContentId[]
  /** Of versions that are in quarantine. */
  readonly stopped: readonly ContentId[]
}

/** What a package, or statements about a digest, lead to now. */
export async function rootsOf(
  view: Views,
  registry: RegistryId,
  subject: Exclude<Subject, 'registry'>
): Promise<Roots> {
  if (isPackage(subject)) return rootsIn(await view.find(registry, subject))
  return predicatesIn(await view.said(registry, subject))
}

/** The same of all that a registry holds. */
export async function* allRoots(view: Views, registry: RegistryId): AsyncGenerator<Roots> {
  for await (const found of view.packages(registry)) yield rootsIn(found)
  for await (const said of view.digests(registry)) yield predicatesIn(said)
}

/** A root that one version of a package is in quarantine for is so for all of them: it is the bytes that are stopped. */
export function rootsIn(found: PackageView | undefined): Roots {
  const of = (versions: readonly VersionView[]): readonly ContentId[] =>
    versions.flatMap(({ contents }) => contents.map(({ root }) => root))
  const { versions = [] } = found ?? {}
  const stopped = of(versions.filter(isQuarantined))
  const named = of(versions.filter(entry => !isQuarantined(entry)))
  if (stopped.length === 0) return { named, stopped }
  const away = new Set(stopped)
  return { named: named.filter(root => !away.has(root)), stopped }
}

/** By its name and version, what each content of a package is: of several the first. */
export function* namingsIn({ name, versions }: PackageView): Generator<readonly [ContentId, Naming]> {
  for (const { version, contents } of versions) for (const { root } of contents) yield [root, { name, version }]
}

/** What people call a content. */
export interface Naming {
  readonly name: PackageName | null
  readonly version: Version | null
}

function predicatesIn(said: DigestView | undefined): Roots {
  const named = said?.attestations.flatMap(({ content }) => (content === null ? [] : [content.cid])) ?? []
  return { named, stopped: [] }
}
