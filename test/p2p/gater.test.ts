import { generateKeyPair } from '@libp2p/crypto/keys'
import type { ConnectionGater, MultiaddrConnection } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { Bans } from '../../node/p2p/bans.ts'
import { connectionGater } from '../../node/p2p/gater.ts'
import { SocketMeter } from '../../node/p2p/meter.ts'
import { tuningOf } from '../../node/p2p/tuning.ts'
import { LIMITS } from '../../protocol/limits.ts'

const { pendingPerAddress, pendingPrivate, pendingInbound } = LIMITS.connections

function gater(): ConnectionGater {
  // Time goes on between two sockets, so that their rate stops none of them.
  let now = 0
  const clock = { now: () => (now += 1_000), after: () => () => {} }
  const none = new Set<string>()
  const components = { bans: new Bans(), meter: new SocketMeter(), clock, tuning: tuningOf(), allowHosts: none }
  return connectionGater({ ...components, allowPeers: none, onReached: () => {} })
}

/** A socket that was accepted and has said nothing: what the gater sees of it is where it comes from and when it closes. */
class Socket extends EventTarget {
  readonly remoteAddr
  constructor(ip: string, port: number) {
    super()
    this.remoteAddr = multiaddr(`/ip4/${ip}/tcp/${port}`)
  }
  close(): void {
    this.dispatchEvent(new Event('close'))
  }
}

const raw = (socket: Socket): MultiaddrConnection => socket as unknown as MultiaddrConnection

test('silent sockets of one address hold a few of the places for handshakes, and others find theirs', () => {
  const gate = gater()
  const denied = (socket: Socket) => gate.denyInboundConnection?.(raw(socket))
  const silent = Array.from({ length: pendingPerAddress }, (_, i) => new Socket('203.0.113.7', i + 1))
  for (const socket of silent) expect(denied(socket)).toBe(false)
  expect(denied(new Socket('203.0.113.7', 99))).toBe(true)
  expect(denied(new Socket('198.51.100.1', 1))).toBe(false)

  // One that closes makes room for one.
  silent[0]?.close()
  expect(denied(new Socket('203.0.113.7', 100))).toBe(false)
  expect(denied(new Socket('203.0.113.7', 101))).toBe(true)
})

test('what closed or was let through holds no place, once', async () => {
  const gate = gater()
  const peer = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
  for (let i = 0; i < 2 * pendingPrivate; i++) {
    const socket = new Socket('10.0.0.1', i + 1)
    expect(gate.denyInboundConnection?.(raw(socket))).toBe(false)
    if (i % 2 === 0) void gate.denyInboundEncryptedConnection?.(peer, raw(socket))
    socket.close()
  }
  for (let i = 0; i < pendingPrivate; i++)
    expect(gate.denyInboundConnection?.(raw(new Socket('10.0.0.1', i + 1)))).toBe(false)
  expect(gate.denyInboundConnection?.(raw(new Socket('10.0.0.2', 1)))).toBe(true)
})

test('no group of addresses that one person may have holds all places for handshakes', () => {
  expect(pendingPrivate).toBeLessThan(pendingInbound)
  expect(pendingPerAddress * 8).toBeLessThan(pendingInbound)
})
