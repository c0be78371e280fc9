import type { SimDisk } from './disk.ts'
import type { Home } from './home.ts'
import { subject as subjectOf } from '../support/facts.ts'
import { editWords, rollWords } from './edit-operations.ts'
import { grantKey, operate, releaseMany, revokeKey } from './operations.ts'
import type { Rng } from './rng.ts'
import { SimHeads } from './sim-heads.ts'
import type { SimNode, World } from './sim-node.ts'
import type { Schedule } from './schedule.ts'
import type { Evildoer } from './evildoer.ts'
import type { Watch } from './invariants.ts'
import type { Desk } from './operations.ts'
import { readStock } from './stock.ts'
import { ADMISSIONS, EDITS } from './weather.ts'
import type { Copy, Evil, Weather } from './weather.ts'

/** What a story is told about. */
interface Story {
  readonly rng: Rng
  readonly schedule: Schedule
  readonly weather: Weather
  readonly nodes: ReadonlyMap<string, SimNode>
  readonly watch: Watch
  readonly desk: Desk
  readonly world: World
  honest(): readonly SimNode[]
  evil(): readonly Evildoer[]
  addHonest(home: Home): SimNode
  linkToAll(node: SimNode): void
}

/** The first owner gives everybody something to do. */
export async function bootstrap(simulation: Story): Promise<void> {
  const { desk, nodes, rng } = simulation
  const first = nodes.get('n0')
  if (first === undefined) return
  const draw = rng.split('roles')
  await operate(desk, first, 'claim')
  for (const { home } of simulation.honest()) {
    if (home.person.did === first.home.person.did) continue
    const role = draw.pick(['owner', 'maintainer', 'publisher', 'publisher', 'curator', 'member'] as const)
    if (draw.chance(0.85)) await grantKey(desk, first, home.person.did, role)
  }
  for (const { kind, home } of simulation.evil()) {
    if (mayBegin(kind)) {
      await grantKey(desk, first, home.person.did, draw.chance(0.6) ? 'owner' : 'publisher')
    }
  }
}

/** Evildoers who were trusted once. */
export function mayBegin(kind: Evil): boolean {
  return kind === 'forker' || kind === 'backdater' || kind === 'scribbler'
}

/** Plans everything that goes wrong until the heal, and everything that people do meanwhile. */
export function planFaults(simulation: Story): void {
  const { weather } = simulation
  const draw = simulation.rng.split('faults')
  const recur = (name: string, perMinute: number, run: (rng: Rng) => Promise<void> | void): void => {
    if (perMinute > 0) plan(simulation, draw.split(name), { name, everyMs: 60_000 / perMinute, run })
  }
  recur('operation', weather.operationsPerMinute, async rng => {
    const node = rng.pick(simulation.honest())
    const operation = rng.pick(weather.operations)
    if (node !== undefined && operation !== undefined) await operate(simulation.desk, node, operation)
  })
  recur('words', weather.editsPerMinute, async rng => {
    const node = rng.pick(simulation.honest())
    const operation = rng.pick(EDITS)
    if (node !== undefined && operation !== undefined) await operate(simulation.desk, node, operation)
  })
  recur('admission', weather.admissionsPerMinute, async rng => {
    const node = rng.pick(simulation.honest())
    const operation = rng.pick(ADMISSIONS)
    if (node !== undefined && operation !== undefined) await operate(simulation.desk, node, operation)
  })
  recur('cut', weather.cuts, rng => {
    const link = rng.pick(simulation.world.network.links)
    if (link !== undefined) simulation.world.network.cut(...link)
  })
  recur('reset', weather.streamResets, rng => {
    const [one, other] = rng.pick(simulation.world.network.links) ?? []
    if (one !== undefined && other !== undefined) simulation.world.network.resetStream(one, other)
  })
  recur('partition', weather.partitions, rng => partition(simulation, rng))
  recur('crash', weather.crashes, async rng => {
    const node = rng.pick(simulation.honest())
    if (node === undefined || !node.isUp()) return
    await node.die(rng.chance(weather.powerCuts) ? 'machine' : 'process')
    node.restartIn(rng.between(200, 15_000))
  })
  recur('write fault', weather.writeFaults, rng => {
    const fault = rng.pick(weather.writeFaultKinds)
    const node = rng.pick(simulation.honest())
    if (fault !== undefined) node?.home.disk.arm(fault, rng.int(4), rng.between(1, 4))
  })
  recur('evil', simulation.evil().length > 0 ? 20 : 0, async rng => rng.pick(simulation.evil())?.act())
  planOnce(simulation, draw.split('once'))
}

interface Recurring {
  readonly name: string
  readonly everyMs: number
  readonly run: (rng: Rng) => Promise<void> | void
}

function plan(simulation: Story, rng: Rng, recurring: Recurring): void {
  const { name, everyMs, run } = recurring
  simulation.schedule.plan(rng.int(2 * everyMs), name, async () => {
    if (simulation.world.isCalm()) return
    await run(rng)
    plan(simulation, rng, recurring)
  })
}

