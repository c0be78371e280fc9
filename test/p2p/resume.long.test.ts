import { afterEach, test } from 'vitest'
import { killedReceiver } from '../support/killed-receiver.ts'
import { stopNodes } from '../support/swarm-node.ts'

afterEach(stopNodes)

test('a process that is killed ten times in the middle of a fetch pays for ten blocks, and no more', async () => {
  await killedReceiver({ kills: 10, largeBytes: 24 * 2 ** 20, smallFiles: 1_000 })
})
