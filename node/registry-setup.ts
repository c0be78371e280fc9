import { randomBytes } from 'node:crypto'
import { admitKey } from '../attestation/keys.ts'
import { compareText } from '../protocol/bytes.ts'
import { parseRegistryId } from '../protocol/cid.ts'
import { publicKeyOf } from '../protocol/did.ts'
import type { Principal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { registryNameFault } from '../protocol/payload.ts'
import type { Genesis } from '../protocol/payload.ts'
import type { ApiMethods, RegistryRecord } from './services/api.ts'
import { keyFrom } from './services/authority/roles.ts'
import { untilCaughtUp } from './caught-up.ts'
import { PUBLIC_SWARM } from './config-schema.ts'
import { recoveryKey } from './home.ts'
import type { NodeParts } from './parts.ts'
import { leaveSwarm } from './swarm-join.ts'

/** Makes a registry, follows it and names it. This node's key is among its roots, and without others the only one. */
export async function createRegistry(
  parts: NodeParts,
  { name, alias, admission: asked = 'curated', roots = [], threshold = 1 }: ApiMethods['registryCreate']['params'],
  { swarm }: { readonly swarm?: string } = {}
): Promise<RegistryRecord> {
  const fault = registryNameFault(name)
  if (fault !== undefined)
    throw new RegistryError('INVALID_NAME', `${JSON.stringify(name)} cannot name a registry: ${fault}`, {
      next: 'choose another name, such as acme or acme-tools'
    })
  const owners = ownersOf(parts.author.principal, { admission: asked, roots, threshold })
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
    ...owners,
    recovery: await recoveryKey(parts.home),
    visibility: swarm === undefined ? 'public' : 'private',
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
  const isDefault = parts.registries.all.length === 0
  // Nobody else can confirm what was said here first.
  const entry = await parts.registries.add(id, {
    alias: wanted,
    isDefault,
    singleSource: true,
    made: true,
    ...(swarm === undefined ? {} : { swarm })
  })
  parts.swarms.of(registry)?.follow(registry)
  return entry
}

/** Who founds a registry, as its genesis says it. @throws RegistryError USAGE | INADMISSIBLE_KEY */
function ownersOf(
  own: Principal,
  { admission, roots, threshold }: { admission: string; roots: readonly string[]; threshold: number }
): Pick<Genesis, 'admission' | 'roots' | 'threshold'> {
  if (admission !== 'open' && admission !== 'curated')
    throw new RegistryError('USAGE', `--admission is open or curated, not ${JSON.stringify(admission.slice(0, 40))}`)
  const keys = [...new Set([own, ...roots.map(keyFrom)])].toSorted(compareText)
  for (const key of keys) admitKey(publicKeyOf(key))
  if (keys.length > LIMITS.fact.keysPerList)
    throw new RegistryError('LIMIT_EXCEEDED', `a registry has at most ${LIMITS.fact.keysPerList} roots`)
  if (threshold >= 1 && threshold <= keys.length) return { admission, roots: keys, threshold }
  throw new RegistryError('USAGE', `of ${keys.length} roots, 1 to ${keys.length} can have to sign, not ${threshold}`)
}

/** Follows a registry no longer, and with `purge` forgets what it said. */
export async function removeRegistry(
  parts: NodeParts,
  { registry, newDefault, purge }: ApiMethods['registryRemove']['params']
): Promise<ApiMethods['registryRemove']['result']> {
  const found = parts.registries.find(registry)
  if (found.swarm !== PUBLIC_SWARM) {
    const left = await leaveSwarm(parts, { registry, purge, ...(newDefault === undefined ? {} : { newDefault }) })
    return { ...left, id: left.registry }
  }
  const swarm = parts.swarms.of(found.id)
  const { id, alias } = await parts.registries.remove(registry, newDefault)
  // In the reverse order of following it: the network first, so that nothing comes for a gate that is gone.
  swarm?.unfollow(id)
  parts.gate.close(id)
  if (purge) await parts.facts.forget(id)
  // Without its file: a file without a record is a record that the disk lost.
  else await parts.facts.release(id)
  const next = parts.registries.all.find(({ isDefault }) => isDefault)
  return { id, alias, purged: purge, newDefault: next?.alias ?? null }
}

/** Follows a registry by its id, and asks a peer for its facts when one is named. */
export async function addRegistry(
  parts: NodeParts,
  { id, peer, ...wanted }: ApiMethods['registryAdd']['params'],
  signal: AbortSignal
): Promise<ApiMethods['registryAdd']['result']> {
  const entry = await parts.registries.add(id, { alias: undefined, ...wanted })
  await parts.follow(entry.id)
  if (peer === undefined || parts.swarm === undefined) return { ...entry, facts: parts.facts.head(entry.id).count }
  await parts.records.putDialled(peer)
  await parts.swarm.connect(peer, { signal })
  parts.swarm.reconcile(entry.id)
  // The first reading of a large registry takes its time; whoever has no patience goes on with what came.
  await untilCaughtUp(parts, [entry.id], { patienceMs: LIMITS.sync.patienceMs, signal })
  return { ...entry, facts: parts.facts.head(entry.id).count }
}
