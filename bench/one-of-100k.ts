import { createHash } from 'node:crypto'
import { FRAME_HEADER_BYTES } from '../protocol/frame.ts'
import { ItemSet } from '../protocol/sync/item-set.ts'
import { FactMaker, registryNamed } from '../test/support/fact-maker.ts'
import { SyncNet } from '../test/support/sync-net.ts'
import { below, informative, median, MIN_RUNS, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const FACTS = 100_000
const INPUT = `${FACTS} facts; messages with their frames between two steps, without what noise, yamux and TCP add`

/** What it takes to tell another node of one changed fact among many: round trips and bytes both ways. */
export async function* oneOf100kFigures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const names = ['sync/one-of-100k', 'sync/one-of-100k-round-trips', 'sync/one-of-100k-time']
  if (!names.some(name => workbench.wants(name))) return
  const registry = registryNamed('bench')
  const items = Array.from({ length: FACTS }, (_, index) => {
    return { time: 1_600_000_000_000 + index * 1_000, id: createHash('sha256').update(`fact ${index}`).digest() }
  })
  const times: number[] = []
  let [trips, bytes] = [0, 0]
  for (let run = 0; run < MIN_RUNS; run++) {
    const net = new SyncNet()
    const [a, b] = [net.node('a'), net.node('b')]
    for (const node of [a, b]) {
      node.follow(registry)
      node.sets.set(registry, ItemSet.fromUnsorted(items))
    }
    const fact = new FactMaker(registry).next()
    b.add(registry, fact)
    const started = performance.now()
    net.connect(a, b)
    net.settle()
    times.push(performance.now() - started)
    if (a.facts.get(registry)?.has(fact.id) !== true) throw new Error('the fact did not come')
    const answers = net.sent.filter(({ from }) => from === 'b').length
    trips = Math.max(trips, answers)
    bytes = Math.max(
      bytes,
      net.sent.reduce((sum, message) => sum + message.bytes + FRAME_HEADER_BYTES, 0)
    )
  }
  yield below({ bench: 'sync/one-of-100k', value: bytes, unit: 'bytes', input: INPUT }, 8 * 1024)
  yield below({ bench: 'sync/one-of-100k-round-trips', value: trips, unit: 'round trips', input: INPUT }, 4)
  yield informative({ bench: 'sync/one-of-100k-time', value: median(times), unit: 'ms', input: INPUT })
}
