import type { VerifiedFact } from '../protocol/chains.ts'
import { toLink } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import type { Subject } from '../protocol/fact.ts'
import type { PackageView } from '../protocol/fold.ts'
import { LIMITS } from '../protocol/limits.ts'
import { openBlocks } from '../storage/block-store.ts'
import type { VerifiedBlocks } from '../storage/verified-blocks.ts'
import type { FactStore, Loss } from '../storage/fact-store.ts'
import type { Home } from '../storage/home.ts'
import type { KeyValue } from '../storage/key-value.ts'
import type { Records } from '../storage/records.ts'
import { createApi } from './api.ts'
import { authorityComponents } from './authority.ts'
import { Changes } from './changes.ts'
import type { Config } from './config.ts'
import { contentSource, fetchInto, packageContent } from './content.ts'
import { DiskGuard } from './disk-guard.ts'
import { composeDocuments } from './document-services.ts'
import { loadSigner } from './identity.ts'
import type { OwnSigner } from './identity.ts'
import { NodeMeter } from './meter.ts'
import type { LateSwarm } from './network.ts'
import { openStore } from './open-store.ts'
import type { LateScrub } from './open-store.ts'
import type { NodeParts } from './parts.ts'
import { composePrecedence } from './precedence.ts'
import { Projects } from './project-store.ts'
import type { Registries } from './registries.ts'
import { Scrub } from './scrub.ts'
import { Sources } from './sources.ts'
import { systemClock } from './runtime/clock.ts'
import type { Clock } from './runtime/clock.ts'
import { openLog } from './runtime/log.ts'
import type { Log } from './runtime/log.ts'
import { RateLimit } from './runtime/rate.ts'
import { Gate } from './services/admit.ts'
import type { Source } from './services/admit.ts'
import type { Api } from './services/api.ts'
import { Author } from './services/author.ts'
import type { Signer } from './services/author.ts'
import { tagReader, wordsReader } from './services/documents/words.ts'
import { installer } from './services/install.ts'
import type { InstallComponents } from './services/install.ts'
import { Mirror } from './services/mirror.ts'
import type { Wanted } from './services/mirror.ts'
import { publisher } from './services/publish.ts'
import { RegistryView } from './services/registry-view.ts'
import { newerFinder } from './services/project/newer.ts'
import { statedRelease } from './services/project/stated-release.ts'
import { resolveNodes } from './services/resolve.ts'
import type { Meter } from './services/traffic-share.ts'
import type { Takedowns } from './services/takedown.ts'
import { yanker } from './services/yank.ts'
import { openTakedowns } from './takedown.ts'
import { composeSubmissions } from './submissions.ts'

