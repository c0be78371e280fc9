import type { RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Loss } from '../storage/fact-store.ts'
import { openCore } from './core.ts'
import type { Core, NodeInit } from './core.ts'
import { composeServices } from './compose-services.ts'
import type { Late } from './compose-services.ts'
import { createApi } from './api.ts'
import { Changes } from './changes.ts'
import { wantAllLost } from './block-repair.ts'
import { BlockScrub } from './block-scrub.ts'
import { Gateway } from './gateway.ts'
import type { Network } from './network.ts'
import { wantAllOf } from './keeping.ts'
import { Numbers } from './numbers.ts'
import type { NodeParts } from './parts.ts'
import { Reach } from './reach.ts'
import { Scrub } from './scrub.ts'
import { Sources } from './sources.ts'
import type { Gate } from './services/admit.ts'
import type { Api } from './services/api.ts'
import { PrivateSwarms } from './private-swarms.ts'
import { wantPinnedRoots } from './store-api.ts'
import { scrubInTime } from './store-parts.ts'
import { joinSwarm } from './swarm-join.ts'
import type { Swarms } from './swarms.ts'

export type { NodeInit } from './core.ts'

export interface RunningNode {
  readonly api: Api
  readonly parts: NodeParts
  /** Stops in the reverse order of the start, all of it, whatever fails. */
  stop(): Promise<void>
}

/**
 * Puts a node together: the only file that knows every part. Recovery is part of it: stores are counted against their
 * heads, an interrupted refold is finished, unfinished writes are cleared, on every start.
 */
export async function createNode(init: NodeInit): Promise<RunningNode> {
  await using opening = new AsyncDisposableStack()
  const core = await openCore(init, opening)
  const changes = new Changes()
  const late: Late['late'] = { privates: undefined, reach: undefined }
  const caughtUp = new Set<RegistryId>()
  const sources = new Sources(
    core.records,
    () => core.clock.now(),
    registry => core.facts.isOpen(registry) && core.facts.head(registry).count > 0
  )
  const services = composeServices(init, core, { changes, sources, late })
  const scrub = scrubOver(core, services.gate)
  const privates = (late.privates = new PrivateSwarms(init, { ...core, ...services, changes }))
  const numbers = new Numbers(core.meter.metrics)
  const metrics = (): Promise<string> => numbers.format(parts)
  const reach = new Reach({ ...core, ...services })
  late.reach = reach
  const gateway = new Gateway({ ...init, ...core, ...services, reach, home: init.home.paths.dir, metrics })
  const parts: NodeParts = {
    version: init.version,
    home: init.home.paths.dir,
    config: init.config,
    started: core.clock.now(),
    ...core,
    ...services,
    scrub,
    privates,
    gateway,
    get swarm() {
      return core.swarms.public
    },
    caughtUp,
    sources: registry => sources.count(registry),
    network: () => core.swarms.require(),
    follow: async registry => {
      // Whoever left a registry and follows it again has compared nothing yet.
      caughtUp.delete(registry)
      await sources.load(registry)
      await follow(parts, registry)
    },
    onChange: listener => changes.listen(listener),
    isReadOnly: () => core.disk.isReadOnly,
    requestStop: () => init.onStopRequest?.()
  }
  await followAll(parts)
  opening.defer(() => services.keeper.stop())
  opening.defer(scrubInTime(core, { facts: scrub, blocks: new BlockScrub(parts) }, init.network))
  opening.defer(() => services.documents.close())
  opening.defer(() => services.mirror.stop())
  await privates.load()
  if (init.network) {
    const { Network } = await import('./network.ts')
    const mirrors = (registry: RegistryId): boolean => services.keeps(registry)
    const onCompared = (registry: RegistryId): void => privates.compared(registry)
    const network = new Network(init, { ...core, ...services, reach, changes, caughtUp, sources, mirrors, onCompared })
    opening.defer(() => stopAll(core.swarms, network))
    await network.openPublic()
    await privates.start(network)
    opening.defer(() => privates.stop())
    opening.defer(watchTraffic(core))
    opening.defer(() => gateway.close())
    await gateway.open()
    if (init.token !== undefined) await enterByToken(parts, init.token)
    opening.defer(await startMirroring(parts))
  }
  const closing = opening.move()
  return { api: createApi(parts), parts, stop: () => closing.disposeAsync() }
}

