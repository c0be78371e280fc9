import { isOpen } from '../../../protocol/fold-versions.ts'
import { toHex } from '../../../protocol/bytes.ts'
import type { ReleaseBytes } from '../../../protocol/attest/release-subjects.ts'
import type { RegistryId } from '../../../protocol/cid.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import type { ContentView } from '../../../protocol/fold-versions.ts'
import { ecosystemOf, shortNameOf } from '../../../protocol/package-name.ts'
import { orderingOf } from '../../../protocol/version.ts'
import type { Version } from '../../../protocol/version.ts'
import type { ShownRelease } from './methods.ts'

/** A release as a registry holds it. */
export interface Release extends ReleaseBytes {
  readonly registry: RegistryId
  readonly content: ContentView
}

/**
 * The release of a version, or of the highest stable one. Of a version with two contents nobody can say what is meant.
 * @throws RegistryError UNKNOWN_VERSION | VERSION_CONFLICT
 */
export function releaseOf(registry: RegistryId, view: PackageView, wanted: string | undefined): Release {
  const { isPrerelease } = orderingOf(ecosystemOf(view.name))
  const best = view.versions.find(entry => isOpen(entry) && !isPrerelease(entry.version))
  const found =
    wanted === undefined
      ? (best ?? view.versions[0])
      : view.versions.find(({ version }) => (version as string) === wanted)
  const short = shortNameOf(view.name)
  if (found === undefined) {
    throw new RegistryError('UNKNOWN_VERSION', `${short} has no version ${wanted ?? 'at all'}`, {
      tried: [`it has ${view.versions.map(({ version }) => version).join(', ')}`],
      next: `name one exactly: ${short}@VERSION`
    })
  }
  const [content, other] = found.contents
  if (content === undefined || other !== undefined)
    throw new RegistryError('VERSION_CONFLICT', `${short}@${found.version} has two contents: neither is meant`)
  return { ...toBytes(view, found.version, content), registry, content }
}

/** The releases of a package with exactly this content, or of exactly this archive. */
export function releasesWith(
  registry: RegistryId,
  view: PackageView,
  isMeant: (release: Release) => boolean
): readonly Release[] {
  return view.versions
    .flatMap(({ version, contents }) =>
      contents.map(content => ({ ...toBytes(view, version, content), registry, content }))
    )
    .filter(isMeant)
}

function toBytes(view: PackageView, version: Version, { root, digests }: ContentView): ReleaseBytes {
  return { name: view.name, version, root, digests }
}

export function shownRelease({ name, version, registry, root, digests }: Release, alias: string): ShownRelease {
  return { name, version, registry, alias, cid: root, sha256: toHex(digests.sha256) }
}
