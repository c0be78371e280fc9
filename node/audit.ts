import { toHex } from '../protocol/bytes.ts'
import { RegistryError } from '../protocol/errors.ts'
import type { NodeParts } from './parts.ts'
import type { AttestMethods } from './services/attest/methods.ts'
import { releaseOf } from './services/attest/release.ts'
import type { Release } from './services/attest/release.ts'
import type { FollowedRegistry } from '../storage/records.ts'

/** The predicate of an audit as a command line says it. @throws RegistryError UNKNOWN_VERSION | USAGE */
export async function auditPredicate(
  parts: NodeParts,
  release: Release,
  { criteria, from, failed, notes, report }: AttestMethods['audit']['params']
): Promise<Readonly<Record<string, unknown>>> {
  if (criteria.length === 0) throw new RegistryError('USAGE', 'say what it was found to be: --criteria safe-to-run')
  const before = from === undefined ? undefined : await releaseBefore(parts, release, from)
  return {
    criteria,
    result: failed ? 'fail' : 'pass',
    kind: before === undefined ? 'full' : 'delta',
    // By its bytes: a version that was published again is another one.
    ...(before === undefined ? {} : { from: { version: before.version, sha256: toHex(before.digests.sha256) } }),
    ...(notes === undefined ? {} : { notes }),
    ...(report === undefined ? {} : { report })
  }
}

async function releaseBefore({ view }: NodeParts, release: Release, version: string): Promise<Release> {
  const before = releaseOf(release.registry, await view.package(release.registry, release.name), version)
  if (before.version !== release.version) return before
  throw new RegistryError('USAGE', 'a delta is from another version')
}

/**
 * Where somebody who audits speaks: in the registry that he named; for what is private in its own; else in the one public
 * registry that he has made.
 */
export function auditorsRegistry(parts: NodeParts, release: Release, which: string | undefined): FollowedRegistry {
  const { registries, attester } = parts
  if (which !== undefined) return registries.find(which)
  if (attester.isPrivate(release.registry)) return registries.find(release.registry)
  const own = registries.all.filter(({ id, made }) => made && !attester.isPrivate(id))
  const [only, other] = own
  if (only !== undefined && other === undefined) return only
  throw new RegistryError('USAGE', 'say in which registry you audit', {
    tried: [own.length === 0 ? 'no registry was made here' : `made here: ${own.map(({ alias }) => alias).join(', ')}`],
    next:
      own.length === 0 ? 'ggen-node registry create NAME makes one of your own' : `--registry ${only?.alias ?? 'ALIAS'}`
  })
}
