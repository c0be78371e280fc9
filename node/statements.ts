import { attestationViews } from './attestation-views.ts'
import type { Saying } from './attestation-views.ts'
import type { Statements } from './policy.ts'

/** What rules hear of statements about a release: those that count, and whose word is taken for what. */
export function composeStatements(parts: Saying): Statements {
  return {
    attestations: (release, find = parts.view.find.bind(parts.view)) => attestationViews(parts, release, find),
    advisories: async () => [],
    quarantine: async () => ({ active: false, reason: '' }),
    domainOf: async () => undefined
  }
}
