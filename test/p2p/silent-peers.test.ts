import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { fetchContent, memoryNode, store } from '../support/dag-peer.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { blackHole, closeWays, muteListener, wayTo } from '../support/silent-ways.ts'
import type { Way } from '../support/silent-ways.ts'
import { registryNamed, stopNodes } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'

afterEach(async () => {
  await stopNodes()
  await closeWays()
})

const registry = registryNamed('acme')
const registries = [registry]

function folder(files = 30, bytes = 9_000): MadeDag {
  const blocks = new DagBlocks()
  const contents = Array.from({ length: files }, (_, i) => [`f${i}`, blocks.raw(randomBytes(bytes))] as const)
  return { blocks, root: rootOf(blocks.folder(Object.fromEntries(contents))), size: files * bytes }
}

/** A node that has some content. */
async function holder(...dags: readonly MadeDag[]): Promise<TestNode> {
  const node = await memoryNode({ registries })
  for (const { blocks } of dags) await store(node, blocks)
  return node
}

/** One that has just started, and is not to dial anybody again of its own accord. */
async function started(bootstrap: readonly string[]): Promise<TestNode> {
  return await memoryNode({ registries, config: { bootstrap, tuning: { redialMs: 600_000 } } })
}

/** Which of some things came first. */
async function firstOf(things: Readonly<Record<string, Promise<unknown>>>): Promise<string> {
  return await Promise.race(Object.entries(things).map(async ([name, thing]) => await thing.then(() => name)))
}

/** A fetch is not to be ended by a deadline of the test. */
const PATIENTLY = { signal: new AbortController().signal }

describe('a fetch that begins while nobody is here', () => {
  /** A holder that closes the first connection, as a machine does that has too much to do. */
  async function busyHolder(dag: MadeDag): Promise<Way> {
    return await wayTo(await holder(dag), { closes: 1 })
  }

  test('dials whoever was merely busy again, while packets to another one go nowhere', async () => {
    const dag = folder()
    const me = await started([(await blackHole()).address, (await busyHolder(dag)).address])
    expect((await fetchContent(me, { ...dag, registry }, PATIENTLY)).stored).toHaveLength(dag.blocks.map.size)
  })

  test('and while another one takes the connection and says nothing', async () => {
    const dag = folder()
    const mute = await muteListener()
    const me = await started([mute.address, (await busyHolder(dag)).address])
    await mute.taken
    const fetched = fetchContent(me, { ...dag, registry }, PATIENTLY)
    expect(await firstOf({ fetched, givenUp: mute.givenUp })).toBe('fetched')
    expect((await fetched).stored).toHaveLength(dag.blocks.map.size)
  })

  test('does not wait until a dial to somebody who says nothing is given up', async () => {
    const mute = await muteListener()
    const me = await started([mute.address])
    await mute.taken
    const fetched = fetchContent(me, { ...folder(), registry }, PATIENTLY)
    expect(await firstOf({ fetched, givenUp: mute.givenUp })).toBe('fetched')
    expect((await fetched).stored).toEqual([])
  })
})
