import type { FactStore } from '../storage/fact-store.ts'
import type { Home } from '../storage/home.ts'
import type { KeyValue } from '../storage/key-value.ts'
import type { Records } from '../storage/records.ts'
import type { Config } from './config.ts'
import type { ResolveTxt } from './dns-lookup.ts'
import { DiskGuard } from './disk-guard.ts'
import { Gateways } from './gateway-source.ts'
import { loadSigner } from './identity.ts'
import type { OwnSigner } from './identity.ts'
import { NodeMeter } from './meter.ts'
import { openStore } from './open-store.ts'
import type { LateScrub } from './open-store.ts'
import { Projects } from './project-store.ts'
import type { Registries } from './registries.ts'
import { systemClock } from './runtime/clock.ts'
import type { Clock } from './runtime/clock.ts'
import { openLog } from './runtime/log.ts'
import type { Log } from './runtime/log.ts'
import { blockFolders, Spaces } from './spaces.ts'
import { openStoreRecords } from './store-parts.ts'
import type { StoreRecords } from './store-parts.ts'
import { Swarms } from './swarms.ts'

export interface NodeInit {
  /** Opened and locked by the caller, who also closes it. */
  readonly home: Home
  readonly config: Config
  readonly version: string
  /** False: no socket is opened; what is local can still be read, published and installed. */
  readonly network: boolean
  /** A member's own token (docs/spec/membership.md): the node signs with the key in it, and is in its swarm. */
  readonly token?: string
  /** Where the node logs; without it, standard error at the configured level. */
  readonly log?: Log
  readonly onStopRequest?: () => void
  /** What asks DNS, in place of the system's resolver. */
  readonly resolveTxt?: ResolveTxt
}

/** What is open before anything is decided: the stores, the clock, the log, the key. */
export interface Core extends StoreRecords {
  /** Aborted when the node begins to close its stores. */
  readonly stopping: AbortSignal
  readonly clock: Clock
  readonly log: Log
  readonly kv: KeyValue
  readonly facts: FactStore
  readonly lateScrub: LateScrub
  readonly records: Records
  readonly spaces: Spaces
  readonly swarms: Swarms
  readonly registries: Registries
  readonly signer: OwnSigner
  readonly disk: DiskGuard
  readonly meter: NodeMeter
  readonly gateways: Gateways
  readonly projects: Projects
}

export async function openCore(init: NodeInit, opening: AsyncDisposableStack): Promise<Core> {
  const { home, config } = init
  const log = init.log ?? (await openLog({ level: config.logLevel }))
  const clock = systemClock(error => log.error({ error }, 'a timed task failed'))
  const stopping = new AbortController()
  const opened = await openStore({ home, clock, log, stopping: stopping.signal })
  const { kv, records, registries } = opened
  opening.defer(() => opened.close())
  opening.defer(() => stopping.abort())
  const disk = new DiskGuard({ home, store: kv, clock, log, signal: stopping.signal })
  await disk.start()
  const spaces = await Spaces.open({ ...blockFolders(home), kv, records, clock, registries })
  opening.defer(() => spaces.close())
  const swarms = new Swarms(registries)
  const projects = new Projects(() => clock.now())
  opening.defer(() => projects.close())
  const signer = await loadSigner(home, records, init.token)
  const meter = new NodeMeter()
  const gateways = new Gateways({ urls: config.gateways, clock, log })
  opening.defer(() => gateways.close())
  const running = { clock, log, disk, meter, gateways, projects }
  const stored = await openStoreRecords(kv, clock)
  return { ...opened, ...running, ...stored, stopping: stopping.signal, spaces, swarms, signer }
}
