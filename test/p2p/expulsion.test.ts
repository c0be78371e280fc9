import { createHash, randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { afterEach, expect, test } from 'vitest'
import type { Blockstore } from '../../node/p2p/components.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { memoryBlocks } from '../../storage/memory-blocks.ts'
import { COMPANY, certificateOf, companyHost, employee, movedBy } from '../support/company.ts'
import type { CompanyHost } from '../support/company.ts'
import { fetchContent, store } from '../support/dag-peer.ts'
import { DagBlocks, rootOf } from '../support/random-dag.ts'
import { stopNodes, testNode } from '../support/swarm-node.ts'
import { testClock } from '../support/test-clock.ts'

afterEach(stopNodes)

const boss = employee('boss', 'owner')
const [ann, bob] = [employee('ann'), employee('bob')]
const staff = [boss, ann, bob]

async function introduce(from: CompanyHost, to: CompanyHost): Promise<void> {
  await from.node.swarm.connect(to.node.address())
  const id = from.node.swarm.peerId
  await expect.poll(() => to.node.swarm.peers().some(peer => peer.id === id && peer.connected)).toBe(true)
}

/** The one that the connection of a host to another one is on; libp2p's types do not name it. */
function socketTo(from: CompanyHost, to: CompanyHost): Socket {
  const [connection] = from.node.swarm.libp2p.getConnections(to.node.swarm.libp2p.peerId)
  return (connection as unknown as { readonly maConn: { readonly socket: Socket } }).maConn.socket
}

test('who is expelled is cut in the middle of a transfer, and no further byte is sent', async () => {
  let served = 0
  const sentAtTheCut = Promise.withResolvers<{ readonly socket: Socket; readonly bytes: number }>()
  const cut = (): void => {
    a.membership.staff.delete(ann.key)
    const socket = socketTo(a, b)
    expect(a.node.swarm.recheck()).toBe(1)
    sentAtTheCut.resolve({ socket, bytes: socket.bytesWritten })
  }
  const wrapBlocks = (blocks: Blockstore): Blockstore =>
    new Proxy<Blockstore>(blocks, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return (...args: unknown[]): unknown => {
          if (name === 'get' && (served += 1) === 6) cut()
          return Reflect.apply(value, target, args)
        }
      }
    })
  const a = await companyHost(boss, staff, { wrapBlocks })
  const b = await companyHost(ann, staff, { config: { tuning: { blockTimeoutMs: 3_000 } } })
  const contents = Array.from({ length: 24 }, () => randomBytes(2 ** 20))
  const cids: CID[] = []
  for (const bytes of contents) {
    const cid = CID.createV1(0x55, createDigest(0x12, createHash('sha256').update(bytes).digest()))
    await a.node.blocks.put(cid, bytes)
    cids.push(cid)
  }
  await introduce(b, a)
  const session = b.node.swarm.fetch(COMPANY)
  // Two at a time, so that some have come before the others are asked for.
  const got: string[] = []
  const workers = Promise.allSettled(
    [cids.slice(0, 12), cids.slice(12)].map(async mine => {
      for (const cid of mine) {
        await session.block(cid)
        got.push(cid.toString())
      }
    })
  )
  const { socket, bytes } = await sentAtTheCut.promise
  expect(await a.node.events.next('onExpelled')).toBe(b.node.swarm.peerId)
  expect(await b.node.events.next('onPeerGone')).toBe(a.node.swarm.peerId)
  expect((await workers).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  session.close()
  expect(got.length).toBeGreaterThan(0)
  expect(got.length).toBeLessThan(6)
  expect(socket.bytesWritten).toBe(bytes)
  expect(socket.destroyed).toBe(true)
  for (const cid of cids) expect(await b.node.blocks.has(cid)).toBe(got.includes(cid.toString()))
  // An office shares one address: others from there come in as before.
  const c = await companyHost(bob, staff)
  await introduce(c, a)
  expect(a.node.events.of('onCut')).toEqual([])
})

