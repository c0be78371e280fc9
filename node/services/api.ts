import type { ContentId, FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import type { SetAside } from '../../protocol/fold.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import type { ArchiveDigests } from '../../protocol/payload.ts'
import type { SubmissionId } from '../../protocol/submission.ts'
import type { Version } from '../../protocol/version.ts'
import type { AdvisoryMethods } from './advisory/methods.ts'
import type { AttestMethods } from './attest/methods.ts'
import type { PublisherMethods } from './publisher/methods.ts'
import type { NamedKey } from './publisher/named-key.ts'
import type { AuthorityMethods, Filed, SigningParams } from './authority/methods.ts'
import type { DocumentMethods, ShownDocument } from './documents/methods.ts'
import type { ImportResult } from './import-folders.ts'
import type { InstallResult } from './install-result.ts'
import type { OutdatedResult } from './project/newer.ts'
import type { AllowParams, PolicyMethods } from './policy/methods.ts'
import type { Staleness } from './policy/staleness.ts'
import type { Published } from './publish.ts'
import type { FoundPackage } from './search.ts'
import type { StoreMethods } from './store/methods.ts'
import type { ObservationView } from '../../protocol/observation/fold.ts'
import type { ObservationMethods } from './observation/methods.ts'
import type { MirrorMethods } from './store/mirror-methods.ts'
import type { SwarmMethods } from './swarm/methods.ts'
import type { TakedownResult, TakenDown } from './takedown.ts'
import type { SubmitResult } from './submit/submitter.ts'
import type { QuarantineResult } from './quarantine.ts'
import type { YankResult } from './yank.ts'

/** Something that happened during a long call, for a person to see. */
export interface Progress {
  readonly text: string
  readonly done?: number
  readonly of?: number
  /** Bytes of blocks received so far, of how many as far as anybody says, and from how many peers and gateways. */
  readonly bytes?: number
  readonly total?: number
  readonly peers?: number
  /** Over the last few seconds; who sent the most in them, and how many others sent something. */
  readonly bytesPerSecond?: number
  readonly from?: { readonly name: string; readonly relayed: boolean; readonly others: number }
}

export interface CallContext {
  readonly signal: AbortSignal
  readonly onProgress: (progress: Progress) => void
}

export interface RegistryStatus {
  readonly id: RegistryId
  readonly alias: string
  /** Null until the genesis has arrived. */
  readonly name: string | null
  readonly isDefault: boolean
  readonly packages: number
  readonly releases: number
  readonly facts: number
  readonly pending: number
  /** Peers that it was compared with to the end, counted no further than tells one from several. */
  readonly sources: number
  /** It was made here, or somebody said that one peer is enough. */
  readonly singleSource: boolean
  /** A view that is older than the policies of this node bear is stale: what was withdrawn since is not known here. */
  readonly staleness: Staleness
  /** sha2-256 in hex, equal on all nodes that hold the same set. */
  readonly digest: string
}

/** What a node has done since it started; rates are over the last minute. */
export interface Activity {
  /** Facts by what the gate said of them. One that was pending and came in later is counted twice. */
  readonly facts: Readonly<Record<'accept' | 'pending' | 'ignore' | 'reject', number>>
  readonly bytesIn: number
  readonly bytesOut: number
  readonly perSecond: { readonly facts: number; readonly bytesIn: number; readonly bytesOut: number }
}

/** What went over the sockets of one swarm since the start; rates are over the last minute. */
export interface SwarmTraffic {
  readonly swarm: string
  readonly bytesIn: number
  readonly bytesOut: number
  readonly perSecond: { readonly bytesIn: number; readonly bytesOut: number }
}

export interface NodeStatus {
  readonly version: string
  readonly home: string
  readonly pid: number
  readonly key: Principal
  readonly peerId: string | null
  readonly addresses: readonly string[]
  /** Where plain HTTP is answered, and what. */
  readonly http: readonly {
    readonly address: string
    readonly serves: readonly ('gateway' | 'metrics')[]
    readonly isLocal: boolean
  }[]
  readonly uptimeMs: number
  readonly peers: number
  readonly keep: 'all' | 'none'
  /** Content roots held as a whole, and those still being fetched. */
  readonly kept: number
  readonly fetching: number
  readonly readOnly: boolean
  readonly memoryBytes: number
  readonly disk: { readonly freeBytes: number; readonly totalBytes: number }
  readonly activity: Activity
  readonly traffic: readonly SwarmTraffic[]
  readonly registries: readonly RegistryStatus[]
}

export interface PeerStatus {
  readonly id: string
  /** The swarm in which it is a peer: `public`, or the name of a private one. */
  readonly swarm: string
  readonly address: string
  readonly direction: 'inbound' | 'outbound'
  readonly agent: string
  readonly verdict: string
  readonly registries: readonly RegistryId[]
  readonly bytesIn: number
  readonly bytesOut: number
}

export interface ShownVersion {
  readonly version: Version
  readonly state: 'ok' | 'yanked' | 'quarantined' | 'conflict'
  readonly contents: readonly {
    readonly cid: ContentId
    readonly size: number
    readonly by: Principal
    readonly fact: FactId
    readonly time: number
    readonly marks: readonly string[]
    readonly digests: Readonly<Record<'sha256' | 'sha512', string>> & Pick<ArchiveDigests, 'archiveBytes'>
  }[]
  readonly reasons: readonly string[]
}

export interface ShownPackage {
  readonly name: PackageName
  readonly registry: RegistryId
  readonly alias: string
  readonly owners: readonly Principal[]
  readonly manifest: Manifest | null
  readonly versions: readonly ShownVersion[]
  readonly setAside: readonly SetAside[]
  /** Who says when he first saw which release. */
  readonly observations: readonly ObservationView[]
  /** Keys among its owners and authors that a domain names as its own. */
  readonly publishers: readonly NamedKey[]
  /** What people said of it beside its manifests; null when nobody did. */
  readonly document: ShownDocument | null
  /** Other registries that hold a package of that name. `hidden`: its name alone never means that one. */
  readonly others: readonly { readonly registry: RegistryId; readonly alias: string; readonly hidden: boolean }[]
}

export interface Finding {
  readonly check: string
  readonly ok: boolean
  readonly text: string
  readonly next?: string
}

export interface BackupSummary {
  readonly file: string
  readonly bytes: number
  readonly keys: number
  readonly registries: number
  readonly facts: number
  readonly roots: number
  readonly skipped: readonly string[]
}

/** What every command that changes a project takes. */
export interface ProjectParams {
  /** The folder that holds `.ggen`. */
  readonly project: string
  /** Overwrites locally modified files. */
  readonly force?: boolean
  /** Asks no peer for bytes. */
  readonly offline?: boolean
  /** Says what would be done, and does nothing. */
  readonly dryRun?: boolean
  /** Takes what one peer alone says of a registry as good enough, this time. */
  readonly singleSource?: boolean
  /** Answers when all that was installed is on the disk too. */
  readonly sync?: boolean
  /** Locked names may move to the registry that they mean now. */
  readonly acceptMoves?: boolean
}

export interface InstallOptions {
  /** Fails when lockfile or project file would change. */
  readonly frozen?: boolean
  /** Puts only what is named, or what the project itself wants, in its place. */
  readonly noDeps?: boolean
  /** The registry that names without an alias mean. */
  readonly registry?: string
}

/** A submission that waits for a person's decision. */
export interface WaitingSubmission {
  readonly id: SubmissionId
  readonly registry: RegistryId
  readonly alias: string
  readonly name: string
  readonly by: Principal
  readonly keys: readonly Principal[]
  readonly threshold: number
  /** What those of `by` and `keys` are shown as that a domain names. */
  readonly publishers: readonly NamedKey[]
  /** Names of others that this one would be taken for. */
  readonly similar: readonly PackageName[]
  /** A stranger's words. */
  readonly note: string
  /** When it came here, in milliseconds since 1970. */
  readonly arrived: number
}

export interface RegistryRecord {
  readonly id: RegistryId
  readonly alias: string
  readonly isDefault: boolean
}

/** What an install did, and what the authors of what it placed are shown as. */
export interface ShownInstall extends InstallResult {
  readonly publishers: readonly NamedKey[]
}

/** Every call the daemon answers: the same table serves the local socket and a node that lives in the command's process. */
export interface ApiMethods
  extends
    AdvisoryMethods,
    AttestMethods,
    AuthorityMethods,
    DocumentMethods,
    MirrorMethods,
    ObservationMethods,
    PolicyMethods,
    PublisherMethods,
    StoreMethods,
    SwarmMethods {
  status: { params: Record<string, never>; result: NodeStatus }
  peers: { params: Record<string, never>; result: readonly PeerStatus[] }
  connect: { params: { address: string }; result: { peerId: string; registries: readonly RegistryId[] } }
  publish: {
    params: SigningParams & { folder: string; registry?: string; allowSimilar?: boolean }
    result: Published & Filed & Pick<RegistryRecord, 'alias' | 'isDefault'>
  }
  importFolder: { params: { folder: string; registry?: string; key?: string }; result: ImportResult }
  /** Adds what `references` name to a project, or with none makes the project's folders what its lockfile says. */
  install: {
    params: ProjectParams & InstallOptions & AllowParams & { readonly references: readonly string[] }
    result: ShownInstall
  }
  /** Resolves again within the project's ranges: everything, or what is named. */
  update: { params: ProjectParams & AllowParams & { readonly names: readonly string[] }; result: ShownInstall }
  remove: { params: ProjectParams & { readonly names: readonly string[] }; result: ShownInstall }
  outdated: { params: { readonly project: string }; result: OutdatedResult }
  search: { params: { query: string; registry?: string; limit: number }; result: readonly FoundPackage[] }
  show: { params: { reference: string }; result: ShownPackage }
  yank: { params: SigningParams & { reference: string; reason: string }; result: YankResult & Filed }
  unyank: { params: SigningParams & { reference: string }; result: YankResult & Filed }
  /** Stops one version for now, or lets it go again. */
  quarantine: { params: SigningParams & { reference: string; reason: string }; result: QuarantineResult & Filed }
  unquarantine: { params: SigningParams & { reference: string }; result: QuarantineResult & Filed }
  /** Withholds the bytes of one version, or of a content root, here; or hands them out again. */
  takedown: {
    params: { reference: string; reason: string; release: boolean; isDeleted: boolean }
    result: readonly (TakedownResult & { readonly released: boolean })[]
  }
  takedownList: { params: Record<string, never>; result: readonly TakenDown[] }
  /** Asks the curators of a registry for a name; the same question again says what became of it. */
  submit: {
    params: {
      reference: string
      registry?: string
      owners: readonly string[]
      threshold?: number
      note?: string
    }
    result: SubmitResult & { readonly alias: string }
  }
  /** What strangers asked for and nobody decided yet; of all registries without `registry`. */
  curateList: { params: { registry?: string }; result: readonly WaitingSubmission[] }
  /** `names` are names or ids of submissions. All are found before the first is decided. */
  curateGrant: {
    params: { names: readonly string[]; registry?: string; allowSimilar?: boolean }
    result: readonly { readonly name: PackageName; readonly registry: RegistryId; readonly fact: FactId }[]
  }
  curateDeny: {
    params: { name: string; registry?: string; reason: string }
    result: { readonly name: string; readonly registry: RegistryId; readonly id: SubmissionId }
  }
  registryAdd: {
    /** `singleSource`: what one peer alone says of it is taken as good enough. */
    params: { id: string; alias?: string; peer?: string; isDefault: boolean; singleSource?: boolean }
    result: RegistryRecord & { readonly facts: number }
  }
  registryList: { params: Record<string, never>; result: readonly RegistryStatus[] }
  registryCreate: {
    /** `admission`: `open` or `curated`; `roots`: other keys that own it, of whom `threshold` must sign. */
    params: { name: string; alias?: string; admission?: string; roots?: readonly string[]; threshold?: number }
    result: RegistryRecord
  }
  /** Answers once the registry holds that many facts, is connected to that many peers, and, with `kept`, all bytes are here. */
  /** A token that shows one member of a private registry its packages over plain HTTP. */
  gatewayToken: {
    params: { registry?: string; member?: string; expires?: string; renew: boolean }
    result: {
      readonly token: string
      readonly registry: RegistryId
      readonly alias: string
      readonly member: Principal
      readonly expires: number
      /** Every token from before is over. */
      readonly renewed: boolean
      readonly addresses: readonly string[]
    }
  }
  waitFor: {
    params: { registry: string; facts: number; peers: number; kept: boolean; timeoutMs: number }
    result: { readonly facts: number }
  }
  doctor: { params: { deep: boolean }; result: readonly Finding[] }
  /** Names that begin with what was typed so far, for a shell to offer. */
  complete: { params: { kind: 'packages' | 'registries'; prefix: string }; result: readonly string[] }
  /** `keys` come sealed: a passphrase never crosses the socket. `skipped` names content that is damaged here. */
  backup: {
    params: { file: string; blocks: boolean; keys: readonly { readonly name: string; readonly text: string }[] }
    result: BackupSummary
  }
  stop: { params: Record<string, never>; result: { readonly stopping: true } }
}

export type Method = keyof ApiMethods

export type Api = {
  readonly [M in Method]: (params: ApiMethods[M]['params'], context: CallContext) => Promise<ApiMethods[M]['result']>
}

/** Calls a node, wherever it runs. */
export interface NodeClient {
  call<M extends Method>(
    method: M,
    params: ApiMethods[M]['params'],
    context?: Partial<CallContext>
  ): Promise<ApiMethods[M]['result']>
}
