import { randomBytes } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Connection } from '@libp2p/interface'
import { afterEach, expect, test } from 'vitest'
import { MessageScreen, rulesFor } from '../../node/p2p/message-screen.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { codeOf } from '../support/error-code.ts'
import { dialRaw, rawPeer, sayHello, stopRawPeers } from '../support/raw-peer.ts'
import { stopNodes, testNode } from '../support/swarm-node.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const BITSWAP = '/ipfs/bitswap/1.2.0'
const KAD = '/ggen/kad/1.0.0'

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest])
    bytes.push((rest % 128) + 128)
  }
}

function field(number: number, value: Uint8Array): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(value.length), value])
}

function times(count: number, bytes: Uint8Array): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => bytes))
}

function framed(message: Uint8Array): Buffer {
  return Buffer.concat([varint(message.length), message])
}

/** What a screen says of a whole stream, in pieces of one size, or `none` when it lets all of it pass. */
function screened(protocol: string, stream: Uint8Array, piece: number): string {
  const rules = rulesFor(protocol)
  if (rules === undefined) throw new Error(`no rules for ${protocol}`)
  const screen = new MessageScreen(rules)
  return codeOf(() => {
    for (let at = 0; at < stream.length; at += piece) screen.push([stream.subarray(at, at + piece)])
  })
}

const emptyBlock = field(3, Buffer.concat([field(1, Buffer.from([1, 0x55, 0x12, 32])), field(2, Buffer.alloc(0))]))
const want = field(1, Buffer.concat([field(1, randomBytes(36)), Buffer.from([16, 1, 40, 1])]))

test.each([1, 7, 65_536])('honest messages pass, in pieces of %i bytes', piece => {
  const block = field(3, Buffer.concat([field(1, Buffer.from([1, 0x55, 0x12, 32])), field(2, randomBytes(70_000))]))
  const wants = field(1, times(1_024, want))
  const stream = Buffer.concat([framed(wants), framed(block), framed(Buffer.alloc(0)), framed(block)])
  expect(screened(BITSWAP, stream, piece)).toBe('none')
  const peers = times(20, field(8, Buffer.concat([field(1, randomBytes(38)), times(16, field(2, randomBytes(40)))])))
  expect(screened(KAD, framed(peers), piece)).toBe('none')
  const facts = times(
    60,
    field(2, Buffer.concat([field(2, randomBytes(900)), field(4, Buffer.from('/ggen/1/x/facts'))]))
  )
  expect(screened('/meshsub/1.2.0', framed(facts), piece)).toBe('none')
})

test.each([
  ['empty blocks', BITSWAP, times(100_000, emptyBlock)],
  ['fields of one block', BITSWAP, field(3, times(100_000, field(1, Buffer.alloc(0))))],
  ['wants', BITSWAP, field(1, times(50_000, field(1, field(1, Buffer.from([1, 0x55, 0, 0])))))],
  ['fields that nobody knows', BITSWAP, times(100_000, Buffer.from([0x78, 0]))],
  ['closer peers', KAD, times(100_000, field(8, Buffer.alloc(0)))],
  ['parts of control', '/meshsub/1.2.0', times(20_000, field(3, field(1, Buffer.alloc(0))))]
])('too many %s do not, before the message is whole', (_, protocol, message) => {
  expect(screened(protocol, framed(message).subarray(0, message.length - 10), 65_536)).toBe('LIMIT_EXCEEDED')
})

test.each([
  ['a want', (cid: Buffer) => field(1, field(1, field(1, cid)))],
  ['a presence', (cid: Buffer) => field(4, field(1, cid))],
  ['a block', (cid: Buffer) => field(3, Buffer.concat([field(1, cid), field(2, randomBytes(9_000))]))]
])('a CID as long as a message does not pass, before it is here: of %s', (_, message) => {
  const { cidBytes } = LIMITS.bitswap
  expect(screened(BITSWAP, framed(message(randomBytes(cidBytes))), 7)).toBe('none')
  const long = framed(message(randomBytes(cidBytes + 1)))
  expect(screened(BITSWAP, long.subarray(0, 20), 7)).toBe('LIMIT_EXCEEDED')
})

test('many empty messages at once are as many as one with many fields', () => {
  expect(screened(BITSWAP, Buffer.alloc(LIMITS.bitswap.fields + 1), 65_536)).toBe('LIMIT_EXCEEDED')
  expect(screened(BITSWAP, Buffer.alloc(LIMITS.bitswap.fields + 1), 1_024)).toBe('none')
})

test.each([
  ['a length beyond every bound', BITSWAP, varint(2 ** 31), 'LIMIT_EXCEEDED'],
  ['a number without end', BITSWAP, Buffer.alloc(20, 0xff), 'MALFORMED'],
  ['a field that is longer than its message', BITSWAP, framed(Buffer.from([0x1a, 5, 0])), 'MALFORMED'],
  ['a message that ends inside a number', BITSWAP, framed(Buffer.from([0x78, 0x80])), 'MALFORMED'],
  ['a message that ends behind a tag', BITSWAP, framed(Buffer.from([0x78])), 'MALFORMED'],
  ['a group', BITSWAP, framed(Buffer.from([0x0b, 0])), 'MALFORMED']
])('%s is refused', (_, protocol, stream, code) => {
  expect(screened(protocol, stream, 3)).toBe(code)
})

test('our own protocols are bounded by their own codecs', () => {
  expect(rulesFor('/ggen/facts/1')).toBeUndefined()
})

/** Sends one message as a stranger who has introduced himself, and waits until its stream is gone or has been read. */
async function send(connection: Connection, protocol: string, message: Uint8Array): Promise<void> {
  const stream = await connection.newStream(protocol)
  try {
    if (!stream.send(framed(message))) await stream.onDrain({ signal: AbortSignal.timeout(60_000) })
    await stream.close({ signal: AbortSignal.timeout(60_000) })
  } catch {
    // reset by the other side, which is what is hoped for
  }
}

test('a message of 400,000 empty blocks does not stop the node, and eight of them end the acquaintance', async () => {
  const victim = await testNode()
  const stranger = await rawPeer()
  const connection = await dialRaw(stranger, victim.address())
  await sayHello(connection)
  const bomb = times(400_000, emptyBlock)
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  for (let i = 0; i < 8 && connection.status === 'open'; i++) await send(connection, BITSWAP, bomb)
  expect(await victim.events.next('onCut')).toMatchObject({ reason: 'malformed-message' })
  delay.disable()
  // Decoding a single one takes seconds.
  expect(delay.max / 1e6).toBeLessThan(1_000)
})
