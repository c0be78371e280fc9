import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { LevelDatastore } from 'datastore-level'
import { afterEach, describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Datastore } from '../../node/p2p/components.ts'
import { Rejoiner } from '../../node/p2p/rejoin.ts'
import { RememberedPeers } from '../../node/p2p/remembered.ts'
import { stopNodes, testNode } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'
import { tempDir } from '../support/temp-dir.ts'
import { testClock } from '../support/test-clock.ts'
import type { TestClock } from '../support/test-clock.ts'

const stores: LevelDatastore[] = []

/** A crowded machine takes its time. */
const SLOWLY = { timeout: 60_000 }

afterEach(async () => {
  await stopNodes()
  for (const store of stores.splice(0)) await store.close()
})

const silent = { debug: () => {}, info: () => {}, warn: () => {} }
const { remembered: limits } = LIMITS.reach

/** Peer ids of rows that are on disk. */
async function rows({ swarm }: TestNode): Promise<readonly string[]> {
  const components = Reflect.get(swarm.libp2p, 'components') as { readonly datastore: Datastore }
  return await keysOf(components.datastore)
}

async function keysOf(datastore: Pick<Datastore, 'query'>): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { key } of datastore.query({ prefix: '/ggen/remembered/' })) found.push(key.baseNamespace())
  return found
}

describe('a node', () => {
  test('whose configured peers are all gone is back within 30 s through others that it met', async () => {
    const bootstrap = await testNode()
    const config = { bootstrap: [bootstrap.address()] }
    const [friend, node] = [await testNode({ config }), await testNode({ config })]
    await node.swarm.connect(friend.address())
    await expect.poll(() => rows(node), SLOWLY).toContain(friend.swarm.peerId)
    await node.stop()
    await bootstrap.stop()

    const started = performance.now()
    const back = await testNode({ config, again: node.again })
    expect(back.swarm.peerId).toBe(node.swarm.peerId)
    expect(await back.events.next('onPeer')).toBe(friend.swarm.peerId)
    expect(performance.now() - started).toBeLessThan(30_000)
  })

  test('that was only ever dialled remembers others by what they say of themselves', async () => {
    const [friend, node] = [await testNode(), await testNode()]
    await friend.swarm.connect(node.address())
    await expect.poll(() => rows(node), SLOWLY).toContain(friend.swarm.peerId)
    await node.stop()
    const back = await testNode({ again: node.again })
    expect(await back.events.next('onPeer')).toBe(friend.swarm.peerId)
  })

  test('does not look for a peer again that was sent away', async () => {
    const [friend, node] = [await testNode(), await testNode()]
    await node.swarm.connect(friend.address())
    await expect.poll(() => rows(node), SLOWLY).toContain(friend.swarm.peerId)
    await node.swarm.disconnect(friend.swarm.peerId)
    await expect.poll(() => rows(node), SLOWLY).toEqual([])
  })
})

const peer = (number: number): string => `peer-${number}`
const at = (text: string) => multiaddr(text)

async function remember(
  clock: TestClock,
  { internet = false } = {}
): Promise<RememberedPeers & { store: LevelDatastore }> {
  const store = new LevelDatastore(join(await tempDir('remembered'), 'data'))
  await store.open()
  stores.push(store)
  return Object.assign(new RememberedPeers({ datastore: store, clock: p2pClock(clock), log: silent, internet }), {
    store
  })
}

function p2pClock(clock: TestClock): Clock {
  return {
    now: () => clock.now(),
    after: (ms, task) => {
      const cancel = new AbortController()
      clock.after(ms, task, cancel.signal)
      return () => cancel.abort()
    }
  }
}

describe('what is remembered', () => {
  test('is read again by the next run, the last seen first, and not for ever', async () => {
    const clock = testClock()
    const peers = await remember(clock)
    peers.note(peer(1), { dialled: at('/ip4/10.0.0.1/tcp/1') })
    await clock.advance(limits.ageMs - 1_000)
    peers.note(peer(2), { dialled: at('/ip4/10.0.0.2/tcp/1/ws') })
    await clock.advance(500)
    peers.note(peer(3), { said: [at('/ip4/10.0.0.3/tcp/1')] })
    await peers.stop()
    const read = async () => {
      const next = new RememberedPeers({ datastore: peers.store, clock: p2pClock(clock), log: silent, internet: false })
      await next.load()
      return next.all().map(({ id, addresses }) => [id, ...addresses])
    }
    expect(await read()).toEqual([
      ['peer-3', '/ip4/10.0.0.3/tcp/1'],
      ['peer-2', '/ip4/10.0.0.2/tcp/1/ws'],
      ['peer-1', '/ip4/10.0.0.1/tcp/1']
    ])
    await clock.advance(1_000)
    expect((await read()).length).toBe(2)
    expect(await keysOf(peers.store)).toEqual(['peer-2', 'peer-3'])
  })

  test('is bounded: the ones that were here longest ago leave, from the disk too', async () => {
    const clock = testClock()
    const peers = await remember(clock)
    for (let i = 0; i < limits.peers + 10; i++) peers.note(peer(i), { dialled: at('/ip4/10.0.0.1/tcp/1') })
    await peers.stop()
    const kept = await keysOf(peers.store)
    expect(kept.length).toBe(limits.peers)
    expect(kept).not.toContain(peer(9))
    expect(kept).toContain(peer(10))
  })

  test('has few addresses, the dialled one first, and a way through a relay if there is one', async () => {
    const peers = await remember(testClock())
    const relay = '12D3KooWM3svask5a9trGkL74PNuvpEQPrMBMYkgSXyTN8bLj9vY'
    const through = `/ip4/10.9.9.9/tcp/1/p2p/${relay}/p2p-circuit`
    const said = [1, 2, 3, 4, 5].map(number => at(`/ip4/10.0.0.${number}/tcp/1`))
    peers.note(peer(1), { said: [...said, at(through)] })
    peers.note(peer(1), { dialled: at(`/ip4/10.0.0.77/tcp/1/p2p/${relay}`) })
    expect(peers.all()[0]?.addresses).toEqual([
      '/ip4/10.0.0.77/tcp/1',
      '/ip4/10.0.0.1/tcp/1',
      '/ip4/10.0.0.2/tcp/1',
      through
    ])
  })

  test('has no name that the dns would be asked for, and on the internet no private address that a peer says of itself', async () => {
    const peers = await remember(testClock(), { internet: true })
    peers.note(peer(1), { said: [at('/dns4/example.org/tcp/1'), at('/ip4/10.0.0.1/tcp/1'), at('/ip4/8.8.8.8/tcp/1')] })
    expect(peers.all()[0]?.addresses).toEqual(['/ip4/8.8.8.8/tcp/1'])
  })

  test('is written when it is news, and not with every look', async () => {
    const clock = testClock()
    const peers = await remember(clock)
    let writes = 0
    const put = peers.store.put.bind(peers.store)
    peers.store.put = async (...args) => {
      writes += 1
      return await put(...args)
    }
    for (let i = 0; i < 5; i++) peers.note(peer(1), { dialled: at('/ip4/10.0.0.1/tcp/1') })
    await clock.advance(limits.rewriteMs + 1)
    peers.note(peer(1), { dialled: at('/ip4/10.0.0.1/tcp/1') })
    await peers.stop()
    expect(writes).toBe(2)
  })
})

