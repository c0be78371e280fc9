import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from '../protocol/bytes.ts'
import { RegistryError } from '../protocol/errors.ts'
import type { PackageView } from '../protocol/fold.ts'
import { LIMITS } from '../protocol/limits.ts'
import { diskSpace } from '../storage/disk-space.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import { advisoryApi } from './advisories.ts'
import { projectAuditApi } from './project-audit.ts'
import { attestApi } from './attest-api.ts'
import { authorityApi, filing } from './authority-api.ts'
import { documentApi } from './document-api.ts'
import { backup } from './backup.ts'
import { complete } from './complete.ts'
import { diagnose } from './doctor.ts'
import { gatewayApi } from './gateway-api.ts'
import { choosing, search, show } from './lookup.ts'
import { ownReference } from './meant.ts'
import { mirrorApi } from './mirror-api.ts'
import { observationApi } from './observation-api.ts'
import { allow, policyApi } from './policy-api.ts'
import { publisherApi } from './publisher-api.ts'
import { importFolders } from './services/import-folders.ts'
import type {
  Api,
  ApiMethods,
  CallContext,
  InstallOptions,
  NodeStatus,
  PeerStatus,
  ProjectParams,
  RegistryStatus,
  ShownInstall
} from './services/api.ts'
import type { InstallRequest } from './services/install.ts'
import type { Published } from './services/publish.ts'
import type { Filed } from './services/authority/methods.ts'
import type { YankResult, YankTarget } from './services/yank.ts'
import type { ProjectCommand } from './services/project/target.ts'
import { namedKeys } from './named-keys.ts'
import type { NodeParts } from './parts.ts'
import { folderOrArchive } from './archives.ts'
import { addRegistry, createRegistry } from './registry-setup.ts'
import { storeApi } from './store-api.ts'
import { swarmApi } from './swarm-api.ts'
import { takedown } from './takedown.ts'
import { submissionCalls } from './submissions.ts'
import { waitFor } from './wait.ts'

/** Everything a node answers, over its parts. The one table behind the daemon's socket and the in-process node. */
export function createApi(parts: NodeParts): Api {
  const { registries } = parts
  return {
    status: () => status(parts),
    peers: async () => peers(parts),
    connect: async ({ address }, { signal }) => {
      const peerId = await parts.network().connect(address, { signal })
      await parts.records.putDialled(address)
      const peer = parts
        .network()
        .peers()
        .find(candidate => candidate.id === peerId)
      const ours = (peer?.registries ?? []).filter(id => registries.ids.includes(id))
      return { peerId, registries: ours }
    },
    publish: (params, { signal }) => publishTo(parts, params, signal),
    importFolder: (params, context) => importFolder(parts, params, context),
    install: async ({ references, registry, ...params }, context) => {
      await allow(parts, params, context.signal)
      return installed(parts, { kind: 'install', names: references, registry }, params, context)
    },
    update: async ({ names, ...params }, context) => {
      await allow(parts, params, context.signal)
      return installed(parts, { kind: 'update', names, registry: undefined }, params, context)
    },
    remove: ({ names, ...params }, context) =>
      installed(parts, { kind: 'remove', names, registry: undefined }, params, context),
    outdated: ({ project }, { signal }) => parts.outdated(project, signal),
    search: params => search(parts, params),
    show: (params, context) => show(parts, params, context),
    ...statusCalls(parts),
    ...authorityApi(parts),
    ...documentApi(parts),
    ...policyApi(parts),
    ...storeApi(parts),
    ...mirrorApi(parts),
    ...swarmApi(parts),
    ...gatewayApi(parts),
    ...attestApi(parts),
    ...advisoryApi(parts),
    ...observationApi(parts),
    ...projectAuditApi(parts),
    ...publisherApi(parts),
    takedown: (params, context) => takedown(parts, params, context),
    takedownList: async () => parts.spaces.takedowns.all,
    ...submissionCalls(parts),
    registryAdd: (params, { signal }) => addRegistry(parts, params, signal),
    registryList: () => Promise.all(registries.all.map(entry => registryStatus(parts, entry))),
    registryCreate: params => createRegistry(parts, params),
    waitFor: (params, { signal }) => waitFor(parts, params, signal),
    doctor: ({ deep }, { signal }) => diagnose(parts, { deep, signal }),
    complete: params => complete(parts, params),
    backup: (params, context) => backup(parts, params, context),
    stop: async () => {
      parts.requestStop()
      return { stopping: true }
    }
  }
}

