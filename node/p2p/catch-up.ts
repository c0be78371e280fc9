import type { FactsRequest } from '../../protocol/catch-up.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { Clock, Cursor, Cursors, Gate, Log, SwarmEvents, SwarmTuning, Verdict } from './components.ts'
import { openFactsClient } from './facts-client.ts'
import type { FactsClient } from './facts-client.ts'
import type { Peers } from './peers.ts'

export interface CatchUpComponents {
  readonly registries: () => readonly RegistryId[]
  readonly gate: Gate
  readonly cursors: Cursors
  readonly peers: Peers
  readonly clock: Clock
  readonly log: Log
  readonly events: SwarmEvents
  readonly tuning: SwarmTuning
}

interface Session {
  readonly peer: string
  readonly registry: RegistryId
  state: 'waiting' | 'queued' | 'running'
  /** Something came up while it ran, so it runs once more. */
  again: boolean
}

const FROM_THE_START: Cursor = { epoch: '', after: 0 }

/**
 * Reads the logs of others: on every connect, at intervals, and when gossip showed a gap.
 *
 * Invariants:
 * 1. One session at a time for a peer and registry, a bounded number in all; reasons that come meanwhile are one.
 * 2. A cursor never passes a page with a fact that is not yet in our set, so nothing is lost by a refusal for lack of
 *    room or by a restart.
 * 3. The next page is asked for when the gate has dealt with this one: the gate sets the pace.
 */
export class CatchUp {
  readonly #components: CatchUpComponents
  readonly #sessions = new Map<string, Session>()
  readonly #timers = new Set<() => void>()
  readonly #abort = new AbortController()
  readonly #running = new Set<Promise<void>>()

  constructor(components: CatchUpComponents) {
    this.#components = components
  }

  start(): void {
    this.#later(this.#components.tuning.catchUpIntervalMs, this.#everyInterval)
  }

  async stop(): Promise<void> {
    this.#abort.abort(new RegistryError('CANCELLED', 'the network stops'))
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
    this.#sessions.clear()
    await Promise.allSettled(this.#running)
  }

  /** Reads every followed registry of a peer that has just come. */
  readAll(peer: string): void {
    for (const registry of this.#components.registries()) this.read(peer, registry)
  }

  /** Reads one registry from everybody who is here. */
  readFromAll(registry: RegistryId): void {
    for (const { id } of this.#components.peers.all()) this.read(id, registry)
  }

  read(peer: string, registry: RegistryId): void {
    const session = this.#session(peer, registry)
    if (session.state === 'running') session.again = true
    else session.state = 'queued'
    this.#run()
  }

  /** The same, after a moment in which more reasons may come. */
  readSoon(peer: string, registry: RegistryId): void {
    if (this.#sessions.get(keyOf(peer, registry))?.state === 'waiting') return
    const session = this.#session(peer, registry)
    if (session.state !== 'waiting') return this.read(peer, registry)
    this.#later(this.#components.tuning.catchUpSoonMs, () => {
      if (session.state === 'waiting') this.read(peer, registry)
    })
  }

  /** One fact by its id, checked to be that fact. A peer that sends another one is struck for it. */
  async fetchFact(peer: string, registry: RegistryId, id: FactId): Promise<Uint8Array | undefined> {
    const connection = this.#components.peers.connection(peer)
    if (connection === undefined) return undefined
    let client: FactsClient | undefined
    try {
      client = await openFactsClient(connection, this.#components.clock, this.#abort.signal)
      const response = await client.ask({ type: 'ids', registry, ids: [id] })
      const envelope = response.type === 'facts' ? response.facts[0] : undefined
      if (envelope !== undefined && parseEnvelope(envelope).id !== id)
        throw new RegistryError('MALFORMED', 'a fact that was not asked for')
      return envelope
    } catch (error) {
      this.#onError(peer, error)
      return undefined
    } finally {
      client?.close()
    }
  }

  readonly #everyInterval = (): void => {
    for (const { id } of this.#components.peers.all()) this.readAll(id)
    this.start()
  }

  #later(ms: number, task: () => void): void {
    if (this.#abort.signal.aborted) return
    const cancel = this.#components.clock.after(ms, () => {
      this.#timers.delete(cancel)
      task()
    })
    this.#timers.add(cancel)
  }

  #session(peer: string, registry: RegistryId): Session {
    const key = keyOf(peer, registry)
    const session = this.#sessions.get(key) ?? { peer, registry, state: 'waiting', again: false }
    this.#sessions.set(key, session)
    return session
  }

