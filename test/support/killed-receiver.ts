import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { openBlocks } from '../../storage/block-store.ts'
import { startChild } from './child.ts'
import { memoryNode, store } from './dag-peer.ts'
import { DagBlocks, rootOf } from './random-dag.ts'
import { tempDir } from './temp-dir.ts'

const MiB = 2 ** 20
const SMALL_BYTES = 8_000
/** Handshakes, introduction, and what else hosts say to each other in each life of the receiver. */
const TALK_BYTES = 48 * 1024
/** What encryption and frames add. */
const WRAPPED = 1.01

/**
 * Fetches a package in a process that is killed so often, each time at an offset that nobody has chosen, and once to the
 * end. Of what one life read from its socket all but a block is on its disk, so that all that ever came in is the size of the
 * package, a block for each kill, and the talk around it.
 */
export async function killedReceiver({
  kills,
  largeBytes,
  smallFiles
}: {
  readonly kills: number
  readonly largeBytes: number
  readonly smallFiles: number
}): Promise<void> {
  const blocks = new DagBlocks()
  const small = Array.from(
    { length: smallFiles },
    (_, i) => [`file-${i}`, blocks.raw(randomBytes(SMALL_BYTES + i))] as const
  )
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
  let here = 0
  for (let kill = 0; kill < kills; kill++) {
    // Of a share of what is missing still, so that there is a middle left for each kill: a socket is read in pieces of megabytes.
    const until = Math.floor(TALK_BYTES / 4 + Math.random() * ((total - here) / (kills - kill + 1)))
    const [how, bytes] = await live(until)
    expect(how).toBe('killed')
    received += bytes
    const before = here
    here = (await (await openBlocks(`${folder}/blocks`)).usage()).bytes
    const kept = (here - before) * WRAPPED
    expect(bytes - kept, `lost when killed at ${until}`).toBeLessThan(LIMITS.content.chunkBytes + TALK_BYTES)
  }
  const [how, bytes] = await live(Number.POSITIVE_INFINITY)
  expect(how).toBe('whole')
  received += bytes
  expect(received).toBeLessThan(total * WRAPPED + kills * LIMITS.content.chunkBytes + (kills + 1) * TALK_BYTES)
  const kept = await openBlocks(`${folder}/blocks`)
  for (const { cid } of all) expect(await kept.has(cid)).toBe(true)
}
