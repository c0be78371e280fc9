import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { LevelDatastore } from 'datastore-level'
import { fetchContent } from '../../node/content-fetch.ts'
import type { RemoteBlocks } from '../../node/content-fetch.ts'
import type { Clock, HeldRoots } from '../../node/p2p/components.ts'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { createSwarm } from '../../node/p2p/swarm.ts'
import { SharedThrottle } from '../../node/p2p/throttle.ts'
import { toLink } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import type { Swarm } from '../../node/p2p/swarm.ts'
import { PUBLIC_NAMES } from '../../protocol/membership/names.ts'
import { openBlocks } from '../../storage/block-store.ts'
import { importFolder } from '../../storage/content/import-folder.ts'
import type { VerifiedBlocks } from '../../storage/verified-blocks.ts'
import { serveOrders } from '../fleet/remote.ts'
import type { Order } from '../fleet/remote.ts'
import { openHelia } from './helia.ts'
import type { Orders, Part, Road, Served } from './orders.ts'

interface Running {
  stop(): Promise<void>
}

/** A process with one swarm: the one that has the bytes, or the one that gets them. */
interface Open extends Running {
  readonly swarm: Swarm
  readonly blocks: VerifiedBlocks
}

const RAW = '/ggen/bench/raw/1'
const PIECE_BYTES = 2 ** 20
const PATIENCE_MS = 60_000
const MB = 1_000_000
const running = new Set<Open>()
const helias = new Set<Running>()
const signal = new AbortController().signal

const clock: Clock = {
  now: () => Date.now(),
  after: (ms, task) => {
    const timer = setTimeout(task, ms)
    return () => clearTimeout(timer)
  }
}

async function openSwarm(
  folder: string,
  { upload, as = 'holder' }: { readonly upload?: number | undefined; readonly as?: Part } = {}
): Promise<Open> {
  await mkdir(folder, { recursive: true })
  const datastore = new LevelDatastore(join(folder, 'data'))
  await datastore.open()
  const blocks = await openBlocks(join(folder, 'blocks'))
  const silent = (): void => undefined
  const nothing = {
    set: () => undefined,
    known: async () => [],
    get: async () => undefined,
    snapshot: async function* () {}
  }
  const swarm = await createSwarm(
    {
      name: 'bench',
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap: [],
      mdns: false,
      relay: false,
      names: PUBLIC_NAMES,
      allowPeers: [],
      agent: 'ggen-node/bench',
      roles: ['peer']
    },
    {
      privateKey: await generateKeyPair('Ed25519'),
      datastore,
      blocks: partOf(as, blocks),
      sight: { isNamed: async () => true, strange: async () => [], has: async () => true },
      throttles: { upload: upload === undefined ? undefined : new SharedThrottle(upload, clock), download: undefined },
      held: heldIn(partOf(as, blocks)),
      registries: () => [],
      gate: { admit: async () => ({ verdict: 'accept' }), admitMany: async () => [] },
      facts: nothing,
      clock,
      log: { debug: silent, info: silent, warn: silent }
    }
  )
  await swarm.start()
  const opened: Open = {
    swarm,
    blocks,
    stop: async () => {
      running.delete(opened)
      await swarm.stop()
      await datastore.close()
    }
  }
  running.add(opened)
  return opened
}

/** What this process has, and who wants to know. */
const roots = new Set<ContentId>()
const listeners = new Set<(root: ContentId, isHeld: boolean) => void>()

function heldIn(blocks: VerifiedBlocks): HeldRoots {
  return {
    async *list() {
      for (const root of roots) if (await blocks.has(toLink(root))) yield root
    },
    onChange: listener => {
      const tell = async (root: ContentId): Promise<void> => listener(root, await blocks.has(toLink(root)))
      const told = (root: ContentId): void => void tell(root)
      listeners.add(told)
      return () => void listeners.delete(told)
    }
  }
}

function hold(root: ContentId): void {
  roots.add(root)
  for (const listener of listeners) listener(root, true)
}

function partOf(part: Part, blocks: VerifiedBlocks): VerifiedBlocks {
  if (part === 'holder') return blocks
  const wrong = new Uint8Array(1_000)
  return {
    ...blocks,
    has: async () => true,
    readNow: () => undefined,
    async *get() {
      if (part === 'staller') await new Promise(() => undefined)
      yield wrong
    }
  }
}

