import { afterEach, test } from 'vitest'
import { killedReceiver } from '../support/killed-receiver.ts'
import { stopNodes } from '../support/swarm-node.ts'

afterEach(stopNodes)

test('a process that is killed in the middle of a fetch pays for one block, and no more', async () => {
  await killedReceiver({ kills: 2, largeBytes: 6 * 2 ** 20, smallFiles: 100 })
})
