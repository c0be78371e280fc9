import type { AdvisoryFacts, ReleaseFacts } from '../protocol/policy/schema.ts'
import { heardHere } from './advisories.ts'
import { attestationViews } from './attestation-views.ts'
import type { Saying as Attested } from './attestation-views.ts'
import type { NodeParts } from './parts.ts'
import type { Statements } from './policy.ts'
import { advisoriesAbout } from './services/advisory/heard.ts'
import type { ReleaseId } from './services/policy/sources.ts'

type Saying = Attested & { readonly publishers: Pick<NodeParts['publishers'], 'domainOf'> }

/** What rules hear of statements about a release: those that count, and whose word is taken for what. */
export function composeStatements(parts: Saying): Statements {
  return {
    attestations: (release, find = parts.view.find.bind(parts.view)) => attestationViews(parts, release, find),
    advisories: release => advisoryFacts(parts, release),
    quarantine: release => quarantineOf(parts, release),
    domainOf: async key => (await parts.publishers.domainOf(key))?.domain
  }
}

/** What is known against a release, by those who are heard here. */
async function advisoryFacts(parts: Saying, release: ReleaseId): Promise<readonly AdvisoryFacts[]> {
  const { registries, view } = parts
  const about = await advisoriesAbout(release, {
    find: view.find.bind(view),
    registries: registries.ids,
    heard: await heardHere(parts)
  })
  return about.map(({ id, severity, malware, fixed }) => ({ id, severity, malware, fixed: fixed ?? '' }))
}

/** Whether those who may have stopped the version, in its own registry. */
async function quarantineOf(
  { view }: Saying,
  { registry, name, version }: ReleaseId
): Promise<ReleaseFacts['quarantine']> {
  const stated = (await view.find(registry, name))?.versions.find(entry => entry.version === version)
  const [stopped] = stated?.quarantines ?? []
  return { active: stopped !== undefined, reason: stopped?.reason ?? '' }
}