describe('looking for peers', () => {
  const setUp = async (count: number) => {
    const clock = testClock()
    const peers = await remember(clock)
    const ids = await Promise.all(Array.from({ length: count }, async () => await someId()))
    ids.forEach((id, i) => peers.note(id, { dialled: at(`/ip4/10.0.1.${i + 1}/tcp/1`) }))
    await peers.stop()
    const here = new Set<string>()
    const dialled: string[] = []
    const rejoiner = new Rejoiner({
      clock: p2pClock(clock),
      log: silent,
      remembered: peers,
      isConnected: id => here.has(id),
      peers: () => here.size,
      dial: async addresses => {
        dialled.push(String(addresses[0]))
        throw new Error('nobody answers')
      }
    })
    /** Moves the clock to the end of the next round. */
    const round = async (ms: number = limits.everyMs): Promise<readonly string[]> => {
      await clock.advance(ms)
      await new Promise(resolve => setImmediate(resolve))
      return dialled.splice(0)
    }
    return { clock, here, ids, round, rejoiner }
  }

  test('goes through those that were here, a few at a time, the last seen first, and leaves alone who does not answer', async () => {
    const { clock, ids, round, rejoiner } = await setUp(12)
    rejoiner.start()
    const first = await round(limits.afterMs)
    expect(first.length).toBe(limits.dialsAtOnce)
    expect(first[0]).toBe(`/ip4/10.0.1.12/tcp/1/p2p/${ids[11]}`)
    expect((await round()).length).toBe(12 - limits.dialsAtOnce)
    // The first ones are due again after 10 s, and then only after 20.
    expect((await round()).length).toBe(limits.dialsAtOnce)
    await rejoiner.stop()
    expect(clock.pending()).toBe(0)
  })

  test('ends as soon as there are enough peers, and begins again when there are not', async () => {
    const { here, round, rejoiner } = await setUp(1)
    for (let i = 0; i < limits.fewPeers; i++) here.add(`somebody ${i}`)
    rejoiner.start()
    expect(await round(limits.afterMs)).toEqual([])
    here.delete('somebody 0')
    expect((await round()).length).toBe(1)
    await rejoiner.stop()
  })

  test('dials who is found on the local network, however many are here, at private addresses only', async () => {
    const { here, round, rejoiner } = await setUp(0)
    for (let i = 0; i < limits.fewPeers; i++) here.add(`somebody ${i}`)
    rejoiner.start()
    expect(await round(limits.afterMs)).toEqual([])
    const [near, far, named] = [await someId(), await someId(), await someId()]
    rejoiner.onNeighbour(near, [at('/ip4/192.168.1.5/tcp/1'), at('/ip4/8.8.8.8/tcp/1')])
    rejoiner.onNeighbour(far, [at('/ip4/8.8.8.8/tcp/1')])
    rejoiner.onNeighbour(named, [at('/dns4/example.org/tcp/1')])
    expect(await round(limits.afterMs)).toEqual([`/ip4/192.168.1.5/tcp/1/p2p/${near}`])
    await rejoiner.stop()
  })

  test('a flood of made-up neighbours is a few dials at a time', async () => {
    const { round, rejoiner } = await setUp(0)
    rejoiner.start()
    for (let i = 0; i < 400; i++) rejoiner.onNeighbour(await someId(), [at('/ip4/192.168.1.5/tcp/1')])
    for (let i = 0; i < 3; i++) expect((await round()).length).toBeLessThanOrEqual(limits.dialsAtOnce)
    await rejoiner.stop()
  })

  test('a flood of made-up neighbours leaves those that were here before their turn', async () => {
    const { ids, round, rejoiner } = await setUp(2)
    rejoiner.start()
    for (let i = 0; i < 20; i++) rejoiner.onNeighbour(await someId(), [at('/ip4/192.168.1.5/tcp/1')])
    const dialled = await round(limits.afterMs)
    for (const id of ids) expect(dialled.join(' ')).toContain(id)
    await rejoiner.stop()
  })
})

async function someId(): Promise<string> {
  return peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString()
}
