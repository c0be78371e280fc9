import { setImmediate } from 'node:timers/promises'
import type { CID } from 'multiformats/cid'
import { toHex } from '../protocol/bytes.ts'
import { toLink } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { DigestSet } from '../protocol/digest-set.ts'
import { RegistryError, isRegistryError } from '../protocol/errors.ts'
import type { Subject } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { listBlocks } from '../storage/content/walk-dag.ts'
import type { Clock } from './runtime/clock.ts'
import type { RegistryView } from './services/registry-view.ts'
import { allRoots, rootsOf } from './shown-roots.ts'
import type { Roots } from './shown-roots.ts'
import type { Space } from './spaces.ts'

type WalkedSpace = Pick<Space, 'isKept' | 'kept' | 'onKept' | 'stored'>

export interface ReachableInit {
  readonly space: () => WalkedSpace
  /** The registries whose releases count. */
  readonly registries: () => readonly RegistryId[]
  readonly view: Pick<RegistryView, 'digests' | 'find' | 'packages' | 'said'>
  readonly clock: Pick<Clock, 'now' | 'after'>
  /** Aborted when the node begins to close its stores. */
  readonly stopping: AbortSignal
}

/**
 * Which blocks of one store some registry's releases and statements reach. Being on the disk is not enough: what was
 * imported for a release that was refused, what a registry held that is no longer followed, and what a revocation took out
 * lie there too.
 *
 * All of it is made when it is first asked for, bounded by what is on the disk and asked about: a node that nobody asks
 * reads nothing.
 *
 * Invariants:
 * 1. A root counts if a release of one of the registries names it, or a statement there whose predicate it is: as of now, or
 *    after a revocation of `rescanMs` ago and however long it takes to read all of them again. A registry with 100,000 packages would otherwise serve nobody for as
 *    long, each time that somebody is given a role.
 * 2. Another block counts if it is below such a root that is held as a whole.
 * 3. A root that a package names in a version that is in quarantine does not count by that package. From the moment that the
 *    quarantine is accepted it does not count at all, until all releases are read again: only then is it known whether
 *    another package names it, too.
 */
export class Reachable {
  readonly #init: ReachableInit
  /** Roots that releases of these registries name, held or not. */
  #named = newSet()
  #namedBy: readonly RegistryId[] = []
  /** What is read now, or was last. */
  #registries: readonly RegistryId[] = []
  #scannedAt = Number.NEGATIVE_INFINITY
  #isStale = true
  /** Roots of versions that were stopped since all was read, and the package that says so. */
  readonly #stopped = new Map<string, Stopped>()
  /** Roots that were stopped when all was read, and are named by nothing else. */
  #away = new Map<string, ContentId>()
  readonly #listeners = new Set<StopListener>()
  readonly #noted = new Map<string, readonly [RegistryId, Exclude<Subject, 'registry'>]>()
  #isReading = false
  /** What is below the roots in `walked`. */
  #blocks = newSet()
  #walked = new Set<ContentId>()
  /** Roots that may be named, held and not walked; undefined while nobody knows, and all that are held are looked at. */
  #unwalked: Set<ContentId> | undefined
  /** Where they are held. */
  #space: WalkedSpace | undefined
  #stopListening = (): void => undefined
  /** Whoever asks for roots, as most do, does not wait for those who ask for blocks. */
  readonly #turns = { reading: Promise.resolve(), walking: Promise.resolve() }

  constructor(init: ReachableInit) {
    this.#init = init
  }