test('who is expelled is cut in the middle of a content stream', async () => {
  let served = 0
  const cut = Promise.withResolvers<{ readonly socket: Socket; readonly bytes: number }>()
  const inner = memoryBlocks()
  const a = await companyHost(boss, staff, {
    wrapBlocks: () => ({
      ...inner,
      readNow: () => undefined,
      get: cid => {
        if ((served += 1) === 6) {
          a.membership.staff.delete(ann.key)
          const socket = socketTo(a, b)
          expect(a.node.swarm.recheck()).toBe(1)
          cut.resolve({ socket, bytes: socket.bytesWritten })
        }
        return inner.get(cid)
      }
    })
  })
  const b = await companyHost(ann, staff, { wrapBlocks: () => memoryBlocks() })
  const blocks = new DagBlocks()
  const root = rootOf(blocks.file(randomBytes(24 * 2 ** 20), 2 ** 20))
  await store(a.node, blocks)
  await introduce(b, a)
  const { stored } = await fetchContent(b.node, { root, size: 24 * 2 ** 20, registry: COMPANY })
  const { socket, bytes } = await cut.promise
  expect(stored.length).toBeLessThan(6)
  expect(socket.bytesWritten).toBe(bytes)
  expect(socket.destroyed).toBe(true)
  expect(await a.node.events.next('onExpelled')).toBe(b.node.swarm.peerId)
})

test('is cut as soon as the membership says that something has changed', async () => {
  const [a, b] = [await companyHost(boss, staff), await companyHost(ann, staff)]
  await introduce(b, a)
  a.membership.changed()
  expect(a.node.events.of('onExpelled')).toEqual([])
  a.membership.staff.delete(ann.key)
  a.membership.changed()
  expect(a.node.events.of('onExpelled')).toEqual([b.node.swarm.peerId])
  expect(a.node.swarm.peers().filter(({ connected }) => connected)).toEqual([])
  await b.node.events.next('onPeerGone')
  await expect(b.node.swarm.connect(a.node.address())).rejects.toMatchObject({ code: 'NOT_AUTHORIZED' })
})

test('whose certificate runs out is cut by the clock, without anybody saying anything', async () => {
  const time = testClock()
  const clock = movedBy(time)
  const a = await companyHost(boss, staff, {
    clock,
    prepare: membership => void (membership.now = () => time.now())
  })
  const lifeMs = LIMITS.membership.recheckMs / 2
  const b = await companyHost(ann, staff, {
    prepare: membership => {
      const { peer } = membership
      membership.certificate = certificateOf({ peer, member: ann.key, issuer: boss, issued: time.now(), lifeMs })
      membership.certify = async () => undefined
    }
  })
  a.membership.certify = async () => undefined
  await introduce(b, a)
  await time.advance(LIMITS.membership.recheckMs - 1)
  expect(a.node.events.of('onExpelled')).toEqual([])
  await time.advance(1)
  expect(a.node.events.of('onExpelled')).toEqual([b.node.swarm.peerId])
  await b.node.events.next('onPeerGone')
  await b.node.stop()
  await a.node.stop()
  expect(time.pending()).toBe(0)
})

test('a barred peer is neither dialled nor let in, whatever it shows', async () => {
  const [a, b] = [await companyHost(boss, staff), await companyHost(ann, staff)]
  await introduce(b, a)
  a.membership.barred.add(b.node.swarm.peerId)
  expect(a.node.swarm.recheck()).toBe(1)
  await b.node.events.next('onPeerGone')
  const judged = a.membership.judged.length
  await expect(b.node.swarm.connect(a.node.address())).rejects.toMatchObject({
    code: expect.stringMatching(/^PEER_(UNREACHABLE|SILENT)$/) as string
  })
  await expect(a.node.swarm.connect(b.node.address())).rejects.toMatchObject({
    code: 'NOT_AUTHORIZED',
    message: expect.stringContaining('not dialled') as string
  })
  // Neither by libp2p itself, as the DHT would, nor by an address that does not say whose it is.
  const { libp2p } = a.node.swarm
  const before = b.node.swarm.traffic()
  await expect(libp2p.dial(multiaddr(b.node.address()))).rejects.toThrow()
  await expect(libp2p.dial(b.node.swarm.libp2p.peerId)).rejects.toThrow()
  expect(b.node.swarm.traffic()).toEqual(before)
  await expect(libp2p.dial(multiaddr(b.node.address().replace(/\/p2p\/.*/, '')))).rejects.toThrow()
  expect(a.membership.judged.length).toBe(judged)
  expect(a.node.swarm.peers().filter(({ connected }) => connected)).toEqual([])
  // And comes in again when it is no longer barred.
  a.membership.barred.clear()
  await b.node.swarm.connect(a.node.address())
})

test('a swarm that is public has nobody to look at', async () => {
  const [a, b] = [await testNode(), await testNode()]
  await b.swarm.connect(a.address())
  expect(b.swarm.recheck()).toBe(0)
  expect(b.swarm.peers()[0]?.connected).toBe(true)
})
