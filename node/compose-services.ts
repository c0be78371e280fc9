import type { VerifiedFact } from '../protocol/chains.ts'
import { toLink } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import { roleSince } from '../protocol/roles.ts'
import type { Home } from '../storage/home.ts'
import { composeAttesting } from './attesting.ts'
import { authorityComponents } from './authority.ts'
import type { Changes } from './changes.ts'
import { contentSource } from './content.ts'
import type { Core, NodeInit } from './core.ts'
import { composeDocuments } from './document-services.ts'
import { composeInstalling } from './installing.ts'
import { keepWhatCounts } from './keeping.ts'
import type { NodeParts } from './parts.ts'
import { composeObserving } from './observing.ts'
import { composePolicy } from './policy.ts'
import { composePublishers } from './publishers.ts'
import { composePrecedence } from './precedence.ts'
import type { Reach } from './reach.ts'
import { composeReceipts } from './receipts.ts'
import type { Sources } from './sources.ts'
import type { Log } from './runtime/log.ts'
import { RateLimit } from './runtime/rate.ts'
import { Gate, MIRROR_FILE } from './services/admit.ts'
import type { Source } from './services/admit.ts'
import { Author } from './services/author.ts'
import type { Signer } from './services/author.ts'
import { installer } from './services/install.ts'
import { publisher } from './services/publish.ts'
import { RegistryView } from './services/registry-view.ts'
import { newerFinder } from './services/project/newer.ts'
import { quarantiner } from './services/quarantine.ts'
import { yanker } from './services/yank.ts'
import { composeSubmissions } from './submissions.ts'
import type { Submissions } from './submissions.ts'
import type { PrivateSwarms } from './private-swarms.ts'
import { composeKeeping } from './store-parts.ts'
import type { Keeping } from './store-parts.ts'
import { composeStatements } from './statements.ts'

/** What is made after the gate hears of a fact that it let in. */
function tellLate({ reach, privates }: Late['late'], { registry, subject, type }: VerifiedFact['body']): void {
  if (registry !== null) reach?.noted(registry, subject, type)
  if (registry !== null && subject === 'registry') privates?.noticed(registry)
}

export interface Late {
  readonly late: { privates: PrivateSwarms | undefined; reach: Reach | undefined }
  readonly changes: Changes
  readonly sources: Sources
}

export type Services = Pick<
  NodeParts,
  | 'documents'
  | 'gate'
  | 'view'
  | 'precedence'
  | 'author'
  | 'publish'
  | 'quarantiner'
  | 'yanker'
  | 'authority'
  | 'installer'
  | 'outdated'
  | 'policy'
  | 'keeper'
  | 'mirror'
  | 'mirrors'
  | 'observer'
  | 'observing'
  | 'desk'
  | 'submit'
  | 'attester'
  | 'attestations'
  | 'publishers'
> & {
  /** Whether all bytes of a registry are to be kept here. */
  readonly keeps: (registry: RegistryId) => boolean
}

export function composeServices(init: NodeInit, core: Core, { changes, sources, late }: Late): Services {
  const { home, config, version } = init
  const { log, facts, signer, swarms } = core
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
      observing.noted(body.registry, body.subject)
    }
    changes.emit()
  }
  const gate = gateOver(core, { onAccepted, onEdited: (registry, subjects) => documents.noted(registry, subjects) })
  swarms.guard(registry => gate.state(registry)?.authority?.genesis.visibility === 'private')
  const { documents, states } = composeDocuments({ ...core, gate, changes })
  const view = new RegistryView(facts, states)
  const { keeper, mirror, mirrors, unsaid } = composeKeeping({ ...core, config, changes, view, keeps })
  const reading = { find: view.find.bind(view), documents }
  const publishing = composeAuthoring(home, core, { gate, view })
  const { author, authority } = publishing
  const submissions = composeSubmissions({ ...core, ...publishing, signer, view, changes })
  const { names } = submissions
  const { observer, observing } = composeObserving({ ...publishing, ...core, sources, view, keeper })
  const precedence = composePrecedence({ ...core, gate, view, sources })
  const judging = { ...publishing, gate, view, sources, precedence, keeper, unsaid }
  const { attesting, publishers, policy, receipt } = composeJudging(init, core, judging)
  const installing = composeInstalling(core, {
    ...judging,
    reading,
    judge: policy.judge,
    similar: names.near.bind(names),
    askDomains: publishers.refresh.bind(publishers),
    receipt,
    provide: provideLater(core),
    version
  })
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
    observer,
    observing,
    keeps,
    publish: publisher({ ...publishing, ...publishingOf({ ...core, keeper, unsaid }, names), documents }),
    yanker: yanker(publishing),
    quarantiner: quarantiner(publishing),
    authority,
    ...attesting,
    publishers,
    policy,
    desk: submissions.desk,
    submit: submissions.submit,
    installer: (request, context) => keeper.installing(() => inQuiet(core, () => install(request, context))),
    outdated: newerFinder(installing)
  }
}