  /**
   * A fact about it was accepted. Who tells others what is held here does not ask again for each of them: one that stops
   * or frees a version is looked at for him.
   */
  noted(registry: RegistryId, subject: Subject, stops = false): void {
    if (!this.#registries.includes(registry)) return
    this.#remember(registry, subject)
    if (!stops || this.#listeners.size === 0) return
    void this.#settled('reading', () => this.#read(), this.#init.stopping).catch(() => undefined)
  }

  #remember(registry: RegistryId, subject: Subject): void {
    if (subject !== 'registry' && this.#noted.size < LIMITS.gateway.notedPackages)
      this.#noted.set(`${registry} ${subject}`, [registry, subject])
    else if (!this.#isStale) {
      this.#isStale = true
      this.#noted.clear()
    }
  }

  /** Whether a release names this root. @throws RegistryError TIMEOUT when that takes too long to find out */
  async isNamed({ multihash }: CID, signal: AbortSignal): Promise<boolean> {
    // Asked for with every stream: it costs next to nothing while there is no news.
    if (!this.#isReading && this.#isCurrent()) return this.#isShown(multihash.digest)
    const wasNamed = this.#isOf(this.#namedBy) && this.#isShown(multihash.digest)
    const { lookMs, staleMs } = LIMITS.gateway
    try {
      await this.#settled('reading', () => this.#read(), signal, wasNamed ? staleMs : lookMs)
    } catch (error) {
      if (wasNamed && isRegistryError(error) && error.code === 'TIMEOUT') return true
      throw error
    }
    return this.#isShown(multihash.digest)
  }

  /** Whether a root is not shown because its version is in quarantine. @throws RegistryError TIMEOUT */
  async isStopped(root: ContentId, signal: AbortSignal): Promise<boolean> {
    if (await this.isNamed(toLink(root), signal)) return false
    return this.isKnownStopped(root)
  }

  /** The same, as of what was read last. */
  isKnownStopped(root: ContentId): boolean {
    const key = keyOf(root)
    return this.#away.has(key) || this.#stopped.has(key)
  }

  /** Called when a root is stopped, or shown again; returns how to take the listener back. */
  onStopped(listener: StopListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #tell(root: ContentId, isShown: boolean): void {
    for (const listener of this.#listeners) listener(root, isShown)
  }

  #isShown(digest: Uint8Array): boolean {
    return this.#named.has(digest) && (this.#stopped.size === 0 || !this.#stopped.has(toHex(digest)))
  }

  /** Whether a block that is on the disk may be shown. @throws RegistryError TIMEOUT */
  async has(cid: CID, signal: AbortSignal): Promise<boolean> {
    if (await this.isNamed(cid, signal)) return true
    const { digest } = cid.multihash
    if (this.#blocks.has(digest)) return true
    await this.#settled('walking', () => this.#walk(digest), signal)
    return this.#blocks.has(digest)
  }

  #isCurrent(): boolean {
    const { clock } = this.#init
    const isDue = clock.now() - this.#scannedAt >= LIMITS.gateway.rescanMs || clock.now() < this.#scannedAt
    return this.#isOf(this.#registries) && this.#noted.size === 0 && !(this.#isStale && isDue)
  }

  /** Whether these are the registries that count now: what is no longer followed is shown no more, at once. */
  #isOf(registries: readonly RegistryId[]): boolean {
    const now = this.#init.registries()
    return now.length === registries.length && now.every(id => registries.includes(id))
  }

  /** One task of a kind after the other, whoever waits for it: requests that are given up leave behind what was found so far. */
  async #settled(
    kind: 'reading' | 'walking',
    task: () => Promise<void>,
    signal: AbortSignal,
    mostMs: number = LIMITS.gateway.lookMs
  ): Promise<void> {
    const run = this.#turns[kind].then(task)
    this.#turns[kind] = run.catch(() => undefined)
    const { promise, reject } = Promise.withResolvers<never>()
    const done = new AbortController()
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true, signal: done.signal })
    const late = new RegistryError('TIMEOUT', 'what may be shown is still being read')
    this.#init.clock.after(mostMs, () => reject(late), done.signal)
    try {
      await Promise.race([run, promise])
    } finally {
      done.abort()
    }
  }

  async #read(): Promise<void> {
    const { registries, view, stopping } = this.#init
    stopping.throwIfAborted()
    this.#isReading = true
    try {
      for (const [key, [registry, subject]] of this.#noted) {
        this.#noted.delete(key)
        this.#take(key, await rootsOf(view, registry, subject))
      }
      if (!this.#isCurrent()) await this.#readAll(registries())
    } finally {
      this.#isReading = false
    }
  }

  /** What a package, or statements about a digest, lead to now. */
  #take(key: string, { named, stopped }: Roots): void {
    const lifted = new Map([...this.#stopped].filter(([, { by }]) => by === key))
    for (const digest of lifted.keys()) this.#stopped.delete(digest)
    for (const root of named) {
      this.#name(root)
      const isFree = this.#away.delete(keyOf(root))
      // It was named all the while, and passed over by whoever walked.
      if (lifted.has(keyOf(root))) this.#note(root)
      if (isFree || lifted.has(keyOf(root))) this.#tell(root, true)
    }
    let isNews = false
    for (const root of stopped) {
      if (!this.#named.has(toLink(root).multihash.digest)) continue
      this.#stopped.set(keyOf(root), { by: key, root })
      isNews = true
      if (!lifted.has(keyOf(root))) this.#tell(root, false)
    }
    // What is below it may be below others, too: those are walked again when somebody asks.
    if (isNews) this.#forgetWalks()
  }

  #name(root: ContentId): void {
    const { digest } = toLink(root).multihash
    if (this.#named.has(digest)) return
    this.#named.add(digest)
    // It may have been held before anybody named it, as what is published here is.
    this.#note(root)
  }

  /** With more than that a look at all of them is no more work. */
  #note(root: ContentId): void {
    if ((this.#unwalked?.size ?? 0) >= LIMITS.store.roots) this.#unwalked = undefined
    this.#unwalked?.add(root)
  }

  async #readAll(registries: readonly RegistryId[]): Promise<void> {
    const { view, clock, stopping } = this.#init
    // What comes while they are read is noted, and read after them.
    this.#registries = registries
    this.#isStale = false
    this.#noted.clear()
    const named = newSet()
    const stopped: ContentId[] = []
    let seen = 0
    try {
      for (const registry of registries) {
        for await (const roots of allRoots(view, registry)) {
          for (const root of roots.named) named.add(toLink(root).multihash.digest)
          stopped.push(...roots.stopped)
          if (++seen % LIMITS.storage.readAtOnce === 0) await setImmediate()
          stopping.throwIfAborted()
        }
      }
    } catch (error) {
      // Nothing that was read before may stay: what went wrong may have been about what is to be shown no more.
      this.#named = newSet()
      this.#namedBy = []
      this.#registries = []
      this.#isStale = true
      throw error
    }
    this.#named = named
    this.#namedBy = registries
    this.#settle(stopped.filter(root => !named.has(toLink(root).multihash.digest)))
    this.#scannedAt = clock.now()
    const isGone = [...this.#walked].some(root => !named.has(toLink(root).multihash.digest))
    if (isGone) this.#forgetWalks()
    this.#unwalked = undefined
  }

  /** What is stopped from now on, and what no longer is. */
  #settle(stopped: readonly ContentId[]): void {
    const before = new Map([...this.#away, ...[...this.#stopped].map(([key, { root }]) => [key, root] as const)])
    this.#away = new Map(stopped.map(root => [keyOf(root), root]))
    this.#stopped.clear()
    for (const [key, root] of this.#away) if (!before.has(key)) this.#tell(root, false)
    for (const [key, root] of before) {
      if (!this.#away.has(key) && this.#named.has(toLink(root).multihash.digest)) this.#tell(root, true)
    }
  }

  #forgetWalks(): void {
    this.#blocks = newSet()
    this.#walked = new Set()
    this.#unwalked = undefined
  }

  /** Walks what has not been walked yet, until the block is met; the next one goes on from there. */
  async #walk(digest: Uint8Array): Promise<void> {
    const { stopping } = this.#init
    const space = this.#listen()
    const blocks = this.#blocks
    if (blocks.has(digest)) return
    const unwalked = this.#unwalked ?? (await this.#lookAtAll(space))
    for (const root of unwalked) {
      unwalked.delete(root)
      const isNews = !this.#walked.has(root) && this.#isShown(toLink(root).multihash.digest)
      if (isNews && (await space.isKept(root))) await this.#walkRoot(root, space)
      stopping.throwIfAborted()
      if (this.#blocks.has(digest)) return
    }
    // What is named, or where it is held, was read anew meanwhile.
    if (this.#unwalked !== unwalked || this.#blocks !== blocks) await this.#walk(digest)
  }

  #listen(): WalkedSpace {
    const space = this.#init.space()
    if (space === this.#space) return space
    // The swarm was left and joined again: what was found is of a store that is gone.
    this.#forgetWalks()
    this.#stopListening()
    this.#space = space
    this.#stopListening = space.onKept((root, isKept) => {
      if (isKept) this.#note(root)
    })
    return space
  }

  async #lookAtAll(space: WalkedSpace): Promise<Set<ContentId>> {
    // What is held from here on is noted in it.
    const unwalked = new Set<ContentId>()
    this.#unwalked = unwalked
    try {
      for await (const root of space.kept()) {
        if (!this.#walked.has(root) && this.#isShown(toLink(root).multihash.digest)) unwalked.add(root)
        this.#init.stopping.throwIfAborted()
      }
    } catch (error) {
      this.#unwalked = undefined
      throw error
    }
    return unwalked
  }

  async #walkRoot(root: ContentId, { stored }: WalkedSpace): Promise<void> {
    const { stopping } = this.#init
    // Whatever is thrown away while this goes on is not to come back with it.
    const blocks = this.#blocks
    let seen = 0
    try {
      for await (const { multihash } of listBlocks(root, stored, { signal: stopping })) {
        // Full: what is beyond can still be asked for as part of its root.
        if (!blocks.add(multihash.digest)) break
        if (++seen % LIMITS.storage.readAtOnce === 0) await setImmediate()
      }
      if (this.#blocks === blocks) this.#walked.add(root)
    } catch {
      // Damaged or not whole after all: it is walked again when something is held anew.
      stopping.throwIfAborted()
    }
  }
}

/** @param isShown shown again, and not stopped */
export type StopListener = (root: ContentId, isShown: boolean) => void

interface Stopped {
  readonly by: string
  readonly root: ContentId
}

function keyOf(root: ContentId): string {
  return toHex(toLink(root).multihash.digest)
}

function newSet(): DigestSet {
  return new DigestSet(LIMITS.gateway.reachableBlocks)
}
