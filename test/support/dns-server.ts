import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'

/** What a name answers: TXT records of one or more texts, no such name, or nothing at all. */
export type Zone = Map<string, readonly (readonly string[])[] | 'silent' | 'failing'>

export interface TestDnsServer {
  /** Names in lower case, without the last dot. */
  readonly zone: Zone
  /** Every question that came. */
  readonly asked: string[]
  readonly address: string
  close(): Promise<void>
}

const HEADER = 12
const NXDOMAIN = 3
const SERVFAIL = 2

/** A DNS server on loopback (RFC 1035) that knows TXT records, over UDP. */
export async function dnsServer(): Promise<TestDnsServer> {
  const socket = createSocket('udp4')
  const zone: Zone = new Map()
  const asked: string[] = []
  socket.on('message', (question, { port, address }) => {
    const { name, end } = nameIn(question)
    asked.push(name)
    const found = zone.get(name)
    if (found === 'silent') return
    socket.send(answerTo(question.subarray(0, end + 4), found), port, address)
  })
  await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve))
  return { zone, asked, address: `127.0.0.1:${socket.address().port}`, close: () => closed(socket) }
}

function closed(socket: Socket): Promise<void> {
  return new Promise(resolve => socket.close(() => resolve()))
}

function nameIn(message: Buffer): { readonly name: string; readonly end: number } {
  const labels: string[] = []
  let at = HEADER
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length))
    at += length + 1
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 }
}

function answerTo(question: Buffer, found: readonly (readonly string[])[] | 'failing' | undefined): Buffer {
  const records = Array.isArray(found) ? (found as readonly (readonly string[])[]) : []
  const header = Buffer.alloc(HEADER)
  question.copy(header, 0, 0, 2)
  // An answer with recursion, and what is wrong with it.
  header.writeUInt16BE(0x8180 | (found === undefined ? NXDOMAIN : found === 'failing' ? SERVFAIL : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(records.length, 6)
  return Buffer.concat([header, question.subarray(HEADER), ...records.map(recordOf)])
}

function recordOf(texts: readonly string[]): Buffer {
  const data = Buffer.concat(texts.map(text => Buffer.concat([Buffer.of(text.length), Buffer.from(text, 'latin1')])))
  const fixed = Buffer.alloc(HEADER)
  // The name of the question; TXT; IN; a minute; the length of the data.
  fixed.writeUInt16BE(0xc00c, 0)
  fixed.writeUInt16BE(16, 2)
  fixed.writeUInt16BE(1, 4)
  fixed.writeUInt32BE(60, 6)
  fixed.writeUInt16BE(data.length, 10)
  return Buffer.concat([fixed, data])
}
