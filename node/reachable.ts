import { setImmediate } from 'node:timers/promises'
import type { CID } from 'multiformats/cid'
import { toLink } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { DigestSet } from '../protocol/digest-set.ts'
import { RegistryError } from '../protocol/errors.ts'
import type { Subject } from '../protocol/fact.ts'
import type { PackageView } from '../protocol/fold.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { PackageName } from '../protocol/package-name.ts'
import { isPackage } from '../protocol/subject.ts'
import { listBlocks } from '../storage/content/walk-dag.ts'
import type { Clock } from './runtime/clock.ts'
import type { RegistryView } from './services/registry-view.ts'
import type { Space } from './spaces.ts'

export interface ReachableInit {
  readonly space: () => Pick<Space, 'allBlocks' | 'kept' | 'keptChanges'>
  /** The registries whose releases count. */
  readonly registries: () => readonly RegistryId[]
  readonly view: Pick<RegistryView, 'find' | 'packages'>
  readonly clock: Pick<Clock, 'now' | 'after'>
  /** Aborted when the node begins to close its stores. */
  readonly stopping: AbortSignal
}

/**
 * Which blocks of one store some registry's releases reach. Being on the disk is not enough: what was imported for a release
 * that was refused, what a registry held that is no longer followed, and what a revocation took out lie there too.
 *
 * All of it is made when it is first asked for, bounded by what is on the disk and asked about: a node that nobody asks
 * reads nothing.
 *
 * Invariants:
 * 1. A root counts if a release of one of the registries names it: as of now, or of `rescanMs` ago after a revocation.
 * 2. Another block counts if it is below such a root that is held as a whole.
 */
export class Reachable {
  readonly #init: ReachableInit
  /** Roots that releases name, held or not. */
  #named = newSet()
  #registries: readonly RegistryId[] = []
  #scannedAt = Number.NEGATIVE_INFINITY
  #isStale = true
  readonly #noted = new Map<string, readonly [RegistryId, PackageName]>()
  /** What is below the roots in `walked`. */
  #blocks = newSet()
  #walked = new Set<ContentId>()
  #walkedChanges = -1
  #working: Promise<void> = Promise.resolve()

  constructor(init: ReachableInit) {
    this.#init = init
  }

  /** A fact about it was accepted. */
  noted(registry: RegistryId, subject: Subject): void {
    if (this.#isStale || !this.#registries.includes(registry)) return
    if (subject === 'registry' || this.#noted.size >= LIMITS.gateway.notedPackages) {
      this.#isStale = true
      this.#noted.clear()
    } else if (isPackage(subject)) this.#noted.set(`${registry} ${subject}`, [registry, subject])
  }

  /** Whether a release names this root. @throws RegistryError TIMEOUT when that takes too long to find out */
  async isNamed({ multihash }: CID, signal: AbortSignal): Promise<boolean> {
    await this.#settled(() => this.#read(), signal)
    return this.#named.has(multihash.digest)
  }

  /** Whether a block that is on the disk may be shown. @throws RegistryError TIMEOUT */
  async has(cid: CID, signal: AbortSignal): Promise<boolean> {
    if (await this.isNamed(cid, signal)) return true
    const { digest } = cid.multihash
    if (this.#blocks.has(digest)) return true
    await this.#settled(() => this.#walk(digest), signal)
    return this.#blocks.has(digest)
  }

  /** One task after the other, whoever waits for it: requests that are given up leave behind what was found so far. */
  async #settled(task: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const run = this.#working.then(task)
    this.#working = run.catch(() => undefined)
    const { promise, reject } = Promise.withResolvers<never>()
    const done = new AbortController()
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true, signal: done.signal })
    const late = new RegistryError('TIMEOUT', 'what may be shown is still being read')
    this.#init.clock.after(LIMITS.gateway.lookMs, () => reject(late), done.signal)
    try {
      await Promise.race([run, promise])
    } finally {
      done.abort()
    }
  }

  async #read(): Promise<void> {
    const { registries, view, clock, stopping } = this.#init
    stopping.throwIfAborted()
    const now = registries()
    const isSame = now.length === this.#registries.length && now.every(id => this.#registries.includes(id))
    const isDue = clock.now() - this.#scannedAt >= LIMITS.gateway.rescanMs || clock.now() < this.#scannedAt
    if (!isSame || (this.#isStale && isDue)) return this.#readAll(now)
    for (const [key, [registry, name]] of this.#noted) {
      this.#noted.delete(key)
      const found = await view.find(registry, name)
      for (const root of found === undefined ? [] : rootsIn(found)) this.#name(toLink(root))
    }
  }

  #name({ multihash }: CID): void {
    if (this.#named.has(multihash.digest)) return
    this.#named.add(multihash.digest)
    // It may have been held before anybody named it, as what is published here is.
    this.#walkedChanges = -1
  }

  async #readAll(registries: readonly RegistryId[]): Promise<void> {
    const { view, clock, stopping } = this.#init
    // What comes while they are read is noted, and read after them.
    this.#registries = registries
    this.#isStale = false
    this.#noted.clear()
    const named = newSet()
    let seen = 0
    try {
      for (const registry of registries) {
        for await (const found of view.packages(registry)) {
          for (const root of rootsIn(found)) named.add(toLink(root).multihash.digest)
          if (++seen % LIMITS.storage.readAtOnce === 0) await setImmediate()
          stopping.throwIfAborted()
        }
      }
    } catch (error) {
      // Nothing that was read before may stay: what went wrong may have been about what is to be shown no more.
      this.#named = newSet()
      this.#registries = []
      this.#isStale = true
      throw error
    }
    this.#named = named
    this.#scannedAt = clock.now()
    const isGone = [...this.#walked].some(root => !named.has(toLink(root).multihash.digest))
    if (isGone) {
      this.#blocks = newSet()
      this.#walked = new Set()
    }
    this.#walkedChanges = -1
  }

  /** Walks what has not been walked yet, until the block is met. */
  async #walk(digest: Uint8Array): Promise<void> {
    const { stopping } = this.#init
    const space = this.#init.space()
    const { keptChanges } = space
    if (this.#walkedChanges === keptChanges || this.#blocks.has(digest)) return
    for await (const root of space.kept()) {
      if (this.#walked.has(root) || !this.#named.has(toLink(root).multihash.digest)) continue
      await this.#walkRoot(root)
      stopping.throwIfAborted()
      if (this.#blocks.has(digest)) return
    }
    this.#walkedChanges = keptChanges
  }

  async #walkRoot(root: ContentId): Promise<void> {
    const { space, stopping } = this.#init
    let seen = 0
    try {
      for await (const { multihash } of listBlocks(root, space().allBlocks, { signal: stopping })) {
        // Full: what is beyond can still be asked for in the archive of its root.
        if (!this.#blocks.add(multihash.digest)) break
        if (++seen % LIMITS.storage.readAtOnce === 0) await setImmediate()
      }
      this.#walked.add(root)
    } catch {
      // Damaged or not whole after all: it is walked again when something is held anew.
      stopping.throwIfAborted()
    }
  }
}

function rootsIn({ versions }: PackageView): readonly ContentId[] {
  return versions.flatMap(({ contents }) => contents.map(({ root }) => root))
}

function newSet(): DigestSet {
  return new DigestSet(LIMITS.gateway.reachableBlocks)
}
