import type { Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, describe, expect, test } from 'vitest'
import { encodeFrame } from '../../protocol/frame.ts'
import { HELLO_PROTOCOL, encodeHello } from '../../protocol/hello.ts'
import { encodeReply, encodeTurn } from '../../protocol/membership/private-hello.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { privateNames } from '../../protocol/membership/names.ts'
import { certificateOf, companyHost, employee, helloSecret, secretOf } from '../support/company.ts'
import { RawMember, listeningPeer, introductionOf } from '../support/raw-member.ts'
import { dialRaw, drain, rawPeer, stopRawPeers } from '../support/raw-peer.ts'
import { stopNodes } from '../support/swarm-node.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const boss = employee('boss', 'owner')
const ann = employee('ann')
const staff = [boss, ann]
const names = privateNames(secretOf(1))

const line = (text: string): Uint8Array => Buffer.from(textLine(text), 'latin1')
const textLine = (text: string): string => `${String.fromCharCode(text.length + 1)}${text}\n`

/** What multistream says for itself, and for the one name that strangers may know. */
const NEGOTIATED = textLine('/multistream/1.0.0') + textLine('/ggen/hello/1')

async function privateHost(helloTimeoutMs = 700) {
  return await companyHost(boss, staff, { config: { names, tuning: { helloTimeoutMs } } })
}

/** Says lines of multistream on a new stream, below everything that libp2p does by itself. */
async function rawStream(connection: object): Promise<Stream> {
  const { muxer } = connection as { muxer: { createStream(options: object): Promise<Stream> } }
  return await muxer.createStream({})
}

describe('a stranger without the secret', () => {
  test.each([
    ['the hello of the public swarm', encodeHello({ versions: [1], agent: 'x', registries: [], roles: [] })],
    ['an opening under another secret', undefined],
    ['nonsense', new Uint8Array(100).fill(7)],
    ['nothing', new Uint8Array(0)]
  ])('who says %s is told nothing at all', async (_, message) => {
    const host = await privateHost()
    const { host: stranger, heard } = await listeningPeer()
    const connection = await dialRaw(stranger, host.node.address())
    const closed = new Promise(resolve => connection.addEventListener('close', resolve, { once: true }))
    const member = await RawMember.on(connection, stranger, helloSecret(9).key)
    await member.say(message ?? member.opening())
    expect(await member.hear()).toBeUndefined()
    await closed
    expect(heard()).toBe(NEGOTIATED)
    expect(host.membership.judged).toEqual([])
  })

  test('who asks what runs there learns of the introduction and of nothing else', async () => {
    const host = await privateHost()
    const { host: stranger, heard } = await listeningPeer()
    const connection = await dialRaw(stranger, host.node.address())
    const closed = new Promise(resolve => connection.addEventListener('close', resolve, { once: true }))
    const stream = await rawStream(connection)
    for (const text of ['/multistream/1.0.0', 'ls', names.kadProtocol, '/meshsub/1.2.0', '/ggen/member/1', 'ls']) {
      stream.send(line(text))
    }
    // The second stream is not even negotiated.
    const second = await rawStream(connection)
    for (const text of ['/multistream/1.0.0', 'ls', HELLO_PROTOCOL]) second.send(line(text))
    await closed
    const list = textLine(textLine('/ggen/hello/1'))
    expect(heard()).toBe(textLine('/multistream/1.0.0') + list + textLine('na').repeat(3) + list)
  })

  test('who opens every protocol that runs there gets not one byte on any', async () => {
    const host = await privateHost()
    const protocols = host.node.swarm.libp2p.getProtocols().filter(name => name !== HELLO_PROTOCOL)
    // The list is the node's own; these are in it, or the test would prove nothing.
    for (const known of [
      names.kadProtocol,
      '/ipfs/id/1.0.0',
      '/ipfs/ping/1.0.0',
      '/ipfs/bitswap/1.2.0',
      '/meshsub/1.2.0',
      '/ggen/facts/1',
      '/ggen/sync/1',
      '/ggen/member/1'
    ]) {
      expect(protocols).toContain(known)
    }
    const { host: stranger, heard } = await listeningPeer()
    const opened: Stream[] = []
    await stranger.handle(protocols.slice(), stream => void opened.push(stream))
    const connection = await dialRaw(stranger, host.node.address())
    const closed = new Promise(resolve => connection.addEventListener('close', resolve, { once: true }))
    // The first one is the introduction, which it does not go through with.
    const stuck = drain(await connection.newStream(HELLO_PROTOCOL))
    for (const protocol of protocols) {
      const stream = await rawStream(connection)
      stream.send(line('/multistream/1.0.0'))
      stream.send(line(protocol))
      stream.send(encodeFrame(new Uint8Array(100)))
    }
    await closed
    await stuck
    expect(heard()).toBe(NEGOTIATED)
    // The host did not open a stream of its own accord either.
    expect(opened).toEqual([])
  })

  test('who piles up streams or bytes before the introduction loses them', async () => {
    const host = await privateHost(60_000)
    const connection = await dialRaw(await rawPeer(), host.node.address())
    await connection.newStream(HELLO_PROTOCOL)
    const streams: Stream[] = []
    for (let i = 0; i < LIMITS.hello.waitingStreams + 4; i++) streams.push(await rawStream(connection))
    await expect.poll(() => streams.filter(({ status }) => status === 'reset').length).toBe(4)
    streams[0]?.send(new Uint8Array(200 * 1024))
    await expect.poll(() => streams[0]?.status).toBe('reset')
    expect(connection.status).toBe('open')
  })

  test('who is dialled hears an opening, and no name, whatever the host wants of it', async () => {
    const host = await privateHost(1_500)
    const { host: stranger, heard } = await listeningPeer()
    await stranger.handle(HELLO_PROTOCOL, () => {})
    const address = multiaddr(stranger.getMultiaddrs()[0]?.toString() ?? '')
    // As the DHT and gossip of the host itself would: a stream to somebody who is not introduced yet.
    const { libp2p } = host.node.swarm
    await expect(libp2p.dialProtocol(address, [names.kadProtocol, '/meshsub/1.2.0'])).rejects.toThrow('not introduced')
    const said = heard()
    expect(said.startsWith(NEGOTIATED)).toBe(true)
    expect(said.length).toBeLessThan(NEGOTIATED.length + 200)
    expect(said).not.toContain('kad')
    expect(said).not.toContain('meshsub')
    expect(host.membership.judged).toEqual([])
  })
})

