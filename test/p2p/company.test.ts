import { randomBytes } from 'node:crypto'
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { CID } from 'multiformats/cid'
import { afterEach, describe, expect, test } from 'vitest'
import { fetchContent as fetchStored } from '../../node/content-fetch.ts'
import { withGateways } from '../../node/gateway-race.ts'
import { Gateways } from '../../node/gateway-source.ts'
import { Company } from '../../node/p2p/company.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import { concatBytes } from '../../protocol/bytes.ts'
import { contentCarHeader, contentCarPrefix } from '../../protocol/content-car.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { VerifiedBlocks } from '../../storage/verified-blocks.ts'
import { fetchContent, madeUpPeer, memoryNode, store } from '../support/dag-peer.ts'
import type { Said } from '../support/dag-peer.ts'
import { freePort } from '../support/free-port.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import type { MadeDag } from '../support/random-dag.ts'
import { stopRawPeers } from '../support/raw-peer.ts'
import { registryNamed, stopNodes } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'
import { VirtualTime } from '../support/virtual-time.ts'

const closers: (() => void)[] = []

afterEach(async () => {
  await stopRawPeers()
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

/** A way to a node on which the first connection hears a word of it, and then nothing, until it is told to cut it. */
async function stallingWay(node: TestNode): Promise<{ address: string; taken: Promise<void>; cut: () => void }> {
  const [, port = '', peer = ''] = /tcp\/([0-9]+)\/p2p\/(.+)$/.exec(node.address()) ?? []
  const taken = Promise.withResolvers<void>()
  const sockets: Socket[] = []
  const server = createServer(socket => {
    sockets.push(socket)
    socket.on('error', () => {})
    const isFirst = sockets.length === 1
    const on = connect(Number(port), '127.0.0.1').on('error', () => socket.destroy())
    sockets.push(on)
    if (!isFirst) return void socket.pipe(on).pipe(socket)
    socket.once('data', bytes => on.write(bytes))
    on.once('data', bytes => socket.write(bytes, () => taken.resolve()))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}/p2p/${peer}`
  return { address, taken: taken.promise, cut: () => sockets[0]?.destroy() }
}

/** A node whose dial to the only holder is under way: connected, and not answered until it is cut and dialled again. */
async function dialling() {
  const dag = file()
  const source = await memoryNode({ registries })
  await store(source, dag.blocks)
  const { address, taken, cut } = await stallingWay(source)
  const me = await memoryNode({ registries, config: { bootstrap: [address], tuning: { redialMs: 600_000 } } })
  await taken
  return { dag, me, cut }
}

describe('a fetch that begins while nobody is here', () => {
  test('waits for the dial that is under way, and for another one when that comes to nothing', async () => {
    const { dag, me, cut } = await dialling()
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

describe('a fetch that has gateways, and begins while nobody is here', () => {
  type Handler = (cid: string, isArchive: boolean) => Uint8Array | undefined

  /** Answers with the first block, or with an archive that has no more than that. */
  function archiveOf({ blocks }: MadeDag): Handler {
    return (cid, isArchive) => {
      const bytes = blocks.map.get(cid)?.bytes ?? new Uint8Array()
      if (!isArchive) return bytes
      const link = CID.parse(cid)
      return concatBytes([contentCarHeader(link), contentCarPrefix(link, bytes.length), bytes])
    }
  }

  /** A gateway, and a fetch that knows it and the peers of a node. */
  async function fetchBeside(me: TestNode, { root, size }: MadeDag, handler: Handler): Promise<unknown> {
    const server = createHttpServer(({ url = '' }, response) => {
      const [, cid = '', format = ''] = /^\/ipfs\/([^?]+)\?format=(car|raw)/.exec(url) ?? []
      const bytes = handler(cid, format === 'car')
      if (bytes === undefined) response.writeHead(404).end()
      else response.writeHead(200, { 'content-type': `application/vnd.ipld.${format}` }).end(bytes)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const clock = systemClock(() => undefined)
    const gateways = new Gateways({ urls: [url], clock, log: { warn: () => undefined } })
    closers.push(() => {
      gateways.close()
      server.close()
      server.closeAllConnections()
    })
    const remote = withGateways(
      { open: (_, abort, watch) => me.swarm.fetch(registry, { signal: abort, watch }) },
      { gateways, clock }
    )
    const local = me.blocks as unknown as VerifiedBlocks
    return await fetchStored({ local, remote }, { registry, root, size }, AbortSignal.timeout(120_000))
  }

  test('asks them while somebody takes the connection and says no more than a word', async () => {
    const dag = file()
    const { address, taken } = await stallingWay(await memoryNode({ registries }))
    const me = await memoryNode({ registries, config: { bootstrap: [address], tuning: { redialMs: 600_000 } } })
    await taken
    const asked = Promise.withResolvers<'gateway'>()
    const fetching = fetchBeside(me, dag, (cid, isArchive) => {
      asked.resolve('gateway')
      return archiveOf(dag)(cid, isArchive)
    })
    fetching.catch(() => undefined)
    // The way lets the second connection through.
    const here = me.events.next('onPeer', 0).then(() => 'peer')
    expect(await Promise.race([asked.promise, here])).toBe('gateway')
    await fetching
    for (const { cid } of dag.blocks.map.values()) expect(await me.blocks.has(cid)).toBe(true)
  })

  test.each<readonly [string, () => readonly Said[]]>([
    ['never has room', () => [{ type: 'busy', peers: [] }]],
    ['says nothing', () => ['silence']]
  ])('asks them beside the only one who is here and %s', async (_, answer) => {
    const dag = file()
    const me = await memoryNode({ registries })
    const { asked } = await madeUpPeer(me, registry, answer)
    await fetchBeside(me, dag, archiveOf(dag))
    for (const { cid } of dag.blocks.map.values()) expect(await me.blocks.has(cid)).toBe(true)
    // He is asked again after half a second, a second, two seconds.
    expect(asked.length).toBeGreaterThan(0)
    expect(asked.length).toBeLessThan(10)
  })

  test('waits on for the dial that is under way when they have nothing', async () => {
    const { dag, me, cut } = await dialling()
    let asked = 0
    await fetchBeside(me, dag, () => {
      asked += 1
      cut()
      return undefined
    })
    expect(asked).toBeGreaterThan(0)
    for (const { cid } of dag.blocks.map.values()) expect(await me.blocks.has(cid)).toBe(true)
  })
})

describe('whoever is alone', () => {
  /** A socket on which somebody has spoken, or not, and what closes it. */
  function socket({ hasSpoken = true, remoteAddr = 'somewhere' } = {}) {
    const closed: (() => void)[] = []
    const addEventListener = (_: 'close', listener: () => void): void => void closed.push(listener)
    return {
      reached: { hasSpoken, remoteAddr, addEventListener },
      close: () => closed.splice(0).forEach(listener => listener())
    }
  }

  function lonely(onDial: (company: Company, time: VirtualTime) => Promise<void>) {
    const time = new VirtualTime()
    const dialled: number[] = []
    let [isHere, failed] = [false, 0]
    const seeker: Company = new Company({
      clock: time,
      isAlone: () => !isHere,
      hasSpoken: each => 'hasSpoken' in each && each.hasSpoken === true,
      dialling: [
        {
          get failed() {
            return failed
          },
          dialNow: async () => {
            dialled.push(time.now())
            await onDial(seeker, time)
            failed += 1
          }
        }
      ]
    })
    const passed = async (ms: number): Promise<void> => {
      let isOver = false
      time.after(ms, () => (isOver = true))
      await time.runUntil(() => isOver, Number.POSITIVE_INFINITY)
    }
    const sought = async (): Promise<number> => {
      let isOver = false
      const started = time.now()
      void seeker.sought(signal).then(() => (isOver = true))
      await time.runUntil(() => isOver, Number.POSITIVE_INFINITY)
      return time.now() - started
    }
    const arrive = (): void => {
      isHere = true
      seeker.onPeer()
    }
    const leave = (): void => void (isHere = false)
    return { time, seeker, dialled, sought, passed, arrive, leave }
  }

  /** All that an install of 40 packages waits for, one after the other. */
  async function install({ sought, passed }: Pick<ReturnType<typeof lonely>, 'sought' | 'passed'>): Promise<number> {
    let ms = 0
    for (let fetches = 0; fetches < 40; fetches++) {
      ms += await sought()
      await passed(200)
    }
    return ms
  }

  const { looks, lookMs, patienceMs, vainMs, vainFactor, refillMs } = company
  const SECOND = 1_000

  /** What is done with a connection, from the first byte to the last. */
  const takesFor =
    (ms: number, hasSpoken = true) =>
    async (seeker: Company, time: VirtualTime) => {
      const { reached, close } = socket({ hasSpoken })
      const over = Promise.withResolvers<void>()
      seeker.onReached(reached)
      time.after(ms, () => {
        close()
        over.resolve()
      })
      await over.promise
    }
  const closesAtOnce = async (seeker: Company): Promise<void> => {
    const { reached, close } = socket()
    seeker.onReached(reached)
    close()
  }

  test('waits a moment for the first socket, and does not dial the dead for each fetch', async () => {
    const { sought, dialled } = lonely(() => new Promise(() => {}))
    expect(await sought()).toBe(SECOND)
    expect(await sought()).toBe(0)
    expect(dialled).toEqual([0])
  })

  test('dials whoever closes at once a few times, with pauses, and not again for each fetch', async () => {
    const { sought, dialled } = lonely(closesAtOnce)
    expect(await sought()).toBeLessThanOrEqual(SECOND)
    expect(dialled).toEqual(Array.from({ length: looks }, (_, n) => n * lookMs))
    expect(await sought()).toBe(0)
    expect(dialled.length).toBe(looks)
  })

  test('waits for whoever is slow to introduce himself, up to a bound', async () => {
    const { sought } = lonely(takesFor(Number.MAX_SAFE_INTEGER))
    const waited = await sought()
    expect(waited).toBeGreaterThanOrEqual(dialTimeoutMs)
    expect(waited).toBeLessThanOrEqual(patienceMs)
  })

  test.each<readonly [string, (company: Company, time: VirtualTime) => Promise<void>, number]>([
    ['a black hole', () => new Promise(() => {}), SECOND],
    ['a machine where nothing listens', async () => {}, 0],
    ['one that closes at once', closesAtOnce, SECOND],
    [
      'one that closes at once, beside a black hole',
      company => closesAtOnce(company).then(() => new Promise(() => {})),
      SECOND
    ],
    ['one that says no word for 5 s each time', takesFor(5 * SECOND, false), SECOND],
    ['one that never says a word', takesFor(Number.MAX_SAFE_INTEGER, false), SECOND],
    ['one that speaks, and closes after 5 s each time', takesFor(5 * SECOND), patienceMs + SECOND],
    ['one that speaks, and closes after 9.9 s each time', takesFor(9_900), patienceMs + SECOND],
    ['one that speaks, and never to the end', takesFor(Number.MAX_SAFE_INTEGER), patienceMs + SECOND]
  ])('pays for %s once, not for each package of an install', async (_, onDial, mostMs) => {
    expect(await install(lonely(onDial))).toBeLessThanOrEqual(mostMs)
  })

  test('waits no longer for connections that are taken again and again than for one', async () => {
    const host = lonely(closesAtOnce)
    const { time, seeker } = host
    // What is dialled every few seconds anyway.
    const redialled = (): void => {
      void takesFor(4 * SECOND)(seeker, time)
      time.after(5 * SECOND, redialled)
    }
    redialled()
    let waited = 0
    while (time.now() < refillMs) {
      waited += await host.sought()
      await host.passed(500)
    }
    expect(waited).toBeLessThanOrEqual(2 * patienceMs + SECOND)
  })

  test('waits for a dial that is under way, also just after a search in vain', async () => {
    const { sought, seeker, time, arrive } = lonely(async () => {})
    expect(await sought()).toBe(0)
    seeker.onReached(socket().reached)
    time.after(6 * SECOND, arrive)
    expect(await sought()).toBe(6 * SECOND)
  })

  test('dials again after a search in vain, later each time, and at once when somebody was here meanwhile', async () => {
    const { sought, passed, dialled, arrive, leave, time } = lonely(() => new Promise(() => {}))
    await sought()
    for (const factor of [1, 2, 4]) {
      const count = dialled.length
      await passed(vainFactor * SECOND * factor - 1)
      expect(await sought()).toBe(0)
      await passed(1)
      expect(await sought()).toBe(SECOND)
      expect(dialled.length).toBe(count + 1)
    }
    arrive()
    expect(await sought()).toBe(0)
    leave()
    const now = time.now()
    expect(await sought()).toBe(SECOND)
    expect(dialled.at(-1)).toBe(now)
  })

  test('dials soon again where nothing listened: the other node may have just been started', async () => {
    const { sought, passed, dialled } = lonely(async () => {})
    await sought()
    await passed(vainMs)
    await sought()
    expect(dialled).toEqual([0, vainMs])
  })
})
