import { expect, test } from 'vitest'
import { Metrics } from '../../node/runtime/metrics.ts'

test('counts by closed labels and prints what Prometheus reads', () => {
  const metrics = new Metrics()
  const refused = metrics.counter('ggen_facts_refused_total', 'Facts that were not admitted.', {
    verdict: ['ignore', 'reject']
  })
  metrics.gauge('ggen_peers', 'Peers that said hello.', {}).set({}, 3)
  refused.add({ verdict: 'reject' })
  refused.add({ verdict: 'reject' }, 2)
  expect(metrics.format()).toBe(
    [
      '# HELP ggen_facts_refused_total Facts that were not admitted.',
      '# TYPE ggen_facts_refused_total counter',
      'ggen_facts_refused_total{verdict="ignore"} 0',
      'ggen_facts_refused_total{verdict="reject"} 3',
      '# HELP ggen_peers Peers that said hello.',
      '# TYPE ggen_peers gauge',
      'ggen_peers 3',
      ''
    ].join('\n')
  )
  expect(metrics.samples()).toContainEqual({ name: 'ggen_peers', labels: {}, value: 3 })
})

test('refuses labels outside the set, a second declaration and a series too many', () => {
  const metrics = new Metrics()
  const counter = metrics.counter('ggen_a_total', 'A.', { kind: ['x'] })
  const internal = expect.objectContaining({ code: 'INTERNAL' }) as Error
  expect(() => counter.add({ kind: 'y' as 'x' })).toThrow(internal)
  expect(() => metrics.counter('ggen_a_total', 'A.', {})).toThrow(internal)
  expect(() => metrics.counter('peers', 'No prefix.', {})).toThrow(internal)
  const many = Array.from({ length: 300 }, (_, i) => String(i))
  expect(() => metrics.counter('ggen_b_total', 'B.', { id: many })).toThrow(internal)
})
