import type { Domain } from '../publisher/domain.ts'

/** Where something was made from. `revision` is a commit or another digest of it. */
export interface Source {
  readonly uri: string
  readonly revision: string | null
}

export interface ProvenanceSummary {
  readonly type: 'provenance'
  readonly builder: string
  readonly buildType: string
  readonly source: Source | null
  readonly finished: number | null
}

export interface SourceSummary {
  readonly type: 'source'
  readonly source: Source
  /** The folder in the repository, where it is not the whole. */
  readonly path: string | null
}

export interface ReproducibleSummary {
  readonly type: 'reproducible'
  readonly result: 'reproduced' | 'different'
  readonly rebuilder: string
  readonly source: Source | null
}

export interface AuditSummary {
  readonly type: 'audit'
  /** What it was found to be: `safe-to-run`, `safe-to-deploy`, … */
  readonly criteria: readonly string[]
  readonly result: 'pass' | 'fail'
  readonly kind: 'full' | 'delta'
  /** Of a delta: what was audited before, and of which nothing is said here. */
  readonly from: { readonly version: string; readonly sha256: string } | null
  readonly notes: string | null
  readonly report: string | null
}

export interface LicenceSummary {
  readonly type: 'licence'
  /** An SPDX expression, as written. */
  readonly concluded: string
  readonly declared: string | null
  readonly notes: string | null
}

export interface VulnerabilitiesSummary {
  readonly type: 'vulnerabilities'
  readonly scanner: string
  readonly count: number
  /** The first of them. */
  readonly found: readonly { readonly id: string; readonly severity: string | null }[]
  /** How old the database was, and when the scan ended. */
  readonly databaseTime: number | null
  readonly finished: number | null
}

export interface SbomSummary {
  readonly type: 'sbom'
  readonly format: 'cyclonedx' | 'spdx'
  readonly version: string
  readonly components: number
  /** Licences that it names, each once; the first of them. */
  readonly licences: readonly string[]
}

export interface TestSummary {
  readonly type: 'test'
  readonly result: 'passed' | 'warned' | 'failed'
  readonly passed: number
  readonly warned: number
  readonly failed: number
  readonly url: string | null
}

export interface BenchmarkSummary {
  readonly type: 'benchmark'
  readonly suite: string
  readonly results: readonly { readonly name: string; readonly value: number; readonly unit: string }[]
}

export interface DomainSummary {
  readonly type: 'domain'
  /** The domain that the key which signed it says is its holder's. */
  readonly domain: Domain
}

export interface ReviewSummary {
  readonly type: 'review'
  /** 1 to 5. */
  readonly score: number
  readonly text: string | null
}

export interface StarSummary {
  readonly type: 'star'
}

export interface VerificationSummary {
  readonly type: 'verification'
  readonly verifier: string
  readonly result: 'passed' | 'failed'
  readonly levels: readonly string[]
  readonly policy: string | null
  readonly resource: string
  readonly verified: number | null
}

/** What a predicate says, as far as rules and people need it. */
export type Summary =
  | ProvenanceSummary
  | SourceSummary
  | ReproducibleSummary
  | AuditSummary
  | LicenceSummary
  | VulnerabilitiesSummary
  | SbomSummary
  | TestSummary
  | BenchmarkSummary
  | DomainSummary
  | ReviewSummary
  | StarSummary
  | VerificationSummary
