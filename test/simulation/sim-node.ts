import type { EditorComponents } from '../../node/services/documents/editor.ts'
import type { RegistryView } from '../../node/services/registry-view.ts'
import type { AuthoredFact, Signer } from '../../node/services/author.ts'
import type { Admission } from '../../protocol/admission.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Subject } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Payload } from '../../protocol/payload.ts'
import type { SyncVerdict } from '../../protocol/sync/state.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import { isFailedWrite, isRefused, wordsOf } from './failures.ts'
import { signerOf } from './home.ts'
import type { Home } from './home.ts'
import type { Endpoint, Network } from './network.ts'
import type { AuthorPart, GatePart, Parts, StorePart } from './parts.ts'
import type { Rng } from './rng.ts'
import { EPOCH_MS } from './schedule.ts'
import type { Schedule } from './schedule.ts'
import { SimDocuments } from './sim-documents.ts'
import { SyncDriver } from './sync-driver.ts'
import type { DriverNode } from './sync-driver.ts'
import type { Trace } from './trace.ts'
import type { Weather } from './weather.ts'

/** Facts of one piece of a snapshot. */
const SNAPSHOT_PIECE = 32
/** What a peer may be caught at before it is cut for good, as in node/p2p/conduct.ts. */
const STRIKES = 8

/** What a node is told about what it does: the invariants hang on it. */
export interface Observer {
  onAccepted(node: SimNode, fact: VerifiedFact): void
  onSigned(node: SimNode, fact: AuthoredFact): void
  onBlamed(node: SimNode, peer: string, reason: string): void
  onRestarted(node: SimNode): Promise<void>
}

export interface World {
  readonly schedule: Schedule
  readonly trace: Trace
  readonly weather: Weather
  readonly network: Network
  readonly registry: RegistryId
  readonly parts: Parts
  readonly observer: Observer
  node(name: string): SimNode | undefined
  isCalm(): boolean
}

interface Running {
  readonly kv: KeyValue
  readonly store: StorePart
  readonly gate: GatePart
  readonly author: AuthorPart
  readonly documents: SimDocuments
  readonly view: RegistryView
  readonly driver: SyncDriver
}

/** One node: the real parts over a simulated disk, network and clock. */
export class SimNode implements Endpoint {
  readonly home: Home
  /** Makes documents as facts come, and not only when it is asked for one. */
  readonly keepsDocuments: boolean = true
  readonly world: World
  readonly #rng: Rng
  readonly #strikes = new Map<string, number>()
  #running: Running | undefined
  #isBooting = false
  /** Grows with each start and stop: what was planned before is void. */
  #life = 0

  constructor(home: Home, world: World) {
    this.home = home
    this.world = world
    this.#rng = home.rng.split('node')
  }

  get name(): string {
    return this.home.node
  }

  get running(): Running | undefined {
    return this.#running
  }

  isUp(): boolean {
    return this.#running !== undefined
  }

