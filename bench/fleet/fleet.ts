import { join } from 'node:path'
import type { RegistryId } from '../../protocol/cid.ts'
import type { Workbench } from '../workbench.ts'
import type { OrderName, Orders } from './orders.ts'
import { Remote } from './remote.ts'

/** Real nodes with real sockets, in a few processes. */
const NODES = 20

/**
 * Processes, five nodes in each: as many event loops as keep two cores busy. A process for each node spends its time
 * compiling the same libraries twenty times over, which is no matter of the network.
 */
const HOSTS = 4

/** How many of the nodes before it each node is told of at its start: as many of its own side as of the other one. */
const BOOTSTRAP = 4

const READY_MS = 60_000

/** One node of a fleet. */
export interface Ship {
  readonly index: number
  /** 0 or 1. */
  readonly side: number
  readonly peer: string
  /** The package that this node's key owns. */
  readonly owns: string
  readonly order: <N extends OrderName>(name: N, params: Orders[N]['params']) => Promise<Orders[N]['answer']>
}

/** Twenty nodes that follow one registry, are connected, and hold its first facts. */
export interface Fleet {
  readonly ships: readonly Ship[]
  readonly registry: RegistryId
  /** Facts that all of them hold. */
  readonly facts: number
}

/** Starts the nodes one after the other; each dials some that are there, and all others that it then learns of. */
export async function startFleet(workbench: Workbench): Promise<Fleet> {
  const hosts = Array.from(
    { length: HOSTS },
    () => new Remote<Orders>(workbench.fork(join(import.meta.dirname, 'host.ts')))
  )
  const folder = await workbench.tempDir()
  const ships: Ship[] = []
  const owners: (readonly [string, Orders['open']['answer']['key']])[] = []
  const addresses: string[] = []
  for (let index = 0; index < NODES; index++) {
    const host = hosts[index % HOSTS]
    if (host === undefined) throw new Error('a fleet has hosts')
    const order: Ship['order'] = (name, params) => host.order(index, name, params)
    const bootstrap = addresses.slice(-BOOTSTRAP)
    const { peer, address, key } = await order('open', { home: join(folder, String(index)), bootstrap })
    const owns = `fleet-${index}`
    owners.push([owns, key])
    addresses.push(address)
    ships.push({ index, side: index % 2, peer, owns, order })
  }
  const [first, ...others] = ships
  if (first === undefined) throw new Error('a fleet has nodes')
  const { registry, facts } = await first.order('found', { owners })
  await Promise.all(others.map(({ order }) => order('follow', { registry })))
  const held = await holdAll(ships, { registry, facts, timeoutMs: READY_MS })
  if (held.some(count => count < facts)) throw new Error(`not all nodes hold ${facts} facts: ${held.join(', ')}`)
  return { ships, registry, facts }
}

/** Resolves when all nodes hold so many facts, or the time is up, with how many each of them holds. */
export async function holdAll(ships: readonly Ship[], wanted: Orders['hold']['params']): Promise<readonly number[]> {
  return Promise.all(ships.map(async ({ order }) => (await order('hold', wanted)).facts))
}
