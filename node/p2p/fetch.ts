import type { Helia } from '@helia/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { CID } from 'multiformats/cid'
import { concatBytes } from '../../protocol/bytes.ts'
import type { ContentId } from '../../protocol/cid.ts'
import type { PlannedContent } from '../../protocol/dag/plan.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { Said } from '../../protocol/have/told-roots.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Company } from './company.ts'
import type { Blockstore, Clock, FetchWatch } from './components.ts'
import { fetchDag } from './dag-fetch.ts'
import type { DagFetchComponents } from './dag-fetch-options.ts'
import type { DagFetched } from './dag-report.ts'
import { unavailable } from './fetch-report.ts'
import type { BitswapAnswer, Tried } from './fetch-report.ts'
import type { HaveTable } from './have-table.ts'
import { likeliest } from './likeliest.ts'
import type { LocalStore } from './dag-lane.ts'
import { deadline } from './deadline.ts'
import type { ContentRouting } from './routing.ts'

export interface FetchComponents extends DagFetchComponents {
  readonly helia: Helia
  /** The verified store below Helia. */
  readonly blocks: Blockstore
  readonly routing: ContentRouting
  /** What peers say that they hold. */
  readonly have: Pick<HaveTable, 'about' | 'proved'>
  /** Who is here, those first who follow the registry. */
  readonly neighbours: () => readonly string[]
  readonly company: Pick<Company, 'sought' | 'troubles'>
}

export interface FetchOptions {
  /** Peers that are known to have it; they are asked before the neighbours. */
  readonly providers?: readonly string[]
  readonly signal?: AbortSignal
  /** Told of what is asked and what comes. */
  readonly watch?: FetchWatch | undefined
}

/** Gets the blocks of one package: who answered for one block is asked first for the next. Always close it. */
export interface FetchSession {
  /**
   * Brings what neighbours send of some content over `/ggen/dag/1` into the store that is given. What none of them has stays
   * missing: that is no failure, and left to `block`. While nobody is here, `patience` ends the wait for somebody.
   * @throws RegistryError MALFORMED | LIMIT_EXCEEDED for content that could not have been published, and what the store throws
   */
  content(
    content: PlannedContent,
    local: LocalStore,
    options: { readonly signal: AbortSignal; readonly patience?: AbortSignal }
  ): Promise<DagFetched>
  /** @throws RegistryError CONTENT_UNAVAILABLE with what was tried */
  block(cid: CID, options?: { readonly signal?: AbortSignal }): Promise<Uint8Array>
  close(): void
}

/**
 * Content by its own stream, and blocks by bitswap, the last resort. js bitswap hashes what it receives and files it under the hash it finds: a liar's bytes are not an
 * answer to what was asked, so a liar looks like a peer that stays silent, and the next one is asked.
 */
export function createFetchSession(components: FetchComponents, options: FetchOptions = {}): FetchSession {
  const session = new Session(components, options)
  return {
    content: async (content, local, options) => await session.content(content, { ...options, local }),
    block: async (cid, { signal } = {}) => await session.block(cid, signal),
    close: () => session.close()
  }
}

class Session {
  readonly #components: FetchComponents
  readonly #options: FetchOptions
  readonly #abort = new AbortController()
  readonly #waiting: (() => void)[] = []
  #running = 0
  #favourite: string | undefined
  /** Who has just said that it has not got it: the last to be asked again. */
  #lacking: ReadonlySet<string> = new Set()
  /** What is fetched, when that is known: peers say something of roots, and of no other block. */
  #root: ContentId | undefined
  /** What became of asking for it as a stream. */
  #dag: Tried['dag']
  /** Whom the DHT has named for it; undefined while it was not asked. */
  #found: readonly string[] | undefined

  constructor(components: FetchComponents, options: FetchOptions) {
    this.#components = components
    this.#options = options
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (options.signal?.aborted === true) this.#onAbort()
  }

