import type { VerifiedFact } from '../protocol/chains.ts'
import { toLink } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { FactStore, Loss } from '../storage/fact-store.ts'
import type { Home } from '../storage/home.ts'
import type { KeyValue } from '../storage/key-value.ts'
import type { Records } from '../storage/records.ts'
import { createApi } from './api.ts'
import { authorityComponents } from './authority.ts'
import { Changes } from './changes.ts'
import { BlockScrub } from './block-scrub.ts'
import type { Config } from './config.ts'
import { contentSource } from './content.ts'
import { DiskGuard } from './disk-guard.ts'
import { Gateway } from './gateway.ts'
import { Gateways } from './gateway-source.ts'
import { composeDocuments } from './document-services.ts'
import { loadSigner } from './identity.ts'
import type { OwnSigner } from './identity.ts'
import { composeInstalling } from './installing.ts'
import { NodeMeter } from './meter.ts'
import type { Network } from './network.ts'
import { keepWhatCounts, wantAllOf } from './keeping.ts'
import { Numbers } from './numbers.ts'
import { openStore } from './open-store.ts'
import type { LateScrub } from './open-store.ts'
import type { NodeParts } from './parts.ts'
import { composePrecedence } from './precedence.ts'
import { Projects } from './project-store.ts'
import { Reach } from './reach.ts'
import type { Registries } from './registries.ts'
import { Scrub } from './scrub.ts'
import { Sources } from './sources.ts'
import { systemClock } from './runtime/clock.ts'
import type { Clock } from './runtime/clock.ts'
import { openLog } from './runtime/log.ts'
import type { Log } from './runtime/log.ts'
import { RateLimit } from './runtime/rate.ts'
import { Gate, MIRROR_FILE } from './services/admit.ts'
import type { Source } from './services/admit.ts'
import type { Api } from './services/api.ts'
import { Author } from './services/author.ts'
import type { Signer } from './services/author.ts'
import { roleSince } from '../protocol/roles.ts'
import { installer } from './services/install.ts'
import { publisher } from './services/publish.ts'
import { RegistryView } from './services/registry-view.ts'
import { newerFinder } from './services/project/newer.ts'
import { yanker } from './services/yank.ts'
import { composeSubmissions } from './submissions.ts'
import { PrivateSwarms } from './private-swarms.ts'
import { blockFolders, Spaces } from './spaces.ts'
import { wantPinnedRoots } from './store-api.ts'
import { composeKeeping, openStoreRecords, scrubInTime } from './store-parts.ts'
import type { StoreRecords } from './store-parts.ts'
import { joinSwarm } from './swarm-join.ts'
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
}

export interface RunningNode {
  readonly api: Api
  readonly parts: NodeParts
  /** Stops in the reverse order of the start, all of it, whatever fails. */
  stop(): Promise<void>
}

/** What is open before anything is decided: the stores, the clock, the log, the key. */
interface Core extends StoreRecords {
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
  const sources = new Sources(core.records, () => core.clock.now())
  const services = composeServices(init, core, { changes, sources, late })
  const scrub = scrubOver(core, services.gate)
  const privates = new PrivateSwarms(init, { ...core, ...services, changes })
  late.privates = privates
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
  for (const { id } of core.registries.all) await parts.follow(id)
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
    for (const { id } of core.registries.all) await wantAllOf(parts.keeper, parts.mirror, id)
    await wantPinnedRoots(parts)
    opening.defer(() => parts.mirrors.stop())
    parts.mirrors.start()
  }
  const closing = opening.move()
  return { api: createApi(parts), parts, stop: () => closing.disposeAsync() }
}

