import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import { ecosystemOf, shortNameOf } from '../protocol/package-name.ts'
import { NO_TIMES } from '../protocol/trace-record.ts'
import type { TraceRecord } from '../protocol/trace-record.ts'
import { orderingOf } from '../protocol/version.ts'
import { listBlocks } from '../storage/content/walk-dag.ts'
import { locate } from './block-repair.ts'
import { meantReference } from './meant.ts'
import type { NodeParts } from './parts.ts'
import type { ApiMethods } from './services/api.ts'
import { pinnedRange } from './services/store/pins.ts'
import type { Space } from './spaces.ts'
import { contentIdIn } from './takedown.ts'

type Traced = ApiMethods['trace']['result']

/** A content, and what it is called. */
interface Named extends Pick<Traced, 'alias' | 'name' | 'registry' | 'version'> {
  readonly root: ContentId
}

/**
 * How a content came here. Of a private registry it is told from the records of its own swarm, and of nothing else.
 * @throws RegistryError UNKNOWN_PACKAGE | UNKNOWN_VERSION | UNKNOWN_REGISTRY | INVALID_REFERENCE
 */
export async function trace(
  parts: NodeParts,
  { reference }: ApiMethods['trace']['params'],
  signal: AbortSignal
): Promise<Traced> {
  const root = contentIdIn(reference)
  return root === undefined ? traceNamed(parts, reference, signal) : traceRoot(parts, root, signal)
}

async function traceRoot(parts: NodeParts, root: ContentId, signal: AbortSignal): Promise<Traced> {
  const nameless = { root, registry: null, alias: null, name: null, version: null }
  for (const space of parts.spaces.all) {
    const found = await tracedIn(space, nameless, signal)
    if (found !== undefined) return { ...found, ...(await nameOf(parts, space, root)) }
  }
  throw notHere(root, `ggen-node store pin ${root}`)
}

/** The highest version that was brought here; of one version that has two contents, the one that was. */
async function traceNamed(parts: NodeParts, text: string, signal: AbortSignal): Promise<Traced> {
  const { reference, registry } = await meantReference(parts, text)
  const { name, versions } = await parts.view.package(registry.id, reference.name)
  const { range } = reference
  const exact = versions.filter(({ version }) => version === range)
  const fits =
    range === undefined || exact.length > 0 ? undefined : orderingOf(ecosystemOf(name)).parseRange(pinnedRange(range))
  const meant = exact.length > 0 ? exact : versions.filter(({ version }) => fits === undefined || fits(version))
  const space = parts.spaces.of(registry.id)
  for (const { version, contents } of meant) {
    for (const { root } of contents) {
      const named = { root, registry: registry.id, alias: registry.alias, name: shortNameOf(name), version }
      const found = await tracedIn(space, named, signal)
      if (found !== undefined) return found
    }
  }
  if (meant.length > 0) throw notHere(text, `ggen-node install ${text}`)
  throw new RegistryError('UNKNOWN_VERSION', `${registry.alias} holds no version of ${text}`)
}

async function tracedIn(space: Space, named: Named, signal: AbortSignal): Promise<Traced | undefined> {
  const record = await space.traceOf(named.root)
  if (record !== undefined) return tracedOf(space, named, record)
  if (!(await space.isKept(named.root))) return undefined
  return { ...tracedOf(space, named, await ownRecord(space, named.root, signal)), ended: null }
}

function tracedOf({ name: swarm }: Space, named: Named, { time, failed, sources, times, tried }: TraceRecord): Traced {
  return { ...named, swarm, ended: time, failed, sources, times, tried }
}

/** What is here and was not brought by any fetch that is remembered: published here, restored, or fetched long ago. */
async function ownRecord({ stored }: Space, root: ContentId, signal: AbortSignal): Promise<TraceRecord> {
  let [blocks, bytes] = [0, 0]
  for await (const cid of listBlocks(root, stored, { signal })) {
    blocks += 1
    bytes += stored.sizeOf(cid) ?? 0
  }
  return { time: 0, failed: null, sources: [{ way: 'disk', from: null, blocks, bytes }], times: NO_TIMES, tried: [] }
}

async function nameOf(
  parts: NodeParts,
  space: Space,
  root: ContentId
): Promise<Pick<Traced, 'alias' | 'name' | 'registry' | 'version'>> {
  const registry: RegistryId | undefined = (await locate(parts, space, new Set([root]))).get(root)?.registry
  if (registry === undefined) return { registry: null, alias: null, name: null, version: null }
  const alias = parts.registries.all.find(({ id }) => id === registry)?.alias ?? null
  for await (const { name, versions } of parts.view.packages(registry)) {
    const version = versions.find(({ contents }) => contents.some(content => content.root === root))?.version
    if (version !== undefined) return { registry, alias, name: shortNameOf(name), version }
  }
  return { registry, alias, name: null, version: null }
}

function notHere(what: string, next: string): RegistryError {
  return new RegistryError('UNKNOWN_VERSION', `nothing of ${what} was ever fetched here`, {
    tried: ['the records of what this node has fetched', 'the bytes that are kept here'],
    next: `${next} fetches it`
  })
}
