import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { Machine } from './netns.ts'
import { tempDir } from './temp-dir.ts'

/** One packet as it was on the cable. What is neither TCP nor UDP over IPv4 has no ports and no payload. */
export interface Packet {
  /** `tcp`, `udp`, `icmp`, `arp`, `ipv6`, or a number */
  readonly kind: string
  readonly from: string
  readonly fromPort: number
  readonly to: string
  readonly toPort: number
  readonly payload: Buffer
  /** TCP only: the packet that opens a connection (SYN without ACK). */
  readonly opens: boolean
}

export interface Capture {
  /** Ends it and returns all packets; fails if the kernel had to drop any, for then it proves nothing. */
  stop(): Promise<readonly Packet[]>
}

const running = new Set<() => Promise<void>>()

afterAll(async () => {
  for (const end of running) await end()
})

/** Records what goes through a port of a machine, in both directions, from when this returns. Needs `tcpdump`. */
export async function capture({ prefix }: Machine, device = 'eth0'): Promise<Capture> {
  const file = join(await tempDir('capture'), 'packets.pcap')
  const options = ['-n', '-U', '--immediate-mode', '-B', '16384', '-Z', 'root']
  const [command, ...args] = [...prefix, 'tcpdump', '-i', device, ...options, '-w', file]
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  const closed = once(child, 'close')
  const end = async (): Promise<void> => {
    running.delete(end)
    child.kill('SIGINT')
    await closed
  }
  const hear = async (pattern: RegExp, from = 0): Promise<RegExpExecArray> => {
    for (;;) {
      const found = pattern.exec(said.slice(from))
      if (found !== null) return found
      await Promise.race([once(child.stderr, 'data'), closed.then(() => Promise.reject(new Error(`tcpdump: ${said}`)))])
    }
  }
  running.add(end)
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  await hear(/listening on/)
  return {
    stop: async () => {
      // What the kernel has seen and tcpdump has not yet read would be lost at its end.
      for (let isBehind = true; isBehind;) {
        const before = said.length
        child.kill('SIGUSR1')
        const counted = await hear(COUNTS, before)
        isBehind = Number(counted[1]) < Number(counted[2])
        if (Number(counted[3]) > 0) throw new Error(`the capture is not whole: ${said}`)
      }
      await end()
      return parsePcap(await readFile(file))
    }
  }
}

const COUNTS = /(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped by kernel/
const FILE_HEADER_BYTES = 24
const RECORD_HEADER_BYTES = 16
const ETHERNET_BYTES = 14

/** The packets of a capture file as tcpdump writes it on this machine (little endian, Ethernet). */
export function parsePcap(bytes: Buffer): readonly Packet[] {
  if (bytes.readUInt32LE(0) !== 0xa1b2c3d4 || bytes.readUInt32LE(20) !== 1) throw new Error('not an Ethernet capture')
  const packets: Packet[] = []
  let at = FILE_HEADER_BYTES
  while (at + RECORD_HEADER_BYTES <= bytes.length) {
    const length = bytes.readUInt32LE(at + 8)
    const start = at + RECORD_HEADER_BYTES
    packets.push(parseFrame(bytes.subarray(start, start + length)))
    at = start + length
  }
  return packets
}

const KINDS: Readonly<Record<number, string>> = { 1: 'icmp', 2: 'igmp', 6: 'tcp', 17: 'udp' }
const NOTHING = { from: '', fromPort: 0, to: '', toPort: 0, payload: Buffer.alloc(0), opens: false }

function parseFrame(frame: Buffer): Packet {
  const type = frame.readUInt16BE(12)
  if (type === 0x0806) return { kind: 'arp', ...NOTHING }
  if (type === 0x86dd) return { kind: 'ipv6', ...NOTHING }
  if (type !== 0x0800) return { kind: String(type), ...NOTHING }
  const ip = frame.subarray(ETHERNET_BYTES)
  const headerBytes = ((ip[0] ?? 0) & 0x0f) * 4
  const body = ip.subarray(headerBytes, ip.readUInt16BE(2))
  const kind = KINDS[ip[9] ?? 0] ?? String(ip[9])
  const ends = { from: [...ip.subarray(12, 16)].join('.'), to: [...ip.subarray(16, 20)].join('.') }
  if (kind !== 'tcp' && kind !== 'udp') return { ...NOTHING, kind, ...ends }
  const flags = kind === 'tcp' ? (body[13] ?? 0) : 0
  const bodyAt = kind === 'tcp' ? ((body[12] ?? 0) >> 4) * 4 : 8
  return {
    kind,
    ...ends,
    fromPort: body.readUInt16BE(0),
    toPort: body.readUInt16BE(2),
    payload: Buffer.from(body.subarray(bodyAt)),
    opens: (flags & 0x12) === 0x02
  }
}
