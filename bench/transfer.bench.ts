import { join } from 'node:path'
import { Remote } from './fleet/remote.ts'
import { MIN_RUNS, above, informative, median, type Figure } from './report.ts'
import { ROADS } from './transfer/orders.ts'
import type { Orders, Road, Shape } from './transfer/orders.ts'
import { crowdFigures } from './transfer/crowd.ts'
import { marketplaceFigures } from './transfer/marketplace.ts'
import type { Workbench } from './workbench.ts'

/**
 * Rounds that are not counted. V8 takes three to five fetches of 16 MB to compile what the roads of JavaScript run through; a node
 * is up for days. What the first fetch of a process costs is told beside it.
 */
const WARM_UPS = 5

interface Course {
  readonly shape: Shape
  readonly quick: Shape
  /** What the stream of content must reach of the raw stream that hashes and stores, and of bitswap. */
  readonly ofRaw: number
  readonly ofBitswap: number
}

const COURSES: Readonly<Record<string, Course>> = {
  'transfer/file-100mb': {
    shape: { files: 1, fileBytes: 100_000_000 },
    quick: { files: 1, fileBytes: 10_000_000 },
    ofRaw: 0.7,
    ofBitswap: 5
  },
  'transfer/tree-2000': {
    shape: { files: 2_000, fileBytes: 8_192 },
    quick: { files: 200, fileBytes: 8_192 },
    ofRaw: 0.3,
    ofBitswap: 8
  }
}

/** What content costs on its own stream, against a raw stream of the same bytes and against bitswap of Helia as it comes; two processes for each. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  for (const [bench, course] of Object.entries(COURSES)) {
    const names = ['', '-bitswap', '-own-bitswap', '-plain', '-first'].map(ending => `${bench}${ending}`)
    if (names.some(name => workbench.wants(name))) yield* run(workbench, bench, course)
  }
  yield* crowdFigures(workbench)
  yield* marketplaceFigures(workbench)
}

async function* run(workbench: Workbench, bench: string, course: Course): AsyncGenerator<Figure, void, void> {
  const host = (): Remote<Orders> => new Remote(workbench.fork(join(import.meta.dirname, 'transfer', 'host.ts')))
  const shape = workbench.isQuick ? course.quick : course.shape
  // Each road has processes of its own: seconds of bitswap make V8 forget what it compiled for the others.
  const pair = async (road: Road) => {
    const [source, receiver] = [host(), host()]
    const served = await source.order(0, 'serve', { folder: await workbench.tempDir(), shape })
    return { road, receiver, served }
  }
  const pairs: Awaited<ReturnType<typeof pair>>[] = []
  for (const road of ROADS) pairs.push(await pair(road))
  const size = shape.files * shape.fileBytes
  const speeds: Record<Road, number[]> = { dag: [], helia: [], bitswap: [], raw: [], plain: [] }
  const first: Partial<Record<Road, number>> = {}
  const [warmUps, runs] = workbench.isQuick ? [1, 1] : [WARM_UPS, MIN_RUNS]
  const unanswered = { helia: 0, bitswap: 0 }
  // Roads take turns, so that a slow minute of the machine is nobody's alone.
  for (let round = 0; round < warmUps + runs; round++) {
    for (const { road, receiver, served } of pairs) {
      const target = join(await workbench.tempDir(), 'node')
      const { ms } = await receiver.order(0, 'get', { folder: target, served, road }).catch((error: unknown) => {
        // Bitswap gives up a block now and then where the machine has other work. That says nothing of its speed.
        if (road !== 'bitswap' && road !== 'helia') throw error
        unanswered[road] += 1
        return { ms: undefined }
      })
      if (ms === undefined) continue
      const speed = size / 1_000 / ms
      if (round === 0) first[road] = speed
      if (round >= warmUps) speeds[road].push(speed)
    }
  }
  const input = `${shape.files} files of ${shape.fileBytes} bytes, MB of 10^6`
  const figure = (name: string, reference: Road) => ({
    bench: name,
    value: median(speeds.dag),
    unit: 'MB/s',
    reference: median(speeds[reference]),
    input
  })
  yield above(figure(bench, 'raw'), course.ofRaw, 'ratio')
  const against = (name: string, road: keyof typeof unanswered) => {
    const gaveUp = unanswered[road] === 0 ? '' : `; bitswap gave up ${unanswered[road]} of ${warmUps + runs} times`
    return { ...figure(name, road), input: `${input}${gaveUp}` }
  }
  if (speeds.helia.length > 0) yield above(against(`${bench}-bitswap`, 'helia'), course.ofBitswap, 'ratio')
  if (speeds.bitswap.length > 0) yield informative(against(`${bench}-own-bitswap`, 'bitswap'))
  yield informative(figure(`${bench}-plain`, 'plain'))
  const cold = {
    bench: `${bench}-first`,
    value: first.dag ?? 0,
    unit: 'MB/s',
    input: `${input}; one fetch of new processes`
  }
  yield informative(first.helia === undefined ? cold : { ...cold, reference: first.helia })
}
