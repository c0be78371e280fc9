import { randomBytes } from 'node:crypto'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { Company } from '../../node/p2p/company.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { fetchContent, memoryNode, store } from '../support/dag-peer.ts'
import { freePort } from '../support/free-port.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { registryNamed, stopNodes } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'
import { VirtualTime } from '../support/virtual-time.ts'

const closers: (() => void)[] = []

afterEach(async () => {
  await stopNodes()
  for (const close of closers.splice(0)) close()
})

const registry = registryNamed('acme')
const registries = [registry]
const { signal } = new AbortController()
const { company, dialTimeoutMs } = LIMITS.connections

function file(): MadeDag {
  const blocks = new DagBlocks()
  const MiB = 2 ** 20
  return { root: rootOf(blocks.folder({ 'one.bin': blocks.file(randomBytes(3 * MiB), MiB) })), blocks, size: 3 * MiB }
}

/** A way to a node on which the first connection is open and silent, until it is told to cut it. */
async function stallingWay(node: TestNode): Promise<{ address: string; taken: Promise<void>; cut: () => void }> {
  const [, port = '', peer = ''] = /tcp\/([0-9]+)\/p2p\/(.+)$/.exec(node.address()) ?? []
  const taken = Promise.withResolvers<void>()
  const sockets: Socket[] = []
  const server = createServer(socket => {
    sockets.push(socket)
    socket.on('error', () => {})
    taken.resolve()
    if (sockets.length === 1) return
    const on = connect(Number(port), '127.0.0.1').on('error', () => socket.destroy())
    sockets.push(on)
    socket.pipe(on).pipe(socket)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}/p2p/${peer}`
  return { address, taken: taken.promise, cut: () => sockets[0]?.destroy() }
}

describe('a fetch that begins while nobody is here', () => {
  test('waits for the dial that is under way, and for another one when that comes to nothing', async () => {
    const dag = file()
    const source = await memoryNode({ registries })
    await store(source, dag.blocks)
    const { address, taken, cut } = await stallingWay(source)
    const me = await memoryNode({ registries, config: { bootstrap: [address], tuning: { redialMs: 600_000 } } })
    await taken
    const fetching = fetchContent(me, { ...dag, registry })
    cut()
    expect((await fetching).stored.length).toBe(dag.blocks.map.size)
  })

  test('dials those that are known, however long it is until they would be dialled again', async () => {
    const dag = file()
    const source = await memoryNode({ registries })
    await store(source, dag.blocks)
    const [me, before] = [await memoryNode({ registries }), source.address()]
    await me.swarm.connect(before)
    await expect.poll(() => source.swarm.peers().length).toBe(1)
    await Promise.all(me.swarm.libp2p.getConnections().map(async connection => await connection.close()))
    expect((await fetchContent(me, { ...dag, registry })).stored.length).toBe(dag.blocks.map.size)
  })

  test('ends soon where nothing listens, and says what came of it', async () => {
    const dead = `/ip4/127.0.0.1/tcp/${await freePort()}/p2p/${(await memoryNode()).swarm.peerId}`
    const me = await memoryNode({ registries, config: { bootstrap: [dead] } })
    const started = performance.now()
    const session = me.swarm.fetch(registry)
    const { root, size, blocks } = file()
    const local = { has: async () => false, put: async () => undefined, read: async () => undefined }
    await session.content({ root, size }, local, { signal })
    const [first] = blocks.map.values()
    if (first === undefined) throw new Error('an empty dag')
    await expect(session.block(first.cid)).rejects.toMatchObject({
      code: 'CONTENT_UNAVAILABLE',
      message: expect.stringContaining('there was nobody to ask') as string,
      tried: expect.arrayContaining([expect.stringContaining(dead) as string]) as string[]
    })
    session.close()
    expect(performance.now() - started).toBeLessThan(LIMITS.fetch.blockTimeoutMs)
  })
})

describe('whoever is alone', () => {
  function lonely(onDial: (company: Company) => Promise<void>) {
    const time = new VirtualTime()
    const dialled: number[] = []
    const seeker: Company = new Company({
      clock: time,
      isAlone: () => true,
      dialling: [
        {
          dialNow: async () => {
            dialled.push(time.now())
            await onDial(seeker)
          }
        }
      ]
    })
    const sought = async (): Promise<number> => {
      let isOver = false
      const started = time.now()
      void seeker.sought(signal).then(() => (isOver = true))
      await time.runUntil(() => isOver, Number.POSITIVE_INFINITY)
      return time.now() - started
    }
    return { time, dialled, sought }
  }

  test('waits a moment for the first socket, and does not dial the dead for each fetch', async () => {
    const { sought, dialled } = lonely(() => new Promise(() => {}))
    expect(await sought()).toBe(company.signMs)
    expect(await sought()).toBe(0)
    expect(dialled).toEqual([0])
  })

  test('dials whoever closes at once a few times, with pauses', async () => {
    const { sought, dialled } = lonely(async seeker => seeker.onReached())
    expect(await sought()).toBe((company.rounds - 1) * company.pauseMs)
    expect(dialled.length).toBe(company.rounds)
  })

  test('waits for whoever is slow to introduce himself, up to a bound', async () => {
    const { sought } = lonely(seeker => {
      seeker.onReached()
      return new Promise(() => {})
    })
    const waited = await sought()
    expect(waited).toBeGreaterThanOrEqual(dialTimeoutMs)
    expect(waited).toBeLessThanOrEqual(company.patienceMs + company.pauseMs)
  })
})