describe('a peer with the secret and without membership', () => {
  test('sees one refusal and no introduction, and no other stream of it is answered', async () => {
    const host = await privateHost()
    const { host: outsider, heard } = await listeningPeer()
    const connection = await dialRaw(outsider, host.node.address())
    const closed = new Promise(resolve => connection.addEventListener('close', resolve, { once: true }))
    const member = await RawMember.on(connection, outsider, helloSecret(1).key)
    await member.open()
    const eve = employee('eve')
    const certificate = certificateOf({ peer: outsider.peerId.toString(), member: eve.key, issuer: eve })
    const early = await rawStream(connection)
    early.send(line('/multistream/1.0.0'))
    early.send(line('/ipfs/id/1.0.0'))
    expect(await member.introduce(introductionOf({ certificate }))).toEqual({
      introduction: null,
      refused: 'not-a-member'
    })
    await closed
    const said = heard()
    const reply = encodeReply({ nonce: new Uint8Array(32), mac: new Uint8Array(32) })
    const refusal = encodeTurn({ introduction: null, refused: 'not-a-member' })
    const framed = 4 + reply.length + 4 + refusal.length
    expect(said.startsWith(NEGOTIATED)).toBe(true)
    expect(said.length).toBe(NEGOTIATED.length + framed)
    expect(said).not.toContain('ggen-node/test')
  })

  test('a member whose streams came early is served when it is let in', async () => {
    const host = await privateHost(5_000)
    const raw = await rawPeer()
    const connection = await dialRaw(raw, host.node.address())
    const member = await RawMember.on(connection, raw, helloSecret(1).key)
    await member.open()
    const ping = connection.newStream('/ipfs/ping/1.0.0')
    const certificate = certificateOf({ peer: raw.peerId.toString(), member: ann.key, issuer: boss })
    expect(await member.introduce(introductionOf({ certificate }))).toMatchObject({ refused: null })
    await member.accept()
    const stream = await ping
    const pong = new Promise<Uint8Array>(resolve =>
      stream.addEventListener('message', ({ data }) => resolve(data.subarray()), { once: true })
    )
    stream.send(new Uint8Array(32).fill(5))
    expect(await pong).toEqual(Buffer.alloc(32, 5))
    expect(await host.node.events.next('onPeer')).toBe(raw.peerId.toString())
  })
})