function planOnce(simulation: Story, rng: Rng): void {
  const { weather, schedule, desk } = simulation
  const at = (low: number, high: number): number => Math.floor((weather.lastsMs * rng.between(low, high)) / 100)
  const when = (ms: number, name: string, run: () => Promise<void>): void =>
    schedule.plan(ms, name, async () => {
      if (!simulation.world.isCalm()) await run()
    })
  for (const { kind, home } of simulation.evil()) {
    if (kind !== 'backdater') continue
    when(at(20, 60), 'revoke the backdater', async () => {
      const owner = simulation.nodes.get('n0')
      if (owner !== undefined && owner.isUp()) await revokeKey(desk, owner, home.person.did)
    })
  }
  if (weather.bulk > 0) {
    const busy = rng.pick(simulation.honest())
    when(at(10, 50), 'bulk', async () => {
      if (busy === undefined) return
      simulation.world.network.partition(new Map([[busy.name, 1]]))
      await releaseMany(desk, busy, weather.bulk)
    })
  }
  for (const copy of weather.copies)
    planCopy(simulation, rng.split(copy), copy, { take: at(10, 50), use: at(55, 90), when })
  if (weather.apart) planApart(simulation, rng.split('apart'), { ms: at(30, 80), when })
}

/** One edits words without hearing of anybody, while an owner begins the same documents anew. */
function planApart(
  simulation: Story,
  rng: Rng,
  { ms, when }: { readonly ms: number; readonly when: (ms: number, name: string, run: () => Promise<void>) => void }
): void {
  const { network } = simulation.world
  const [alone] = rng.shuffle(simulation.honest().filter(({ name }) => name !== 'n0'))
  const owner = simulation.nodes.get('n0')
  if (alone === undefined || owner === undefined) return
  when(ms, 'apart', async () => {
    network.partition(new Map([[alone.name, 1]]))
    for (const subject of ['registry', subjectOf('p0')] as const) {
      for (let count = 0; count < 2; count++) await editWords({ ...simulation, rng }, alone, subject)
      await rollWords({ ...simulation, rng }, owner, subject)
    }
    // What was said alone is cut then, and what others said on top of it is not.
    if (rng.chance(0.6) && owner.isUp()) await revokeKey(simulation.desk, owner, alone.home.person.did)
  })
  when(ms + rng.between(2_000, 10_000), 'together', async () => network.partition(new Map()))
}

function planCopy(
  simulation: Story,
  rng: Rng,
  copy: Copy,
  { take, use, when }: { take: number; use: number; when: (ms: number, name: string, run: () => Promise<void>) => void }
): void {
  const node = rng.pick(simulation.honest())
  if (node === undefined || copy === 'second-home') return
  let backup: SimDisk | undefined
  when(take, 'backup', async () => {
    backup = node.home.disk.copy(rng.split('disk'))
  })
  when(use, copy, async () => {
    if (backup !== undefined) await (copy === 'copy-home' ? useCopy : restore)(simulation, node, { disk: backup, rng })
  })
}

interface Backup {
  readonly disk: SimDisk
  readonly rng: Rng
}

/** Another machine of the same person, made of a backup of the first, which goes on. */
async function useCopy(simulation: Story, { home }: SimNode, { disk, rng }: Backup): Promise<void> {
  const chain = simulation.world.parts.chainOfCopy(home.chain, rng)
  const copied: Home = {
    ...home,
    node: `${home.node}c`,
    kept: new Map(),
    disk,
    chain,
    rng: rng.split('home'),
    heads: new SimHeads(rng.split('heads'))
  }
  const node = simulation.addHonest(copied)
  simulation.linkToAll(node)
  await node.boot()
  await useAtOnce(simulation, node, rng)
}

/** Whoever has a machine back works with it, before it has heard anything of anybody. */
async function useAtOnce({ desk }: Story, node: SimNode, rng: Rng): Promise<void> {
  if (rng.chance(0.7)) for (let i = 0; i < 3; i++) await operate(desk, node, 'release')
}

/** The same machine, whose disk was lost and is what it was when the backup was made. */
async function restore(simulation: Story, node: SimNode, { disk, rng }: Backup): Promise<void> {
  await node.die('machine')
  const kv = await disk.open()
  const { set, cut } = await readStock(kv, simulation.world.registry)
  await disk.kill()
  simulation.watch.excuse(node.name, new Set([...set.keys(), ...cut.keys()]))
  node.home.disk = disk
  node.home.heads = new SimHeads(rng.split('heads'))
  node.home.kept.clear()
  node.home.chain = simulation.world.parts.chainOfCopy(node.home.chain, rng)
  await node.boot()
  await useAtOnce(simulation, node, rng)
}

/** Two or three groups for a while. */
function partition(simulation: Story, rng: Rng): void {
  const { network } = simulation.world
  const groups = rng.between(2, 3)
  network.partition(new Map([...simulation.nodes.keys()].map(name => [name, rng.int(groups)])))
  simulation.schedule.plan(rng.between(3_000, 30_000), 'reunited', () => {
    if (!simulation.world.isCalm()) network.partition(new Map())
  })
}
