import { describe, expect, test } from 'vitest'
import { forbidden, reachesOf } from '../support/leak/outgoing.ts'
import { parsePcap } from '../support/leak/pcap.ts'

const NODE = '10.0.1.2'
const PEER = '10.0.1.3'
const own = new Set([NODE, 'fe80:0:0:0:0:0:0:2'])

const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])
const u32 = (value: number): Buffer => Buffer.concat([u16(value >>> 16), u16(value & 0xffff)])
const ip4 = (text: string): Buffer => Buffer.from(text.split('.').map(Number))
const ip6 = (text: string): Buffer => Buffer.concat(text.split(':').map(group => u16(Number.parseInt(group, 16))))

interface Ends {
  readonly from?: string
  readonly to?: string
  readonly fromPort?: number
  readonly toPort?: number
}

function tcp(flags: number, { fromPort = 40_000, toPort = 4917 }: Ends, data: Buffer = Buffer.alloc(0)): Buffer {
  // Twelve bytes of options, so that data does not begin where a careless reader looks for it.
  const rest = [u32(1), u32(0), Buffer.from([0x80, flags]), Buffer.alloc(6), Buffer.alloc(12)]
  return Buffer.concat([u16(fromPort), u16(toPort), ...rest, data])
}

function udp({ fromPort = 40_000, toPort = 53 }: Ends, data: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([u16(fromPort), u16(toPort), u16(8 + data.length), u16(0), data])
}

function packet4(protocol: number, body: Buffer, { from = NODE, to = PEER }: Ends, fragment = 0): Buffer {
  const header = [u16(0x4600), u16(24 + body.length), u16(7), u16(fragment), Buffer.from([64, protocol]), u16(0)]
  return Buffer.concat([...header, ip4(from), ip4(to), Buffer.alloc(4), body])
}

function packet6(next: number, body: Buffer, from: string, to: string): Buffer {
  // Behind a header of hop-by-hop options.
  const options = Buffer.from([next, 0, 1, 4, 0, 0, 0, 0])
  const inner = Buffer.concat([options, body])
  return Buffer.concat([u32(0x6000_0000), u16(inner.length), Buffer.from([0, 64]), ip6(from), ip6(to), inner])
}

const ethernet = (type: number, packet: Buffer): Buffer => Buffer.concat([Buffer.alloc(12, 1), u16(type), packet])
const ip = (...args: Parameters<typeof packet4>): Buffer => ethernet(0x0800, packet4(...args))
const arp = (from: string, to: string): Buffer =>
  ethernet(0x0806, Buffer.concat([Buffer.alloc(14), ip4(from), Buffer.alloc(6), ip4(to)]))

function question(name: string): Buffer {
  const labels = name.split('.').map(label => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]))
  const counts = [u16(9), u16(0x0100), u16(1), u16(0), u16(0), u16(0)]
  return Buffer.concat([...counts, ...labels, Buffer.from([0]), u16(1), u16(1)])
}

interface FileOptions {
  readonly big?: boolean
  readonly link?: number
  readonly lost?: number
}

function pcap(frames: readonly Buffer[], { big = false, link = 1, lost = 0 }: FileOptions = {}): Buffer {
  const word = (value: number): Buffer => (big ? u32(value) : u32(value).reverse())
  const half = (value: number): Buffer => (big ? u16(value) : u16(value).reverse())
  const header = [word(0xa1b2c3d4), half(2), half(4), word(0), word(0), word(262_144), word(link)]
  const records = frames.flatMap(frame => [word(1), word(0), word(frame.length), word(frame.length + lost), frame])
  return Buffer.concat([...header, ...records])
}

const SYN = 0x02
const reach = (...frames: readonly Buffer[]): readonly string[] =>
  reachesOf(parsePcap(pcap(frames)), own).map(({ kind, to, count }) => `${kind} ${to} ${count}`)