async function publishTo(
  parts: NodeParts,
  { folder, registry: which, key, out, allowSimilar }: ApiMethods['publish']['params'],
  signal: AbortSignal
): Promise<ApiMethods['publish']['result']> {
  const registry = which === undefined ? choosing(parts) : parts.registries.find(which).id
  let published: Published | undefined
  const { file } = await filing(parts, out, async () => {
    const publish = (from: string): Promise<Published> =>
      parts.publish({ registry, folder: from, key, allowSimilar }, signal)
    published = await folderOrArchive(parts, { path: folder, signal }, publish)
    const { name: subject, fact, claim, metadata } = published
    const facts = [fact, claim, metadata].filter(id => id !== null).map(id => ({ id, subject }))
    return { registry: published.registry, facts }
  })
  if (published === undefined) throw new RegistryError('INTERNAL', 'nothing was published')
  const { alias, isDefault } = parts.registries.find(published.registry)
  return { ...published, alias, isDefault, file }
}

/** What becomes of one version after it was published. */
function statusCalls(parts: NodeParts): Pick<Api, 'quarantine' | 'unquarantine' | 'unyank' | 'yank'> {
  const { quarantiner, yanker } = parts
  return {
    yank: async ({ reference, reason, key, out }) => {
      const target = { ...(await exactVersion(parts, reference)), key }
      return yanked(parts, { target, out }, () => yanker.yank(target, reason))
    },
    unyank: async ({ reference, key, out }) => {
      const target = { ...(await exactVersion(parts, reference)), key }
      return yanked(parts, { target, out }, () => yanker.unyank(target))
    },
    quarantine: async ({ reference, reason, key, out }) => {
      const target = { ...(await exactVersion(parts, reference)), key }
      return yanked(parts, { target, out }, () => quarantiner.quarantine(target, reason))
    },
    unquarantine: async ({ reference, key, out }) => {
      const target = { ...(await exactVersion(parts, reference)), key }
      return yanked(parts, { target, out }, () => quarantiner.unquarantine(target))
    }
  }
}

async function yanked<Result extends Pick<YankResult, 'fact' | 'name'>>(
  parts: NodeParts,
  { target, out }: { target: YankTarget; out: string | undefined },
  sign: () => Promise<Result>
): Promise<Result & Filed> {
  let result: Result | undefined
  const { file } = await filing(parts, out, async () => {
    result = await sign()
    const { fact, name: subject } = result
    return fact === null ? undefined : { registry: target.registry, facts: [{ id: fact, subject }] }
  })
  if (result === undefined) throw new RegistryError('INTERNAL', 'nothing was signed')
  return { ...result, file }
}

async function importFolder(
  parts: NodeParts,
  { folder, registry, key }: ApiMethods['importFolder']['params'],
  { signal, onProgress }: CallContext
): Promise<ApiMethods['importFolder']['result']> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new RegistryError('UNKNOWN_FILE', `${folder} is not a folder that can be read`, { cause })
  })
  const names = entries.filter(entry => entry.isDirectory() && !entry.name.startsWith('.')).map(entry => entry.name)
  if (names.length > LIMITS.content.entries) throw new RegistryError('LIMIT_EXCEEDED', `${folder} has too many folders`)
  return importFolders(
    parts.publish,
    { registry: registry === undefined ? choosing(parts) : parts.registries.find(registry).id, key },
    {
      folders: names.toSorted().map(name => join(folder, name)),
      signal,
      onProgress: done => onProgress({ text: `published ${done} of ${names.length}`, done, of: names.length })
    }
  )
}

