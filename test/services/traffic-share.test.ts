import { expect, test } from 'vitest'
import { TrafficShare } from '../../node/services/traffic-share.ts'

function metered(): { readonly totals: Map<string, number>; readonly traffic: TrafficShare } {
  const totals = new Map([['before', 500]])
  return { totals, traffic: new TrafficShare({ read: () => new Map(totals) }) }
}

test('a task alone gets all that came in while it ran, and nothing from before', () => {
  const { totals, traffic } = metered()
  totals.set('a', 100)
  const received = traffic.begin()
  totals.set('a', 130).set('b', 50)
  expect(received()).toEqual([
    ['b', 50],
    ['a', 30]
  ])
})

test('what comes while several run is divided and never counted twice', () => {
  const { totals, traffic } = metered()
  const first = traffic.begin()
  totals.set('a', 10)
  const second = traffic.begin()
  totals.set('a', 31)
  const ofSecond = second()
  totals.set('a', 40)
  expect(ofSecond).toEqual([['a', 10]])
  expect(first()).toEqual([['a', 30]])
})

test('a peer that sent nothing is not named', () => {
  const { traffic } = metered()
  expect(traffic.begin()()).toEqual([])
})
