import { createHash } from 'node:crypto'
import { createNode } from '../../node/create-node.ts'
import type { RunningNode } from '../../node/create-node.ts'
import { withSettings } from '../../node/embed-settings.ts'
import { readConfig, takeHome } from '../../node/home.ts'
import { openLog } from '../../node/runtime/log.ts'
import type { CallContext } from '../../node/services/api.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { parseGgenName } from '../../protocol/package-name.ts'
import type { Payload } from '../../protocol/payload.ts'
import { parseSemver } from '../../protocol/version.ts'
import type { Home } from '../../storage/home.ts'
import { contentIdOf, subject } from '../../test/support/facts.ts'
import type { Look, OrderName, Orders, Published } from './orders.ts'
import { partitionOf } from './partition.ts'
import type { Partition } from './partition.ts'
import { serveOrders } from './remote.ts'
import type { Order } from './remote.ts'

/** A process that holds several nodes, each with its own data directory, keys, sockets and stores, and obeys the bench. */
interface Hosted {
  readonly node: RunningNode
  readonly home: Home
  readonly partition: Partition
}

const hosted = new Map<number, Hosted>()

const context: CallContext = { signal: new AbortController().signal, onProgress: () => undefined }

type Handlers = {
  readonly [N in Exclude<OrderName, 'open'>]: (
    hosted: Hosted,
    params: Orders[N]['params']
  ) => Promise<Orders[N]['answer']>
}

const handlers: Handlers = {
  found: async ({ node: { api, parts } }, { owners }) => {
    const { id } = await api.registryCreate({ name: 'bench' }, context)
    for (const [name, key] of owners) {
      const authPrev = headOf(parts, id)
      const value = { authPrev, keys: [key], threshold: 1 }
      const { id: fact, bytes } = await parts.author.write(id, subject(name), { type: 'claim', value })
      await parts.network().publishFact(id, fact, bytes)
    }
    return { registry: id, facts: parts.facts.head(id).count }
  },
  follow: async ({ node: { api } }, { registry }) => {
    await api.registryAdd({ id: registry, alias: 'bench', isDefault: true }, context)
    return null
  },
  publish: async ({ node }, { registry, name }) => publish(node, registry, name),
  hold: async ({ node: { api, parts } }, { registry, facts, timeoutMs }) => {
    try {
      return await api.waitFor({ registry, facts, peers: 0, kept: false, timeoutMs }, context)
    } catch (error) {
      if (isRegistryError(error) && error.code === 'TIMEOUT') return { facts: parts.facts.head(registry).count }
      throw error
    }
  },
  forbid: async ({ partition }, { peers }) => {
    partition.forbid(peers)
    return null
  },
  lacking: async ({ node: { parts } }, { registry, ids }) => {
    const has = await parts.facts.has(registry, ids)
    return ids.filter((_, i) => has[i] !== true)
  },
  look: async ({ node: { api, parts } }, { registry }): Promise<Look> => {
    const { registries, peers } = await api.status({}, context)
    const found = registries.find(({ id }) => id === registry)
    const { bytesIn } = parts.network().traffic()
    return { facts: found?.facts ?? 0, digest: found?.digest ?? '', peers, bytesIn }
  }
}

async function open({ home: path, bootstrap }: Orders['open']['params']): Promise<Hosted> {
  const home = await takeHome(path)
  const settings = { listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap, mdns: false }
  const config = withSettings(await readConfig(home), settings)
  const log = await openLog({ level: 'error' })
  const node = await createNode({ home, config, version: '0.0.0', network: true, log })
  return { node, home, partition: partitionOf(node.parts.network().libp2p) }
}

async function publish({ parts }: RunningNode, registry: RegistryId, name: string): Promise<Published> {
  const view = await parts.view.package(registry, subject(name))
  if (view.claim === null) throw new Error(`${name} has no owner`)
  const authority = { registry: headOf(parts, registry), package: view.claim.head }
  const payload = releaseOf(name, `1.${view.versions.length}.0`, authority)
  const { id, bytes } = await parts.author.write(registry, subject(name), payload)
  await parts.network().publishFact(registry, id, bytes)
  return { id, bytes: bytes.length }
}

function headOf({ gate }: RunningNode['parts'], registry: RegistryId) {
  const head = gate.state(registry)?.authority?.head
  if (head === undefined) throw new Error('the registry has no genesis here')
  return head
}

function releaseOf(
  name: string,
  text: string,
  authority: Extract<Payload, { type: 'release' }>['value']['authority']
): Payload {
  const content = `${name} ${text}`
  const sha256 = new Uint8Array(createHash('sha256').update(content).digest())
  const sha512 = new Uint8Array(createHash('sha512').update(content).digest())
  const version = parseSemver(text)
  const manifest = {
    kind: 'package' as const,
    name: parseGgenName(name),
    version,
    title: `Package ${name}`,
    description: `The description of ${name}, which is about as long as descriptions are in the marketplace`,
    license: 'MIT',
    authors: ['ggen-node contributors'],
    keywords: ['bench', 'ontology'],
    dependencies: [],
    executables: []
  }
  const digests = { sha256, sha512, archiveBytes: 10_240 }
  return { type: 'release', value: { version, manifest, root: contentIdOf(content), size: 4_096, digests, authority } }
}

async function obey({ node, name, params }: Order<Orders>): Promise<unknown> {
  if (name === 'open') {
    const opened = await open(params as Orders['open']['params'])
    hosted.set(node, opened)
    const { swarm, author } = opened.node.parts
    return { peer: swarm?.peerId, address: swarm?.addresses()[0], key: author.principal }
  }
  const found = hosted.get(node)
  if (found === undefined) throw new Error(`node ${node} is not open`)
  // Orders are typed where they are sent; both ends are one program.
  return (handlers[name] as (hosted: Hosted, params: unknown) => Promise<unknown>)(found, params)
}

serveOrders(obey, async () => {
  for (const { node, home } of hosted.values()) {
    await node.stop()
    await home.close()
  }
})