/** What a person did not ask for is off. */
/** Runs a command about a project, and says what the authors are called of what it put there. */
async function installed(
  parts: NodeParts,
  command: Parameters<typeof ordered>[0],
  params: ProjectParams & InstallOptions,
  context: CallContext
): Promise<ShownInstall> {
  const result = await parts.installer(ordered(command, params), context)
  const placed = result.installed.filter(({ action }) => action === 'added' || action === 'replaced')
  const publishers = await namedKeys(
    parts,
    placed.map(({ author }) => author)
  )
  return { ...result, publishers }
}

function ordered(
  command: Pick<ProjectCommand, 'kind' | 'names' | 'registry'>,
  { project, ...given }: ProjectParams & InstallOptions
): InstallRequest {
  const off = {
    force: false,
    frozen: false,
    offline: false,
    dryRun: false,
    noDeps: false,
    singleSource: false,
    sync: false,
    acceptMoves: false
  }
  return { ...off, ...given, ...command, project }
}

async function exactVersion(
  parts: NodeParts,
  text: string
): Promise<{ registry: FollowedRegistry['id']; name: PackageView['name']; version: string }> {
  const { reference, registry } = await ownReference(parts, text)
  if (reference.range === undefined) {
    throw new RegistryError('INVALID_REFERENCE', 'name the version: this is about one version', {
      next: `${text}@VERSION`
    })
  }
  return { registry: registry.id, name: reference.name, version: reference.range }
}

async function status(parts: NodeParts): Promise<NodeStatus> {
  const { mirror, swarm, swarms, config, started } = parts
  return {
    version: parts.version,
    home: parts.home,
    pid: process.pid,
    key: parts.author.principal,
    peerId: swarm?.peerId ?? null,
    addresses: swarm?.addresses() ?? [],
    http: parts.gateway.listening,
    uptimeMs: parts.clock.now() - started,
    peers: swarms.peers().filter(peer => peer.connected).length,
    keep: config.keep,
    kept: mirror.kept,
    fetching: mirror.fetching,
    readOnly: parts.isReadOnly(),
    memoryBytes: process.memoryUsage.rss(),
    disk: await diskSpace(parts.home),
    activity: parts.meter.activity(parts.clock.now(), swarms.traffic()),
    traffic: parts.meter.trafficOf(parts.clock.now(), swarms.trafficOf()),
    registries: await Promise.all(parts.registries.all.map(entry => registryStatus(parts, entry)))
  }
}

async function registryStatus(parts: NodeParts, entry: FollowedRegistry): Promise<RegistryStatus> {
  const { gate, view, facts } = parts
  const { id, alias, isDefault, singleSource } = entry
  const counts = await view.counts(id)
  return {
    id,
    alias,
    isDefault,
    name: gate.state(id)?.authority?.genesis.name ?? null,
    packages: counts.packages,
    releases: counts.releases,
    facts: facts.head(id).count,
    pending: gate.pendingCount(id),
    sources: parts.sources(id),
    singleSource,
    staleness: await parts.policy.staleness(id),
    digest: toHex(await view.digest(id))
  }
}

function peers({ swarms }: NodeParts): readonly PeerStatus[] {
  return swarms.peers().map(peer => ({
    id: peer.id,
    swarm: peer.swarm,
    address: peer.address ?? '',
    direction: peer.direction ?? 'outbound',
    agent: peer.agent ?? '',
    verdict: peer.connected ? 'connected' : 'gone',
    registries: peer.registries,
    bytesIn: peer.bytesIn,
    bytesOut: peer.bytesOut
  }))
}
