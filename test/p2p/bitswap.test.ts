import { createHash, randomBytes } from 'node:crypto'
import type { Connection, Libp2p, PeerId } from '@libp2p/interface'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { afterEach, describe, expect, test } from 'vitest'
import type { Blockstore } from '../../node/p2p/components.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { dialRaw, rawPeer, sayHello, stopRawPeers } from '../support/raw-peer.ts'
import { registryNamed, stopNodes, testNode } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const BITSWAP = '/ipfs/bitswap/1.2.0'
const BLOCK_BYTES = 512 * 1024
const registry = registryNamed('acme')
/** A busy machine is no failure. */
const PATIENT = { timeout: 60_000 }

interface Block {
  readonly cid: CID
  readonly bytes: Buffer
}

function blockOf(bytes: Buffer): Block {
  return { bytes, cid: CID.createV1(0x55, createDigest(0x12, createHash('sha256').update(bytes).digest())) }
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest])
    bytes.push((rest % 128) + 128)
  }
}

const field = (number: number, value: Uint8Array): Buffer =>
  Buffer.concat([varint(number * 8 + 2), varint(value.length), value])

/** A message that wants blocks, and wants to be told of those that are not there. */
function wanting(cids: readonly CID[], { dontHave = true } = {}): Buffer {
  const entries = cids.map(({ bytes }) =>
    field(1, Buffer.concat([field(1, bytes), Buffer.from([16, 1, 40, dontHave ? 1 : 0])]))
  )
  const message = field(1, Buffer.concat(entries))
  return Buffer.concat([varint(message.length), message])
}

interface Asker {
  readonly connection: Connection
  readonly id: PeerId
}

/** Somebody who speaks bitswap, and takes from its streams what he likes: nothing, or all, which is then told. */
async function asker(
  node: TestNode,
  onBytes?: (bytes: Uint8Array) => void,
  onStream: () => void = () => {}
): Promise<Asker> {
  const host: Libp2p = await rawPeer()
  await host.handle(BITSWAP, stream => {
    onStream()
    if (onBytes === undefined) stream.pause()
    else stream.addEventListener('message', ({ data }) => onBytes(Uint8Array.from(data.subarray())))
  })
  const connection = await dialRaw(host, node.address())
  await sayHello(connection)
  return { connection, id: host.peerId }
}

async function send({ connection }: Asker, bytes: Uint8Array): Promise<void> {
  const stream = await connection.newStream(BITSWAP)
  if (!stream.send(bytes)) await stream.onDrain({ signal: AbortSignal.timeout(60_000) })
  await stream.close({ signal: AbortSignal.timeout(60_000) })
}

/** A node that tells how many bytes of its blocks were read, and cannot read the one that is damaged. */
async function server(blocks: readonly Block[], damaged?: Block): Promise<{ node: TestNode; read: () => number }> {
  let read = 0
  const node = await testNode({
    registries: [registry],
    wrapBlocks: inner =>
      new Proxy<Blockstore>(inner, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name)
          if (name !== 'get')
            return typeof value === 'function'
              ? (...args: unknown[]): unknown => Reflect.apply(value, target, args)
              : value
          return async function* (...args: Parameters<Blockstore['get']>) {
            if (damaged !== undefined && args[0].equals(damaged.cid)) throw new Error('damaged')
            for await (const part of target.get(...args)) {
              read += part.length
              yield part
            }
          }
        }
      })
  })
  for (const { cid, bytes } of blocks) await node.blocks.put(cid, bytes)
  return { node, read: () => read }
}

describe('over bitswap', () => {
  test('a peer that wants everything and reads nothing has one batch in memory, and others are served', async () => {
    const large = Array.from({ length: 40 }, () => blockOf(randomBytes(BLOCK_BYTES)))
    const small = blockOf(randomBytes(2_000))
    const { node, read } = await server([...large, small])
    const greedy = await asker(node)
    await send(greedy, wanting(large.map(({ cid }) => cid)))
    await expect.poll(read, PATIENT).toBeGreaterThanOrEqual(LIMITS.bitswap.batchBytes)
    const got: Uint8Array[] = []
    const honest = await asker(node, bytes => void got.push(bytes))
    await send(honest, wanting([small.cid]))
    await expect.poll(() => Buffer.concat(got).includes(small.bytes), PATIENT).toBe(true)
    // What the sockets and the stream took, and the batch behind it; not the twenty mebibytes that it wants.
    expect(read()).toBeLessThanOrEqual(4 * LIMITS.bitswap.batchBytes)
  })

  test('a peer gets all that it wants, in parts, and is told what is not there', async () => {
    const large = Array.from({ length: 7 }, () => blockOf(randomBytes(BLOCK_BYTES)))
    const absent = blockOf(randomBytes(9))
    const { node } = await server(large)
    const got: Uint8Array[] = []
    const peer = await asker(node, bytes => void got.push(bytes))
    await send(peer, wanting([...large.map(({ cid }) => cid), absent.cid]))
    // Field 4 is a presence, 1 of its field 2 that it is not there.
    const told = field(4, Buffer.concat([field(1, absent.cid.bytes), Buffer.from([16, 1])]))
    await expect.poll(() => Buffer.concat(got).includes(told), PATIENT).toBe(true)
    const all = Buffer.concat(got)
    for (const { bytes } of large) expect(all.includes(bytes)).toBe(true)
  })

  test('a peer that wants what is not here, and not to be told so, is sent nothing', async () => {
    const present = blockOf(randomBytes(1_000))
    const { node } = await server([present])
    const got: Uint8Array[] = []
    let streams = 0
    const peer = await asker(
      node,
      bytes => void got.push(bytes),
      () => (streams += 1)
    )
    for (let asked = 0; asked < 5; asked += 1)
      await send(peer, wanting([blockOf(randomBytes(9)).cid], { dontHave: false }))
    await send(peer, wanting([present.cid]))
    await expect.poll(() => Buffer.concat(got).includes(present.bytes), PATIENT).toBe(true)
    // Each message takes a stream of its own; those of the questions before would have been first.
    expect(streams).toBe(1)
  })

  test('a block that is damaged costs nobody the others', async () => {
    const blocks = Array.from({ length: 3 }, () => blockOf(randomBytes(5_000)))
    const [damaged] = blocks
    const { node } = await server(blocks, damaged)
    const got: Uint8Array[] = []
    const peer = await asker(node, bytes => void got.push(bytes))
    await send(peer, wanting(blocks.map(({ cid }) => cid)))
    for (const { bytes } of blocks.slice(1))
      await expect.poll(() => Buffer.concat(got).includes(bytes), PATIENT).toBe(true)
  })

  test('wants without end are remembered up to a bound', async () => {
    const { node } = await server([])
    const peer = await asker(node)
    const most = LIMITS.bitswap.wantsPerPeer
    for (let sent = 0; sent < 4 * most; sent += 500)
      await send(
        peer,
        wanting(
          Array.from({ length: 500 }, () => blockOf(randomBytes(9)).cid),
          { dontHave: false }
        )
      )
    const brokers: unknown = Reflect.get(node.swarm.helia, 'blockBrokers')
    const [broker] = brokers as readonly { readonly bitswap: { getPeerWantlist(peer: unknown): unknown[] } }[]
    const held = (): number => broker?.bitswap.getPeerWantlist(peer.id).length ?? 0
    await expect.poll(held, PATIENT).toBe(most)
  })
})