  /** Starts what is queued, as far as there is room. */
  #run(): void {
    for (const [key, session] of this.#sessions) {
      if (this.#running.size >= LIMITS.catchUp.sessionsInFlight || this.#abort.signal.aborted) return
      if (session.state !== 'queued') continue
      session.state = 'running'
      const sitting = this.#sitting(session).then(() => {
        this.#running.delete(sitting)
        this.#sessions.delete(key)
        // Behind those that wait already: the order of the map is the order of their turns.
        if (session.again && !this.#abort.signal.aborted)
          this.#sessions.set(key, Object.assign(session, { state: 'queued', again: false }))
        this.#run()
      })
      this.#running.add(sitting)
    }
  }

  #othersWait(): boolean {
    return [...this.#sessions.values()].some(({ state }) => state === 'queued')
  }

  /** One session from start to end. Never throws: what goes wrong concerns this peer, and there is a next time. */
  async #sitting({ peer, registry }: Session): Promise<void> {
    const connection = this.#components.peers.connection(peer)
    if (connection === undefined) return
    let client: FactsClient | undefined
    try {
      client = await openFactsClient(connection, this.#components.clock, this.#abort.signal)
      const { facts, toItsEnd } = await this.#readLog(client, peer, registry)
      this.#components.events.onCaughtUp?.({ peer, registry, facts, toItsEnd })
    } catch (error) {
      this.#onError(peer, error)
    } finally {
      client?.close()
    }
  }

  async #readLog(
    client: FactsClient,
    peer: string,
    registry: RegistryId
  ): Promise<{ facts: number; toItsEnd: boolean }> {
    const { cursors, clock } = this.#components
    const until = clock.now() + LIMITS.catchUp.sessionMs
    let cursor = (await cursors.get(peer, registry)) ?? FROM_THE_START
    let complete = true
    let added = 0
    let toItsEnd = false
    for (let pages = 0; pages < LIMITS.catchUp.pagesPerSession; pages++) {
      // Attack: four peers that send one fact every twenty seconds would keep every honest log from being read.
      if (clock.now() >= until && this.#othersWait()) {
        this.#session(peer, registry).again = true
        break
      }
      const response = await client.ask(requestOf(registry, cursor))
      if (response.type !== 'page') break
      const restarted = response.epoch !== cursor.epoch
      if (!restarted && response.next < cursor.after) throw new RegistryError('MALFORMED', 'a log that runs backwards')
      if (!restarted && !response.done && response.next === cursor.after)
        throw new RegistryError('MALFORMED', 'a log that stands still')
      const result = await this.#admit(response.facts, peer, registry)
      added += result.added
      complete &&= result.complete
      const moved = restarted || response.next !== cursor.after
      cursor = { epoch: response.epoch, after: response.next }
      if (complete && moved) await cursors.set(peer, registry, cursor)
      toItsEnd = response.done
      if (response.done || result.stop) break
    }
    return { facts: added, toItsEnd }
  }

  async #admit(
    facts: readonly Uint8Array[],
    peer: string,
    registry: RegistryId
  ): Promise<{ readonly added: number; readonly complete: boolean; readonly stop: boolean }> {
    const { gate, peers, events } = this.#components
    let added = 0
    let complete = true
    let full = false
    for (let start = 0; start < facts.length && !full; start += LIMITS.admission.factsPerBatch) {
      const batch = facts.slice(start, start + LIMITS.admission.factsPerBatch)
      for (const verdict of await gate.admitMany(batch, { peer, registry })) {
        if (verdict.verdict === 'reject') peers.blame(peer, 'invalid-facts')
        if (verdict.verdict === 'accept') {
          added += 1
          events.onFact?.({ registry, peer, way: 'catch-up' })
        }
        complete &&= isSettled(verdict)
        full ||= hasNoRoom(verdict)
      }
      if (peers.get(peer) === undefined) throw new RegistryError('CANCELLED', 'the peer is gone')
    }
    return { added, complete, stop: full }
  }

  #onError(peer: string, error: unknown): void {
    this.#components.log.debug('reading a log failed', { peer, error: messageOf(error) })
    const lies = isRegistryError(error) && (error.code === 'MALFORMED' || error.code === 'LIMIT_EXCEEDED')
    if (lies) this.#components.peers.blame(peer, 'malformed-message')
  }
}

function requestOf(registry: RegistryId, { epoch, after }: Cursor): FactsRequest {
  const { pageFacts: facts, pageBytes: bytes } = LIMITS.catchUp
  return { type: 'page', registry, epoch, after, facts, bytes }
}

/** Is there nothing left to do about this fact? A rejected one is never asked for again either. */
function isSettled(verdict: Verdict): boolean {
  switch (verdict.verdict) {
    case 'accept':
    case 'reject':
      return true
    case 'pending':
      return false
    case 'ignore':
      return verdict.reason === 'seen'
  }
}

/** Would going on only meet the same answer? */
function hasNoRoom(verdict: Verdict): boolean {
  return verdict.verdict === 'ignore' && verdict.reason !== 'seen'
}

function keyOf(peer: string, registry: RegistryId): string {
  return `${peer} ${registry}`
}
