import type { ContentId } from '../protocol/cid.ts'
import { parseRegistryId } from '../protocol/cid.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { exportMirror } from './mirror-export.ts'
import { importMirror } from './mirror-import.ts'
import { registryMirrors } from './mirrors.ts'
import type { Failure, RegistryMirror, Survey } from './mirrors.ts'
import type { NodeParts } from './parts.ts'
import { pinTarget, pinText } from './pin-target.ts'
import { addRegistry } from './registry-setup.ts'
import type { Api, ApiMethods } from './services/api.ts'
import type { MirroredContent } from './services/store/mirror-choice.ts'
import type { Amount, MirrorMethods, MirrorStatus, NamedRoot, ShownMirror } from './services/store/mirror-methods.ts'
import type { MirrorPolicy, Pin } from './services/store/pins.ts'

/** The calls about mirrors. */
export function mirrorApi(parts: NodeParts): Pick<Api, keyof MirrorMethods> {
  return {
    mirrorAdd: (params, { signal }) => addMirror(parts, params, signal),
    mirrorRemove: ({ what }) => removeMirror(parts, what),
    mirrorList: async () => registryMirrors(parts.pins).map(mirror => shown(parts, mirror)),
    mirrorStatus: ({ what }) => statusOf(parts, what),
    mirrorExport: (params, context) => exportMirror(parts, params, context),
    mirrorImport: (params, context) => importMirror(parts, params, context)
  }
}

async function addMirror(
  parts: NodeParts,
  params: ApiMethods['mirrorAdd']['params'],
  signal: AbortSignal
): Promise<ApiMethods['mirrorAdd']['result']> {
  const { what, range } = params
  const policy = policyOf(params)
  parts.disk.assertWritable()
  await followed(parts, params, signal)
  const pin = await targetOf(parts, range === undefined ? what : ranged(what, range))
  const change = await parts.pins.mirror(pin, policy)
  const mirror = found(parts, pin)
  parts.keeper.changed()
  const { kept, held, leftOut } = await parts.mirrors.survey(mirror)
  // A collection that runs has read the pins before this one was written.
  for (const { root } of kept) parts.spaces.of(mirror.registry).inUse.wanted(root)
  parts.mirrors.noted(mirror.registry)
  parts.observing.noted(mirror.registry, 'registry')
  const here = kept.filter(({ root }) => held.has(root)).length
  return { ...shown(parts, mirror), change, roots: kept.length, held: here, leftOut: leftOut.length }
}

/** A registry id that is not followed yet is, as `registry add` follows it. */
async function followed(
  parts: NodeParts,
  { what, peer, alias }: Pick<ApiMethods['mirrorAdd']['params'], 'what' | 'peer' | 'alias'>,
  signal: AbortSignal
): Promise<void> {
  const id = registryId(what)
  if (id === undefined) {
    if (peer === undefined && alias === undefined) return
    throw new RegistryError('USAGE', '--peer and --alias are for a registry that is named by its id')
  }
  if (parts.registries.all.some(entry => entry.id === id) && peer === undefined) return
  const wanted = { ...(peer === undefined ? {} : { peer }), ...(alias === undefined ? {} : { alias }) }
  await addRegistry(parts, { id, isDefault: false, ...wanted }, signal)
}

/** @throws RegistryError USAGE */
function ranged(what: string, range: string): string {
  if (!what.endsWith(':') && registryId(what) === undefined) return `${what}@${range}`
  throw new RegistryError('USAGE', `--range is for a package, and ${what} is a registry`, {
    next: `ggen-node mirror add NAME --range ${JSON.stringify(range.slice(0, 80))}`
  })
}

/** @throws RegistryError USAGE for one content, and as `pinTarget` */
async function targetOf(parts: NodeParts, what: string): Promise<Exclude<Pin, { type: 'root' }>> {
  const pin = await pinTarget(parts, what)
  if (pin.type !== 'root') return pin
  throw new RegistryError('USAGE', 'a mirror is of a registry or of a package, and this is one content', {
    next: `ggen-node store pin ${what} keeps it`
  })
}

/** @throws RegistryError USAGE */
function policyOf({ quotaBytes = 0, factor = 0 }: { quotaBytes?: number; factor?: number }): MirrorPolicy {
  if (factor > LIMITS.mirror.factor)
    throw new RegistryError('USAGE', `--factor is at most ${LIMITS.mirror.factor}, this is ${factor}`)
  if (quotaBytes > LIMITS.store.quotaMaxBytes)
    throw new RegistryError('USAGE', `a quota has at most ${LIMITS.store.quotaMaxBytes} bytes`)
  return { factor: factor === 0 ? null : factor, quotaBytes: quotaBytes === 0 ? null : quotaBytes }
}

async function removeMirror(parts: NodeParts, what: string): Promise<ApiMethods['mirrorRemove']['result']> {
  parts.disk.assertWritable()
  const mirror = await mirrorOf(parts, what)
  const { kept } = await parts.mirrors.survey(mirror)
  await parts.pins.remove(mirror, mirror.policy)
  parts.keeper.changed()
  return { what: pinText(parts, mirror), roots: kept.length }
}

