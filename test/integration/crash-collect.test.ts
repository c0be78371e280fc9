import { test } from 'vitest'
import { crashWhileCollecting } from '../support/collect-rounds.ts'

test('a node that is killed while it collects garbage keeps what is pinned and believes nothing half to be here', async () => {
  await crashWhileCollecting({ rounds: 2, seed: 4919 })
})
