/** One packet as it was on the cable. */
export interface Packet {
  /** Milliseconds since 1970. */
  readonly at: number
  /** `tcp`, `udp`, `icmp`, `icmp6`, `igmp`, `arp`, or a number where it is something else. */
  readonly kind: string
  readonly from: string
  /** Zero for what has no ports. */
  readonly fromPort: number
  /** Of ARP: whose hardware address is asked for. */
  readonly to: string
  readonly toPort: number
  readonly payload: Buffer
  /** TCP only: it opens a connection (SYN without ACK). */
  readonly opens: boolean
}

const FILE_HEADER_BYTES = 24
const RECORD_HEADER_BYTES = 16
const MAGIC = new Set([0xa1b2c3d4, 0xa1b23c4d])

/** The link layers that tcpdump writes on Linux, and where in a frame the type of what is inside and its begin are. */
const LINKS: Readonly<Record<number, { readonly type: number; readonly begin: number }>> = {
  1: { type: 12, begin: 14 }, // Ethernet
  113: { type: 14, begin: 16 }, // Linux cooked capture: `-i any`
  276: { type: 0, begin: 20 } // the same, second version
}

/**
 * The packets of a classic pcap file, https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-03.html. Throws at what it
 * cannot read: a capture that is read in part proves nothing. A last record that was cut off by the end of tcpdump is left.
 */
export function parsePcap(file: Uint8Array): readonly Packet[] {
  const view = new DataView(file.buffer, file.byteOffset, file.length)
  if (file.length < FILE_HEADER_BYTES) throw new Error('not a capture file')
  const little = MAGIC.has(view.getUint32(0, true))
  if (!little && !MAGIC.has(view.getUint32(0, false))) throw new Error('not a capture file')
  const link = LINKS[view.getUint32(20, little) & 0xffff]
  if (link === undefined) throw new Error(`a capture of link type ${view.getUint32(20, little)}`)
  const packets: Packet[] = []
  for (let at = FILE_HEADER_BYTES; at + RECORD_HEADER_BYTES <= file.length;) {
    const [held, length] = [view.getUint32(at + 8, little), view.getUint32(at + 12, little)]
    if (held < length) throw new Error('a packet was not captured whole')
    const start = at + RECORD_HEADER_BYTES
    if (start + held > file.length) break
    packets.push({ ...parseFrame(file.subarray(start, start + held), link), at: timeOf(view, at, little) })
    at = start + held
  }
  return packets
}

/** Seconds, then millionths, or billionths where the magic says so. */
function timeOf(view: DataView, at: number, little: boolean): number {
  const isFine = view.getUint32(0, little) === 0xa1b23c4d
  return view.getUint32(at, little) * 1000 + view.getUint32(at + 4, little) / (isFine ? 1_000_000 : 1000)
}

const VLAN = new Set([0x8100, 0x88a8])

function parseFrame(frame: Uint8Array, link: { readonly type: number; readonly begin: number }): Packet {
  let type = u16(frame, link.type)
  let begin = link.begin
  for (; VLAN.has(type); begin += 4) type = u16(frame, begin + 2)
  const packet = frame.subarray(begin)
  if (type === 0x0806) return { ...NOTHING, kind: 'arp', from: ipv4(packet, 14), to: ipv4(packet, 24) }
  if (type === 0x0800) return parseIpv4(packet)
  if (type === 0x86dd) return parseIpv6(packet)
  return { ...NOTHING, kind: `ethertype ${type.toString(16)}` }
}

const NOTHING: Packet = {
  at: 0,
  kind: '',
  from: '',
  fromPort: 0,
  to: '',
  toPort: 0,
  payload: Buffer.alloc(0),
  opens: false
}

function parseIpv4(packet: Uint8Array): Packet {
  const headerBytes = (byte(packet, 0) & 0x0f) * 4
  const ends = { from: ipv4(packet, 12), to: ipv4(packet, 16) }
  const body = packet.subarray(headerBytes, u16(packet, 2))
  // Only the first fragment has ports; the others are told by their addresses.
  const isLater = (u16(packet, 6) & 0x1fff) !== 0
  return isLater ? { ...NOTHING, ...ends, kind: 'fragment' } : parseTransport(byte(packet, 9), body, ends)
}

/** Headers that may stand between that of IPv6 and what it carries: hop by hop, routing, destination options. */
const OPTIONS = new Set([0, 43, 60])
const FRAGMENT = 44

function parseIpv6(packet: Uint8Array): Packet {
  const ends = { from: ipv6(packet, 8), to: ipv6(packet, 24) }
  let next = byte(packet, 6)
  let body = packet.subarray(40, 40 + u16(packet, 4))
  while (OPTIONS.has(next) || next === FRAGMENT) {
    if (next === FRAGMENT && (u16(body, 2) & 0xfff8) !== 0) return { ...NOTHING, ...ends, kind: 'fragment' }
    const length = next === FRAGMENT ? 8 : (byte(body, 1) + 1) * 8
    next = byte(body, 0)
    body = body.subarray(length)
  }
  return parseTransport(next, body, ends)
}

const KINDS: Readonly<Record<number, string>> = { 1: 'icmp', 2: 'igmp', 6: 'tcp', 17: 'udp', 58: 'icmp6' }

function parseTransport(protocol: number, body: Uint8Array, ends: Pick<Packet, 'from' | 'to'>): Packet {
  const kind = KINDS[protocol] ?? `ip protocol ${protocol}`
  if (kind !== 'tcp' && kind !== 'udp') return { ...NOTHING, ...ends, kind, payload: Buffer.from(body) }
  const bodyAt = kind === 'tcp' ? (byte(body, 12) >> 4) * 4 : 8
  return {
    at: 0,
    kind,
    ...ends,
    fromPort: u16(body, 0),
    toPort: u16(body, 2),
    payload: Buffer.from(body.subarray(bodyAt)),
    opens: kind === 'tcp' && (byte(body, 13) & 0x12) === 0x02
  }
}

function byte(bytes: Uint8Array, at: number): number {
  const found = bytes[at]
  if (found === undefined) throw new Error('a packet ends too early')
  return found
}

function u16(bytes: Uint8Array, at: number): number {
  return (byte(bytes, at) << 8) | byte(bytes, at + 1)
}

function ipv4(bytes: Uint8Array, at: number): string {
  return [...bytes.subarray(at, at + 4)].join('.')
}

/** Eight groups without zeros in front; not shortened further. */
function ipv6(bytes: Uint8Array, at: number): string {
  return Array.from({ length: 8 }, (_, index) => u16(bytes, at + 2 * index).toString(16)).join(':')
}
