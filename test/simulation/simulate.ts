import { Author } from '../../node/services/author.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { Envelope } from '../../protocol/fact.ts'
import { SimDisk } from './disk.ts'
import { Evildoer } from './evildoer.ts'
import { signerOf } from './home.ts'
import type { Home } from './home.ts'
import { Violation, Watch } from './invariants.ts'
import type { Invariant } from './invariants.ts'
import { Network } from './network.ts'
import type { Desk } from './operations.ts'
import type { Parts } from './parts.ts'
import { person } from './people.ts'
import { referenceOf } from './reference.ts'
import { Rng } from './rng.ts'
import { EPOCH_MS, Schedule } from './schedule.ts'
import { shareSignatures } from './signatures.ts'
import { SimHeads } from './sim-heads.ts'
import { SimNode } from './sim-node.ts'
import type { World } from './sim-node.ts'
import { readStock } from './stock.ts'
import { bootstrap, mayBegin, planFaults } from './story.ts'
import { Trace } from './trace.ts'
import { drawWeather } from './weather.ts'
import type { Evil, Weather } from './weather.ts'

export interface SimulationOptions {
  readonly seed: number
  readonly nodes?: number
  readonly parts: Parts
  readonly print?: (line: string) => void
}

export interface Outcome {
  readonly seed: number
  readonly trace: string
  readonly events: number
  readonly facts: number
  readonly weather: Weather
  /** How long after the heal all were equal. */
  readonly convergedMs: number
  readonly violation?: { readonly invariant: Invariant; readonly message: string }
}

shareSignatures()

/** Everything is read from the raw records after so many events. */
const INSPECT_EVERY = 1_000

/** One run: a story full of faults, then calm, then equal sets. Everything in it follows from the seed and the parts. */
export async function simulate(options: SimulationOptions): Promise<Outcome> {
  const simulation = new Simulation(options)
  try {
    await simulation.run()
    return simulation.outcome()
  } catch (error) {
    if (error instanceof Violation) return simulation.outcome({ invariant: error.invariant, message: error.message })
    const message = error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : String(error)
    return simulation.outcome({ invariant: 'alive', message })
  } finally {
    await simulation.end()
  }
}

export class Simulation {
  readonly rng: Rng
  readonly schedule = new Schedule()
  readonly weather: Weather
  readonly nodes = new Map<string, SimNode>()
  readonly watch: Watch
  readonly desk: Desk
  readonly world: World
  readonly #trace: Trace
  readonly #seed: number
  readonly #genesis: Uint8Array
  readonly #network: Network
  #isCalm = false
  #events = 0
  #facts = 0
  #convergedMs = 0

