import { createSocket } from 'node:dgram'
import { createServer, connect } from 'node:net'
import type { Recording } from './recording.ts'

const QUIET_MS = 500
const MDNS_PORT = 5353
const MDNS_GROUP = '224.0.0.251'

/** What is said to a port that might be anything: the road to libp2p, the question what else it speaks, a web page. */
const OPENERS: readonly Buffer[] = [
  Buffer.from('\x13/multistream/1.0.0\n\x03ls\n\x07/noise\n', 'latin1'),
  Buffer.from('GET /ipfs/ HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n'),
  Buffer.from('')
]

/** The ports of a host that take a connection, of those in the list. */
export async function openPorts(host: string, ports: readonly number[]): Promise<readonly number[]> {
  const left = [...ports]
  const open: number[] = []
  const worker = async (): Promise<void> => {
    for (let port = left.pop(); port !== undefined; port = left.pop()) if (await answers(host, port)) open.push(port)
  }
  await Promise.all(Array.from({ length: 200 }, worker))
  return open.toSorted((a, b) => a - b)
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host, port, timeout: 2_000 })
    const settle = (isOpen: boolean): void => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.once('connect', () => settle(true)).once('error', () => settle(false))
    socket.once('timeout', () => settle(false))
  })
}

/** Connects without any handshake, says one thing after the other, and records what is said back. */
export async function knockAt(host: string, port: number, recording: Recording): Promise<void> {
  for (const opener of OPENERS) {
    await new Promise<void>(resolve => {
      const socket = connect({ host, port, timeout: QUIET_MS })
      const settle = (): void => {
        socket.destroy()
        resolve()
      }
      socket.on('data', data => recording.write(`tcp ${host}:${port}`, data))
      socket.once('error', settle).once('close', settle).once('timeout', settle)
      socket.write(opener)
    })
  }
}

/** Listens to everything that is said on the local network about services, and asks for them. */
export async function listenToMdns(
  address: string,
  tags: readonly string[],
  recording: Recording
): Promise<() => void> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  const heard = (data: Buffer, from: { readonly address: string; readonly port: number }): void => {
    if (from.address !== address) recording.write(`mdns ${from.address}:${from.port}`, data)
  }
  socket.on('message', heard)
  await new Promise<void>(resolve => socket.bind(MDNS_PORT, resolve))
  socket.addMembership(MDNS_GROUP, address)
  socket.setMulticastInterface(address)
  const ask = (): void => {
    for (const tag of tags) socket.send(serviceQuestion(tag), MDNS_PORT, MDNS_GROUP)
  }
  ask()
  const timer = setInterval(ask, 2_000)
  return () => {
    clearInterval(timer)
    socket.close()
  }
}

/** A question for the services of a name (PTR). */
export function serviceQuestion(name: string): Buffer {
  const labels = name.split('.').flatMap(label => [Buffer.from([label.length]), Buffer.from(label)])
  return Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), ...labels, Buffer.from([0, 0, 12, 0, 1])])
}

/** Takes whatever is sent to these ports, whoever it was meant for, records it, and knows no name. */
export async function openSink(address: string, ports: readonly number[], recording: Recording): Promise<() => void> {
  const dns = createSocket({ type: 'udp4', reuseAddr: true })
  dns.on('message', (data, from) => {
    recording.write('sink dns', data)
    const answer = Buffer.from(data)
    answer.writeUInt16BE(0x8183, 2) // an answer: no such name
    dns.send(answer, from.port, from.address)
  })
  await new Promise<void>(resolve => dns.bind(53, address, resolve))
  const servers = ports.map(port => {
    const server = createServer(socket => {
      recording.write(`sink tcp ${port}`, Buffer.from(`a connection from ${socket.remoteAddress ?? ''}`))
      socket.on('data', data => recording.write(`sink tcp ${port}`, data)).on('error', () => socket.destroy())
    })
    return server.listen(port, '0.0.0.0')
  })
  return () => {
    dns.close()
    for (const server of servers) server.close()
  }
}
