import { randomBytes } from 'node:crypto'
import { parseRegistryId } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { registryNameFault } from '../protocol/payload.ts'
import type { Genesis } from '../protocol/payload.ts'
import type { ApiMethods, RegistryRecord } from './services/api.ts'
import { untilCaughtUp } from './caught-up.ts'
import { recoveryKey } from './home.ts'
import type { NodeParts } from './parts.ts'

/** Makes a registry whose only root is this node's key, follows it and names it. */
export async function createRegistry(
  parts: NodeParts,
  { name, alias }: ApiMethods['registryCreate']['params']
): Promise<RegistryRecord> {
  const fault = registryNameFault(name)
  if (fault !== undefined)
    throw new RegistryError('INVALID_NAME', `${JSON.stringify(name)} cannot name a registry: ${fault}`)
  const wanted = alias ?? name.replaceAll('.', '-')
  const taken = parts.registries.all.find(entry => entry.alias === wanted)
  if (taken !== undefined) {
    throw new RegistryError('ALREADY_EXISTS', `a registry ${wanted} is there already`, {
      tried: [`its id is ${taken.id}`],
      next: 'choose another name with --name'
    })
  }
  const genesis: Genesis = {
    name,
    roots: [parts.author.principal],
    threshold: 1,
    recovery: await recoveryKey(parts.home),
    admission: 'curated',
    visibility: 'public',
    nonce: new Uint8Array(randomBytes(16))
  }
  const { id, bytes } = parts.author.genesis(genesis)
  // The gate takes a genesis only for a registry that it was opened for. Its name is written last: a crash before that
  // leaves facts that nobody refers to, never a name without a genesis.
  const registry = parseRegistryId(id)
  await parts.follow(registry)
  const admission = await parts.gate.admit(bytes, { peer: 'self' })
  if (admission.verdict !== 'accept')
    throw new RegistryError('INTERNAL', `our own genesis was refused: ${admission.reason}`)
  return parts.registries.add(id, { alias: wanted, isDefault: parts.registries.all.length === 0 })
}

/** Follows a registry by its id, and asks a peer for its facts when one is named. */
export async function addRegistry(
  parts: NodeParts,
  { id, alias, peer, isDefault }: ApiMethods['registryAdd']['params'],
  signal: AbortSignal
): Promise<ApiMethods['registryAdd']['result']> {
  const entry = await parts.registries.add(id, { alias, isDefault })
  await parts.follow(entry.id)
  if (peer === undefined || parts.swarm === undefined) return { ...entry, facts: parts.facts.head(entry.id).count }
  await parts.records.putDialled(peer)
  await parts.swarm.connect(peer, { signal })
  parts.swarm.reconcile(entry.id)
  // The first reading of a large registry takes its time; whoever has no patience goes on with what came.
  await untilCaughtUp(parts, [entry.id], { patienceMs: LIMITS.sync.patienceMs, signal })
  return { ...entry, facts: parts.facts.head(entry.id).count }
}
