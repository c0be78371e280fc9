import type { AdvisoryFacts, ReleaseFacts } from '../protocol/policy/schema.ts'
import { heardHere } from './advisories.ts'
import { attestationViews } from './attestation-views.ts'
import type { Saying as Attested } from './attestation-views.ts'
import type { NodeParts } from './parts.ts'
import type { Statements } from './policy.ts'
import { advisoriesAbout } from './services/advisory/heard.ts'
import { NOBODY } from './services/attest/heeded.ts'
import type { ReleaseId } from './services/policy/sources.ts'
import type { FindPackage } from './services/resolve.ts'

type Saying = Attested & { readonly publishers: Pick<NodeParts['publishers'], 'domainOf'> }

/** What rules hear of statements about a release: those that count, and whose word is taken for what. */
export function composeStatements(parts: Saying): Statements {
  const look: FindPackage = parts.view.find.bind(parts.view)
  return {
    attestations: (release, find = look, named = NOBODY) => attestationViews(parts, release, { find, named }),
    advisories: (release, find = look) => advisoryFacts(parts, release, find),
    quarantine: (release, find = look) => quarantineOf(release, find),
    domainOf: async key => (await parts.publishers.domainOf(key))?.domain
  }
}

/** What is known against a release, by those who are heard here. */
async function advisoryFacts(parts: Saying, release: ReleaseId, find: FindPackage): Promise<readonly AdvisoryFacts[]> {
  const { ids: registries } = parts.registries
  const about = await advisoriesAbout(release, { find, registries, heard: await heardHere(parts) })
  return about.map(({ id, severity, malware, fixed }) => ({ id, severity, malware, fixed: fixed ?? '' }))
}

/** Whether those who may have stopped the version, in its own registry. */
async function quarantineOf(
  { registry, name, version }: ReleaseId,
  find: FindPackage
): Promise<ReleaseFacts['quarantine']> {
  const stated = (await find(registry, name))?.versions.find(entry => entry.version === version)
  const [stopped] = stated?.quarantines ?? []
  return { active: stopped !== undefined, reason: stopped?.reason ?? '' }
}
