import { setTimeout as pause } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createNode } from '../../node/create-node.ts'
import type { RunningNode } from '../../node/create-node.ts'
import { dispatch } from '../../node/daemon.ts'
import { withSettings } from '../../node/embed-settings.ts'
import { readConfig, takeHome } from '../../node/home.ts'
import type { Swarm } from '../../node/p2p/swarm.ts'
import { openLog } from '../../node/runtime/log.ts'
import type { CallContext } from '../../node/services/api.ts'
import { isRegistryError, messageOf } from '../../protocol/errors.ts'
import type { Home } from '../../storage/home.ts'
import { serveOrders } from '../fleet/remote.ts'
import type { Order } from '../fleet/remote.ts'
import { ALIAS } from './orders.ts'
import type { DownloadOver, Orders } from './orders.ts'

/** A process that holds nodes of private swarms, each with its own data directory, keys, sockets and stores. */
interface Hosted {
  readonly node: RunningNode
  readonly home: Home
  download: Download | undefined
}

const COLLECTIONS = 4
const COLLECTION_MS = 500
const LOOK_MS = 2

const hosted = new Map<number, Hosted>()

const context: CallContext = { signal: new AbortController().signal, onProgress: () => undefined }

type Handlers = {
  readonly [N in Exclude<keyof Orders, 'open' | 'close' | 'memory'>]: (
    hosted: Hosted,
    params: Orders[N]['params']
  ) => Promise<Orders[N]['answer']>
}

const handlers: Handlers = {
  call: ({ node: { api } }, { method, params }) => dispatch(api)(method, params, context),
  whereabouts: async ({ node }) => {
    const swarm = privateSwarm(node)
    return { peer: swarm.peerId, address: swarm.addresses()[0] ?? '' }
  },
  look: async ({ node }) => {
    const { api } = node
    const { registries } = await api.status({}, context)
    const found = registries.find(({ alias }) => alias === ALIAS)
    return { facts: found?.facts ?? 0, digest: found?.digest ?? '', peers: connectedTo(node) }
  },
  meet: async ({ node }, { address }) => {
    try {
      await privateSwarm(node).connect(address)
      return { refusal: null }
    } catch (error) {
      if (!isRegistryError(error)) throw error
      return { refusal: `${error.code}: ${error.message}` }
    }
  },
  parted: ({ node }, { peer, timeoutMs }) => parted(node, peer, timeoutMs),
  download: async (host, { reference, project }) => {
    const { node } = host
    host.download = startDownload(privateSwarm(node), () =>
      node.api.install({ references: [reference], project }, context)
    )
    return null
  },
  downloaded: async ({ download }, { bytes, timeoutMs }) => {
    const before = Date.now()
    for (;;) {
      const have = download?.bytes() ?? 0
      if (have >= bytes) return { bytes: have }
      if (Date.now() - before > timeoutMs) throw new Error(`only ${have} bytes came: ${download?.failure ?? 'slow'}`)
      await pause(LOOK_MS)
    }
  },
  outcome: async ({ download }) => download?.over() ?? { outcome: null, arrivals: [] },
  traffic: async ({ node }, { peer }) => trafficWith(privateSwarm(node), peer)
}

function privateSwarm({ parts }: RunningNode): Swarm {
  return parts.swarms.require(ALIAS)
}

function connectedTo({ parts }: RunningNode): readonly string[] {
  const peers = parts.swarms.named(ALIAS)?.peers() ?? []
  return peers.filter(({ connected }) => connected).map(({ id }) => id)
}

function trafficWith(swarm: Swarm, peer: string): Orders['traffic']['answer'] {
  const found = swarm.peers().find(({ id }) => id === peer)
  return { bytesIn: found?.bytesIn ?? 0, bytesOut: found?.bytesOut ?? 0 }
}

/** Looks at the connections themselves, introduced or not, whenever one ends. */
function parted(node: RunningNode, peer: string, timeoutMs: number): Promise<Orders['parted']['answer']> {
  const swarm = privateSwarm(node)
  const { libp2p } = swarm
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      libp2p.removeEventListener('connection:close', look)
      clearTimeout(timer)
    }
    const look = (): void => {
      if (libp2p.getConnections().some(({ remotePeer }) => remotePeer.toString() === peer)) return
      finish()
      resolve({ at: now(), bytesOut: trafficWith(swarm, peer).bytesOut })
    }
    const timer = setTimeout(() => {
      finish()
      reject(new Error(`${peer} is still connected after ${timeoutMs} ms`))
    }, timeoutMs)
    libp2p.addEventListener('connection:close', look)
    look()
  })
}

interface Download {
  bytes(): number
  failure: string | undefined
  over(): DownloadOver
}

function startDownload(swarm: Swarm, install: () => Promise<unknown>): Download {
  const arrivals: [number, number][] = []
  const before = swarm.traffic().bytesIn
  const bytes = (): number => swarm.traffic().bytesIn - before
  let outcome: DownloadOver['outcome'] = null
  const look = (): void => {
    const have = bytes()
    if (have > (arrivals.at(-1)?.[1] ?? 0)) arrivals.push([now(), have])
  }
  const timer = setInterval(look, LOOK_MS)
  timer.unref()
  const download: Download = {
    bytes,
    failure: undefined,
    over: () => {
      look()
      return { outcome, arrivals }
    }
  }
  install().then(
    () => (outcome = 'installed'),
    (error: unknown) => {
      outcome = 'failed'
      download.failure = messageOf(error)
    }
  )
  return download
}

/** One clock for all processes of a machine, finer than `Date.now()`. */
function now(): number {
  return performance.timeOrigin + performance.now()
}

async function open({ home: path, keep }: Orders['open']['params']): Promise<Hosted> {
  const home = await takeHome(path)
  const read = withSettings(await readConfig(home), { keep, listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false })
  // Nodes of a private swarm find each other by token, roster and DHT, as they do when no cable joins them.
  const own = { name: ALIAS, listen: [], bootstrap: [], mdns: false, allowPeers: [] }
  const config = { ...read, swarms: [...read.swarms, own] }
  const log = await openLog({ level: 'error' })
  const node = await createNode({ home, config, version: '0.0.0', network: true, log })
  return { node, home, download: undefined }
}

async function close({ node, home }: Hosted): Promise<void> {
  await node.stop()
  await home.close()
}

async function memory(): Promise<Orders['memory']['answer']> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  // What is left of a stream or of a socket is let go in later turns of the loop.
  for (let i = 0; i < COLLECTIONS; i++) {
    collect()
    await pause(COLLECTION_MS)
  }
  collect()
  const { rss, heapUsed, external } = process.memoryUsage()
  return { residentMb: rss / 2 ** 20, heapMb: heapUsed / 2 ** 20, externalMb: external / 2 ** 20 }
}

async function obey({ node, name, params }: Order<Orders>): Promise<unknown> {
  if (name === 'memory') return memory()
  if (name === 'open') {
    const opened = await open(params as Orders['open']['params'])
    hosted.set(node, opened)
    return { key: opened.node.parts.author.principal }
  }
  const found = hosted.get(node)
  if (found === undefined) throw new Error(`node ${node} is not open`)
  if (name === 'close') {
    hosted.delete(node)
    await close(found)
    return null
  }
  // Orders are typed where they are sent; both ends are one program.
  return (handlers[name] as (hosted: Hosted, params: unknown) => Promise<unknown>)(found, params)
}

serveOrders(obey, async () => {
  for (const each of hosted.values()) await close(each)
})
