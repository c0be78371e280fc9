import { messageOf } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { parsePackageName } from '../protocol/package-name.ts'
import type { KeyValue } from '../storage/key-value.ts'
import { DomainRecords } from '../storage/domain-records.ts'
import { PinRecords } from '../storage/pin-records.ts'
import type { PinRecord } from '../storage/pin-records.ts'
import { ScrubRecords } from '../storage/scrub-records.ts'
import { TrustRecords } from '../storage/trust-records.ts'
import { UnsaidRecords } from '../storage/unsaid-records.ts'
import { BlockKeeper } from './block-keeper.ts'
import type { BlockKeeperInit } from './block-keeper.ts'
import type { BlockScrub } from './block-scrub.ts'
import type { Config } from './config.ts'
import { mirrorOf } from './keeping.ts'
import type { KeepingInit } from './keeping.ts'
import { Mirrors } from './mirrors.ts'
import type { MirrorsInit } from './mirrors.ts'
import { ProjectPins } from './project-pins.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'
import type { Mirror } from './services/mirror.ts'
import type { Lock } from './services/project/lock-format.ts'
import type { Scrub } from './scrub.ts'
import { Pins } from './services/store/pins.ts'
import type { TimedPin } from './services/store/pins.ts'
import { UnsaidContents } from './unsaid.ts'
import type { UnsaidInit } from './unsaid.ts'

/** What is pinned, and how far the look through all blocks is: records of the store, read when it is opened. */
export interface StoreRecords {
  readonly pins: Pins
  readonly projectPins: ProjectPins
  readonly scrubs: ScrubRecords
  readonly trust: TrustRecords
  readonly unsaidRecords: UnsaidRecords
  readonly domains: DomainRecords
}

export async function openStoreRecords(kv: KeyValue, clock: Pick<Clock, 'now'>): Promise<StoreRecords> {
  const records = new PinRecords(kv)
  const now = (): number => clock.now()
  const pins = new Pins(
    {
      async *pins() {
        for await (const record of records.pins()) yield* pinOf(record)
      },
      put: pin => records.putPin(recordOf(pin)),
      delete: pin => records.deletePin(recordOf(pin))
    },
    now
  )
  await pins.load()
  const trust = new TrustRecords(kv)
  return {
    pins,
    projectPins: new ProjectPins(records, now),
    scrubs: new ScrubRecords(kv),
    unsaidRecords: new UnsaidRecords(kv),
    trust,
    domains: new DomainRecords(kv)
  }
}

function recordOf(pin: TimedPin): PinRecord {
  const { time, policy } = pin
  const nothing = { registry: null, name: null, range: null, root: null, swarm: null, time, policy }
  switch (pin.type) {
    case 'registry':
      return { ...nothing, registry: pin.registry }
    case 'package':
      return { ...nothing, registry: pin.registry, name: pin.name, range: pin.range }
    case 'root':
      return { ...nothing, root: pin.root, swarm: pin.swarm }
  }
}

/** A record that is none of them is an older or newer program's, and pins nothing here. */
function pinOf({ registry, name, range, root, swarm, time, policy }: PinRecord): readonly TimedPin[] {
  if (root !== null && swarm !== null) return [{ type: 'root', root, swarm, time, policy }]
  if (registry === null) return []
  if (name === null) return [{ type: 'registry', registry, time, policy }]
  return [{ type: 'package', registry, name: parsePackageName(name), range, time, policy }]
}

/** What keeps bytes here, and what lets go of them. */
export interface Keeping {
  readonly keeper: BlockKeeper
  readonly mirror: Mirror
  readonly mirrors: Mirrors
  readonly unsaid: UnsaidContents
}

type KeepingParts = Omit<KeepingInit, 'keeper' | 'onFailed'> &
  Pick<BlockKeeperInit, 'registries' | 'view' | 'keeps'> &
  Pick<MirrorsInit, 'records'> &
  StoreRecords &
  Pick<UnsaidInit, 'facts'> & { readonly config: Config }

export function composeKeeping(parts: KeepingParts): Keeping {
  const { config, projectPins } = parts
  const unsaid = new UnsaidContents(parts)
  const mirrors = new Mirrors({ ...parts, keeping: () => ({ keeper, mirror }) })
  const keeper: BlockKeeper = new BlockKeeper({
    ...parts,
    unsaid,
    projects: projectPins,
    quotaOf: swarm => config.swarms.find(({ name }) => name === swarm)?.quotaBytes,
    plan: registry => mirrors.plan(registry),
    onLetGo: (swarm, root) => {
      mirror.forget(swarm, root)
      mirror.unwant(swarm, root)
    }
  })
  const mirror: Mirror = mirrorOf({ ...parts, keeper, onFailed: (root, error) => mirrors.failed(root, error) })
  return { keeper, mirror, mirrors, unsaid }
}

/** Writes down what a project needs. On a full disk it is installed all the same: that is no reason to have no package. */
export function noteInstalled(
  { projectPins }: Pick<StoreRecords, 'projectPins'>,
  log: Log
): (project: string, lock: Lock) => Promise<void> {
  return async (project, lock) => {
    try {
      await projectPins.installed(project, lock)
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'what was installed could not be pinned')
    }
  }
}

/**
 * Looks through all that is stored when a node that stays has been up for a while: at facts and rows once, at blocks whenever
 * the last look was long enough ago.
 */
export function scrubInTime(
  { clock }: { readonly clock: Clock },
  { facts, blocks }: { readonly facts: Scrub; readonly blocks: BlockScrub },
  isLasting: boolean
): () => Promise<void> {
  const stopping = new AbortController()
  const { signal } = stopping
  let running = Promise.resolve()
  const lookAtBlocks = (): Promise<void> => (running = running.then(() => blocks.run(signal)))
  const begin = (): void => {
    running = facts.run(signal)
    void lookAtBlocks()
  }
  if (isLasting) {
    clock.after(LIMITS.scrub.afterMs, begin, signal)
    clock.every(LIMITS.store.scrubLookMs, lookAtBlocks, signal)
  }
  return () => {
    stopping.abort()
    return running
  }
}