export interface NodeInit {
  /** Opened and locked by the caller, who also closes it. */
  readonly home: Home
  readonly config: Config
  readonly version: string
  /** False: no socket is opened; what is local can still be read, published and installed. */
  readonly network: boolean
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
interface Core {
  /** Aborted when the node begins to close its stores. */
  readonly stopping: AbortSignal
  readonly clock: Clock
  readonly log: Log
  readonly kv: KeyValue
  readonly facts: FactStore
  readonly lateScrub: LateScrub
  readonly records: Records
  /** Without what is withheld, and with it. */
  readonly blocks: VerifiedBlocks
  readonly allBlocks: VerifiedBlocks
  readonly takedowns: Takedowns
  readonly registries: Registries
  readonly signer: OwnSigner
  readonly disk: DiskGuard
  readonly meter: NodeMeter
  readonly projects: Projects
}

/**
 * Puts a node together: the only file that knows every part. Recovery is part of it: stores are counted against their
 * heads, an interrupted refold is finished, unfinished writes are cleared, on every start.
 */
export async function createNode(init: NodeInit): Promise<RunningNode> {
  await using opening = new AsyncDisposableStack()
  const core = await openCore(init, opening)
  const late: LateSwarm = { swarm: undefined }
  const changes = new Changes()
  const caughtUp = new Set<RegistryId>()
  const sources = new Sources(core.records)
  const services = composeServices(init, core, { late, changes, sources })
  const scrub = scrubOver(core, services.gate)
  const parts: NodeParts = {
    version: init.version,
    home: init.home.paths.dir,
    config: init.config,
    started: core.clock.now(),
    ...core,
    ...services,
    scrub,
    get swarm() {
      return late.swarm
    },
    caughtUp,
    sources: registry => sources.count(registry),
    network: () => requireSwarm(late),
    follow: async registry => {
      await sources.load(registry)
      await follow(parts, registry)
    },
    onChange: listener => changes.listen(listener),
    isReadOnly: () => core.disk.isReadOnly,
    requestStop: () => init.onStopRequest?.()
  }
  for (const { id } of core.registries.all) await parts.follow(id)
  opening.defer(scrubInTime(core, scrub, init.network))
  opening.defer(() => services.documents.close())
  opening.defer(() => services.mirror.stop())
  if (init.network) {
    const { openNetwork } = await import('./network.ts')
    late.swarm = await openNetwork(init, { ...core, ...services, changes, caughtUp, sources })
    const { swarm } = late
    opening.defer(async () => {
      late.swarm = undefined
      await swarm.stop()
    })
    opening.defer(watchTraffic(core, late))
    if (init.config.keep === 'all') await wantEverything(parts)
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
  const { kv, records } = opened
  opening.defer(() => opened.close())
  opening.defer(() => stopping.abort())
  const disk = new DiskGuard({ home, store: kv, clock, log, signal: stopping.signal })
  await disk.start()
  const allBlocks = await openBlocks(home.paths.blocks)
  const { takedowns, blocks } = await openTakedowns(allBlocks, { kv, records, clock })
  const projects = new Projects(() => clock.now())
  opening.defer(() => projects.close())
  const signer = await loadSigner(home, records)
  const meter = new NodeMeter()
  const running = { clock, log, disk, meter, projects }
  return { ...opened, ...running, stopping: stopping.signal, blocks, allBlocks, takedowns, signer }
}

interface Late {
  readonly late: LateSwarm
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
  | 'mirror'
  | 'desk'
  | 'submit'
>

function composeServices({ home, config, version }: NodeInit, core: Core, { late, changes, sources }: Late): Services {
  const { clock, log, facts, signer, projects } = core
  const { factsPerPeerPerSecond: perSecond, burstPerPeer: burst, peersTracked: keys } = LIMITS.admission
  const rate = new RateLimit({ perSecond, burst, keys, now: () => clock.now() })
  const mirror = mirrorOf(core, { late, changes })
  const onAccepted = (fact: VerifiedFact, _bytes: Uint8Array, source: Source): void => {
    core.meter.accepted()
    if (source.peer !== 'self') noticeOwnChain(signer, fact, log)
    const { body } = fact
    if (body.registry !== null) submissions.noticed(body.registry, body.subject)
    if (config.keep === 'all' && body.registry !== null) keepWhatCounts(view, mirror, body.registry, body.subject)
    changes.emit()
  }
  const gate = new Gate({
    store: facts,
    mayAsk: peer => rate.take(peer),
    onAccepted,
    onEdited: (registry, subjects) => documents.noted(registry, subjects),
    // A fact that waited and then proved forged: whoever brought it is struck as if it had been told at once.
    onDecided: (admission, peer) => {
      if (admission.verdict === 'reject') late.swarm?.blame(peer)
    }
  })
  const { documents, states } = composeDocuments({ ...core, gate, changes })
  const view = new RegistryView(facts, states)
  const reading = { find: view.find.bind(view), documents }
  const publishing = composeAuthoring(home, core, { gate, view, late })
  const { author, authority } = publishing
  const kept = (root: ContentId): void => {
    late.swarm?.provide(toLink(root))
  }
  const submissions = composeSubmissions({ ...core, ...publishing, signer, view, changes, late })
  const content = contentSource(core)
  const precedence = composePrecedence({ ...core, gate, view, sources })
  const installing: InstallComponents = {
    find: reading.find,
    words: wordsReader(reading),
    tag: tagReader(reading),
    release: (registry, said) => statedRelease(facts, registry, said),
    registries: () => core.registries.all,
    followed: core.registries,
    precedence,
    solve: resolveNodes,
    open: folder => projects.open(folder),
    content: { ...packageContent({ ...core, late, provide: kept }), meter: meterOf(late) },
    version,
    isUnconfirmed: registry => isUnconfirmed(core, sources, registry),
    now: () => clock.now()
  }
  return {
    documents,
    gate,
    view,
    precedence,
    author,
    mirror,
    publish: publisher({ ...publishing, documents, content, provide: kept }),
    yanker: yanker(publishing),
    authority,
    desk: submissions.desk,
    submit: submissions.submit,
    installer: installer(installing),
    outdated: newerFinder(installing)
  }
}

/** What signs facts of ours, and what publishing and changing who may do what need of it. */
function composeAuthoring(
  home: Home,
  core: Core,
  { gate, view, late }: Pick<Services, 'gate' | 'view'> & Pick<Late, 'late'>
) {
  const { clock, log, facts, signer, disk, registries } = core
  const author = new Author({ gate: disk.guardOwn(gate), signer, now: () => clock.now() })
  const announce = (registry: RegistryId, fact: { id: VerifiedFact['id']; bytes: Uint8Array }): void => {
    late.swarm?.publishFact(registry, fact.id, fact.bytes).catch((error: unknown) => {
      // Nobody there, or nobody listening: reconciliation tells it to whoever comes.
      log.debug({ error }, 'a fact could not be gossiped')
    })
  }
  const now = (): number => clock.now()
  const authority = authorityComponents({ home, gate, disk, author, signer, facts, view, registries, announce, now })
  return { author, authority, gate, announce, now, signer: authority.signer }
}

/** Keeps what is to be kept, one content root after the other. */
function mirrorOf(core: Core, { late, changes }: Omit<Late, 'sources'>): Mirror {
  const { clock, log, records, disk } = core
  return new Mirror({
    isKept: root => records.isKept(root),
    markKept: root => records.markKept(root),
    isRefused: root => core.takedowns.isTakenDown(root),
    fetch: (wanted, signal) => fetchInto({ ...core, late }, wanted, signal),
    later: (ms, task) => clock.after(ms, task, core.stopping),
    onLookFailed: (subject, error) => log.warn({ subject, error }, 'what there is to keep could not be read'),
    onLooked: () => changes.emit(),
    onKept: root => {
      late.swarm?.provide(toLink(root))
      changes.emit()
    },
    onFailed: (root, error) => {
      disk.note(error)
      log.info({ root, error }, 'content could not be fetched yet')
      changes.emit()
    }
  })
}

/** One peer alone has shown what a registry says, and nobody said that this is enough. */
function isUnconfirmed({ registries }: Core, sources: Sources, registry: RegistryId): boolean {
  const isAccepted = registries.all.some(({ id, singleSource }) => id === registry && singleSource)
  return sources.count(registry) === 1 && !isAccepted
}

function meterOf(late: LateSwarm): Meter {
  return { read: () => new Map(late.swarm?.peers().map(peer => [peer.id, peer.bytesIn])) }
}

/** Makes store, gate and network ready for one registry. */
async function follow(parts: NodeParts, registry: RegistryId): Promise<void> {
  await parts.scrub.open(registry)
  parts.documents.open(registry)
  parts.swarm?.follow(registry)
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

/** Looks through all that is stored, once, when a node that stays has been up for a while. */
function scrubInTime({ clock }: Core, scrub: Scrub, isLasting: boolean): () => Promise<void> {
  const stopping = new AbortController()
  let running = Promise.resolve()
  const begin = (): void => void (running = scrub.run(stopping.signal))
  if (isLasting) clock.after(LIMITS.scrub.afterMs, begin, stopping.signal)
  return () => {
    stopping.abort()
    return running
  }
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
function watchTraffic({ clock, meter }: Core, late: LateSwarm): () => void {
  const stopping = new AbortController()
  const look = (): void => {
    if (late.swarm !== undefined) meter.sample(clock.now(), late.swarm.traffic())
  }
  look()
  clock.every(LIMITS.metrics.sampleMs, look, stopping.signal)
  return () => stopping.abort()
}

/** What the registries hold already is fetched in the background. */
async function wantEverything({ registries, view, mirror }: NodeParts): Promise<void> {
  for (const { id } of registries.all) for (const wanted of await contentsOf(view, id)) mirror.want(wanted)
}

/** Looks at one package after a fact about it, and at all of them after one about who may do what. */
function keepWhatCounts(view: RegistryView, mirror: Mirror, registry: RegistryId, subject: Subject): void {
  mirror.consider(`${registry} ${subject}`, async () => {
    if (subject === 'registry') return contentsOf(view, registry)
    const found = await view.find(registry, subject)
    return found === undefined ? [] : contentsIn(found, registry)
  })
}

async function contentsOf(view: RegistryView, registry: RegistryId): Promise<readonly Wanted[]> {
  const all: Wanted[] = []
  for await (const found of view.packages(registry)) all.push(...contentsIn(found, registry))
  return all
}

function contentsIn({ versions }: PackageView, registry: RegistryId): readonly Wanted[] {
  return versions.flatMap(({ contents }) => contents.map(({ root, size }) => ({ registry, root, size })))
}

function requireSwarm({ swarm }: LateSwarm): NonNullable<LateSwarm['swarm']> {
  if (swarm !== undefined) return swarm
  throw new RegistryError('USAGE', 'no node is running', {
    next: 'run ggen-node start in another terminal, then try again'
  })
}