/** Asks for what is to be here and is not, keeps what mirrors stand for, and tells when it came. */
async function startMirroring(parts: NodeParts): Promise<() => Promise<void>> {
  const { mirrors, observing, registries } = parts
  for (const { id } of registries.all) await wantAllOf(parts.keeper, parts.mirror, id)
  await wantPinnedRoots(parts)
  const stopping = new AbortController()
  const { signal } = stopping
  // Nobody waits for a look through all packages.
  const asking = askForLost(parts, signal).catch((error: unknown) => {
    if (!signal.aborted) parts.log.warn({ error }, 'what was lost before could not be asked for')
  })
  mirrors.start()
  observing.start(registries.ids)
  return async () => {
    stopping.abort()
    await asking
    await observing.stop()
    await mirrors.stop()
  }
}

/** What was lost before is asked for again, unless that was so long ago that nobody has it. */
async function askForLost(parts: NodeParts, signal: AbortSignal): Promise<void> {
  for (const space of parts.spaces.all) await parts.keeper.giveUpLost(space, signal)
  await wantAllLost(parts, signal)
}

/** All that was followed when the last process ended; what it had brought for facts that are not there is unpinned. */
async function followAll(parts: NodeParts): Promise<void> {
  for (const { id } of parts.registries.all) await parts.follow(id)
  await parts.keeper.unpinLeft()
}

/** Makes store, gate and network ready for one registry. */
async function follow(parts: NodeParts, registry: RegistryId): Promise<void> {
  await parts.scrub.open(registry)
  parts.documents.open(registry)
  parts.swarms.of(registry)?.follow(registry)
}

function scrubOver(core: Core, gate: Gate): Scrub {
  const onLoss = (registry: RegistryId, loss: Loss): Promise<void> => toldOfLoss(core, registry, loss)
  const scrub = new Scrub({ ...core, gate, onLoss })
  core.lateScrub.scrub = scrub
  return scrub
}

async function toldOfLoss({ log, signer }: Core, registry: RegistryId, loss: Loss): Promise<void> {
  log.error({ registry, ...loss }, 'the store lost records: they are asked for again from every peer')
  // Positions of ours may be among what is gone: signing them a second time would be a fork.
  await signer.renewChain()
}

/** Looks at the totals at intervals, so that rates can be told. */
function watchTraffic({ clock, meter, swarms }: Core): () => void {
  const stopping = new AbortController()
  const look = (): void => meter.sample(clock.now(), swarms.traffic(), swarms.trafficOf())
  look()
  clock.every(LIMITS.metrics.sampleMs, look, stopping.signal)
  return () => stopping.abort()
}

/** A machine of minutes is in its swarm from its first command on. That nobody answers just now keeps it from nothing else. */
async function enterByToken(parts: NodeParts, token: string): Promise<void> {
  try {
    await joinSwarm(parts, { token }, { signal: AbortSignal.timeout(LIMITS.sync.patienceMs), onProgress: () => {} })
  } catch (error) {
    if (isRegistryError(error) && (error.code === 'NOT_AUTHORIZED' || error.code === 'USAGE')) throw error
    parts.log.warn({ error }, 'no member of the swarm of $GGEN_NODE_TOKEN was reached')
  }
}

/** All of them, whatever fails. */
async function stopAll({ names }: Swarms, network: Network): Promise<void> {
  const stopped = await Promise.allSettled(names.map(name => network.close(name)))
  const failures = stopped.flatMap((result): unknown[] => (result.status === 'rejected' ? [result.reason] : []))
  if (failures.length > 0) throw new AggregateError(failures, 'the network did not stop cleanly')
}