async function openCore(init: NodeInit, opening: AsyncDisposableStack): Promise<Core> {
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

/** What is made after the gate hears of a fact that it let in. */
function tellLate({ reach, privates }: Late['late'], { registry, subject }: VerifiedFact['body']): void {
  if (registry !== null) reach?.noted(registry, subject)
  if (registry !== null && subject === 'registry') privates?.noticed(registry)
}

interface Late {
  readonly late: { privates: PrivateSwarms | undefined; reach: Reach | undefined }
  readonly changes: Changes
  readonly sources: Sources
}

type Services = Pick<
  NodeParts,
  | 'documents'
  | 'gate'
  | 'view'
  | 'precedence'
  | 'author'
  | 'publish'
  | 'yanker'
  | 'authority'
  | 'installer'
  | 'outdated'
  | 'keeper'
  | 'mirror'
  | 'mirrors'
  | 'desk'
  | 'submit'
> & {
  /** Whether all bytes of a registry are to be kept here. */
  readonly keeps: (registry: RegistryId) => boolean
}

function composeServices({ home, config, version }: NodeInit, core: Core, { changes, sources, late }: Late): Services {
  const { clock, log, facts, signer, swarms } = core
  const { factsPerPeerPerSecond: perSecond, burstPerPeer: burst, peersTracked: keys } = LIMITS.admission
  const rate = new RateLimit({ perSecond, burst, keys, now: () => clock.now() })
  const keeps = (registry: RegistryId): boolean => config.keep === 'all' || isMirrorOf(gate, signer, registry)
  const onAccepted = (fact: VerifiedFact, _bytes: Uint8Array, source: Source): void => {
    core.meter.accepted()
    if (source.peer !== 'self') noticeOwnChain(signer, fact, log)
    const { body } = fact
    if (body.registry !== null) submissions.noticed(body.registry, body.subject)
    tellLate(late, body)
    // What came by no registry's topic or session came from no peer, but from here or from a file.
    const teller = source.peer === 'self' || source.registry === undefined ? undefined : source.peer
    if (body.registry !== null && keeper.keepsAny(body.registry)) {
      keepWhatCounts({ view, mirror, keeper }, { ...body, registry: body.registry, teller })
      mirrors.noted(body.registry)
    }
    changes.emit()
  }
  const gate = new Gate({
    store: facts,
    mayAsk: peer => peer === MIRROR_FILE || rate.take(peer),
    onAccepted,
    onEdited: (registry, subjects) => documents.noted(registry, subjects),
    // A fact that waited and then proved forged: whoever brought it is struck as if it had been told at once.
    onDecided: (admission, peer) => {
      if (admission.verdict === 'reject') for (const swarm of swarms.all) swarm.blame(peer)
    }
  })
  swarms.guard(registry => gate.state(registry)?.authority?.genesis.visibility === 'private')
  const { documents, states } = composeDocuments({ ...core, gate, changes })
  const view = new RegistryView(facts, states)
  const { keeper, mirror, mirrors } = composeKeeping({ ...core, config, changes, view, keeps })
  const reading = { find: view.find.bind(view), documents }
  const publishing = composeAuthoring(home, core, { gate, view })
  const { author, authority } = publishing
  const provide = (registry: RegistryId, root: ContentId): void => {
    swarms.of(registry)?.provide(toLink(root))
  }
  const submissions = composeSubmissions({ ...core, ...publishing, signer, view, changes })
  const content = contentSource(core)
  const precedence = composePrecedence({ ...core, gate, view, sources })
  // Whoever waits for an install does not share the processor with a DHT that is told of each package meanwhile.
  const provideLater = (registry: RegistryId, root: ContentId): void =>
    core.clock.after(LIMITS.dht.provideAfterMs, () => provide(registry, root), core.stopping)
  const parts = { reading, precedence, keeper, sources, provide: provideLater, version }
  const installing = composeInstalling(core, parts)
  const install = installer(installing)
  return {
    documents,
    gate,
    view,
    precedence,
    author,
    keeper,
    mirror,
    mirrors,
    keeps,
    publish: publisher({ ...publishing, documents, content, provide }),
    yanker: yanker(publishing),
    authority,
    desk: submissions.desk,
    submit: submissions.submit,
    installer: (request, context) => keeper.installing(() => install(request, context)),
    outdated: newerFinder(installing)
  }
}

/** What signs facts of ours, and what publishing and changing who may do what need of it. */
function composeAuthoring(home: Home, core: Core, { gate, view }: Pick<Services, 'gate' | 'view'>) {
  const { clock, log, facts, signer, disk, registries, swarms } = core
  const author = new Author({ gate: disk.guardOwn(gate), signer, now: () => clock.now() })
  const announce = (registry: RegistryId, fact: { id: VerifiedFact['id']; bytes: Uint8Array }): void => {
    const told = swarms.of(registry)?.publishFact(registry, fact.id, fact.bytes)
    // Nobody there, or nobody listening: reconciliation tells it to whoever comes.
    told?.catch((error: unknown) => log.debug({ error }, 'a fact could not be gossiped'))
  }
  const now = (): number => clock.now()
  const authority = authorityComponents({ home, gate, disk, author, signer, facts, view, registries, announce, now })
  return { author, authority, gate, announce, now, signer: authority.signer }
}

/** Whether our own key was given the role to keep the bytes of a registry. */
function isMirrorOf(gate: Gate, { principal }: Signer, registry: RegistryId): boolean {
  const authority = gate.state(registry)?.authority
  if (authority === undefined) return false
  return roleSince(authority, { key: principal, roles: ['mirror'], on: 'registry', head: authority.head }) !== undefined
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

/** Our own chain in a fact that we did not write: this data directory is a restored backup, or a copy of another. */
function noticeOwnChain(signer: Signer, { body }: VerifiedFact, log: Log): void {
  if (body.author !== signer.principal || body.chain !== signer.chain()) return
  signer.renewChain().then(
    () =>
      log.warn(
        {},
        'a peer holds a newer fact of this data directory: it was restored from a backup, a new chain begins'
      ),
    (error: unknown) => log.error({ error }, 'the chain could not be renewed')
  )
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