/** The gate of this node: peers bring so many facts a second, and who brings forged ones is struck. */
function gateOver(
  { clock, facts, log, swarms }: Core,
  hooks: Pick<ConstructorParameters<typeof Gate>[0], 'onAccepted' | 'onEdited'>
): Gate {
  const { factsPerPeerPerSecond: perSecond, burstPerPeer: burst, peersTracked: keys } = LIMITS.admission
  const rate = new RateLimit({ perSecond, burst, keys, now: () => clock.now() })
  return new Gate({
    store: facts,
    log,
    mayAsk: peer => peer === MIRROR_FILE || rate.take(peer),
    ...hooks,
    // A fact that waited and then proved forged: whoever brought it is struck as if it had been told at once.
    onDecided: (admission, peer) => {
      if (admission.verdict === 'reject') for (const swarm of swarms.all) swarm.blame(peer)
    }
  })
}

/** What publishing reads and tells beside facts. */
function publishingOf(core: Core & Pick<Keeping, 'keeper' | 'unsaid'>, names: Submissions['names']) {
  return { taken: names.taken.bind(names), content: contentSource(core), provide: provideIn(core) }
}

/** Tells the swarm of a registry who has a root. */
function provideIn({ swarms }: Pick<Core, 'swarms'>): (registry: RegistryId, root: ContentId) => void {
  return (registry, root) => swarms.of(registry)?.provide(toLink(root))
}

/** Whoever waits for an install does not share the processor with a DHT that is told of each package meanwhile. */
function provideLater(core: Pick<Core, 'clock' | 'stopping' | 'swarms'>): ReturnType<typeof provideIn> {
  const provide = provideIn(core)
  return (registry, root) => core.clock.after(LIMITS.dht.provideAfterMs, () => provide(registry, root), core.stopping)
}

/** Nor does he with a DHT that is still being told of what was installed before. */
async function inQuiet<T>({ swarms }: Pick<Core, 'swarms'>, run: () => Promise<T>): Promise<T> {
  const holds = swarms.all.map(swarm => swarm.holdProviding())
  try {
    return await run()
  } finally {
    for (const letGo of holds) letGo()
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

/** What is said of releases, and what judges them by it. */
function composeJudging(
  init: NodeInit,
  core: Core,
  parts: ReturnType<typeof composeAuthoring> &
    Pick<Services, 'view' | 'precedence'> &
    Pick<Keeping, 'keeper' | 'unsaid'> &
    Pick<Late, 'sources'>
) {
  const { gate, view, sources, precedence } = parts
  const { home, version } = init
  const attesting = composeAttesting({ ...core, ...parts })
  const publishers = composePublishers(init, { ...core, gate })
  const statements = composeStatements({ ...core, ...attesting, publishers, view })
  const policy = composePolicy({ ...core, home: home.paths.dir, gate, view, sources, precedence }, statements)
  return { attesting, publishers, policy, receipt: composeReceipts({ ...core, policy, version }) }
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
