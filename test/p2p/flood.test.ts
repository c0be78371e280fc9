import { randomBytes } from 'node:crypto'
import type { Connection, Libp2p } from '@libp2p/interface'
import { afterEach, expect, test } from 'vitest'
import { Conduct, CUT_BELOW } from '../../node/p2p/conduct.ts'
import { Bans } from '../../node/p2p/bans.ts'
import { FACTS_PROTOCOL, encodeFactsResponse } from '../../protocol/facts-messages.ts'
import { encodeCarBlock, encodeCarHeader } from '../../protocol/car.ts'
import { factsTopic } from '../../protocol/gossip-message.ts'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { dialRaw, rawPeer, sayHello, stopRawPeers } from '../support/raw-peer.ts'
import { FactMaker, MapFacts, registryNamed, stopNodes, testNode } from '../support/swarm-node.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const registry = registryNamed('acme')
const registries = [registry]

test('a peer that floods invalid facts is cut within eight, banned, and honest facts go on', async () => {
  const [victim, honest] = [await testNode({ registries }), await testNode({ registries })]
  await honest.swarm.connect(victim.address())
  const attacker = await rawPeer()
  const connection = await dialRaw(attacker, victim.address())
  await sayHello(connection, { registries })
  const stream = await connection.newStream('/meshsub/1.2.0')
  // 20 RPCs of one message each, as protobuf by hand: field 2 (publish) holds field 2 (data) and field 4 (topic).
  for (let i = 0; i < 20 && stream.status === 'open'; i++) stream.send(publishRpc(randomBytes(64)))
  const cut = await victim.events.next('onCut')
  expect(cut).toMatchObject({ peer: attacker.peerId.toString(), reason: 'invalid-facts' })
  expect(cut.bannedUntil - Date.now()).toBeGreaterThan(29 * 60_000)
  expect(victim.facts.judged).toBe(8)

  await expect.poll(() => connection.status).not.toBe('open')
  await expect(introduce(attacker, victim.address())).rejects.toThrow()
  await expect.poll(() => victim.swarm.peers().filter(peer => peer.connected).length).toBe(1)
  const fact = new FactMaker(registry).next()
  honest.facts.add(fact)
  await honest.swarm.publishFact(registry, fact.id, fact.bytes)
  honest.swarm.reconcile(registry)
  victim.swarm.reconcile(registry)
  await victim.facts.until(registry, 1)
})

test('a peer whose snapshot holds invalid facts is cut', async () => {
  const victim = await testNode({ registries, config: { tuning: { syncListenMs: 50 } } })
  const liar = await rawPeer()
  await liar.handle(FACTS_PROTOCOL, stream => {
    const io = new FramedStream(stream)
    const signal = AbortSignal.timeout(60_000)
    const blocks = Array.from({ length: 50 }, () => encodeCarBlock(randomBytes(100)))
    void io.read(65_536, signal).then(async () => {
      await io.write(encodeFactsResponse({ type: 'snapshot' }), signal)
      await io.writeRaw(Buffer.concat([encodeCarHeader(registry), ...blocks]), signal)
      await io.end(signal)
    })
  })
  await introduce(liar, victim.address())
  expect(await victim.events.next('onCut')).toMatchObject({ peer: liar.peerId.toString(), reason: 'invalid-facts' })
})

test('subscribing to other topics or sending on them reaches nobody', async () => {
  const victim = await testNode({ registries })
  const stranger = await rawPeer()
  const connection = await dialRaw(stranger, victim.address())
  await sayHello(connection)
  const stream = await connection.newStream('/meshsub/1.2.0')
  const fact = new FactMaker(registry).next()
  stream.send(publishRpc(fact.bytes, '/ggen/1/other/facts'))
  stream.send(publishRpc(fact.bytes))
  await victim.facts.until(registry, 1)
  expect(victim.facts.judged).toBe(1)
})

test('the same body with a broken signature does not hide the honest fact', async () => {
  const victim = await testNode({ registries })
  const connection = await dialRaw(await rawPeer(), victim.address())
  await sayHello(connection)
  const stream = await connection.newStream('/meshsub/1.2.0')
  const { bytes } = new FactMaker(registry).next()
  const broken = Uint8Array.from(bytes)
  // The signature is the value of the first key, "sig", of the envelope.
  broken[10] = (broken[10] ?? 0) ^ 1
  stream.send(publishRpc(broken))
  stream.send(publishRpc(bytes))
  await victim.facts.until(registry, 1)
  expect(victim.facts.judged).toBe(2)
})

test('eight strikes cut, seven do not, and strikes fade', () => {
  const conduct = new Conduct()
  const scores = Array.from({ length: 8 }, () => conduct.blame('peer', 1_000))
  expect(scores.map(score => score < CUT_BELOW)).toEqual([false, false, false, false, false, false, false, true])
  expect(conduct.score('peer', 1_000 + 3_600_000)).toBeGreaterThan(-50)
  expect(conduct.score('other', 1_000)).toBe(0)
})

test('bans double up to a day and are bounded in number', () => {
  const bans = new Bans()
  const lengths = Array.from({ length: 8 }, () => bans.ban('peer', 0) / 60_000)
  expect(lengths).toEqual([30, 60, 120, 240, 480, 960, 1_440, 1_440])
  expect(bans.has('peer', LIMITS.connections.banMaxMs - 1)).toBe(true)
  expect(bans.has('peer', LIMITS.connections.banMaxMs)).toBe(false)
  for (let i = 0; i < 2_000; i++) bans.ban(`sybil-${i}`, 0)
  expect(bans.size).toBe(LIMITS.connections.bansRemembered)
})

test('the stand-in gate rejects what the real one rejects', async () => {
  const facts = new MapFacts()
  const fact = new FactMaker(registry).next()
  expect(await facts.admit(fact.bytes, { peer: 'p', registry: registryNamed('other') })).toMatchObject({
    reason: 'wrong-registry'
  })
  expect(await facts.admit(fact.bytes, { peer: 'p', registry })).toEqual({ verdict: 'accept' })
})

async function introduce(host: Libp2p, address: string): Promise<Connection> {
  const connection = await dialRaw(host, address)
  await sayHello(connection, { registries })
  return connection
}

/** A length-prefixed gossipsub RPC with one unsigned message. */
function publishRpc(data: Uint8Array, topic = factsTopic(registry)): Uint8Array {
  const message = Buffer.concat([field(2, data), field(4, Buffer.from(topic))])
  const rpc = field(2, message)
  return Buffer.concat([varint(rpc.length), rpc])
}

function field(number: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of((number << 3) | 2), varint(value.length), value])
}

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  while (rest > 127) {
    bytes.push((rest & 127) | 128)
    rest >>>= 7
  }
  return Uint8Array.from([...bytes, rest])
}
