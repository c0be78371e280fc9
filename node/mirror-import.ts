import { CID } from 'multiformats/cid'
import { toLink } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { allowedBytes } from '../protocol/dag/plan.ts'
import { isRegistryError, messageOf, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { MirrorRecord } from '../protocol/mirror-file.ts'
import { checkContentCid, DAG_PB, parseUnixfsNode } from '../protocol/unixfs-node.ts'
import { childrenOf, listBlocks } from '../storage/content/walk-dag.ts'
import { readMirrorFile } from '../storage/mirror-file.ts'
import { isBlock } from '../storage/verified-blocks.ts'
import { PUBLIC_SWARM } from './config-schema.ts'
import { assertBase } from './mirror-base.ts'
import type { NodeParts } from './parts.ts'
import { namingsIn, rootsIn } from './shown-roots.ts'
import type { Naming } from './shown-roots.ts'
import { codeOfRefusal } from './refusals.ts'
import { MIRROR_FILE } from './services/admit.ts'
import type { ApiMethods, CallContext } from './services/api.ts'
import type { SkippedRoot } from './services/store/mirror-methods.ts'
import type { Space } from './spaces.ts'

type Params = ApiMethods['mirrorImport']['params']
type Result = ApiMethods['mirrorImport']['result']

/**
 * Takes a registry in from a file, as if a stranger had sent it: facts pass the one gate, and a block is kept when it is one
 * that a content of the registry needs next, and hashes to what that content names.
 *
 *   1. read all of it: shape, order, digest. A damaged file is refused here, before anything is kept
 *   2. the registry is one that is followed here, or whose id a person has confirmed; and what the file is based on is here
 *   3. its facts; a registry that is new here is followed only when all that the file holds of it came through
 *   4. its bytes, content by content
 *
 * What ends it in 3 or 4 leaves what was verified before: statements of a registry that was followed already, and whole
 * contents. Blocks of the content that it ended in belong to none, and go with the next collection.
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED | STORE_FORMAT | WRONG_REGISTRY | NOT_AUTHORIZED | PENDING |
 * CORRUPT_BLOCK | QUOTA_EXCEEDED | DISK_FULL | READ_ONLY, and as the gate rejects facts
 */
export async function importMirror(parts: NodeParts, params: Params, context: CallContext): Promise<Result> {
  parts.disk.assertWritable()
  const registry = await checkFile(params.file, context)
  const isNew = confirm(parts, registry, params)
  await assertBase(parts, registry, { file: params.file, signal: context.signal })
  const facts = isNew
    ? await takeNew(parts, registry, params, context)
    : await takeFacts(parts, registry, params.file, context)
  const contents = await takeContents(parts, registry, params.file, context)
  const { alias } = parts.registries.find(registry)
  return { registry, alias, isNew, ...facts, ...contents }
}

/** The registry that a sound file is of. */
async function checkFile(file: string, { signal, onProgress }: CallContext): Promise<RegistryId> {
  let registry: RegistryId | undefined
  let records = 0
  for await (const record of readMirrorFile(file)) {
    signal.throwIfAborted()
    if (record.type === 'head') registry = record.registry
    records += 1
    if (records % LIMITS.backup.factsPerRecord === 0) onProgress({ text: `checked ${records} records`, done: records })
  }
  if (registry === undefined) throw new RegistryError('MALFORMED', 'the mirror file has no head')
  return registry
}

/** Whether the registry is new here. Nobody follows what a file calls a registry without having its id from somewhere else. */
function confirm({ registries }: NodeParts, registry: RegistryId, { id, file }: Params): boolean {
  const known = registries.all.find(entry => entry.id === registry)
  const given = registries.all.find(({ alias }) => alias === id)?.id ?? id
  if (given !== undefined && given !== registry) {
    throw new RegistryError('WRONG_REGISTRY', `the file holds registry ${registry}, and not ${given}`, {
      next: 'ask whoever gave you the file for the one that you want'
    })
  }
  if (known !== undefined) return false
  if (given !== undefined) return true
  throw new RegistryError('USAGE', 'the file holds a registry that is not followed here', {
    tried: [`the file says that it is ${registry}`],
    next: `if that is the id that its owner told you: ggen-node mirror import ${file} --id ${registry}`
  })
}

type TakenFacts = Pick<Result, 'facts' | 'waiting'>

/** The name is written last: a crash before that leaves facts that nobody refers to, and nothing of it is told to anybody. */
async function takeNew(
  parts: NodeParts,
  registry: RegistryId,
  { file, alias }: Params,
  context: CallContext
): Promise<TakenFacts> {
  await parts.follow(registry)
  try {
    const taken = await takeFacts(parts, registry, file, context)
    await parts.registries.add(registry, { alias, isDefault: false })
    parts.swarms.of(registry)?.follow(registry)
    return taken
  } catch (error) {
    // Unless somebody has followed it meanwhile.
    if (!parts.registries.ids.includes(registry)) {
      parts.gate.close(registry)
      await parts.facts.forget(registry)
    }
    throw error
  }
}

async function takeFacts(
  parts: NodeParts,
  registry: RegistryId,
  file: string,
  { signal, onProgress }: CallContext
): Promise<TakenFacts> {
  let facts = 0
  let waiting = 0
  for (let pass = 0; pass < LIMITS.backup.passes; pass++) {
    let taken = 0
    waiting = 0
    for await (const record of readMirrorFile(file)) {
      signal.throwIfAborted()
      if (record.type === 'head' || record.type === 'base') continue
      if (record.type !== 'facts') break
      const admitted = await admit(parts, registry, record.envelopes)
      taken += admitted.facts
      waiting += admitted.waiting
      onProgress({ text: `${facts + taken} facts`, done: facts + taken })
    }
    facts += taken
    if (waiting === 0 || taken === 0) break
  }
  assertSpace(parts, registry)
  return { facts, waiting }
}

async function admit({ gate }: NodeParts, registry: RegistryId, envelopes: readonly Uint8Array[]): Promise<TakenFacts> {
  let facts = 0
  let waiting = 0
  for (const admission of await gate.admitMany(envelopes, { peer: MIRROR_FILE, registry })) {
    if (admission.verdict === 'reject') {
      const code = codeOfRefusal(admission.reason)
      throw new RegistryError(code, `the mirror file holds a statement that is refused: ${admission.reason}`, {
        next: 'no node writes such a file: ask for another one'
      })
    }
    if (admission.verdict === 'accept') facts += 1
    else if (admission.verdict === 'pending' || admission.reason !== 'seen') waiting += 1
  }
  return { facts, waiting }
}

/**
 * Attack: a file of a private registry, taken in where its id is all that is known of it: its bytes would end up where
 * everybody is served from. What a registry is, its genesis says, and that is part of its id.
 */
function assertSpace({ gate, spaces, registries }: NodeParts, registry: RegistryId): void {
  const genesis = gate.state(registry)?.authority?.genesis
  if (genesis === undefined) {
    throw new RegistryError('MALFORMED', 'the mirror file does not hold the statement that founds its registry')
  }
  const isFollowed = registries.ids.includes(registry)
  if (genesis.visibility !== 'private' || (isFollowed && spaces.of(registry).name !== PUBLIC_SWARM)) return
  throw new RegistryError('NOT_AUTHORIZED', 'the file holds a private registry, and this node is not in its swarm', {
    next: 'join it first: ggen-node join TOKEN; then import the file'
  })
}

type TakenContents = Pick<Result, 'roots' | 'known' | 'left' | 'skipped'>

async function takeContents(
  parts: NodeParts,
  registry: RegistryId,
  file: string,
  { signal, onProgress }: CallContext
): Promise<TakenContents> {
  const taker = new ContentTaker(parts, registry, await wantedOf(parts, registry))
  try {
    for await (const record of readMirrorFile(file)) {
      signal.throwIfAborted()
      await taker.take(record, signal)
      const { roots } = taker.counts
      if (record.type === 'root') onProgress({ text: `${roots} content roots`, done: roots })
    }
    return taker.counts
  } catch (error) {
    parts.disk.note(error)
    taker.close()
    await parts.keeper.tidyAfter(error, parts.spaces.of(registry), signal)
    throw error
  } finally {
    taker.close()
  }
}

/** What the registry says of its contents, here and now. */
async function wantedOf({ view }: NodeParts, registry: RegistryId): Promise<Wanted> {
  const sizes = new Map<ContentId, number>()
  const shown = new Set<ContentId>()
  const namings = new Map<ContentId, Naming>()
  for await (const found of view.packages(registry)) {
    for (const { root, size } of found.versions.flatMap(({ contents }) => contents)) sizes.set(root, size)
    for (const root of rootsIn(found).named) shown.add(root)
    for (const [root, naming] of namingsIn(found)) if (!namings.has(root)) namings.set(root, naming)
  }
  return { sizes, shown, namings }
}

interface Wanted {
  readonly sizes: ReadonlyMap<ContentId, number>
  /** Those that are not in quarantine. */
  readonly shown: ReadonlySet<ContentId>
  readonly namings: ReadonlyMap<ContentId, Naming>
}

/** One content of a file, as far as it has come. */
interface Coming {
  readonly root: ContentId
  readonly size: number
  /** Named by what came, and not here yet. */
  readonly expected: Set<string>
  readonly named: Set<string>
  bytes: number
  readonly end: () => void
}

/** Takes roots and blocks in their order. At any time it knows the names of the blocks of one content. */
class ContentTaker {
  readonly #parts: NodeParts
  readonly #registry: RegistryId
  readonly #space: Space
  readonly #wanted: Wanted
  #coming: Coming | undefined
  /** What comes is of a content that is not taken. */
  #isPassing = false
  #roots = 0
  #known = 0
  #left = 0
  readonly #skipped: SkippedRoot[] = []

  constructor(parts: NodeParts, registry: RegistryId, wanted: Wanted) {
    this.#parts = parts
    this.#registry = registry
    this.#space = parts.spaces.of(registry)
    this.#wanted = wanted
  }

  get counts(): TakenContents {
    return { roots: this.#roots, known: this.#known, left: this.#left, skipped: this.#skipped }
  }

  async take(record: MirrorRecord, signal: AbortSignal): Promise<void> {
    switch (record.type) {
      case 'head':
      case 'base':
      case 'facts':
        return
      case 'root':
        await this.#finish(signal)
        return this.#begin(record.root, signal)
      case 'block':
        return this.#block(record)
      case 'end':
        return this.#finish(signal)
    }
  }

  close(): void {
    this.#coming?.end()
    this.#coming = undefined
  }

  async #begin(root: ContentId, signal: AbortSignal): Promise<void> {
    const { keeper, spaces } = this.#parts
    const size = this.#wanted.sizes.get(root)
    this.#isPassing = true
    if (size === undefined) return this.#leave(root, 'the registry names no such content')
    if (spaces.takedowns.isTakenDown(root)) return this.#leave(root, 'it is withheld here')
    // No peer would have given it to us either.
    if (!this.#wanted.shown.has(root)) return this.#leave(root, 'it is in quarantine')
    if (await this.#space.isKept(root)) {
      this.#known += 1
      return
    }
    const { end } = await keeper.coming({ registry: this.#registry, root, size }, signal)
    this.#isPassing = false
    this.#coming = { root, size, expected: new Set([root]), named: new Set([root]), bytes: 0, end }
  }

  async #block({ cid: name, bytes }: Extract<MirrorRecord, { type: 'block' }>): Promise<void> {
    if (this.#isPassing) return
    const coming = this.#coming
    const cid = cidOf(name)
    if (coming?.expected.delete(cid.toString()) !== true) {
      throw new RegistryError('MALFORMED', 'the mirror file holds a block that nothing before it names')
    }
    checkContentCid(cid)
    if (!isBlock(cid, bytes)) {
      throw new RegistryError('CORRUPT_BLOCK', `the mirror file holds other bytes than those of ${cid.toString()}`, {
        next: 'no node writes such a file: ask for another one'
      })
    }
    coming.bytes += bytes.length
    if (coming.bytes > allowedBytes(coming.size))
      throw new RegistryError('LIMIT_EXCEEDED', `content ${coming.root} is larger than the release declares`)
    const children = cid.code === DAG_PB ? childrenOf(parseUnixfsNode(bytes, LIMITS.content)) : []
    for (const child of children) {
      const key = child.toString()
      if (coming.named.has(key)) continue
      if (coming.named.size >= LIMITS.content.blocks)
        throw new RegistryError('LIMIT_EXCEEDED', `a package has at most ${LIMITS.content.blocks} blocks`)
      coming.named.add(key)
      coming.expected.add(key)
    }
    await this.#space.allBlocks.put(cid, bytes)
  }

  /** Held from now on if all of it is here: what came, and what was here or came with a content before. */
  async #finish(signal: AbortSignal): Promise<void> {
    const coming = this.#coming
    if (coming === undefined) return
    const { root } = coming
    const { allBlocks, markKept } = this.#space
    const { takedowns } = this.#parts.spaces
    try {
      const cids = await this.#wholeOf(root, signal)
      if (typeof cids === 'string') return this.#leave(root, cids)
      await allBlocks.flush(cids)
      await takedowns.allow(root, signal)
      await markKept(root)
      this.#roots += 1
      this.#parts.swarms.of(this.#registry)?.provide(toLink(root))
    } finally {
      this.close()
    }
  }

  /** Its blocks, or what is missing. */
  async #wholeOf(root: ContentId, signal: AbortSignal): Promise<readonly CID[] | string> {
    const { allBlocks } = this.#space
    const cids: CID[] = []
    try {
      for await (const cid of listBlocks(root, allBlocks, { signal })) {
        if (!(await allBlocks.has(cid))) return `block ${cid.toString()} is not in the file, and not here`
        cids.push(cid)
      }
      return cids
    } catch (error) {
      signal.throwIfAborted()
      if (isRegistryError(error) || (error instanceof Error && error.name === 'NotFoundError')) return messageOf(error)
      throw error
    }
  }

  #leave(root: ContentId, reason: string): void {
    this.#left += 1
    if (this.#skipped.length >= LIMITS.mirror.named) return
    const { id: registry, alias } = this.#parts.registries.find(this.#registry)
    const { name = null, version = null } = this.#wanted.namings.get(root) ?? {}
    this.#skipped.push({ root, registry, alias, name, version, reason })
  }
}

function cidOf(bytes: Uint8Array): CID {
  try {
    return CID.decode(bytes)
  } catch (cause) {
    throw new RegistryError('MALFORMED', 'a block of the mirror file has no content identifier', { cause })
  }
}
