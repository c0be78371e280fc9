import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Remote } from '../fleet/remote.ts'
import { MIN_RUNS, above, below, median } from '../report.ts'
import type { Figure } from '../report.ts'
import type { Workbench } from '../workbench.ts'
import type { Orders, Part, Served, Shape } from './orders.ts'

const MB = 1_000_000

function host(workbench: Workbench): Remote<Orders> {
  return new Remote(workbench.fork(join(import.meta.dirname, 'host.ts')))
}

/** Content of several peers, or for many of them; each host is a process. */
export async function* crowdFigures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (workbench.wants('transfer/three-peers')) yield await threePeers(workbench)
  if (workbench.wants('transfer/delta')) yield await delta(workbench)
  if (workbench.wants('transfer/liars')) yield* liars(workbench)
  if (workbench.wants('transfer/memory')) yield* memory(workbench)
  if (workbench.wants('transfer/fan-out')) yield await fanOut(workbench)
}

async function served(workbench: Workbench, source: Remote<Orders>, shape: Shape, upload?: number): Promise<Served> {
  const folder = await workbench.tempDir()
  return await source.order(0, 'serve', { folder, shape, ...(upload === undefined ? {} : { upload }) })
}

const runsOf = ({ isQuick }: Workbench): number => (isQuick ? 1 : MIN_RUNS)

/** Content of its own for each run: what many fetched within half a minute is a crowd's, and whoever has it then sends less. */
async function threePeers(workbench: Workbench): Promise<Figure> {
  const shape = { files: 1, fileBytes: workbench.isQuick ? 20 * MB : 100 * MB }
  const speeds: number[] = []
  const receiver = host(workbench)
  const [source, ...others] = [host(workbench), host(workbench), host(workbench)]
  for (let run = 0; run <= runsOf(workbench); run++) {
    const { content, addresses } = await holders(workbench, { source, others, shape })
    const folder = await workbench.tempDir()
    const { ms } = await receiver.order(0, 'getFrom', { folder, addresses, roots: [content.root], size: content.size })
    if (run > 0) speeds.push(content.size / 1_000 / (ms[0] ?? 0))
  }
  const input = `${shape.fileBytes / MB} MB, three peers of 20 MB/s each`
  return above({ bench: 'transfer/three-peers', value: median(speeds), unit: 'MB/s', input }, 50)
}

interface Holding {
  readonly source: Remote<Orders>
  readonly others: readonly Remote<Orders>[]
  readonly shape: Shape
}

/** Each gets it from the one before, so that nobody has sent it often. */
async function holders(
  workbench: Workbench,
  { source, others, shape }: Holding
): Promise<{ readonly content: Served; readonly addresses: readonly string[] }> {
  const upload = 20 * MB
  const content = await served(workbench, source, shape, upload)
  const addresses = [content.address]
  for (const other of others) {
    const folder = await workbench.tempDir()
    const from = { ...content, address: addresses.at(-1) ?? '' }
    addresses.push((await other.order(0, 'join', { folder, served: from, as: 'holder', upload })).address)
  }
  return { content, addresses }
}

async function delta(workbench: Workbench): Promise<Figure> {
  const shape = { files: workbench.isQuick ? 300 : 2_000, fileBytes: 8_192 }
  const content = await served(workbench, host(workbench), shape)
  const folder = await workbench.tempDir()
  const { address, root, next, size } = content
  const { bytesIn } = await host(workbench).order(0, 'getFrom', {
    folder,
    addresses: [address],
    roots: [root, next],
    size
  })
  const [full = 0, changed = 0] = bytesIn
  const input = `${shape.files} files of 8 KiB, one in a hundred changed`
  return below({ bench: 'transfer/delta', value: (100 * changed) / full, unit: '% of a full fetch', input }, 3)
}

