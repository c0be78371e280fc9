import type { BlockKeeper } from './block-keeper.ts'
import type { DiskGuard } from './disk-guard.ts'
import type { Mirrors } from './mirrors.ts'
import type { Observing } from './observing.ts'
import type { ObserverComponents } from './services/observation/observer.ts'
import type { ProjectPins } from './project-pins.ts'
import type { Projects } from './project-store.ts'
import type { Pins } from './services/store/pins.ts'
import type { ScrubRecords } from '../storage/scrub-records.ts'
import type { UnsaidRecords } from '../storage/unsaid-records.ts'
import type { TrustRecords } from '../storage/trust-records.ts'
import type { Attesting } from './attesting.ts'
import type { AuthorityComponents } from './authority.ts'
import type { Precedence } from './services/precedence.ts'
import type { Publish } from './services/publish.ts'
import type { Author } from './services/author.ts'
import type { Gate } from './services/admit.ts'
import type { Documents } from './services/documents/documents.ts'
import type { Install } from './services/install.ts'
import type { PolicyParts } from './services/policy/parts.ts'
import type { FindNewer } from './services/project/newer.ts'
import type { Mirror } from './services/mirror.ts'
import type { Publishers } from './services/publisher/publishers.ts'
import type { RegistryView } from './services/registry-view.ts'
import type { Desk } from './services/submit/desk.ts'
import type { Submit } from './services/submit/submitter.ts'
import type { Quarantiner } from './services/quarantine.ts'
import type { Yanker } from './services/yank.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'
import type { Swarm } from './p2p/swarm.ts'
import type { FactStore } from '../storage/fact-store.ts'
import type { FollowedRegistry, Records } from '../storage/records.ts'
import type { RegistryId } from '../protocol/cid.ts'
import type { Config } from './config.ts'
import type { Gateway } from './gateway.ts'
import type { Gateways } from './gateway-source.ts'
import type { NodeMeter } from './meter.ts'
import type { Registries } from './registries.ts'
import type { PrivateSwarms } from './private-swarms.ts'
import type { Scrub } from './scrub.ts'
import type { Spaces } from './spaces.ts'
import type { Swarms } from './swarms.ts'

/** The pieces of one node, as `create-node.ts` puts them together and `api.ts` uses them. */
export interface NodeParts extends Attesting {
  readonly version: string
  readonly home: string
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
  readonly started: number
  readonly facts: FactStore
  readonly records: Records
  readonly spaces: Spaces
  /** What stays in the block stores, and what goes. */
  readonly keeper: BlockKeeper
  readonly pins: Pins
  readonly projectPins: ProjectPins
  readonly projects: Projects
  readonly scrubs: ScrubRecords
  readonly unsaidRecords: UnsaidRecords
  /** Whose word is taken, and for what. */
  readonly trust: TrustRecords
  readonly disk: DiskGuard
  readonly swarms: Swarms
  readonly privates: PrivateSwarms
  readonly registries: Registries
  readonly gate: Gate
  readonly documents: Documents
  readonly view: RegistryView
  /** Which registry a name without an alias means. */
  readonly precedence: Precedence<FollowedRegistry>
  readonly author: Author
  readonly publish: Publish
  readonly yanker: Yanker
  readonly quarantiner: Quarantiner
  /** What signing and showing who may do what uses. */
  readonly authority: AuthorityComponents
  /** Where others ask this node for names, and where it asks others. */
  readonly desk: Desk
  readonly submit: Submit
  readonly installer: Install
  readonly outdated: FindNewer
  /** Whether releases may be installed, and who may make an exception. */
  readonly policy: PolicyParts
  /** Which keys are bound to domains. */
  readonly publishers: Publishers
  readonly mirror: Mirror
  readonly mirrors: Mirrors
  /** What tells when releases came here, and does so by itself where this node mirrors. */
  readonly observer: ObserverComponents
  readonly observing: Observing
  readonly gateways: Gateways
  /** What is answered over plain HTTP. */
  readonly gateway: Gateway
  readonly scrub: Scrub
  readonly meter: NodeMeter
  /** Registries that were compared to the end with at least one peer since the start. */
  readonly caughtUp: ReadonlySet<RegistryId>
  /** With how many peers a registry was ever compared to the end, counted up to two. */
  sources(registry: RegistryId): number
  /** The public one. Undefined in a node that lives without a network. */
  readonly swarm: Swarm | undefined
  /** @throws RegistryError USAGE when there is none */
  network(): Swarm
  /** Makes the store, the gate and the network ready for a registry. */
  follow(registry: RegistryId): Promise<void>
  /** Called after each change that somebody may wait for; returns how to take it back. */
  onChange(listener: () => void): () => void
  isReadOnly(): boolean
  requestStop(): void
}
