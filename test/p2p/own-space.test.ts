import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { PUBLIC_SWARM } from '../../node/config-schema.ts'
import { Spaces } from '../../node/spaces.ts'
import { parseRegistryId } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { memoryBlocks } from '../../storage/memory-blocks.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { Records } from '../../storage/records.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import { registryNamed } from '../support/swarm-node.ts'

test('what a private swarm holds is told by its own host alone', async () => {
  const kv = memoryKeyValue()
  const registry = parseRegistryId(registryNamed('acme'))
  const spaces = await Spaces.open({
    openBlocks: async () => memoryBlocks(),
    deleteBlocks: async () => undefined,
    kv,
    records: new Records(kv),
    clock: { now: () => 0 },
    registries: { all: [{ id: registry, swarm: 'acme' }] }
  })
  const told: string[] = []
  const [open, closed] = [spaces.public, spaces.named('acme')]
  const stop = [open, closed].map(space => space.onKept((root, isKept) => told.push(`${space.name} ${root} ${isKept}`)))
  const [secret, shared] = [0, 1].map(() => rootOf(new DagBlocks().raw(randomBytes(9)))) as [ContentId, ContentId]
  await spaces.of(registry).markKept(secret)
  await open.markKept(shared)
  await closed.forgetKept(secret)
  expect(told).toEqual([`acme ${secret} true`, `${PUBLIC_SWARM} ${shared} true`, `acme ${secret} false`])
  const kept: ContentId[] = []
  for await (const root of open.kept()) kept.push(root)
  expect(kept).toEqual([shared])
  for (const end of stop) end()
  await open.forgetKept(shared)
  expect(told).toHaveLength(3)
})
