import { RegistryError } from '../../protocol/errors.ts'
import { compilePolicy } from '../../protocol/policy/evaluate.ts'
import type { CompiledPolicy } from '../../protocol/policy/evaluate.ts'
import { parsePolicy } from '../../protocol/policy/policy.ts'
import type { ReleaseFacts } from '../../protocol/policy/schema.ts'
import { parseToml } from '../../storage/content/read-manifest.ts'

/** A release about which everything is known, and nothing is wrong. */
export const FACTS: ReleaseFacts = {
  release: {
    name: 'ggen/lib',
    version: '1.0.0',
    bytes: 1_000,
    dependencies: 2,
    executables: 0,
    own: false,
    locked: false
  },
  registry: { id: 'bafyregistry', alias: 'acme', private: false, staleHours: 0 },
  publisher: { key: 'did:key:z6MkPublisher', verified: true, domain: 'lib.example.org' },
  marks: { counts: true, conflict: false, yanked: false, forkedAuthor: false, downgrades: [] },
  attestations: [
    {
      type: 'audit',
      predicateType: 'https://example.org/audit/v1',
      issuer: 'did:key:z6MkAuditor',
      registry: 'bafyregistry',
      followed: true,
      passed: true,
      marks: ['safe-to-run'],
      summary: 'read every line'
    },
    {
      type: 'provenance',
      predicateType: 'https://slsa.dev/provenance/v1',
      issuer: 'did:key:z6MkBuilder',
      registry: 'bafyother',
      followed: false,
      passed: true,
      marks: [],
      summary: ''
    }
  ],
  licence: { expression: 'MIT OR Apache-2.0', concluded: '', valid: true },
  age: { hours: 1_000, seenHours: 1_000, observers: 0, basis: 'first-seen' },
  advisories: [],
  quarantine: { active: false, reason: '' },
  reviews: { count: 3, average: 4.5, stars: 120 }
}

/** The facts with some groups replaced. */
export function facts(changes: { readonly [G in keyof ReleaseFacts]?: Partial<ReleaseFacts[G]> } = {}): ReleaseFacts {
  const all: Record<string, unknown> = { ...FACTS }
  for (const [group, change] of Object.entries(changes)) {
    all[group] = Array.isArray(change) ? change : Object.assign({}, all[group], change)
  }
  return all as unknown as ReleaseFacts
}

/** A policy out of the text of a file. */
export function policyIn(text: string): CompiledPolicy {
  return compilePolicy('test', parsePolicy(parseToml(text, 'policy.toml'), 'policy.toml'))
}

/** A policy with one rule. */
export function ruleOf(require: string, more = ''): CompiledPolicy {
  return policyIn(`version = 1\n[[rule]]\nid = "one"\nrequire = ${JSON.stringify(require)}\n${more}`)
}

/** What a call throws, if that is ours. */
export function thrownBy(call: () => unknown): RegistryError | undefined {
  try {
    call()
  } catch (error) {
    if (error instanceof RegistryError) return error
    throw error
  }
  return undefined
}
