import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { baseScoreV4 } from '../../protocol/advisory/cvss4.ts'
import { severityIn } from '../../protocol/advisory/severity.ts'

/** Each base metric with its values, the worst first. */
const METRICS: readonly (readonly [string, string])[] = [
  ['AV', 'NALP'],
  ['AC', 'LH'],
  ['AT', 'NP'],
  ['PR', 'NLH'],
  ['UI', 'NPA'],
  ['VC', 'HLN'],
  ['VI', 'HLN'],
  ['VA', 'HLN'],
  ['SC', 'HLN'],
  ['SI', 'HLN'],
  ['SA', 'HLN']
]

function* everyVector(at = 0, metrics = new Map<string, string>()): Generator<ReadonlyMap<string, string>> {
  const [metric, values] = METRICS[at] ?? []
  if (metric === undefined || values === undefined) return void (yield metrics)
  for (const value of values) yield* everyVector(at + 1, metrics.set(metric, value))
}

const rated = (score: string): string => severityIn({ severity: [{ type: 'CVSS_V4', score }] })

describe('a vector of CVSS 4', () => {
  test('has the score that others give it, whichever of all 104,976 it is', () => {
    const all = createHash('sha256')
    let count = 0
    for (const metrics of everyVector()) {
      const vector = [...metrics].map(pair => pair.join(':')).join('/')
      all.update(`CVSS:4.0/${vector} ${baseScoreV4(metrics)}\n`)
      count += 1
    }
    expect(count).toBe(104_976)
    // Of the same lines with the base_score of the Python package cvss 3.6, in this order, whole numbers without a decimal.
    expect(all.digest('hex')).toBe('dacb3020ccdfd2533ef10332528a6bdf92deca162c60a192fe9e9982bbc2ee66')
  })

  // Scores as first.org/cvss/v4-0/examples gives them.
  test.each([
    ['AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N', 7.3, 'high'],
    ['AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N', 7.7, 'high'],
    ['AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:L/VA:L/SC:N/SI:N/SA:N', 8.3, 'high'],
    ['AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N', 8.7, 'high'],
    ['AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N', 0, 'low']
  ])('%s scores %d', (vector, score, severity) => {
    const metrics = new Map(vector.split('/').map(part => part.split(':') as [string, string]))
    expect(baseScoreV4(metrics)).toBe(score)
    expect(rated(`CVSS:4.0/${vector}`)).toBe(severity)
    // What others say of threats and of their own environment is not what it is like here.
    expect(rated(`CVSS:4.0/${vector}/E:U/CR:L/MVC:N`)).toBe(severity)
  })

  test('that names a metric twice, leaves one out or gives it what it cannot be says nothing', () => {
    const good = 'AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H'
    expect(rated(`CVSS:4.0/${good}`)).toBe('critical')
    for (const bad of [
      `${good}/AV:P`,
      good.replace('/SA:H', ''),
      good.replace('AV:N', 'AV:X'),
      good.replace('AV:N', 'AV:constructor'),
      good.replace('SI:H', 'SI:S')
    ])
      expect([bad, rated(`CVSS:4.0/${bad}`)]).toEqual([bad, 'unknown'])
    expect(rated(`CVSS:4.1/${good}`)).toBe('unknown')
  })
})