async function serve({ folder, shape, upload }: Orders['serve']['params']): Promise<Served> {
  const { swarm, blocks } = await openSwarm(join(folder, 'node'), { upload })
  const content = join(folder, 'content')
  const all = join(folder, 'all')
  await mkdir(content)
  const whole = await open(all, 'w')
  for (let i = 0; i < shape.files; i++) {
    const bytes = randomBytes(shape.fileBytes)
    await writeFile(join(content, `file-${i}.bin`), bytes)
    await whole.writeFile(bytes)
  }
  await whole.close()
  const { root } = await importFolder(content, blocks, { signal })
  for (let i = 0; i < shape.files; i += 100)
    await writeFile(join(content, `file-${i}.bin`), randomBytes(shape.fileBytes))
  const next = await importFolder(content, blocks, { signal })
  hold(root)
  await swarm.libp2p.handle(RAW, stream => void sendAll(stream, all))
  const helia = await openHelia(blocks)
  helias.add(helia)
  const heliaAddress = helia.address()
  return {
    address: swarm.addresses()[0] ?? '',
    heliaAddress,
    root,
    next: next.root,
    size: shape.files * shape.fileBytes
  }
}

async function joinIn({ folder, served, as, upload }: Orders['join']['params']): Promise<{ readonly address: string }> {
  if (as !== 'holder') hold(served.root)
  const { swarm, blocks } = await openSwarm(folder, { upload, as })
  if (as === 'holder') {
    await swarm.connect(served.address)
    await fetchContent({ local: blocks, remote: remoteOf(swarm, 'dag') }, { registry: undefined, ...served }, signal)
    hold(served.root)
  }
  return { address: swarm.addresses()[0] ?? '' }
}

async function getFrom({
  folder,
  addresses,
  roots: wanted,
  size
}: Orders['getFrom']['params']): Promise<Orders['getFrom']['answer']> {
  const opened = await openSwarm(folder)
  const { swarm, blocks } = opened
  const ms: number[] = []
  const bytesIn: number[] = []
  try {
    for (const address of addresses) await swarm.connect(address)
    for (const root of wanted) {
      const before = swarm.traffic().bytesIn
      const started = performance.now()
      const remote: RemoteBlocks = { open: (registry, abort) => swarm.fetch(registry, { signal: abort }) }
      await fetchContent({ local: blocks, remote }, { registry: undefined, root, size }, signal)
      ms.push(performance.now() - started)
      bytesIn.push(swarm.traffic().bytesIn - before)
    }
  } finally {
    // A hundred that stay would be more than whoever serves them has room for.
    await opened.stop()
  }
  return { ms, bytesIn }
}

/** Those that have arrived, by their number. */
const arrived = new Map<number, Open>()

async function arrive(node: number, { folder, address }: Orders['arrive']['params']): Promise<null> {
  const opened = await openSwarm(folder)
  arrived.set(node, opened)
  await opened.swarm.connect(address, { signal: AbortSignal.timeout(PATIENCE_MS) })
  return null
}

async function fetchAll(node: number, served: Served): Promise<null> {
  const open = arrived.get(node)
  if (open === undefined) throw new Error('it has not arrived')
  const { swarm, blocks } = open
  const remote: RemoteBlocks = { open: (registry, abort) => swarm.fetch(registry, { signal: abort }) }
  await fetchContent({ local: blocks, remote }, { registry: undefined, ...served }, signal)
  hold(served.root)
  return null
}

/** The most memory since it was last asked for: what making the content took is not what serving it takes. */
let peakBytes = 0
const SAMPLE_MS = 20
setInterval(() => (peakBytes = Math.max(peakBytes, process.memoryUsage.rss())), SAMPLE_MS).unref()

async function measure(): Promise<Orders['measure']['answer']> {
  const bytesOut = [...running].reduce((sum, { swarm }) => sum + swarm.traffic().bytesOut, 0)
  const peak = Math.max(peakBytes, process.memoryUsage.rss())
  peakBytes = 0
  return { bytesOut, nowMb: process.memoryUsage.rss() / MB, peakMb: peak / MB }
}

async function sendAll(stream: Stream, file: string): Promise<void> {
  const io = new FramedStream(stream)
  await io.read(16, signal)
  for await (const piece of createReadStream(file, { highWaterMark: PIECE_BYTES }))
    await io.writeRaw(piece as Buffer, signal)
  await io.end(signal)
}