/** Ten who say that they have it: five that answer nothing, four that lie, and one. */
async function* liars(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const shape = { files: 1, fileBytes: 20 * MB }
  const content = await served(workbench, host(workbench), shape)
  const receiver = host(workbench)
  const rounds = workbench.isQuick ? 3 : 100
  const get = async (addresses: readonly string[]): Promise<{ readonly ms: number; readonly bytes: number }> => {
    const folder = await workbench.tempDir()
    const { root, size } = content
    const { ms, bytesIn } = await receiver.order(0, 'getFrom', { folder, addresses, roots: [root], size })
    await rm(folder, { recursive: true })
    return { ms: ms[0] ?? 0, bytes: bytesIn[0] ?? 0 }
  }
  const bad = host(workbench)
  const addresses = [content.address]
  const parts: readonly Part[] = [...Array<Part>(5).fill('staller'), ...Array<Part>(4).fill('liar')]
  for (const as of parts) {
    const folder = await workbench.tempDir()
    addresses.unshift((await bad.order(0, 'join', { folder, served: content, as })).address)
  }
  const clean: number[] = []
  const times: number[] = []
  const bytes: number[] = []
  // Fresh each time: nobody remembers who lied.
  for (let round = 0; round < rounds; round++) {
    clean.push((await get([content.address])).ms)
    try {
      const one = await get(addresses)
      times.push(one.ms)
      bytes.push(one.bytes)
    } catch (error) {
      console.error(`transfer/liars: round ${round} failed:`, error)
    }
  }
  const input = `20 MB of ten, of whom 5 stall and 4 lie, ${rounds} times`
  yield above({ bench: 'transfer/liars-succeeded', value: times.length, unit: 'fetches', input }, rounds)
  yield below(
    { bench: 'transfer/liars', value: median(times), unit: 'ms', reference: median(clean), input },
    3,
    'ratio'
  )
  yield below(
    { bench: 'transfer/liars-bytes', value: Math.max(...bytes) / content.size, unit: 'x the bytes', input },
    2
  )
}

/** In two contents, because no package has as much as half of it. */
async function* memory(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const shape = { files: 2, fileBytes: workbench.isQuick ? 10 * MB : 250 * MB }
  const [source, receiver] = [host(workbench), host(workbench)]
  const get = async ({ address, root, size }: Served): Promise<void> => {
    const folder = await workbench.tempDir()
    await receiver.order(0, 'getFrom', { folder, addresses: [address], roots: [root], size })
  }
  // What a process of this kind takes anyway is what it has after little content.
  await get(await served(workbench, source, { files: 1, fileBytes: MB }))
  const contents = [await served(workbench, source, shape), await served(workbench, source, shape)]
  const idle = { source: await source.order(0, 'measure', null), receiver: await receiver.order(0, 'measure', null) }
  for (const content of contents) await get(content)
  const input = `${(2 * shape.files * shape.fileBytes) / MB} MB`
  const grown = async (remote: Remote<Orders>, from: number): Promise<number> =>
    (await remote.order(0, 'measure', null)).peakMb - from
  const fetching = await grown(receiver, idle.receiver.nowMb)
  const serving = await grown(source, idle.source.nowMb)
  yield below({ bench: 'transfer/memory-fetching', value: fetching, unit: 'MB', input }, 150)
  yield below({ bench: 'transfer/memory-serving', value: serving, unit: 'MB', input }, 150)
}

async function fanOut(workbench: Workbench): Promise<Figure> {
  const peers = workbench.isQuick ? 20 : 50
  const fileBytes = workbench.isQuick ? 8 * MB : 20 * MB
  const source = host(workbench)
  const content = await served(workbench, source, { files: 1, fileBytes })
  const hosts = Array.from({ length: Math.ceil(peers / 10) }, () => host(workbench))
  for (let n = 0; n < peers; n++) {
    const folder = await workbench.tempDir()
    await hosts[n % hosts.length]?.order(n, 'arrive', { folder, address: content.address })
  }
  const before = await source.order(0, 'measure', null)
  await Promise.all(
    Array.from({ length: peers }, async (_, n) => await hosts[n % hosts.length]?.order(n, 'fetch', content))
  )
  const { bytesOut } = await source.order(0, 'measure', null)
  const input = `${fileBytes / MB} MB to ${peers} peers that know the source alone`
  return below(
    { bench: 'transfer/fan-out', value: (bytesOut - before.bytesOut) / content.size, unit: 'copies', input },
    5
  )
}
