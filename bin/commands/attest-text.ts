import type { ShownAttestation, ShownRelease } from '../../node/services/attest/methods.ts'
import type { Summary } from '../../protocol/attest/summary.ts'
import { countOf, cut, safe } from './print.ts'
import { gutter, under } from './style.ts'

export function releaseText({ name, version }: Pick<ShownRelease, 'name' | 'version'>): string {
  return `${name.replace(/^ggen\//, '')}@${version}`
}

/** One statement: what it says, who says it and where, and what speaks against it. */
export function attestationLines(one: ShownAttestation): readonly string[] {
  const { type, predicateType, summary, issuer, alias, roles, marks, counts, time, content, trusted } = one
  const said = summary === null ? safe(predicateType) : summaryText(summary)
  const against = marks.filter(mark => mark !== 'unknown-type')
  return [
    gutter(verbOf(type), said, counts ? 'done' : 'note'),
    under(`by ${issuer} in ${safe(alias)}${roles.length === 0 ? '' : ` as ${roles.join(', ')}`}, ${dateText(time)}`),
    ...(trusted.length === 0 ? [] : [under(`trusted for ${trusted.join(', ')}`)]),
    ...(content === null ? [] : [under(`in full: ${content.cid}`)]),
    ...(counts && against.length === 0 ? [] : [under(`${counts ? 'note' : 'does not count'}: ${marks.join(', ')}`)])
  ]
}

const VERBS: Readonly<Record<ShownAttestation['type'], string>> = {
  audit: 'Audit',
  benchmark: 'Benchmark',
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

const CHARS = 200

/** What a statement says, on one line. */
export function summaryText(summary: Summary): string {
  return cut(safe(wordsOf(summary)), CHARS)
}

function wordsOf(summary: Summary): string {
  switch (summary.type) {
    case 'audit': {
      const { result, criteria, kind, from, notes } = summary
      return `${result} ${criteria.join(', ')} (${kind}${from === null ? '' : ` from ${from.version}`})${noted(notes)}`
    }
    case 'benchmark':
      return `${summary.suite}: ${summary.results.map(({ name, value, unit }) => `${name} ${value} ${unit}`).join(', ')}`
    case 'licence':
      return `${summary.concluded}${summary.declared === null ? '' : `, declared ${summary.declared}`}${noted(summary.notes)}`
    case 'provenance':
      return `built by ${summary.builder}${sourceWords(summary.source)}`
    case 'reproducible':
      return `${summary.result} by ${summary.rebuilder}${sourceWords(summary.source)}`
    case 'review':
      return `${summary.score} of 5${noted(summary.text)}`
    case 'sbom':
      return `${summary.format} ${summary.version}, ${countOf(summary.components, 'component')}${listed(summary.licences)}`
    case 'source':
      return `${sourceWords(summary.source).trim()}${summary.path === null ? '' : ` in ${summary.path}`}`
    case 'star':
      return 'a star'
    case 'test':
      return `${summary.result}: ${summary.passed} passed, ${summary.warned} warned, ${summary.failed} failed`
    case 'verification':
      return `${summary.result} for ${summary.resource} by ${summary.verifier}${listed(summary.levels)}`
    case 'vulnerabilities':
      return `${summary.count === 0 ? 'nothing' : summary.count} found by ${summary.scanner}${listed(summary.found.map(({ id }) => id))}`
  }
}

function sourceWords(source: { readonly uri: string; readonly revision: string | null } | null): string {
  return source === null ? '' : ` from ${source.uri}${source.revision === null ? '' : ` at ${source.revision}`}`
}

function listed(words: readonly string[]): string {
  return words.length === 0 ? '' : `: ${words.join(', ')}`
}

function noted(text: string | null): string {
  return text === null ? '' : `: ${text}`
}

/** The day that somebody says. Attack: a time beyond what a date can be. */
function dateText(time: number): string {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? 'at a time that is none' : date.toISOString().slice(0, 10)
}
