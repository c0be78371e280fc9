import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { VersionView } from '../../protocol/fold-versions.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { cleanText } from '../../protocol/manifest-text.ts'
import { shortNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import type { CitedAuthority } from '../../protocol/payload.ts'
import { parseSemver } from '../../protocol/version.ts'
import type { Version } from '../../protocol/version.ts'
import { assertMayPublish, authorityOf } from './publish.ts'
import type { PublishComponents } from './publish.ts'

export interface YankResult {
  readonly name: PackageName
  readonly version: Version
  readonly yanked: boolean
  /** Empty when the version already was as asked. */
  readonly fact: FactId | null
}

export interface Yanker {
  yank(registry: RegistryId, target: { name: PackageName; version: string }, reason: string): Promise<YankResult>
  unyank(registry: RegistryId, target: { name: PackageName; version: string }): Promise<YankResult>
}

/** Yanks and unyanks versions. The bytes stay: whoever names the version exactly by its content still gets it. */
export function yanker(components: Pick<PublishComponents, 'author' | 'gate' | 'view' | 'announce'>): Yanker {
  const { author, announce } = components
  return {
    async yank(registry, { name, version }, said) {
      // The one spelling that a fact may hold: no controls, no bidi overrides.
      const reason = cleanText(said)
      if (reason.length > LIMITS.fact.reasonChars) {
        throw new RegistryError('LIMIT_EXCEEDED', `a reason has at most ${LIMITS.fact.reasonChars} characters`)
      }
      const { entry, authority } = await target(components, registry, name, version)
      if (entry.yanks.length > 0) return { name, version: entry.version, yanked: true, fact: null }
      const value = { version: entry.version, reason, authority }
      const fact = await author.write(registry, name, { type: 'yank', value })
      announce(registry, fact)
      return { name, version: entry.version, yanked: true, fact: fact.id }
    },
    async unyank(registry, { name, version }) {
      const { entry, authority } = await target(components, registry, name, version)
      if (entry.yanks.length === 0) return { name, version: entry.version, yanked: false, fact: null }
      const yanks = entry.yanks.slice(0, LIMITS.fact.yanksPerUnyank).map(yank => yank.fact)
      const fact = await author.write(registry, name, {
        type: 'unyank',
        value: { version: entry.version, yanks, authority }
      })
      announce(registry, fact)
      return { name, version: entry.version, yanked: false, fact: fact.id }
    }
  }
}

async function target(
  { author, gate, view }: Pick<PublishComponents, 'author' | 'gate' | 'view'>,
  registry: RegistryId,
  name: PackageName,
  version: string
): Promise<{ entry: VersionView; authority: CitedAuthority }> {
  const authority = authorityOf(gate, registry)
  const wanted = parseSemver(version)
  const found = await view.find(registry, name)
  if (found === undefined || found.claim === null) {
    throw new RegistryError('UNKNOWN_PACKAGE', `no package ${shortNameOf(name)} in the registry`)
  }
  assertMayPublish(authority, found, author.principal, name)
  const entry = found.versions.find(candidate => candidate.version === wanted)
  if (entry === undefined) {
    throw new RegistryError('UNKNOWN_VERSION', `${shortNameOf(name)} has no version ${wanted}`, {
      tried: [`it has ${found.versions.map(candidate => candidate.version).join(', ')}`]
    })
  }
  return { entry, authority: { registry: authority.head, package: found.claim.fact } }
}
