import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { CrowdWorld } from '../support/crowd-world.ts'
import type { CrowdShape } from '../support/crowd-world.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'

const MiB = 2 ** 20

/** Leaves that differ, and cost nothing to make. */
function file(bytes: number): MadeDag {
  const content = new Uint8Array(bytes)
  for (let at = 0; at < bytes; at += MiB) content[at] = 1 + at / MiB
  const blocks = new DagBlocks()
  return { root: rootOf(blocks.folder({ 'big.bin': blocks.file(content, MiB) })), blocks, size: bytes }
}

const dag = file(2 * LIMITS.dag.crowdBytes)
const LAN = { bytesPerSecond: 12_000_000, latencyMs: 5 }

const crowd = async (shape: Omit<CrowdShape, 'seed' | 'peers'>, peers = 16) =>
  await new CrowdWorld({ seed: 7, peers, ...shape }, dag).run()

// Time is made up here, and what it is spent on is not: both sides are those of a node.
describe('a crowd that knows its source alone', () => {
  test.each<[string, Omit<CrowdShape, 'seed' | 'peers'>]>([
    ['on fast links', LAN],
    ['one after the other', { ...LAN, everyMs: 1_000 }],
    ['of whom a third gives nothing', { ...LAN, leeches: 0.3 }],
    [
      'on one machine that is busy with them for a minute',
      { bytesPerSecond: 1e8, latencyMs: 1, machine: { bytesPerSecond: 20_000_000, streamMs: 3, dialMs: 60 } }
    ]
  ])(
    'costs it a few copies: %s',
    async (_, shape) => {
      const { copies, sent } = await crowd(shape)
      expect(copies).toBeLessThan(4.5)
      expect(sent).toBeLessThan(2)
    },
    120_000
  )

  test('gets it all from the source where nobody reaches anybody else, and before long', async () => {
    const { copies, lastS } = await crowd({ ...LAN, unreachable: 1 }, 12)
    expect(copies).toBeCloseTo(12, 0)
    // The links alone would take 8 s.
    expect(lastS).toBeLessThan(40)
  })
})
