import { isOpen } from '../../../protocol/fold-versions.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { ecosystemOf } from '../../../protocol/package-name.ts'
import { orderingOf } from '../../../protocol/version.ts'
import type { Candidate } from './candidate.ts'

/** Versions that could be taken instead, the highest first. */
export function othersOf({ registry, name, version }: Candidate, view: PackageView | undefined): readonly Candidate[] {
  const { isPrerelease } = orderingOf(ecosystemOf(name))
  return (view?.versions ?? [])
    .filter(other => other.version !== version && isOpen(other) && !isPrerelease(other.version))
    .slice(0, LIMITS.policy.alternatives)
    .flatMap(({ version: other, contents }) => {
      const [content, ...more] = contents
      if (content === undefined || more.length > 0) return []
      const { root, fact, by } = content
      return [{ registry, name, version: other, root, fact, by, locked: false, content }]
    })
}