describe('what a machine began', () => {
  test('is each connection that it opened, and none that it answered', () => {
    const opening = ip(6, tcp(SYN, {}), {})
    const answering = ip(6, tcp(SYN | 0x10, { fromPort: 4917, toPort: 50_000 }), {})
    const opened = ip(6, tcp(SYN, { fromPort: 50_000 }), { from: PEER, to: NODE })
    const data = ip(6, tcp(0x18, {}, Buffer.from('hello')), {})
    expect(reach(opening, opened, answering, data, opening)).toEqual([`tcp ${PEER}:4917 2`])
  })

  test('is each datagram that it sent, but not an answer to one', () => {
    const asked = ip(17, udp({ fromPort: 5353, toPort: 9 }), { from: PEER, to: NODE })
    const answer = ip(17, udp({ fromPort: 9, toPort: 5353 }), {})
    const other = ip(17, udp({ fromPort: 9, toPort: 5354 }), {})
    expect(reach(asked, answer, other)).toEqual([`udp ${PEER}:5354 1`])
    expect(reach(answer)).toEqual([`udp ${PEER}:5353 1`])
  })

  test('is each name that it asked for, over UDP and over TCP', () => {
    const first = ip(17, udp({}, question('secret.acme.example')), { to: '10.0.1.1' })
    const message = question('other.example')
    const second = ip(6, tcp(0x18, { toPort: 53 }, Buffer.concat([u16(message.length), message])), { to: '10.0.1.1' })
    expect(reach(first, second)).toEqual(['udp 10.0.1.1:53 1', 'dns secret.acme.example 1', 'dns other.example 1'])
  })

  test('is each neighbour that it looked for, though nobody was there and no packet left', () => {
    expect(reach(arp(NODE, '10.0.1.77'))).toEqual(['arp 10.0.1.77 1'])
    // To answer somebody who called, he is looked for too.
    const called = ip(6, tcp(SYN, {}), { from: PEER, to: NODE })
    expect(reach(called, arp(NODE, PEER))).toEqual([])
    expect(reach(arp(PEER, NODE))).toEqual([])
  })

  test('is read behind VLAN tags, in later fragments, and in protocols nobody thought of', () => {
    const tagged = ethernet(0x8100, Buffer.concat([u16(5), u16(0x0800), packet4(6, tcp(SYN, {}), {})]))
    const fragment = ip(17, Buffer.alloc(40, 7), {}, 0x0010)
    const sctp = ip(132, Buffer.alloc(12), {})
    expect(reach(tagged, fragment, sctp)).toEqual([
      `tcp ${PEER}:4917 1`,
      `fragment ${PEER} 1`,
      `ip protocol 132 ${PEER} 1`
    ])
  })

  test('is a ping, and not what the kernel says by itself', () => {
    const unreachable = ip(1, Buffer.from([3, 3, 0, 0]), {})
    const ping = ip(1, Buffer.from([8, 0, 0, 0]), {})
    const member = ip(2, Buffer.from([0x22, 0, 0, 0]), { to: '224.0.0.22' })
    expect(reach(unreachable, ping, member)).toEqual([`icmp ${PEER} 1`])
  })

  test('is seen over IPv6 too', () => {
    const [me, you] = ['fe80:0:0:0:0:0:0:2', '2001:db8:0:0:0:0:0:9']
    expect(reach(ethernet(0x86dd, packet6(6, tcp(SYN, { toPort: 443 }), me, you)))).toEqual([`tcp ${you}:443 1`])
  })
})

describe('a capture file', () => {
  const opening = packet4(6, tcp(SYN, {}), {})

  test.each([
    ['Ethernet', 1, ethernet(0x0800, opening)],
    ['all interfaces', 113, Buffer.concat([Buffer.alloc(14), u16(0x0800), opening])],
    ['all interfaces, second version', 276, Buffer.concat([u16(0x0800), Buffer.alloc(18), opening])]
  ])('of %s is read in either byte order', (_, link, frame) => {
    for (const big of [true, false]) {
      const packets = parsePcap(pcap([frame, frame], { big, link }))
      expect(packets).toMatchObject([{ kind: 'tcp', to: PEER, toPort: 4917, opens: true }, { kind: 'tcp' }])
    }
  })

  test('that cannot be read whole is refused, for it would prove nothing', () => {
    const frame = ethernet(0x0800, opening)
    expect(() => parsePcap(pcap([frame], { link: 147 }))).toThrow(/link type 147/)
    expect(() => parsePcap(pcap([frame], { lost: 10 }))).toThrow(/not captured whole/)
    expect(() => parsePcap(Buffer.from('no capture at all, but long enough'))).toThrow(/not a capture/)
    expect(() => parsePcap(pcap([frame.subarray(0, 40)]))).toThrow(/ends too early/)
    expect(parsePcap(pcap([frame, frame]).subarray(0, -3))).toHaveLength(1)
  })
})

test('what was not configured is named, what was is not', () => {
  const frames = [
    ip(6, tcp(SYN, {}), {}),
    ip(6, tcp(SYN, { toPort: 80 }), {}),
    arp(NODE, PEER),
    arp(NODE, '10.0.1.77'),
    ip(17, udp({}, question('secret.acme.example')), { to: '10.0.1.1' }),
    ip(17, udp({ toPort: 5353 }), { to: '224.0.0.251' })
  ]
  const reaches = reachesOf(parsePcap(pcap(frames)), own)
  expect(forbidden(reaches, { to: [`${PEER}:4917`, '224.0.0.251:5353'] })).toEqual([
    `tcp ${PEER}:80 (1)`,
    'arp 10.0.1.77 (1)',
    'udp 10.0.1.1:53 (1)',
    'dns secret.acme.example (1)'
  ])
  expect(
    forbidden(reaches, { to: [PEER, '224.0.0.251', '10.0.1.77', '10.0.1.1'], names: ['secret.acme.example'] })
  ).toEqual([])
})
