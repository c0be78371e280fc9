import { randomBytes } from 'node:crypto'
import { parseRegistryId } from '../../protocol/cid.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import type { Genesis } from '../../protocol/payload.ts'
import { DEFAULT_CONFIG } from '../../node/config.ts'
import type { Config } from '../../node/config.ts'
import { createNode } from '../../node/create-node.ts'
import type { RunningNode } from '../../node/create-node.ts'
import { dispatch } from '../../node/daemon.ts'
import { recoveryKey, takeHome } from '../../node/home.ts'
import { openLog } from '../../node/runtime/log.ts'
import type { ApiMethods, Method } from '../../node/services/api.ts'
import { HEARD_MS } from './heard.ts'
import { openPolicy } from './open-policy.ts'
import { tempDir } from './temp-dir.ts'

/** A whole node in this process, on a free loopback port. */
export interface TestRunningNode extends RunningNode {
  readonly home: string
  readonly key: string
  readonly peerId: string
  readonly address: string
  call<M extends Method>(method: M, params: ApiMethods[M]['params']): Promise<ApiMethods[M]['result']>
  /** Makes a registry that this node's key owns alone, and follows it as `main`. */
  found(admission: Genesis['admission']): Promise<RegistryId>
}

const running = new Set<TestRunningNode>()

export interface RunningNodeOptions {
  /** The data directory; a new temporary one without it. */
  readonly home?: string
  /** A member's own token. */
  readonly token?: string
  /** Other settings than the defaults. */
  readonly config?: Partial<Config>
}

export async function runningNode({ home: dir, token, config }: RunningNodeOptions = {}): Promise<TestRunningNode> {
  const path = dir ?? (await tempDir('home'))
  const home = await takeHome(path)
  const swarms = DEFAULT_CONFIG.swarms.map(swarm => ({ ...swarm, mdns: false, listen: ['/ip4/127.0.0.1/tcp/0'] }))
  const node = await createNode({
    home,
    config: { ...DEFAULT_CONFIG, swarms, ...config },
    version: '0.0.0-test',
    network: true,
    ...(token === undefined ? {} : { token }),
    log: await openLog({ level: 'silent' })
  })
  await openPolicy(path)
  const call = dispatch(node.api)
  const test: TestRunningNode = {
    ...node,
    home: path,
    key: node.parts.author.principal,
    peerId: node.parts.network().peerId,
    address: node.parts.network().addresses()[0] ?? '',
    call: (method, params) =>
      call(method, params, { signal: new AbortController().signal, onProgress: () => {} }) as never,
    found: admission => found(node, admission),
    stop: async () => {
      running.delete(test)
      await node.stop()
      await home.close()
    }
  }
  running.add(test)
  return test
}

async function found({ parts }: RunningNode, admission: Genesis['admission']): Promise<RegistryId> {
  const { id, bytes } = parts.author.genesis({
    name: 'main',
    roots: [parts.author.principal],
    threshold: 1,
    recovery: await recoveryKey(parts.home),
    admission,
    visibility: 'public',
    nonce: new Uint8Array(randomBytes(16))
  })
  const registry = parseRegistryId(id)
  await parts.follow(registry)
  await parts.gate.admit(bytes, { peer: 'self' })
  await parts.registries.add(id, { alias: 'main', isDefault: true, made: true })
  parts.swarms.of(registry)?.follow(registry)
  return registry
}

/** Follows a registry of another node and waits until its facts are here. */
export async function join(node: TestRunningNode, registry: RegistryId, at: TestRunningNode): Promise<void> {
  await node.call('registryAdd', { id: registry, alias: 'main', isDefault: true, peer: at.address })
  await node.call('waitFor', { registry, facts: 1, peers: 1, kept: false, timeoutMs: HEARD_MS })
}

/** Stops what a test has started. To be called after each test. */
export async function stopRunningNodes(): Promise<void> {
  for (const node of [...running].toReversed()) await node.stop()
}
