import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { fetchContent } from '../../node/content-fetch.ts'
import { withGateways } from '../../node/gateway-race.ts'
import { Gateways } from '../../node/gateway-source.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import { Trail } from '../../node/services/trail.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { shortPeer } from '../../protocol/peer-text.ts'
import type { VerifiedBlocks } from '../../storage/verified-blocks.ts'
import { madeUpPeer, memoryNode } from '../support/dag-peer.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import { registryNamed, stopNodes } from '../support/swarm-node.ts'

afterEach(stopNodes)

const registry = registryNamed('acme')

test('when no way leads to a content, the message names each of them, who was asked and what they said', async () => {
  const gateway = createServer((_, response) => response.writeHead(404).end())
  await new Promise<void>(resolve => gateway.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`
  const clock = systemClock(() => undefined)
  const gateways = new Gateways({ urls: [url], clock, log: { warn: () => undefined } })
  try {
    const empty = await memoryNode({ registries: [registry] })
    const me = await memoryNode({ registries: [registry], config: { tuning: { blockTimeoutMs: 800, hedgeMs: 100 } } })
    await me.swarm.connect(empty.address())
    const liar = await madeUpPeer(me, registry, () => [{ type: 'block', bytes: randomBytes(9) }, { type: 'end' }])
    const root = rootOf(new DagBlocks().folder({ a: new DagBlocks().raw(randomBytes(9)) }))
    const remote = withGateways(
      { open: (_, signal, watch) => me.swarm.fetch(registry, { signal, watch, providers: [liar.peer] }) },
      { gateways, clock }
    )
    const trail = new Trail({ now: () => clock.now() })
    const local = me.blocks as unknown as VerifiedBlocks
    const order = { registry, root, size: 100 }
    const error: unknown = await fetchContent({ local, remote, trail }, order, AbortSignal.timeout(60_000)).catch(
      (thrown: unknown) => thrown
    )
    if (!isRegistryError(error)) throw error
    expect(error.code).toBe('CONTENT_UNAVAILABLE')
    const [one, other] = [shortPeer(empty.swarm.peerId), shortPeer(liar.peer)]
    const tried = error.tried.join('\n')
    expect(error.tried[0]).toBe('this node')
    expect(tried).toMatch(new RegExp(`^over /ggen/dag/1: .*${one} said no`, 'm'))
    expect(tried).toMatch(new RegExp(`^over /ggen/dag/1: .*${other} broke off: bytes that are not ${root}`, 'm'))
    expect(tried).toMatch(new RegExp(`^over bitswap: .*${one} said no`, 'm'))
    expect(tried).toMatch(/^the dht named nobody$/m)
    expect(tried).toMatch(new RegExp(`^${url} said 404`, 'm'))
    expect(error.next).toContain('ggen-node connect')
    // It was asked and nothing came: what is remembered of it says so.
    expect(trail.record(error.code, error.tried)).toMatchObject({
      tried: error.tried,
      failed: 'CONTENT_UNAVAILABLE',
      sources: [],
      times: { flush: null }
    })
  } finally {
    gateways.close()
    gateway.close()
    gateway.closeAllConnections()
  }
})
