import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { below, informative, type Figure } from '../report.ts'
import type { Workbench } from '../workbench.ts'
import { Fleet, found } from './fleet.ts'
import type { Member } from './fleet.ts'
import { ALIAS } from './orders.ts'
import type { Parted, Whereabouts } from './orders.ts'
import { writePackage } from './packages.ts'

/** Real nodes with real sockets, five in a process, as in the fleet of the public swarm. */
const FULL = { nodes: 20, processes: 4, bytes: 192 * 1024 * 1024 }
const QUICK = { nodes: 6, processes: 2, bytes: 24 * 1024 * 1024 }

/** Of the transfer, before the member is expelled. */
const BEGUN = 0.02

const TARGET_MS = 10_000
const PATIENCE_MS = 60_000
const AFTERWARDS_MS = 5_000

interface Other extends Whereabouts {
  readonly member: Member
}

/** The owner expels a member that is connected to everybody, and in the middle of a transfer from another member. */
export async function* expelFigures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const names = ['swarm/expel', 'swarm/expel-bytes', 'swarm/expel-under-way']
  if (!names.some(name => workbench.wants(name))) return
  const size = workbench.isQuick ? QUICK : FULL
  const { founder, others, victim, key, source, connected } = await gather(workbench, size)
  const { peer } = await victim.order('whereabouts', null)
  const project = join(await workbench.tempDir(), 'project')
  await victim.order('download', { reference: `${ALIAS}:large@2.0.0`, project })
  await victim.order('downloaded', { bytes: size.bytes * BEGUN, timeoutMs: PATIENCE_MS })
  const started = performance.timeOrigin + performance.now()
  const partings = others.map(other => cutAt(other, { peer, victim }))
  await founder.call('expel', { registry: ALIAS, member: key, compromised: false, rotate: false })
  const answered = performance.timeOrigin + performance.now()
  const parted = await Promise.all(partings)
  const last = Math.max(...parted.map(({ refusedAt }) => refusedAt)) - started
  const first = Math.min(...parted.map(({ at }) => at)) - started
  await pause(AFTERWARDS_MS)
  const sentLater = await bytesLater(others, parted, peer)
  const { outcome, arrivals } = await victim.order('outcome', null)
  if (outcome !== 'failed' && outcome !== null) throw new Error('the transfer was over before the member was expelled')
  const cut = parted[others.findIndex(({ member }) => member === source)]?.at ?? 0
  const atCut = arrivals.findLast(([at]) => at <= cut)?.[1] ?? 0
  const total = arrivals.at(-1)?.[1] ?? 0
  const input =
    `${size.nodes} nodes, ${size.nodes / size.processes} in a process; the expelled one is connected to ${connected}; ` +
    `the first cut it after ${Math.round(first)} ms, expel answered after ${Math.round(answered - started)} ms`
  yield below({ bench: 'swarm/expel', value: last, unit: 'ms', input }, TARGET_MS)
  const sent = `sent to it by all others in the ${AFTERWARDS_MS / 1000} s after each had cut it`
  yield below({ bench: 'swarm/expel-bytes', value: sentLater, unit: 'bytes', input: sent }, 0)
  const late = `read from its sockets after the sender of the transfer had cut it, of ${total} in all: what lay in the kernel, and what others said until they cut it`
  yield informative({ bench: 'swarm/expel-under-way', value: total - atCut, unit: 'bytes', input: late })
}

interface Gathered {
  readonly founder: Member
  readonly others: readonly Other[]
  readonly victim: Member
  /** Of the victim. */
  readonly key: string
  /** Whom it gets the large package from. */
  readonly source: Member
  readonly connected: number
}

async function gather(workbench: Workbench, { nodes, processes, bytes }: typeof FULL): Promise<Gathered> {
  const fleet = await Fleet.open(workbench, processes)
  const { founder, token } = await found(fleet, { uses: nodes, role: 'publisher' })
  const joined: Member[] = []
  let key = ''
  while (joined.length < nodes - 1) {
    const member = await fleet.newcomer()
    key = (await member.call('join', { token })).member
    joined.push(member)
  }
  const [source] = joined
  const victim = joined.pop()
  if (source === undefined || victim === undefined) throw new Error('a swarm has more members')
  await publishAs(founder, source, { folder: name => fleet.folder(name), bytes })
  const others: Other[] = []
  for (const member of [founder, ...joined]) {
    const at = await member.order('whereabouts', null)
    const { refusal } = await victim.order('meet', { address: at.address })
    if (refusal !== null) throw new Error(`node ${member.index} did not let a member in: ${refusal}`)
    others.push({ member, ...at })
  }
  await victim.call('waitFor', {
    registry: ALIAS,
    facts: await most(others),
    peers: 1,
    kept: false,
    timeoutMs: PATIENCE_MS
  })
  const { peers } = await victim.order('look', null)
  if (peers.length < others.length) throw new Error(`the member is connected to ${peers.length} of ${others.length}`)
  return { founder, others, victim, key, source, connected: peers.length }
}

/** The owner gives the name out, and the member publishes what is large. */
async function publishAs(
  founder: Member,
  source: Member,
  { folder, bytes }: { readonly folder: (name: string) => string; readonly bytes: number }
): Promise<void> {
  await writePackage(folder('small'), { name: 'large', bytes: 0 })
  await founder.call('publish', { folder: folder('small'), registry: ALIAS })
  const { facts } = await founder.order('look', null)
  await source.call('waitFor', { registry: ALIAS, facts, peers: 1, kept: false, timeoutMs: PATIENCE_MS })
  await writePackage(folder('large'), { name: 'large', version: '2.0.0', bytes })
  await source.call('publish', { folder: folder('large'), registry: ALIAS })
}

async function most(others: readonly Other[]): Promise<number> {
  const looks = await Promise.all(others.map(({ member }) => member.order('look', null)))
  return Math.max(...looks.map(({ facts }) => facts))
}

interface Cut extends Parted {
  /** When a new connection had been refused, too. */
  readonly refusedAt: number
}

/**
 * When a node has no connection with the expelled one left and refuses a new one. Connections also end for other reasons:
 * a node that has not heard of the expulsion yet lets it in again.
 */
async function cutAt(
  { member, address }: Other,
  { peer, victim }: { readonly peer: string; readonly victim: Member }
): Promise<Cut> {
  for (;;) {
    const parted = await member.order('parted', { peer, timeoutMs: PATIENCE_MS })
    const { refusal } = await victim.order('meet', { address })
    if (refusal !== null) return { ...parted, refusedAt: performance.timeOrigin + performance.now() }
  }
}

async function bytesLater(others: readonly Other[], parted: readonly Cut[], peer: string): Promise<number> {
  const later = await Promise.all(
    others.map(async ({ member }, index) => {
      const { bytesOut } = await member.order('traffic', { peer })
      return bytesOut - (parted[index]?.bytesOut ?? 0)
    })
  )
  return later.reduce((sum, bytes) => sum + bytes, 0)
}
