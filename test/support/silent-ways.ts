import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { TestNode } from './swarm-node.ts'

const closers: (() => void | Promise<void>)[] = []

/** To be called after each test. */
export async function closeWays(): Promise<void> {
  for (const close of closers.splice(0)) await close()
}

/** The id of nobody. */
export async function nobody(): Promise<string> {
  return peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString()
}

/** The port of a listener that `closeWays` closes. */
export async function listening(onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

/** Somewhere that leads to nobody. */
export interface DeadEnd {
  readonly address: string
  readonly peer: string
}

/** The address of somebody who takes every connection and never says a word; and when one was first taken, and given up. */
export async function muteListener(): Promise<
  DeadEnd & { readonly taken: Promise<void>; readonly givenUp: Promise<void> }
> {
  const [taken, givenUp] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const port = await listening(socket => {
    taken.resolve()
    socket.resume().on('close', () => givenUp.resolve())
  })
  const peer = await nobody()
  const address = `/ip4/127.0.0.1/tcp/${port}/p2p/${peer}`
  return { address, peer, taken: taken.promise, givenUp: givenUp.promise }
}

/** Listens, blocks its thread, and so takes nobody: what the kernel would take for it, two connections, is taken up. */
const HOLE = `
const { parentPort, workerData } = require('node:worker_threads')
const net = require('node:net')
const server = net.createServer(socket => {
  const on = net.connect(workerData.to, '127.0.0.1').on('error', () => socket.destroy())
  socket.on('error', () => on.destroy()).pipe(on).pipe(socket)
})
server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
  parentPort.postMessage(server.address().port)
  Atomics.wait(workerData.word, 0, 0)
  if (workerData.to === 0) server.close()
})
`

/** The address of nobody: no packet that goes there is answered, before `open` lets them all through to a port. */
export async function blackHole({ to = 0 } = {}): Promise<DeadEnd & { readonly open: () => void }> {
  const word = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(HOLE, { eval: true, workerData: { word, to } })
  const port = await new Promise<number>(resolve => worker.once('message', resolve))
  const fillers = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => {}))
  const open = (): void => {
    Atomics.store(word, 0, 1)
    Atomics.notify(word, 0)
  }
  closers.push(async () => {
    for (const filler of fillers) filler.destroy()
    open()
    await worker.terminate()
  })
  await Promise.all(fillers.slice(0, 2).map(filler => new Promise(resolve => filler.once('connect', resolve))))
  const peer = await nobody()
  return { address: `/ip4/127.0.0.1/tcp/${port}/p2p/${peer}`, peer, open }
}

export interface Way {
  /** The node by this way. */
  readonly address: string
  /** How many connections were taken. */
  taken(): number
  /** From now on not a byte comes through, in either direction, and nothing is closed. */
  mute(): void
}

/**
 * A way to a node whose first connections are closed as soon as they are taken, as by a machine that has too much to do. The
 * node hears nothing for `lateMs`.
 */
export async function wayTo(node: Pick<TestNode, 'address'>, { closes = 0, lateMs = 0 } = {}): Promise<Way> {
  const [, port = '', above = '', peer = ''] = /tcp\/([0-9]+)(\/ws)?\/p2p\/(.+)$/.exec(node.address()) ?? []
  const pairs: Socket[] = []
  let [taken, isMute] = [0, false]
  const own = await listening(socket => {
    taken += 1
    if (taken <= closes) return void socket.destroy()
    const on = connect(Number(port), '127.0.0.1').on('error', () => socket.destroy())
    on.on('close', () => (isMute ? undefined : socket.destroy()))
    socket.on('close', () => on.destroy())
    pairs.push(socket, on)
    if (lateMs > 0) socket.pause()
    socket.on('data', bytes => (isMute ? undefined : on.write(bytes)))
    on.on('data', bytes => (isMute ? undefined : socket.write(bytes)))
    if (lateMs > 0) setTimeout(() => socket.resume(), lateMs)
  })
  return {
    address: `/ip4/127.0.0.1/tcp/${own}${above}/p2p/${peer}`,
    taken: () => taken,
    mute: () => (isMute = true)
  }
}