  close(): void {
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#abort.abort(new RegistryError('CANCELLED', 'the fetch was closed'))
    for (const start of this.#waiting.splice(0)) start()
  }

  async content(
    content: PlannedContent,
    { local, signal, patience }: Parameters<FetchSession['content']>[2] & { readonly local: LocalStore }
  ): Promise<DagFetched> {
    const { have } = this.#components
    const both = AbortSignal.any([this.#abort.signal, signal])
    this.#root = content.root
    await this.#components.company.sought(patience === undefined ? both : AbortSignal.any([both, patience]))
    const fetched = await fetchDag(this.#components, content, {
      local,
      signal: both,
      candidates: named => this.#candidates([...named]),
      watch: this.#options.watch,
      isHopeful: () => this.#isHopeful(content.root),
      // What says nothing of who says that he has it is nobody's promise.
      onProved: (peer, hadIt) => {
        if (hadIt || have.about(content.root).get(peer) === 'yes') have.proved(peer, hadIt)
      }
    })
    this.#lacking = new Set(fetched.lacking)
    this.#found = this.#components.neighbours().length > 0 ? fetched.found : undefined
    const { report, answers } = fetched
    this.#dag = report === undefined ? undefined : { report, answers }
    return fetched
  }

  async block(cid: CID, signal?: AbortSignal): Promise<Uint8Array> {
    const { blocks, clock, tuning } = this.#components
    if (await blocks.has(cid)) return await readAll(blocks.get(cid))
    const overall = signal === undefined ? this.#abort.signal : AbortSignal.any([this.#abort.signal, signal])
    await this.#components.company.sought(overall)
    await this.#turn()
    const time = deadline(clock, tuning.blockTimeoutMs, overall)
    const race = new Race(cid, time.signal)
    try {
      overall.throwIfAborted()
      const { bytes, peer } = await this.#hedged(race)
      this.#options.watch?.block('bitswap', peer, bytes.length)
      return bytes
    } catch (error) {
      overall.throwIfAborted()
      throw this.#unavailable(race, error)
    } finally {
      race.end()
      time.clear()
      this.#running -= 1
      this.#waiting.shift()?.()
    }
  }

  /** Blocks in flight are bounded, so that a package of 50,000 files may be asked for all at once. */
  async #turn(): Promise<void> {
    while (this.#running >= LIMITS.fetch.concurrentBlocks) {
      await new Promise<void>(resolve => this.#waiting.push(resolve))
      if (this.#abort.signal.aborted) break
    }
    this.#running += 1
  }

  /** Asks one peer after the other, each as soon as the one before has said no or has been silent for a while. */
  async #hedged(race: Race): Promise<Answer> {
    const { clock, tuning } = this.#components
    const asked = new Set<string>()
    let lookup: Promise<readonly string[]> | undefined
    let late: readonly string[] = []
    let isLookedUp = false
    for (;;) {
      const next = this.#next(asked, late)
      // With many neighbours, whoever has it may be none of them: the DHT is asked while they are.
      const isDue = next === undefined || asked.size >= LIMITS.fetch.askedBeforeLookup
      if (isDue) lookup ??= this.#lookUp(race).then(found => (late = found))
      if (next !== undefined) {
        asked.add(next)
        this.#options.watch?.asked()
        const isHere = (): boolean => this.#components.peers.connection(next) !== undefined
        race.enter(next, { ask: signal => this.#ask(next, race.cid, signal), isHere })
        await race.settledOr(clock, tuning.hedgeMs)
      } else if (lookup !== undefined && !isLookedUp) {
        await race.settledOr(clock, LIMITS.dht.lookupMs, lookup)
        isLookedUp = true
      } else if (asked.size === 0) {
        // Nobody is here, and nobody is known to have it: waiting would only make a person wait.
        throw new RegistryError('CONTENT_UNAVAILABLE', 'there is nobody to ask')
      } else {
        // Everybody was asked. Silence may be a lost message, and a neighbour may just have got it: once more.
        await race.settledOr(clock, tuning.reaskMs)
        asked.clear()
        lookup = undefined
        isLookedUp = false
      }
      const answer = race.result()
      if (answer !== undefined) return answer
      race.signal.throwIfAborted()
    }
  }

  async #lookUp({ cid, signal }: Race): Promise<readonly string[]> {
    const { routing, neighbours, clock } = this.#components
    const started = clock.now()
    const found = await routing.findProviders(cid, signal)
    this.#options.watch?.lookedUp(clock.now() - started)
    // With nobody here there was no DHT that could have been asked.
    if (neighbours().length > 0)
      this.#found = [...new Set([...(this.#found ?? []), ...found])].slice(0, LIMITS.fetch.providers)
    return found
  }

  #candidates(late: readonly string[]): readonly string[] {
    const { have, neighbours, shown } = this.#components
    const told = new Set([...(this.#options.providers ?? []), ...late, ...(this.#found ?? [])])
    const said = this.#root === undefined ? new Map<string, Said>() : have.about(this.#root)
    const likelihood = { said, told, lacking: this.#lacking, shown }
    return [...new Set([this.#favourite ?? [], likeliest([...told, ...neighbours()], likelihood)].flat())]
  }

  /** Whether anybody who is here has not said that he has it not. */
  #isHopeful(root: ContentId): boolean {
    const { have, neighbours, shown, peers } = this.#components
    const isHere = (peer: string): boolean => peers.connection(peer) !== undefined
    if ((this.#options.providers ?? []).some(isHere)) return true
    const said = have.about(root)
    return neighbours().some(peer => said.get(peer) !== 'no' && !shown.isSilent(peer))
  }

  /** Whom the DHT names is asked however many were: those that are likely to have it must not be beyond the bound. */
  #next(asked: ReadonlySet<string>, late: readonly string[]): string | undefined {
    const isFree = (peer: string): boolean => !asked.has(peer)
    if (asked.size < LIMITS.fetch.providers) return this.#candidates(late).find(isFree)
    return late.slice(0, LIMITS.fetch.providers).find(isFree)
  }

  /** A session of its own for each peer and block: Helia drops a peer from a session at its first "no". */
  async #ask(peer: string, cid: CID, signal: AbortSignal): Promise<Uint8Array> {
    const providers = [peerIdFromString(peer).toCID()]
    const session = this.#components.helia.blockstore.createSession(cid, { providers, maxProviders: 1 })
    try {
      // `useNetwork` goes through to the router: this session speaks to its one peer and looks for no other.
      const options = { signal, useNetwork: false }
      const block = await readAll(session.get(cid, options))
      this.#favourite = peer
      return block
    } finally {
      session.close()
    }
  }

  #unavailable(race: Race, cause: unknown): RegistryError {
    const tried = {
      dag: this.#dag,
      bitswap: race.report(),
      ms: this.#components.tuning.blockTimeoutMs,
      dht: this.#found,
      troubles: this.#components.company.troubles()
    }
    return unavailable(race.cid, tried, cause)
  }

  readonly #onAbort = (): void => this.#abort.abort(this.#options.signal?.reason)
}

/** A block, and who was the first to send it. */
interface Answer {
  readonly bytes: Uint8Array
  readonly peer: string
}

/** Several peers asked for one block. */
class Race {
  readonly cid: CID
  readonly signal: AbortSignal
  readonly #losers = new AbortController()
  readonly #answers = new Map<string, BitswapAnswer>()
  #block: Answer | undefined
  #wake: () => void = () => {}

  constructor(cid: CID, signal: AbortSignal) {
    this.cid = cid
    this.signal = AbortSignal.any([signal, this.#losers.signal])
  }

  enter(
    peer: string,
    { ask, isHere }: { readonly ask: (signal: AbortSignal) => Promise<Uint8Array>; readonly isHere: () => boolean }
  ): void {
    this.#answers.set(peer, 'nothing')
    ask(this.signal).then(
      bytes => {
        this.#block ??= { bytes, peer }
        this.#wake()
      },
      () => {
        // Bitswap says the same of whoever has not got it and of whoever is gone.
        if (!this.signal.aborted) this.#answers.set(peer, isHere() ? 'no' : 'unreached')
        this.#wake()
      }
    )
  }

  result(): Answer | undefined {
    return this.#block
  }

  report(): Tried['bitswap'] {
    return [...this.#answers].map(([peer, answer]) => ({ peer, answer }))
  }

  /** Waits until somebody answers, the other thing ends, the time is up, or all is over. */
  async settledOr(clock: Clock, ms: number, other?: Promise<unknown>): Promise<void> {
    if (this.#block !== undefined || this.signal.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    const cancel = clock.after(ms, resolve)
    this.signal.addEventListener('abort', () => resolve(), { once: true })
    void other?.then(() => resolve())
    await promise
    cancel()
  }

  /** Lets go of the peers that lost. */
  end(): void {
    this.#losers.abort(new RegistryError('CANCELLED', 'the block is here or nobody has it'))
  }
}

async function readAll(source: ReturnType<Blockstore['get']>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : concatBytes(chunks)
}
