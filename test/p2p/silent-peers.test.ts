import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../node/p2p/components.ts'
import type { TogetherOptions } from '../../node/p2p/dag-together.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { fetchContent, memoryNode, store } from '../support/dag-peer.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { blackHole, closeWays, muteListener, wayTo } from '../support/silent-ways.ts'
import type { Way } from '../support/silent-ways.ts'
import { realClock, registryNamed, stopNodes } from '../support/swarm-node.ts'
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

/** Time as it is, and a promise that some wait was to the end. */
function clockThatTells(ofMs: number): { readonly clock: Clock; readonly passed: Promise<void> } {
  const passed = Promise.withResolvers<void>()
  const after: Clock['after'] = (ms, task) =>
    realClock.after(ms, () => {
      if (ms === ofMs) passed.resolve()
      task()
    })
  return { clock: { ...realClock, after }, passed: passed.promise }
}

describe('a peer that is here, and from which nothing comes any more', () => {
  /** Connected to two who have something, of whom the one that would be asked first is silent from then on. */
  async function besideSilent(clock: Clock, dags: readonly MadeDag[]): Promise<TestNode> {
    const me = await memoryNode({ registries, clock })
    const [dead, good] = [await holder(...dags), await holder(...dags)]
    const way = await wayTo(dead)
    for (const address of [way.address, good.address()]) {
      await me.swarm.connect(address)
      await expect.poll(() => me.swarm.libp2p.services.pubsub.getPeers().length).toBe(me.swarm.peers().length)
    }
    way.mute()
    return me
  }

  test('is passed over for another one, and the fetch does not wait for it in the end', async () => {
    const dag = folder()
    const { clock, passed } = clockThatTells(LIMITS.dag.openMs)
    const me = await besideSilent(clock, [dag])
    const fetched = fetchContent(me, { ...dag, registry }, PATIENTLY)
    expect(await firstOf({ fetched, passed })).toBe('fetched')
    expect((await fetched).stored).toHaveLength(dag.blocks.map.size)
  })

  test('costs several contents that are asked of it together one look', async () => {
    const dags = [folder(1, 900), folder(1, 900), folder(1, 900)]
    const { clock, passed } = clockThatTells(LIMITS.dag.togetherMs)
    const me = await besideSilent(clock, dags)
    const put: TogetherOptions['put'] = async (cid, bytes) => await me.blocks.put(cid, bytes)
    const came = me.swarm.fetchTogether(registry, dags, { put, ...PATIENTLY })
    expect(await firstOf({ came, passed })).toBe('came')
    // It is not the first that is asked for the next.
    const again = await me.swarm.fetchTogether(registry, dags, { put, ...PATIENTLY })
    for (const { blocks } of dags) for (const key of blocks.map.keys()) expect(again.has(key)).toBe(true)
  })
})
