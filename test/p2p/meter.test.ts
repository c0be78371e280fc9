import { expect, test } from 'vitest'
import { SocketMeter } from '../../node/p2p/meter.ts'
import type { Carried } from '../../node/p2p/meter.ts'

/** A connection is its socket and a close event to the meter. */
function over<S>(socket: S): EventTarget & { readonly socket: S } {
  return Object.assign(new EventTarget(), { socket })
}

test('what came through a relay is of whom it came from, once, before and after the connection ends', () => {
  const meter = new SocketMeter()
  const socket = { bytesRead: 0, bytesWritten: 0 }
  const carried: Carried = { bytesRead: 0, bytesWritten: 0, via: 'relay' }
  const relayed = over(carried)
  meter.track('relay', over(socket))
  meter.track('friend', relayed)
  // 1,000 bytes came at the relay's socket; 900 of them were the friend's.
  Object.assign(socket, { bytesRead: 1_000, bytesWritten: 50 })
  Object.assign(carried, { bytesRead: 900, bytesWritten: 20 })
  const all = () =>
    [meter.of('friend'), meter.of('relay'), meter.total()].map(({ bytesIn, bytesOut }) => [bytesIn, bytesOut])
  const expected = [
    [900, 20],
    [100, 30],
    [1_000, 50]
  ]
  expect(all()).toEqual(expected)
  relayed.dispatchEvent(new Event('close'))
  expect(all()).toEqual(expected)
})