/** As `mirror list` writes it, or in any other words for the same. @throws RegistryError UNKNOWN_ENTRY */
async function mirrorOf(parts: NodeParts, what: string): Promise<RegistryMirror> {
  const written = registryMirrors(parts.pins).find(mirror => pinText(parts, mirror) === what)
  return written ?? found(parts, await targetOf(parts, what))
}

function found(parts: NodeParts, pin: Pin): RegistryMirror {
  const text = pinText(parts, pin)
  const mirror = registryMirrors(parts.pins).find(each => pinText(parts, each) === text)
  if (mirror !== undefined) return mirror
  throw new RegistryError('UNKNOWN_ENTRY', `${text} is not mirrored here`, {
    next: 'ggen-node mirror list shows what is'
  })
}

function shown(parts: NodeParts, mirror: RegistryMirror): ShownMirror {
  const { registry, policy } = mirror
  const alias = parts.registries.all.find(({ id }) => id === registry)?.alias ?? null
  return { what: pinText(parts, mirror), registry, alias, swarm: parts.spaces.of(registry).name, ...policy }
}

async function statusOf(parts: NodeParts, what: string | undefined): Promise<readonly MirrorStatus[]> {
  const mirrors = what === undefined ? registryMirrors(parts.pins) : [await mirrorOf(parts, what)]
  parts.mirrors.replication.notice()
  const all: MirrorStatus[] = []
  for (const mirror of mirrors) all.push(await mirrorStatus(parts, mirror))
  return all
}

async function mirrorStatus(parts: NodeParts, mirror: RegistryMirror): Promise<MirrorStatus> {
  const survey = await parts.mirrors.survey(mirror)
  const { kept, leftOut, held } = survey
  const missing = kept.filter(({ root }) => !held.has(root))
  const since = missing.flatMap(({ root }) => parts.mirrors.missingSince(mirror.registry, root) ?? [])
  const failures = failedOf(parts, missing)
  const mirrored = shown(parts, mirror)
  const { registry, alias } = mirrored
  return {
    ...mirrored,
    wanted: amountOf(kept),
    held: amountOf(kept.filter(({ root }) => held.has(root))),
    missing: amountOf(missing),
    leftOut: amountOf(leftOut),
    leftOutRoots: leftOut.slice(0, LIMITS.mirror.named).map(namedRoot),
    providers: providersOf(parts, mirror, survey),
    lagMs: since.length === 0 ? null : Math.max(0, parts.clock.now() - smallest(since)),
    caughtUp: parts.caughtUp.has(mirror.registry),
    failed: amountOf(failures.map(({ content }) => content)),
    failedRoots: failures
      .slice(0, LIMITS.mirror.named)
      .map(({ content, failure }) => ({ ...failure, ...namedRoot(content), registry, alias }))
  }
}

function providersOf(
  { mirrors, swarms, config }: NodeParts,
  { registry, policy: { factor } }: RegistryMirror,
  { kept, held }: Survey
): MirrorStatus['providers'] {
  if (swarms.of(registry) === undefined) return null
  const own = (root: ContentId): number => (held.has(root) && !config.leech ? 1 : 0)
  const counted = kept.map(content => ({
    content,
    providers: own(content.root) + mirrors.replication.others(registry, content.root).length
  }))
  const sorted = counted.map(({ providers }) => providers).toSorted((a, b) => a - b)
  const below = factor === null ? [] : counted.filter(({ providers }) => providers < factor)
  const lookups = kept.flatMap(({ root }) => mirrors.replication.lookedUp(registry, root) ?? [])
  return {
    min: sorted[0] ?? 0,
    median: sorted[sorted.length >> 1] ?? 0,
    belowFactor: below.length,
    belowFactorRoots: below
      .slice(0, LIMITS.mirror.named)
      .map(({ content, providers }) => ({ ...namedRoot(content), providers })),
    lookedUp: lookups.length,
    oldestLookup: lookups.length === 0 ? null : smallest(lookups)
  }
}

function amountOf(contents: readonly MirroredContent[]): Amount {
  return { roots: contents.length, bytes: contents.reduce((sum, { size }) => sum + size, 0) }
}

function namedRoot({ root, name, version, size }: MirroredContent): NamedRoot {
  return { root, name, version, bytes: size }
}

/** What of it did not come the last time, the latest first. */
function failedOf(
  { mirrors }: Pick<NodeParts, 'mirrors'>,
  missing: readonly MirroredContent[]
): readonly { readonly content: MirroredContent; readonly failure: Failure }[] {
  return missing
    .flatMap(content => {
      const failure = mirrors.failure(content.root)
      return failure === undefined ? [] : [{ content, failure }]
    })
    .toSorted((a, b) => b.failure.time - a.failure.time)
}

function smallest(numbers: readonly number[]): number {
  return numbers.reduce((least, each) => Math.min(least, each), Number.POSITIVE_INFINITY)
}

function registryId(text: string): string | undefined {
  try {
    return parseRegistryId(text)
  } catch (error) {
    if (isRegistryError(error)) return undefined
    throw error
  }
}
