import type { Packet } from './pcap.ts'

/** Something that a machine reached out for. */
export interface Reach {
  /** `tcp`, `udp`, `arp`, …; `dns` for a name that was asked for. */
  readonly kind: string
  /** `10.0.1.2:4917`, an address alone, or a name. */
  readonly to: string
  readonly count: number
}

/** What the node was told to speak to. */
export interface Allowed {
  /** `10.0.1.2`, or `10.0.1.2:4917` */
  readonly to: readonly string[]
  readonly names?: readonly string[]
}

const DNS_PORTS = new Set([53])
const ANSWERS = new Set(['icmp', 'icmp6', 'igmp'])
const ECHO: Readonly<Record<string, number>> = { icmp: 8, icmp6: 128 }

/**
 * Everything that a machine began: connections it opened, datagrams it sent, neighbours it looked for, names it asked.
 * What it answers is not of its own making: packets of connections that others opened, and replies to who spoke first.
 */
export function reachesOf(packets: readonly Packet[], own: ReadonlySet<string>): readonly Reach[] {
  const heard = new Set<string>()
  const counts = new Map<string, number>()
  const note = (kind: string, to: string): void =>
    void counts.set(`${kind} ${to}`, (counts.get(`${kind} ${to}`) ?? 0) + 1)
  for (const packet of packets) {
    const { kind, from, to, toPort } = packet
    if (!own.has(from)) {
      heard.add(from).add(endsOf(packet))
      continue
    }
    if (kind === 'udp' && heard.has(endsOf(reversed(packet)))) continue
    if (kind === 'tcp') {
      if (packet.opens) note('tcp', `${to}:${toPort}`)
    } else if (kind === 'arp') {
      // The neighbour's address is needed to answer him, too.
      if (!heard.has(to) && !own.has(to)) note('arp', to)
    } else if (ANSWERS.has(kind)) {
      // Echo is asked by programs; everything else of these protocols is the kernel's own housekeeping.
      if (packet.payload[0] === ECHO[kind]) note(kind, to)
    } else {
      note(kind, toPort === 0 ? to : `${to}:${toPort}`)
    }
    if (DNS_PORTS.has(toPort)) for (const name of dnsNames(packet)) note('dns', name)
  }
  return [...counts].map(([key, count]) => {
    const [kind = '', ...rest] = key.split(' ')
    return { kind, to: rest.join(' '), count }
  })
}

function endsOf({ kind, from, fromPort, to, toPort }: Packet): string {
  return `${kind} ${from} ${fromPort} ${to} ${toPort}`
}

function reversed(packet: Packet): Packet {
  const { from, fromPort, to, toPort } = packet
  return { ...packet, from: to, fromPort: toPort, to: from, toPort: fromPort }
}

/** What is not allowed, as lines for people. */
export function forbidden(reaches: readonly Reach[], { to: allowed, names = [] }: Allowed): readonly string[] {
  const hosts = new Set(allowed.map(each => each.split(':')[0]))
  return reaches
    .filter(({ kind, to }) => {
      if (kind === 'dns') return !names.includes(to)
      return !allowed.includes(to) && !(kind === 'arp' ? hosts.has(to) : allowed.includes(hostOf(to)))
    })
    .map(({ kind, to, count }) => `${kind} ${to} (${count})`)
}

function hostOf(to: string): string {
  return to.slice(0, to.includes(':') ? to.lastIndexOf(':') : undefined)
}

/** The names in the questions of a DNS message; over TCP it has its length before it. Never throws: it is a stranger's. */
export function dnsNames({ kind, payload }: Packet): readonly string[] {
  const message = kind === 'tcp' ? payload.subarray(2) : payload
  if (message.length < 12) return []
  const names: string[] = []
  const questions = ((message[4] ?? 0) << 8) | (message[5] ?? 0)
  let at = 12
  for (let question = 0; question < questions && at < message.length; question++) {
    const labels: string[] = []
    for (let length = message[at] ?? 0; length > 0 && length < 64; length = message[at] ?? 0) {
      labels.push(Buffer.from(message.subarray(at + 1, at + 1 + length)).toString('latin1'))
      at += 1 + length
    }
    names.push(labels.join('.'))
    at += 5
  }
  return names
}
