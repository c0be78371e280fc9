import { below, informative, median, type Figure } from '../report.ts'
import type { Workbench } from '../workbench.ts'
import { Fleet } from './fleet.ts'
import type { Member } from './fleet.ts'
import type { Memory } from './orders.ts'
import { writePackage } from './packages.ts'

const FULL = { counts: [0, 1, 4, 8], runs: 3 }
const QUICK = { counts: [0, 1, 3], runs: 1 }
const BYTES = 1024 * 1024
const TARGET_MB = 40
const PATIENCE_MS = 60_000

/**
 * What one more private swarm costs a node that is in some: the slope of the memory of processes with one node each, over
 * how many private swarms they are in. With nobody there, and with another member who has installed a package from each.
 */
export async function* hostsFigures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const names = ['swarm/hosts', 'swarm/hosts-heap', 'swarm/hosts-in-use']
  if (!names.some(name => workbench.wants(name))) return
  const { counts, runs } = workbench.isQuick ? QUICK : FULL
  const idle: Point[] = []
  const used: Point[] = []
  for (const swarms of counts) {
    const measured: { readonly idle: Memory; readonly used: Memory }[] = []
    for (let run = 0; run < runs; run++) {
      measured.push(await inSwarms(workbench, swarms))
      await workbench.clear()
    }
    idle.push({ swarms, ...middle(measured.map(each => each.idle)) })
    used.push({ swarms, ...middle(measured.map(each => each.used)) })
  }
  const slope = (points: readonly Point[], of: (point: Point) => number): number =>
    slopeOf(points.map(point => [point.swarms, of(point)]))
  const residentMb = ({ residentMb: mb }: Memory): number => mb
  const apart = `the median of ${runs} processes for each count, garbage collected`
  const value = slope(idle, residentMb)
  yield below({ bench: 'swarm/hosts', value, unit: 'MB', input: `${shown(idle)}; ${apart}` }, TARGET_MB)
  const busy = slope(used, residentMb)
  const input = `${shown(used)}; each with a member connected who has installed a package of ${BYTES} bytes; ${apart}`
  yield below({ bench: 'swarm/hosts-in-use', value: busy, unit: 'MB', input }, TARGET_MB)
  const heap = slope(idle, ({ heapMb }) => heapMb)
  const outside = slope(idle, ({ externalMb }) => externalMb)
  const text = `heap of V8; ${outside.toPrecision(2)} MB outside it; nobody connected`
  yield informative({ bench: 'swarm/hosts-heap', value: heap, unit: 'MB', input: text })
}

type Point = Memory & { readonly swarms: number }

async function inSwarms(
  workbench: Workbench,
  swarms: number
): Promise<{ readonly idle: Memory; readonly used: Memory }> {
  // Each of both in a process of its own.
  const fleet = await Fleet.open(workbench, 2)
  const node = await fleet.newcomer()
  const guest = await fleet.newcomer()
  const aliases = Array.from({ length: swarms }, (_, index) => `team-${index}`)
  for (const alias of aliases) await node.call('swarmCreate', { name: alias })
  const idle = await node.order('memory', null)
  for (const alias of aliases) await use(fleet, { node, guest, alias })
  return { idle, used: await node.order('memory', null) }
}

interface Use {
  readonly node: Member
  readonly guest: Member
  readonly alias: string
}

async function use(fleet: Fleet, { node, guest, alias }: Use): Promise<void> {
  const folder = fleet.folder(`${alias}-tool`)
  await writePackage(folder, { name: `${alias}-tool`, bytes: BYTES })
  await node.call('publish', { folder, registry: alias })
  const { token } = await node.call('invite', { registry: alias })
  await guest.call('join', { token })
  const project = fleet.folder(`${alias}-project`)
  const { installed } = await guest.call('install', { references: [`${alias}:${alias}-tool`], project })
  if (installed.length !== 1) throw new Error('nothing was installed')
  await node.call('waitFor', { registry: alias, facts: 0, peers: 1, kept: false, timeoutMs: PATIENCE_MS })
}

function middle(all: readonly Memory[]): Memory {
  const of = (key: keyof Memory): number => median(all.map(each => each[key]))
  return { residentMb: of('residentMb'), heapMb: of('heapMb'), externalMb: of('externalMb') }
}

function shown(points: readonly Point[]): string {
  return points.map(({ swarms, residentMb }) => `${swarms} private swarms: ${Math.round(residentMb)} MB`).join(', ')
}

/** Of the line that is nearest to all points. */
function slopeOf(points: readonly (readonly [number, number])[]): number {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length
  const above = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0)
  return above / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
}
