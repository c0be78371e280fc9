import type { RegistryId } from '../../../protocol/cid.ts'
import { wordsOf } from '../../../protocol/document/words.ts'
import type { PackageWords } from '../../../protocol/document/words.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import { shortNameOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Version } from '../../../protocol/version.ts'
import type { FindPackage } from '../resolve.ts'
import type { Documents } from './documents.ts'
import { tagState } from './shown.ts'

export interface WordsComponents {
  readonly find: FindPackage
  readonly documents: Pick<Documents, 'current'>
}

/** What people say of a package: undefined when nobody said anything. No engine is started to find that out. */
export type ReadWords = (registry: RegistryId, name: PackageName) => Promise<PackageWords | undefined>

export function wordsReader({ find, documents }: WordsComponents): ReadWords {
  return async (registry, name) => {
    const view = await find(registry, name)
    if (view === undefined || view.document === null) return undefined
    const state = await documents.current(registry, name)
    return state === undefined ? undefined : wordsOf(name, state)
  }
}

/**
 * The version that a tag stands for. A tag is a convenience: where people disagree about it, it stands for nothing.
 * @throws RegistryError UNKNOWN_PACKAGE | UNKNOWN_VERSION | VERSION_CONFLICT
 */
export type ReadTag = (registry: RegistryId, name: PackageName, tag: string) => Promise<Version>

export function tagReader({ find, documents }: WordsComponents): ReadTag {
  const words = wordsReader({ find, documents })
  return async (registry, name, tag) => {
    const view = await find(registry, name)
    if (view === undefined)
      throw new RegistryError('UNKNOWN_PACKAGE', `no package ${shortNameOf(name)} in the registry`)
    return versionOf(view, { tag, words: await words(registry, name) })
  }
}

function versionOf(
  view: PackageView,
  { tag, words }: { readonly tag: string; readonly words: PackageWords | undefined }
): Version {
  const short = shortNameOf(view.name)
  const tagged = words?.tags.find(known => known.tag === tag)
  if (tagged === undefined) {
    const others = (words?.tags ?? []).map(known => known.tag)
    throw new RegistryError('UNKNOWN_VERSION', `${short} has no tag ${tag}, and ${tag} is no version range`, {
      next: others.length > 0 ? `its tags: ${others.join(', ')}` : `ggen-node show ${short} lists its versions`
    })
  }
  const [version = ''] = tagged.versions
  switch (tagState(view, tagged.versions)) {
    case 'ok':
      return version as Version
    case 'unknown-version':
      throw new RegistryError(
        'UNKNOWN_VERSION',
        `the tag ${tag} of ${short} stands for ${version}, which was not released`
      )
    case 'conflict':
      throw new RegistryError(
        'VERSION_CONFLICT',
        `the tag ${tag} of ${short} stands for nothing while people disagree about it`,
        {
          tried: [`it is said to be ${tagged.versions.join(' and ')}`],
          next: `name a version, or see who said what: ggen-node show ${short} --conflicts`
        }
      )
  }
}