  refuses(peer: string): boolean {
    return (this.#strikes.get(peer) ?? 0) >= STRIKES
  }

  now(): number {
    return this.world.schedule.now
  }

  clock(): number {
    return EPOCH_MS + this.now() + this.home.skewMs
  }

  note(line: string): void {
    this.world.trace.add(this.now(), `${this.name} ${line}`)
  }

  async boot(): Promise<void> {
    if (this.#running !== undefined || this.#isBooting) return
    this.#isBooting = true
    const { registry, parts, weather } = this.world
    let documents: SimDocuments | undefined
    try {
      const kv = await this.home.disk.open()
      const store = await parts.openStore(kv, registry, this.home)
      const gate = parts.createGate(
        {
          store,
          mayAsk: () => this.world.isCalm() || !this.#rng.chance(weather.overRate),
          onAccepted: (fact, bytes, source) => this.#accepted(fact, bytes, source.peer),
          onDecided: (admission, source) => this.#judge(admission, source),
          onEdited: (_, subjects) => this.keepsDocuments && documents?.documents.noted(registry, subjects)
        },
        this.home
      )
      const signer = signerOf(this.home)
      // As node/create-node.ts does: positions of ours may be among what is gone.
      if (store.isLossy) await signer.renewChain()
      documents = this.#documents({ kv, store, gate })
      await gate.open(registry, { refold: store.isLossy })
      if (this.keepsDocuments) documents.documents.open(registry)
      const author = parts.createAuthor({ gate, signer, now: () => this.clock() }, this.home)
      const { step } = parts
      const options = { step, intervalMs: weather.syncIntervalMs }
      const driver = parts.wrapDriver(new SyncDriver(this.#driverNode(store, gate), options))
      this.#life += 1
      this.#running = { kv, store, gate, author, documents, view: documents.view, driver }
    } catch (error) {
      this.#isBooting = false
      await documents?.drop()
      if (!isFailedWrite(error)) throw error
      this.note('could not start')
      this.home.heads.die()
      await this.home.disk.powerCut()
      this.restartIn(1_000)
      return
    }
    this.#isBooting = false
    this.note('is up')
    this.#running.driver.tell({ type: 'followed', registry })
    await this.world.observer.onRestarted(this)
    this.world.network.review()
  }

  /** The process dies, or the machine with it. */
  async die(how: 'process' | 'machine'): Promise<void> {
    if (this.#running === undefined) return
    await this.#running.documents.drop()
    this.#running = undefined
    this.#life += 1
    this.home.heads.die()
    if (how === 'process') await this.home.disk.kill()
    const lost = how === 'machine' ? await this.home.disk.powerCut() : 0
    this.note(`${how} dies, ${lost} writes lost`)
    this.world.network.left(this.name)
  }

  /** The run is over. */
  async end(): Promise<void> {
    await this.#running?.documents.drop()
    await this.home.disk.kill()
  }

  restartIn(ms: number): void {
    this.world.schedule.plan(ms, `boot ${this.name}`, () => this.boot())
  }

  /** Signs and publishes one fact of our own. Undefined when it was not acknowledged. */
  async publish(subject: Subject, payload: Payload): Promise<AuthoredFact | undefined> {
    const { registry, observer } = this.world
    let fact: AuthoredFact | undefined
    await this.attempt(`${payload.type} ${subject}`, async ({ author }) => {
      fact = await author.write(registry, subject, payload)
      observer.onSigned(this, fact)
      this.tellAll(fact.bytes)
    })
    return fact
  }

  /** Says something about the words of a package or the registry, with what the node knows. */
  async say(label: string, run: (components: EditorComponents, signer: Signer) => Promise<unknown>): Promise<void> {
    const { observer } = this.world
    const announce = (_: RegistryId, fact: AuthoredFact): void => {
      observer.onSigned(this, fact)
      this.tellAll(fact.bytes)
    }
    const signer = signerOf(this.home)
    await this.attempt(label, ({ gate, author, documents: all }) =>
      all.hurried(async documents => {
        const components = { gate, author, documents, announce, signer: async () => signer, now: () => this.clock() }
        await run(components, signer)
      })
    )
  }

  tellAll(bytes: Uint8Array, except?: string): void {
    const { network } = this.world
    for (const peer of network.peersOf(this.name)) if (peer !== except) network.gossip(this.name, peer, bytes)
  }

  onCame(peer: string, dialled: boolean): void {
    this.#running?.driver.tell({ type: 'came', peer, dialled })
  }

  onGone(peer: string): void {
    this.#running?.driver.tell({ type: 'gone', peer })
  }

  onRestarted(peer: string): void {
    this.#running?.driver.tell({ type: 'restarted', peer })
  }

  onBroken(peer: string): void {
    this.#running?.driver.tell({ type: 'broken', peer })
  }

  async onGossip(peer: string, bytes: Uint8Array): Promise<void> {
    const { registry } = this.world
    await this.attempt(`hears of ${peer}`, async ({ gate, driver }) => {
      const admission = await gate.admit(bytes, { peer, registry })
      this.note(`hears of ${peer}: ${wordsOf(admission)}`)
      if (admission.verdict === 'accept') this.tellAll(bytes, peer)
      if (admission.verdict === 'pending') driver.tell({ type: 'gap', peer, registry })
      if (admission.verdict === 'reject') this.blame(peer, admission.reason)
    })
  }

  async onSync(peer: string, bytes: Uint8Array, isRequest: boolean): Promise<void> {
    await this.attempt(`syncs with ${peer}`, async ({ driver }) => driver.hear(peer, bytes, isRequest))
  }

  /** Envelopes of the whole set, in an order in which little has to wait. */
  async snapshot(): Promise<readonly Uint8Array[]> {
    const { kv } = this.#running ?? {}
    const prefix = `body!${this.world.registry}!`
    const all: Uint8Array[] = []
    for await (const [, bytes] of kv?.iterate({ gte: prefix, lt: `${prefix}~`, reverse: true }) ?? []) all.push(bytes)
    return all
  }

  /** Does something with the running parts; what a dying disk does to it ends here. */
  async attempt(label: string, run: (parts: Running) => Promise<void>): Promise<void> {
    if (this.#running === undefined) return
    try {
      await run(this.#running)
    } catch (error) {
      if (!isFailedWrite(error) && !isRefused(error)) throw error
      this.note(`${label} failed: ${error instanceof Error ? error.message.slice(0, 60) : ''}`)
    }
    if (this.home.disk.isDead) await this.die('machine').then(() => this.restartIn(this.#rng.between(500, 8_000)))
    else if (this.home.disk.isBroken && this.#running !== undefined) this.#planReopen()
  }

  blame(peer: string, reason: string): void {
    this.note(`blames ${peer}: ${reason}`)
    this.world.observer.onBlamed(this, peer, reason)
    this.#strikes.set(peer, (this.#strikes.get(peer) ?? 0) + 1)
    if (this.refuses(peer)) this.world.network.cut(this.name, peer)
  }

  /** A store that takes no writes is closed and opened again by whoever runs the node. */
  #planReopen(): void {
    const life = this.#life
    this.world.schedule.plan(2_000, `reopen ${this.name}`, async () => {
      if (this.#life !== life) return
      await this.die('process')
      await this.boot()
    })
  }

  #later(ms: number, label: string, run: () => Promise<void> | void): void {
    const life = this.#life
    this.world.schedule.plan(ms, `${label} ${this.name}`, async () => {
      if (this.#life === life) await this.attempt(label, async () => run())
    })
  }

  #documents({ kv, store, gate }: Pick<Running, 'kv' | 'store' | 'gate'>): SimDocuments {
    const { registry, parts, schedule, weather } = this.world
    const later = (label: string, run: () => Promise<void>): void =>
      schedule.plan(this.#rng.int(weather.workerMs), `${label} ${this.name}`, () => this.attempt(label, run))
    return new SimDocuments({
      registry,
      engine: parts.createEngine(this.home),
      records: parts.openDocuments(kv, store, this.home),
      store,
      gate,
      later,
      note: line => this.note(line)
    })
  }

  #accepted(fact: VerifiedFact, bytes: Uint8Array, peer: string): void {
    const { registry, observer } = this.world
    this.note(`takes ${fact.body.type} ${fact.id.slice(-6)} by ${fact.body.author.slice(-4)} from ${peer}`)
    observer.onAccepted(this, fact)
    // As node/create-node.ts does: our own chain in a fact that we did not write.
    const isOwnChain = fact.body.author === this.home.person.did && fact.body.chain === this.home.chain
    if (peer !== 'self' && isOwnChain) void signerOf(this.home).renewChain()
    this.#running?.driver.tell({ type: 'arrived', registry, id: fact.id })
  }

  #judge(admission: Admission, peer: string): void {
    if (admission.verdict === 'reject') this.blame(peer, admission.reason)
  }

  #driverNode(store: StorePart, gate: GatePart): DriverNode {
    const { registry, network } = this.world
    return {
      name: this.name,
      now: () => this.now(),
      later: (ms, label, run) => this.#later(ms, label, run),
      workMs: () => this.#rng.int(25),
      set: wanted => (wanted === registry ? this.shownSet(store) : undefined),
      unknown: ids => store.unknown(registry, ids),
      load: ids => this.load(store, ids),
      admit: (facts, peer) => this.#admit(gate, facts, peer),
      snapshot: (peer, isWanted, end) => this.#readSnapshot(gate, { peer, isWanted, end }),
      send: (peer, bytes, isRequest) => network.sync(this.name, peer, this.shownBytes(bytes), isRequest),
      close: (peer, side) => network.closeStream(this.name, peer, side === 'own' ? this.name : peer),
      blame: (peer, reason) => this.blame(peer, reason),
      note: line => this.note(line)
    }
  }

  /** What others are told is here; liars tell something else. */
  protected shownSet(store: StorePart): ReturnType<StorePart['set']> {
    return store.set(this.world.registry)
  }

  protected shownBytes(bytes: Uint8Array): Uint8Array {
    return bytes
  }

  protected async load(
    store: StorePart,
    ids: readonly FactId[]
  ): Promise<{ readonly facts: readonly Uint8Array[]; readonly reached: number }> {
    const facts: Uint8Array[] = []
    let bytes = LIMITS.sync.overheadBytes
    let reached = 0
    for (const id of ids) {
      const fact = await store.get(this.world.registry, id)
      if (fact !== undefined && bytes + fact.length > LIMITS.sync.pageBytes) break
      reached += 1
      if (fact === undefined) continue
      facts.push(fact)
      bytes += fact.length
    }
    return { facts, reached }
  }

  async #admit(gate: GatePart, facts: readonly Uint8Array[], peer: string): Promise<readonly SyncVerdict[]> {
    const { registry } = this.world
    try {
      const verdicts = await gate.admitMany(facts, { peer, registry })
      this.note(`syncs ${verdicts.length} of ${peer}: ${[...new Set(verdicts.map(wordsOf))].join(', ')}`)
      return verdicts
    } catch (error) {
      if (!isFailedWrite(error) || this.home.disk.isDead) throw error
      this.note(`could not write what ${peer} sent`)
      return facts.map(() => ({ verdict: 'ignore', reason: 'not-written' }))
    }
  }

  #readSnapshot(
    gate: GatePart,
    { peer, isWanted, end }: { peer: string; isWanted: () => boolean; end: () => void }
  ): void {
    const { network, weather } = this.world
    const connection = network.isConnected(this.name, peer)
    const pause = (): number => 2 * weather.delayMs + this.#rng.int(100)
    let facts: readonly Uint8Array[] | undefined
    const next = async (): Promise<void> => {
      if (!isWanted()) return
      const isThere = connection !== undefined && network.isConnected(this.name, peer) === connection
      facts ??= isThere ? await this.world.node(peer)?.snapshot() : undefined
      if (!isThere || facts === undefined || facts.length === 0) return end()
      const piece = facts.slice(0, SNAPSHOT_PIECE)
      facts = facts.slice(SNAPSHOT_PIECE)
      const verdicts = await this.#admit(gate, piece, peer)
      const isBad = verdicts.some(({ verdict }) => verdict === 'reject')
      if (isBad) this.blame(peer, 'invalid-facts')
      if (isBad) return end()
      this.#later(pause(), 'snapshot', next)
    }
    this.#later(pause(), 'snapshot', next)
  }
}
