import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { openBlocks } from '../../storage/block-store.ts'
import { startChild } from './child.ts'
import { memoryNode, store } from './dag-peer.ts'
import { DagBlocks, rootOf } from './random-dag.ts'
import { tempDir } from './temp-dir.ts'

const MiB = 2 ** 20
/** Handshakes, introduction, and what else hosts say to each other in each life of the receiver. */
const TALK_BYTES = 48 * 1024

/**
 * Fetches a package in a process that is killed so often, each time at an offset that nobody has chosen, and once to the
 * end; all that ever came in is its size, a block for each kill, and the talk around it.
 */
export async function killedReceiver({
  kills,
  largeBytes
}: {
  readonly kills: number
  readonly largeBytes: number
}): Promise<void> {
  const blocks = new DagBlocks()
  const small = Array.from({ length: 200 }, (_, i) => [`file-${i}`, blocks.raw(randomBytes(2_000 + i))] as const)
  const root = rootOf(
    blocks.folder({
      'big.bin': blocks.file(randomBytes(largeBytes), MiB),
      src: blocks.folder(Object.fromEntries(small))
    })
  )
  const server = await memoryNode()
  await store(server, blocks)
  const all = [...blocks.map.values()]
  const total = all.reduce((sum, { bytes }) => sum + bytes.length, 0)
  const folder = await tempDir('killed')
  const size = total.toString()
  const live = async (until: number): Promise<readonly [how: string, bytes: number]> => {
    const child = startChild('receiver', [folder, server.address(), root, size, until.toString()])
    const [how = '', bytes = '0'] = (await child.line()).split(' ')
    await child.kill()
    return [how, Number(bytes)]
  }
  let received = 0
  for (let kill = 0; kill < kills; kill++) {
    // Of what is missing still, so that each kill is in the middle.
    const left = Math.max(TALK_BYTES, total - received)
    const [how, bytes] = await live(TALK_BYTES / 4 + Math.random() * (left / 2))
    expect(how).toBe('killed')
    received += bytes
  }
  const [how, bytes] = await live(Number.POSITIVE_INFINITY)
  expect(how).toBe('whole')
  received += bytes
  expect(received).toBeLessThan(total * 1.01 + kills * LIMITS.content.chunkBytes + (kills + 1) * TALK_BYTES)
  const kept = await openBlocks(`${folder}/blocks`)
  for (const { cid } of all) expect(await kept.has(cid)).toBe(true)
}
