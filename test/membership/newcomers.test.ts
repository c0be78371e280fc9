import { afterEach, beforeEach, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'

let founder: TestRunningNode
let first: TestRunningNode
let second: TestRunningNode

/** Two who came one after the other, both by way of the founder. */
beforeEach(async () => {
  founder = await runningNode()
  await founder.call('swarmCreate', { name: 'acme' })
  const { token } = await founder.call('invite', { registry: 'acme', uses: 2 })
  ;[first, second] = [await runningNode(), await runningNode()]
  await first.call('join', { token })
  await hears(founder)
  await second.call('join', { token })
})

/** Resolves when gossip of a node reaches somebody: what is told before that comes when sets are compared. */
async function hears({ parts }: TestRunningNode): Promise<void> {
  const { pubsub } = parts.swarms.require('acme').libp2p.services
  const isHeard = (): boolean => pubsub.getTopics().some(topic => pubsub.getSubscribers(topic).length > 0)
  while (!isHeard()) {
    await new Promise(resolve => pubsub.addEventListener('subscription-change', resolve, { once: true }))
  }
}

afterEach(stopRunningNodes)

test('whoever was there hears of a newcomer before sets are compared again', async () => {
  // Genesis, invite and two redemptions.
  const timeoutMs = LIMITS.sync.intervalMs / 2
  const held = await first.call('waitFor', { registry: 'acme', facts: 4, peers: 1, kept: false, timeoutMs })
  expect(held.facts).toBe(4)
})

test('two newcomers let each other in', async () => {
  const [address = ''] = first.parts.swarms.require('acme').addresses()
  expect(await second.parts.swarms.require('acme').connect(address)).toBe(first.parts.swarms.require('acme').peerId)
})
