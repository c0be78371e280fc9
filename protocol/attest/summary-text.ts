import type { Summary } from './summary.ts'

/** What a statement says, in a few words. Attack: they are the words of strangers; whoever shows them makes them safe first. */
export function summaryText(summary: Summary): string {
  switch (summary.type) {
    case 'audit': {
      const { result, criteria, kind, from, notes } = summary
      return `${result} ${criteria.join(', ')} (${kind}${from === null ? '' : ` from ${from.version}`})${noted(notes)}`
    }
    case 'benchmark':
      return `${summary.suite}: ${summary.results.map(({ name, value, unit }) => `${name} ${value} ${unit}`).join(', ')}`
    case 'domain':
      return `the domain ${summary.domain} is its holder's`
    case 'licence':
      return `${summary.concluded}${summary.declared === null ? '' : `, declared ${summary.declared}`}${noted(summary.notes)}`
    case 'provenance':
      return `built by ${summary.builder}${sourceWords(summary.source)}`
    case 'reproducible':
      return `${summary.result} by ${summary.rebuilder}${sourceWords(summary.source)}`
    case 'review':
      return `${summary.score} of 5${noted(summary.text)}`
    case 'sbom':
      return `${summary.format} ${summary.version}, ${summary.components} component${summary.components === 1 ? '' : 's'}${listed(summary.licences)}`
    case 'source':
      return `${sourceWords(summary.source).trim()}${summary.path === null ? '' : ` in ${summary.path}`}`
    case 'star':
      return 'a star'
    case 'test':
      return `${summary.result}: ${summary.passed} passed, ${summary.warned} warned, ${summary.failed} failed`
    case 'verification':
      return `${summary.result} for ${summary.resource} by ${summary.verifier}${listed(summary.levels)}`
    case 'vulnerabilities':
      return `${summary.count === 0 ? 'nothing' : summary.count} found by ${summary.scanner}${listed(summary.found.map(({ id, severity }) => (severity === null ? id : `${id} (${severity})`)))}`
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
