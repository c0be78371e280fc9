import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { Lost } from '../../node/p2p/dag-lost.ts'
import { DAG_PROTOCOL } from '../../protocol/dag/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { fetchContent, localOf, memoryNode, store } from '../support/dag-peer.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { registryNamed, stopNodes } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'
import { VirtualTime } from '../support/virtual-time.ts'

afterEach(stopNodes)

const registry = registryNamed('acme')
const registries = [registry]
const MiB = 2 ** 20
const { lostTries, lostAtOnce, lostPauseMs } = LIMITS.dag

function file(bytes: number): MadeDag {
  const blocks = new DagBlocks()
  return { root: rootOf(blocks.folder({ 'big.bin': blocks.file(randomBytes(bytes), MiB) })), blocks, size: bytes }
}

/** Fetches from the only peer there is; something happens when so many blocks are here. */
async function fetchWith(dag: MadeDag, at: number, event: (me: TestNode, source: TestNode) => void): Promise<number> {
  const [source, me] = [await memoryNode({ registries }), await memoryNode({ registries })]
  await store(source, dag.blocks)
  await me.swarm.connect(source.address())
  const local = localOf(me)
  const put: typeof local.put = async (cid, bytes) => {
    await local.put(cid, bytes)
    if (local.puts.length === at) event(me, source)
  }
  return (await fetchContent(me, { ...dag, registry }, { local: { ...local, put } })).stored.length
}

describe('the only one who has it', () => {
  test.each(['mine', 'his'])('is dialled again when the connection ends in the middle: at %s end', async end => {
    const dag = file(6 * MiB)
    const stored = await fetchWith(dag, 3, (me, source) => {
      const [connection] = (end === 'mine' ? me : source).swarm.libp2p.getConnections()
      connection?.abort(new Error('the cable was cut'))
    })
    expect(stored).toBe(dag.blocks.map.size)
  })

  test('is asked again when the stream breaks off and the connection does not', async () => {
    const dag = file(6 * MiB)
    const stored = await fetchWith(dag, 3, (_, source) => {
      const [connection] = source.swarm.libp2p.getConnections()
      for (const stream of connection?.streams ?? [])
        if (stream.protocol === DAG_PROTOCOL) stream.abort(new Error('too busy to go on'))
    })
    expect(stored).toBe(dag.blocks.map.size)
  })

  test('and is gone for good is given up after a few tries', async () => {
    const dag = file(6 * MiB)
    const stored = await fetchWith(dag, 3, (_, source) => void source.swarm.stop())
    expect(stored).toBeGreaterThanOrEqual(3)
    expect(stored).toBeLessThan(dag.blocks.map.size)
  })
})

describe('who broke off', () => {
  const seeker = (comesBackAt: number): { time: VirtualTime; lost: Lost; dialled: number[] } => {
    const time = new VirtualTime()
    const dialled: number[] = []
    const again = async (): Promise<boolean> => dialled.push(time.now()) > comesBackAt
    return { time, dialled, lost: new Lost({ clock: time, further: { again }, isHere: () => false }) }
  }
  const { signal } = new AbortController()

  test('is sought a few times, at longer and longer intervals, and no more until it has sent something', async () => {
    const { time, lost, dialled } = seeker(Infinity)
    let isBack: boolean | undefined
    void lost.seek('a', signal).then(is => (isBack = is))
    await time.runUntil(() => isBack !== undefined, 60_000)
    expect(isBack).toBe(false)
    expect(dialled).toEqual(Array.from({ length: lostTries }, (_, n) => lostPauseMs * (2 ** n - 1)))
    expect(lost.isDue('a')).toBe(false)
    lost.forget('a')
    expect(lost.isDue('a')).toBe(true)
  })

  test('is sought once at a time, few at once, and until the fetch is over', async () => {
    const { lost } = seeker(Infinity)
    const abort = new AbortController()
    const sought = Array.from({ length: lostAtOnce }, async (_, n) => await lost.seek(`peer-${n}`, abort.signal))
    expect(lost.isDue('peer-0')).toBe(false)
    expect(lost.isDue('another')).toBe(false)
    abort.abort()
    expect(await Promise.all(sought)).toEqual(Array(lostAtOnce).fill(false))
    expect(lost.isDue('another')).toBe(true)
  })
})
