import type { ShownAttestation, ShownRelease } from '../../node/services/attest/methods.ts'
import { summaryText } from '../../protocol/attest/summary-text.ts'
import type { Summary } from '../../protocol/attest/summary.ts'
import { cut, safe } from './print.ts'
import { keyText } from './publisher-text.ts'
import { gutter, under } from './style.ts'

export function releaseText({ name, version }: Pick<ShownRelease, 'name' | 'version'>): string {
  return `${name.replace(/^ggen\//, '')}@${version}`
}

const CHARS = 200

/** What a statement says, on one line. */
export function summaryLine(summary: Summary): string {
  return cut(safe(summaryText(summary)), CHARS)
}

/** One statement: what it says, who says it and where, and what speaks against it. */
export function attestationLines(one: ShownAttestation): readonly string[] {
  const { type, predicateType, summary, issuer, publisher, alias, roles, marks, counts, time, content, trusted } = one
  const said = summary === null ? safe(predicateType) : summaryLine(summary)
  const against = marks.filter(mark => mark !== 'unknown-type')
  return [
    gutter(verbOf(type), said, counts ? 'done' : 'note'),
    under(
      `by ${keyText(issuer, publisher === null ? [] : [publisher])} in ${safe(alias)}${roles.length === 0 ? '' : ` as ${roles.join(', ')}`}, ${dateText(time)}`
    ),
    ...(trusted.length === 0 ? [] : [under(`trusted for ${trusted.join(', ')}`)]),
    ...(content === null ? [] : [under(`in full: ${content.cid}`)]),
    ...(counts && against.length === 0 ? [] : [under(`${counts ? 'note' : 'does not count'}: ${marks.join(', ')}`)])
  ]
}

const VERBS: Readonly<Record<ShownAttestation['type'], string>> = {
  audit: 'Audit',
  benchmark: 'Benchmark',
  domain: 'Domain',
  licence: 'Licence',
  provenance: 'Provenance',
  reproducible: 'Rebuild',
  review: 'Review',
  sbom: 'Materials',
  source: 'Source',
  star: 'Star',
  test: 'Tests',
  verification: 'Verified',
  vulnerabilities: 'Scan',
  unknown: 'Unknown'
}

function verbOf(type: ShownAttestation['type']): string {
  return VERBS[type]
}

/** The day that somebody says. Attack: a time beyond what a date can be. */
function dateText(time: number): string {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? 'at a time that is none' : date.toISOString().slice(0, 10)
}
