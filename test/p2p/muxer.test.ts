import { PING_PROTOCOL } from '@libp2p/ping'
import { afterEach, expect, test } from 'vitest'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { stopNodes, testNode } from '../support/swarm-node.ts'

afterEach(stopNodes)

const FRAMES = 256
const FRAME_BYTES = 32 * 1024

test('a connection that breaks in the moment in which a stream is opened on it ends no process', async () => {
  const [a, b] = [await testNode(), await testNode()]
  await b.swarm.connect(a.address())
  await a.events.next('onPeer')
  const uncaught: unknown[] = []
  const note = (error: unknown): void => void uncaught.push(error)
  const before = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException').on('uncaughtException', note)
  try {
    const [connection] = a.swarm.libp2p.getConnections()
    if (connection === undefined) throw new Error('they are connected')
    const opened = connection.newStream(PING_PROTOCOL)
    connection.abort(new Error('the cable was cut'))
    await expect(opened).rejects.toThrow()
    await a.events.next('onPeerGone')
    expect(uncaught).toEqual([])
  } finally {
    process.off('uncaughtException', note)
    for (const listener of before) process.on('uncaughtException', listener)
  }
})

test('a receiver gives the window of a stream back in large parts, and the sender is never without', async () => {
  const [a, b] = [await testNode(), await testNode()]
  await b.swarm.connect(a.address())
  await a.events.next('onPeer')
  const { promise: all, resolve: onAll } = Promise.withResolvers<void>()
  let came = 0
  await b.swarm.libp2p.handle('/test/sink/1', stream => {
    stream.addEventListener('message', ({ data }) => {
      came += data.byteLength
      if (came === FRAMES * FRAME_BYTES) onAll()
    })
  })
  const [connection] = a.swarm.libp2p.getConnections()
  const stream = await connection?.newStream('/test/sink/1')
  if (stream === undefined) throw new Error('they are connected')
  const io = new FramedStream(stream)
  const before = b.swarm.traffic().bytesOut
  for (let n = 0; n < FRAMES; n++) await io.writeRaw(new Uint8Array(FRAME_BYTES), AbortSignal.timeout(60_000))
  await all
  // One for each frame would be 30 bytes with its encryption, 256 times.
  expect(b.swarm.traffic().bytesOut - before).toBeLessThan(FRAMES * 15)
})

test('who pauses a stream again while it goes on is sent no more than its window, and loses nothing', async () => {
  const [a, b] = [await testNode(), await testNode()]
  await b.swarm.connect(a.address())
  await a.events.next('onPeer')
  const { promise: full, resolve: onFull } = Promise.withResolvers<void>()
  const { promise: all, resolve: onAll } = Promise.withResolvers<void>()
  const most = 8 * LIMITS.streams.yamuxWindowBytes
  let came = 0
  let largest = 0
  let goOn: () => void = () => undefined
  await b.swarm.libp2p.handle('/test/slow/1', stream => {
    goOn = () => stream.resume()
    stream.addEventListener('message', ({ data }) => {
      largest = Math.max(largest, data.byteLength)
      came += data.byteLength
      if (came === most) return onAll()
      stream.pause()
      onFull()
    })
  })
  const [connection] = a.swarm.libp2p.getConnections()
  const stream = await connection?.newStream('/test/slow/1')
  if (stream === undefined) throw new Error('they are connected')
  const io = new FramedStream(stream)
  const sending = (async () => {
    for (let sent = 0; sent < most; sent += FRAME_BYTES)
      await io.writeRaw(new Uint8Array(FRAME_BYTES), AbortSignal.timeout(60_000))
  })()
  await full
  // What came while it was paused is handed on, in one piece, and pauses it again.
  const timer = setInterval(() => goOn(), 20)
  try {
    await Promise.all([sending, all])
  } finally {
    clearInterval(timer)
  }
  // Without a bound it is all that there is to send.
  expect(largest).toBeLessThanOrEqual(LIMITS.streams.yamuxWindowBytes)
})
