import { fieldOf } from '../attest/predicate-fields.ts'
import { isJsonObject } from '../attest/strict-json.ts'
import type { JsonObject } from '../attest/strict-json.ts'
import { LIMITS } from '../limits.ts'
import { baseScoreV4 } from './cvss4.ts'

/** The least first. */
export const SEVERITIES = ['unknown', 'low', 'medium', 'high', 'critical'] as const
export type Severity = (typeof SEVERITIES)[number]

/** How bad it is, by whatever of it can be read: of several ratings the worst. What cannot be read is `unknown`, no fault. */
export function severityIn(of: JsonObject): Severity {
  const rated = fieldOf(of, 'severity')
  const scores = Array.isArray(rated) ? rated.slice(0, LIMITS.advisory.severities).map(ratingOf) : []
  const words = ['database_specific', 'ecosystem_specific'].map(name => wordIn(fieldOf(of, name)))
  return worst([...scores, ...words])
}

export function worst(severities: readonly Severity[]): Severity {
  return SEVERITIES[Math.max(0, ...severities.map(one => SEVERITIES.indexOf(one)))] ?? 'unknown'
}

function wordIn(specific: unknown): Severity {
  const word = isJsonObject(specific) ? fieldOf(specific, 'severity') : undefined
  if (typeof word !== 'string') return 'unknown'
  const lower = word.toLowerCase()
  if (lower === 'moderate') return 'medium'
  if (lower === 'none') return 'low'
  return SEVERITIES.find(one => one === lower) ?? 'unknown'
}

function ratingOf(entry: unknown): Severity {
  const score = isJsonObject(entry) ? fieldOf(entry, 'score') : undefined
  if (typeof score !== 'string' || score.length > 256) return 'unknown'
  const base = baseScore(score) ?? newestScore(score)
  if (base !== undefined) return severityOfScore(base)
  const older = baseScoreV2(score)
  // The scale of v2 ends with high.
  return older === undefined ? 'unknown' : severityOfScore(Math.min(older, 8.9))
}

/** CVSS v3.1 section 5, qualitative severity rating scale; what it calls none is low here. */
export function severityOfScore(score: number): Severity {
  if (score < 4) return 'low'
  if (score < 7) return 'medium'
  return score < 9 ? 'high' : 'critical'
}

const V4_PREFIX = 'CVSS:4.0/'
const V3_PREFIX = /^CVSS:3\.[01]\//
const V3 = {
  AV: { N: 0.85, A: 0.62, L: 0.55, P: 0.2 },
  AC: { L: 0.77, H: 0.44 },
  PR: { N: 0.85, L: 0.62, H: 0.27 },
  UI: { N: 0.85, R: 0.62 },
  C: { H: 0.56, L: 0.22, N: 0 },
  I: { H: 0.56, L: 0.22, N: 0 },
  A: { H: 0.56, L: 0.22, N: 0 }
} as const satisfies Readonly<Record<string, Readonly<Record<string, number>>>>
/** Where what is attacked and what is hit are not the same, privileges count for less. */
const PR_CHANGED: Readonly<Record<string, number>> = { N: 0.85, L: 0.68, H: 0.5 }

/** The base score of a CVSS v4.0 vector; undefined for anything else. */
function newestScore(vector: string): number | undefined {
  const metrics = vector.startsWith(V4_PREFIX) ? metricsIn(vector.slice(V4_PREFIX.length).split('/')) : undefined
  return metrics === undefined ? undefined : baseScoreV4(metrics)
}

/** The base score of a CVSS v3.0 or v3.1 vector (first.org/cvss/v3-1/specification-document, section 7.1); undefined for anything else. */
export function baseScore(vector: string): number | undefined {
  if (!V3_PREFIX.test(vector)) return undefined
  const metrics = metricsIn(vector.split('/').slice(1))
  const scope = metrics?.get('S')
  if (scope !== 'U' && scope !== 'C') return undefined
  const read = (name: keyof typeof V3): number | undefined => {
    const value = metrics?.get(name) ?? ''
    const table: Readonly<Record<string, number>> = name === 'PR' && scope === 'C' ? PR_CHANGED : V3[name]
    return Object.hasOwn(table, value) ? table[value] : undefined
  }
  const [AV, AC, PR, UI, C, I, A] = (['AV', 'AC', 'PR', 'UI', 'C', 'I', 'A'] as const).map(read)
  if (AV === undefined || AC === undefined || PR === undefined || UI === undefined) return undefined
  if (C === undefined || I === undefined || A === undefined) return undefined
  const base = 1 - (1 - C) * (1 - I) * (1 - A)
  const impact = scope === 'U' ? 6.42 * base : 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15
  if (impact <= 0) return 0
  const both = impact + 8.22 * AV * AC * PR * UI
  return roundUp(Math.min(scope === 'U' ? both : 1.08 * both, 10))
}

/** The specification's own rounding (appendix A), which floating point does not disturb. */
function roundUp(score: number): number {
  const whole = Math.round(score * 100_000)
  return whole % 10_000 === 0 ? whole / 100_000 : (Math.floor(whole / 10_000) + 1) / 10
}

const V2 = {
  AV: { L: 0.395, A: 0.646, N: 1 },
  AC: { H: 0.35, M: 0.61, L: 0.71 },
  Au: { M: 0.45, S: 0.56, N: 0.704 },
  C: { N: 0, P: 0.275, C: 0.66 },
  I: { N: 0, P: 0.275, C: 0.66 },
  A: { N: 0, P: 0.275, C: 0.66 }
} as const satisfies Readonly<Record<string, Readonly<Record<string, number>>>>

/** The base score of a CVSS v2 vector, which has no prefix (first.org/cvss/v2/guide, section 3.2.1); undefined for anything else. */
export function baseScoreV2(vector: string): number | undefined {
  const metrics = metricsIn(vector.split('/'))
  const read = (name: keyof typeof V2): number | undefined => {
    const value = metrics?.get(name) ?? ''
    const table: Readonly<Record<string, number>> = V2[name]
    return Object.hasOwn(table, value) ? table[value] : undefined
  }
  const [AV, AC, Au, C, I, A] = (['AV', 'AC', 'Au', 'C', 'I', 'A'] as const).map(read)
  if (AV === undefined || AC === undefined || Au === undefined) return undefined
  if (C === undefined || I === undefined || A === undefined) return undefined
  const impact = 10.41 * (1 - (1 - C) * (1 - I) * (1 - A))
  if (impact === 0) return 0
  return Math.round((0.6 * impact + 0.4 * (20 * AV * AC * Au) - 1.5) * 1.176 * 10) / 10
}

/** Undefined when a metric is named twice: each reader would take another one. */
function metricsIn(parts: readonly string[]): ReadonlyMap<string, string> | undefined {
  const metrics = new Map<string, string>()
  for (const part of parts) {
    const [name = '', value = '', more] = part.split(':')
    if (more !== undefined || metrics.has(name)) return undefined
    metrics.set(name, value)
  }
  return metrics
}
