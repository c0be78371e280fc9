import { PING_PROTOCOL } from '@libp2p/ping'
import { afterEach, expect, test } from 'vitest'
import { stopNodes, testNode } from '../support/swarm-node.ts'

afterEach(stopNodes)

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
