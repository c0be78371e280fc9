import type { StreamHandler } from '@libp2p/interface'
import { afterEach, expect, test } from 'vitest'
import { registryNamed, stopNodes, testNode } from '../support/swarm-node.ts'

afterEach(stopNodes)

const IDENTIFY = '/ipfs/id/1.0.0'
const registries = [registryNamed('acme')]

interface Registrar {
  getHandler(protocol: string): { readonly handler: StreamHandler }
}

test('a peer that was too busy to say what it speaks is asked again', async () => {
  const [busy, me] = [
    await testNode({ registries }),
    await testNode({ registries, config: { tuning: { helloTimeoutMs: 2_000 } } })
  ]
  const { libp2p } = busy.swarm
  const { registrar } = Reflect.get(libp2p, 'components') as { readonly registrar: Registrar }
  const { handler } = registrar.getHandler(IDENTIFY)
  let asked = 0
  await libp2p.unhandle(IDENTIFY)
  await libp2p.handle(IDENTIFY, async (stream, connection) => {
    asked += 1
    if (asked > 1) await handler(stream, connection)
  })
  await me.swarm.connect(busy.address())
  await expect.poll(() => asked).toBe(2)
})