  constructor({ seed, nodes, parts, print }: SimulationOptions) {
    this.#seed = seed
    this.rng = new Rng(`seed ${seed}`)
    this.#trace = new Trace(print)
    this.weather = drawWeather(this.rng.split('weather'), nodes)
    this.#trace.add(0, JSON.stringify(this.weather))
    this.#network = new Network(this.schedule, this.#trace, this.weather, this.rng.split('network'))
    const first = this.#home('n0', 'n0')
    this.#genesis = this.#found(first)
    const registry = parseEnvelope(this.#genesis).id as string as RegistryId
    this.watch = new Watch(registry, this.nodes, this.#network)
    this.world = {
      schedule: this.schedule,
      trace: this.#trace,
      weather: this.weather,
      network: this.#network,
      registry,
      parts,
      observer: this.watch,
      node: name => this.nodes.get(name),
      isCalm: () => this.#isCalm
    }
    const trust = (key: Home['person']['did']): void => this.watch.trust(key)
    this.desk = { world: this.world, rng: this.rng.split('desk'), keys: [], doors: [], trust, count: 0 }
    for (let i = 0; i < this.weather.nodes; i++) this.addHonest(i === 0 ? first : this.#home(`n${i}`, `n${i}`))
    if (this.weather.copies.includes('second-home')) this.addHonest(this.#home('second', 'n0'))
    this.#linkHonest()
    for (const kind of this.weather.evils) this.#addEvil(kind)
  }

  async run(): Promise<void> {
    for (const node of this.nodes.values()) await node.boot()
    const first = this.nodes.get('n0')
    await first?.attempt('genesis', async ({ gate }) => void (await gate.admit(this.#genesis, { peer: 'self' })))
    await bootstrap(this)
    planFaults(this)
    await this.#until(this.weather.lastsMs)
    const forks = await this.watch.forksKnown()
    await this.#heal()
    await this.#converge()
    const reference = await referenceOf(this.world.registry, await this.#known())
    this.#facts = reference.set.size + reference.cut.size
    for (const node of this.honest()) {
      await this.watch.settle(node)
      await this.watch.inspect(node)
      await this.#equals(node, reference)
    }
    await this.watch.atTheEnd(reference, forks)
    this.#trace.add(this.schedule.now, `ends with the view ${reference.digest}`)
  }

  async end(): Promise<void> {
    for (const node of this.nodes.values()) await node.end()
  }

  outcome(violation?: Outcome['violation']): Outcome {
    const { weather } = this
    const shared = { seed: this.#seed, trace: this.#trace.digest(), weather, convergedMs: this.#convergedMs }
    const counts = { events: this.#events, facts: this.#facts }
    return violation === undefined ? { ...shared, ...counts } : { ...shared, ...counts, violation }
  }

  honest(): readonly SimNode[] {
    return [...this.nodes.values()].filter(node => !(node instanceof Evildoer))
  }

  evil(): readonly Evildoer[] {
    return [...this.nodes.values()].filter(node => node instanceof Evildoer)
  }

  addHonest(home: Home): SimNode {
    const node = new SimNode(home, this.world)
    this.nodes.set(home.node, node)
    this.#network.add(node)
    this.watch.trust(home.person.did)
    if (!this.desk.keys.includes(home.person.did)) this.desk.keys.push(home.person.did)
    return node
  }

  linkToAll(node: SimNode): void {
    for (const other of this.nodes.values()) this.#network.link(node, other)
  }

  #addEvil(kind: Evil): void {
    const node = new Evildoer(this.#home(kind, kind), this.world, kind)
    this.nodes.set(kind, node)
    this.#network.add(node)
    if (mayBegin(kind)) this.desk.keys.push(node.home.person.did)
    this.linkToAll(node)
  }

  #linkHonest(): void {
    const nodes = this.honest()
    for (const [index, node] of nodes.entries()) {
      const next = nodes[(index + 1) % nodes.length]
      const [hub] = nodes
      if (this.weather.links === 'mesh') this.linkToAll(node)
      if (this.weather.links === 'ring' && next !== undefined) this.#network.link(node, next)
      if (this.weather.links === 'star' && hub !== undefined) this.#network.link(hub, node)
    }
  }

  #home(name: string, key: string): Home {
    const rng = this.rng.split(`home ${name}`)
    const skewMs = this.weather.skewMs === 0 ? 0 : rng.between(-this.weather.skewMs, this.weather.skewMs)
    const chain = Buffer.from(rng.bytes(16)).toString('hex')
    const heads = new SimHeads(rng.split('heads'))
    const disk = new SimDisk(rng.split('disk'))
    return { node: name, kept: new Map(), heads, person: person(key), disk, chain, skewMs, rng }
  }

  #found(first: Home): Uint8Array {
    const { roots, threshold } = this.weather
    const author = new Author({
      gate: { admit: async () => ({ verdict: 'ignore', reason: 'unknown-registry' }), state: () => undefined },
      signer: signerOf(first),
      now: () => EPOCH_MS
    })
    return author.genesis({
      name: 'simulated',
      roots: Array.from({ length: roots }, (_, i) => person(`n${i}`).did).toSorted(),
      threshold,
      recovery: person('recovery').did,
      admission: 'curated',
      visibility: 'public',
      nonce: this.rng.split('nonce').bytes(16)
    }).bytes
  }

  /** Runs what is planned up to a time, each event to its end, and looks at the invariants after each. */
  async #until(time: number, isDone: () => boolean = () => false): Promise<void> {
    for (let event = this.schedule.take(time); event !== undefined; event = this.schedule.take(time)) {
      this.#events += 1
      this.#trace.add(event.at, event.label)
      await event.run()
      await this.watch.afterEvent()
      if (this.#events % INSPECT_EVERY === 0) await this.#inspectAll()
      if (isDone()) return
    }
  }

  async #inspectAll(): Promise<void> {
    for (const node of this.honest()) if (node.isUp()) await this.watch.inspect(node)
  }

  async #heal(): Promise<void> {
    this.#isCalm = true
    this.#trace.add(this.schedule.now, 'everything heals')
    for (const node of this.nodes.values()) {
      node.home.disk.disarm()
      await node.boot()
    }
    this.#network.heal()
  }

  async #converge(): Promise<void> {
    const from = this.schedule.now
    const limit = from + 4 * this.weather.syncIntervalMs + 60_000
    for (let at = from + 500; at <= limit; at += 500) {
      await this.#until(at)
      const sums = new Set(this.honest().map(node => sumAt(node, this.world.registry)))
      if (sums.size > 1 || sums.has('')) continue
      await this.#settleDoubts()
      this.#convergedMs = this.schedule.now - from
      return
    }
    const sizes = this.honest().map(node => `${node.name} ${sumAt(node, this.world.registry)}`)
    throw new Violation('converge', sizes.join(', '))
  }

  /** A node whose last write failed looks at its store again with the next fact that comes, whatever that is. */
  async #settleDoubts(): Promise<void> {
    for (const node of this.honest())
      await node.attempt('looks again', async ({ gate }) => void (await gate.admit(this.#genesis, { peer: 'self' })))
  }

  async #known(): Promise<ReadonlyMap<FactId, Envelope>> {
    const known = new Map<FactId, Envelope>()
    for (const { running } of this.honest()) {
      if (running === undefined) continue
      const { set, cut } = await readStock(running.kv, this.world.registry)
      for (const [id, envelope] of [...set, ...cut]) known.set(id, envelope)
    }
    return known
  }

  async #equals(node: SimNode, reference: Awaited<ReturnType<typeof referenceOf>>): Promise<void> {
    const { running } = node
    if (running === undefined) throw new Violation('alive', `${node.name} is down`)
    const { set } = await readStock(running.kv, this.world.registry)
    const lacks = [...reference.set.keys()].filter(id => !set.has(id))
    const excess = [...set.keys()].filter(id => !reference.set.has(id))
    if (lacks.length + excess.length > 0)
      throw new Violation('membership', `${node.name} lacks ${lacks.join(' ')}, should not have ${excess.join(' ')}`)
    const digest = Buffer.from(await running.view.digest(this.world.registry)).toString('hex')
    if (digest !== reference.digest)
      throw new Violation('equal-digests', `the view of ${node.name} is not what its facts add up to`)
  }
}

function sumAt({ running }: SimNode, registry: RegistryId): string {
  if (running === undefined) return ''
  const set = running.store.set(registry)
  return `${set.size}:${Buffer.from(set.sum()).toString('hex').slice(0, 16)}`
}