async function get({ folder, served, road }: Orders['get']['params']): Promise<{ ms: number }> {
  if (road === 'helia') return getByHelia(folder, served)
  const receiver = await openSwarm(folder)
  try {
    const peer = await receiver.swarm.connect(served.address)
    await identified(receiver.swarm, peer)
    const started = performance.now()
    await travel(road, receiver, { served, peer, file: join(folder, 'all') })
    return { ms: performance.now() - started }
  } finally {
    // The folder stays until the end: ext4 takes its time over new files where many were deleted a moment ago.
    await receiver.stop()
  }
}

async function getByHelia(folder: string, served: Served): Promise<{ ms: number }> {
  await mkdir(folder, { recursive: true })
  const blocks = await openBlocks(join(folder, 'blocks'))
  const helia = await openHelia(blocks)
  try {
    const remote = helia.from(await helia.connect(served.heliaAddress))
    const started = performance.now()
    await fetchAllOf({ local: blocks, remote }, served)
    return { ms: performance.now() - started }
  } finally {
    await helia.stop()
  }
}

async function fetchAllOf(from: { local: VerifiedBlocks; remote: RemoteBlocks }, served: Served): Promise<void> {
  const { fetched } = await fetchContent(from, { registry: undefined, ...served }, signal)
  if (fetched < served.size) throw new Error(`only ${fetched} bytes came`)
}

/** Bitswap asks nobody of whom identify has not told it that he speaks it. */
async function identified({ libp2p }: Swarm, peer: string): Promise<void> {
  const id = peerIdFromString(peer)
  const isKnown = async (): Promise<boolean> =>
    (await libp2p.peerStore.get(id)).protocols.some(name => name.includes('bitswap'))
  while (!(await isKnown())) await pause(5)
}

interface Journey {
  readonly served: Served
  readonly peer: string
  readonly file: string
}

async function travel(
  road: Exclude<Road, 'helia'>,
  { swarm, blocks }: Open,
  { served, peer, file }: Journey
): Promise<void> {
  switch (road) {
    case 'dag':
    case 'bitswap':
      return await fetchAllOf({ local: blocks, remote: remoteOf(swarm, road) }, served)
    case 'raw':
    case 'plain': {
      const stream = await swarm.libp2p.dialProtocol(peerIdFromString(peer), RAW)
      const bytes = await receiveAll(stream, road === 'raw' ? file : undefined)
      if (bytes !== served.size) throw new Error(`only ${bytes} bytes came`)
    }
  }
}

function remoteOf(swarm: Swarm, road: 'dag' | 'bitswap'): RemoteBlocks {
  return {
    open: (registry, abort) => {
      const session = swarm.fetch(registry, { signal: abort })
      if (road === 'bitswap') return { ...session, content: async () => ({ stored: [], bytes: 0 }) }
      // Whatever comes by the last resort would be a figure of something else.
      return { ...session, block: async cid => Promise.reject(new Error(`${cid.toString()} did not come`)) }
    }
  }
}

/** Takes the bytes as they come; the sender is held back while a piece is hashed and written. */
async function receiveAll(stream: Stream, file: string | undefined): Promise<number> {
  const io = new FramedStream(stream)
  await io.write(Uint8Array.of(1), signal)
  const hash = createHash('sha256')
  const handle = file === undefined ? undefined : await open(file, 'w')
  let bytes = 0
  let writing: Promise<unknown> = Promise.resolve()
  for (let piece = await io.chunk(signal); piece !== undefined; piece = await io.chunk(signal)) {
    bytes += piece.length
    if (handle === undefined) continue
    hash.update(piece)
    await writing
    writing = handle.write(piece)
  }
  await writing
  hash.digest()
  await handle?.sync()
  await handle?.close()
  return bytes
}

serveOrders<Orders>(
  async ({ node, name, params }: Order<Orders>) => {
    switch (name) {
      case 'serve':
        return await serve(params as Orders['serve']['params'])
      case 'get':
        return await get(params as Orders['get']['params'])
      case 'join':
        return await joinIn(params as Orders['join']['params'])
      case 'getFrom':
        return await getFrom(params as Orders['getFrom']['params'])
      case 'arrive':
        return await arrive(node, params as Orders['arrive']['params'])
      case 'fetch':
        return await fetchAll(node, params as Orders['fetch']['params'])
      case 'measure':
        return await measure()
      case 'close':
        return null
    }
  },
  async () => {
    for (const open of [...running, ...helias]) await open.stop()
  }
)
