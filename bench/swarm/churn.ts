import { setTimeout as pause } from 'node:timers/promises'
import { messageOf } from '../../protocol/errors.ts'
import { above, below, informative, median, type Figure } from '../report.ts'
import type { Workbench } from '../workbench.ts'
import { Fleet, found } from './fleet.ts'
import type { Member } from './fleet.ts'
import { ALIAS } from './orders.ts'
import { writePackage } from './packages.ts'

/** Ten nodes in a process: as many event loops as two cores can keep busy, and not fifty times the libraries. */
const FULL = { nodes: 50, processes: 5, minutes: 3, minuteMs: 60_000 }
const QUICK = { nodes: 10, processes: 2, minutes: 1, minuteMs: 30_000 }

/** Of all nodes, in a minute. */
const LEAVING = 0.2
const PUBLISH_EVERY_MS = 3_000
const INSTALL_EVERY_MS = 4_000
const PACKAGES = 8
const PACKAGE_BYTES = 16 * 1024
const TARGET_S = 60
const PATIENCE_MS = 180_000
const LOOK_MS = 250

/**
 * Nodes leave and come all the time: every other one for good, with a new member in its place that comes by an invite, the
 * others stop and come back later. Meanwhile members publish and install. The owner keeps all bytes, and whoever publishes
 * stays until they are there: what nobody else has is gone with its publisher, however well the swarm works.
 */
export async function* churnFigures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const names = ['swarm/churn', 'swarm/churn-failed-installs', 'swarm/churn-joins', 'swarm/churn-join']
  if (!names.some(name => workbench.wants(name))) return
  const size = workbench.isQuick ? QUICK : FULL
  const churn = await Churn.open(workbench, size)
  await churn.run(size)
  const { seconds, begunSeconds, facts } = await churn.settle().finally(() => {
    for (const failure of churn.failures) console.error(`swarm/churn: ${failure}`)
  })
  const { installs, joins, published, left } = churn
  const input =
    `${size.nodes} nodes, ${size.nodes / size.processes} in a process, ${size.minutes} times ${size.minuteMs / 1000} s: ` +
    `${left} left, ${joins.length} joined anew, ${published.length} versions published; ${facts} facts in the end; ` +
    `what was under way at the end took ${begunSeconds.toPrecision(3)} s of it`
  const text = `until all nodes that run have equal digests and every version; ${input}`
  yield below({ bench: 'swarm/churn', value: seconds, unit: 's', input: text }, TARGET_S)
  const failed = installs.filter(({ ok }) => !ok).length
  const of = `of ${installs.length} installs of versions published before, on any node that runs`
  yield below({ bench: 'swarm/churn-failed-installs', value: failed, unit: 'installs', input: of }, 0)
  yield above(
    { bench: 'swarm/churn-joins', value: joins.length, unit: 'joins', input: 'while the others come and go' },
    1
  )
  if (joins.length === 0) return
  yield informative({
    bench: 'swarm/churn-join',
    value: median(joins),
    unit: 'ms',
    input: 'the middle one of those joins'
  })
}

interface Settled {
  readonly seconds: number
  /** What nodes were asked for before was over then. */
  readonly begunSeconds: number
  readonly facts: number
}

interface Install {
  readonly ok: boolean
}

class Churn {
  readonly installs: Install[] = []
  /** How long each join took, in milliseconds. */
  readonly joins: number[] = []
  /** References of versions whose publishing was answered. */
  readonly published: string[] = []
  readonly failures: string[] = []
  left = 0
  readonly #fleet: Fleet
  readonly #founder: Member
  /** Who runs and has nothing else to do with coming and going. */
  readonly #up: Member[] = []
  readonly #stopped: Member[] = []
  /** What a node does now: it is not stopped in the middle of it by the bench. */
  readonly #busy = new Map<Member, Promise<unknown>>()
  readonly #under = new Set<Promise<unknown>>()
  #serial = 0

  private constructor(fleet: Fleet, founder: Member) {
    this.#fleet = fleet
    this.#founder = founder
  }

  static async open(workbench: Workbench, { nodes, processes }: typeof FULL): Promise<Churn> {
    const fleet = await Fleet.open(workbench, processes)
    const { founder } = await found(fleet, { uses: 1, role: 'publisher', keep: 'all' })
    const churn = new Churn(fleet, founder)
    // Who publishes need not be one who may give out names.
    for (let index = 0; index < PACKAGES; index++) await churn.#publish(founder, nameOf(index), '1.0.0')
    while (churn.#up.length < nodes - 1) churn.#up.push(await churn.#newcomer())
    churn.joins.length = 0
    return churn
  }

  async run({ nodes, minutes, minuteMs }: typeof FULL): Promise<void> {
    const changes = Math.round(nodes * LEAVING * minutes)
    const everyMs = (minutes * minuteMs) / changes
    const end = performance.now() + minutes * minuteMs
    const stop = new AbortController()
    const beside = [
      this.#each(PUBLISH_EVERY_MS, stop.signal, () => this.#publishSomewhere()),
      this.#each(INSTALL_EVERY_MS, stop.signal, () => this.#installSomewhere())
    ]
    for (let change = 0; change < changes; change++) {
      this.#also(this.#leave(change % 2 === 0))
      this.#also(this.#come(change % 2 === 0))
      await pause(Math.max(0, Math.min(everyMs, end - performance.now())))
    }
    stop.abort()
    await Promise.all(beside)
  }

  /** How long after the last change everything is everywhere. What was begun before is part of it. */
  async settle(): Promise<Settled> {
    const started = performance.now()
    await Promise.all(this.#under)
    const begunSeconds = (performance.now() - started) / 1000
    for (;;) {
      const looks = await Promise.all([this.#founder, ...this.#up].map(member => member.order('look', null)))
      const [first] = looks
      const seconds = (performance.now() - started) / 1000
      if (first !== undefined && looks.every(({ digest }) => digest === first.digest)) {
        await this.#assertAll()
        return { seconds, begunSeconds, facts: first.facts }
      }
      if (seconds * 1000 > PATIENCE_MS) {
        const seen = looks.map(({ facts, peers }) => `${facts} (${peers.length} peers)`)
        throw new Error(`not all nodes have the same after ${seconds} s: ${seen.join(', ')}`)
      }
      await pause(LOOK_MS)
    }
  }

  /** Equal digests could also be those of nodes that all lack the same. */
  async #assertAll(): Promise<void> {
    for (let index = 0; index < PACKAGES; index++) {
      const { versions } = await this.#founder.call('show', { reference: `${ALIAS}:${nameOf(index)}` })
      const there = new Set(versions.map(({ version }) => `${ALIAS}:${nameOf(index)}@${String(version)}`))
      const lost = this.published.filter(each => each.startsWith(`${ALIAS}:${nameOf(index)}@`) && !there.has(each))
      if (lost.length > 0) throw new Error(`published and nowhere: ${lost.join(', ')}`)
    }
  }

  async #each(everyMs: number, signal: AbortSignal, task: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      this.#also(task())
      await pause(everyMs, undefined, { signal }).catch(() => undefined)
    }
  }

  #also(task: Promise<void>): void {
    const run: Promise<void> = task
      .catch((error: unknown) => void this.failures.push(messageOf(error)))
      .finally(() => this.#under.delete(run))
    this.#under.add(run)
  }

  async #leave(isForGood: boolean): Promise<void> {
    const member = this.#take()
    await this.#busy.get(member)
    if (isForGood) await member.call('swarmLeave', { registry: ALIAS, purge: true })
    await member.order('close', null)
    this.left += 1
    if (!isForGood) this.#stopped.push(member)
  }

  async #come(isNew: boolean): Promise<void> {
    const back = isNew ? undefined : this.#stopped.shift()
    if (back === undefined) {
      const member = await this.#newcomer()
      this.#up.push(member)
      await this.#install(member)
      return
    }
    await back.order('open', { home: back.home, keep: 'none' })
    this.#up.push(back)
  }

  async #newcomer(): Promise<Member> {
    const member = await this.#fleet.newcomer()
    // Each has an invite of its own: of those who use one at the same moment, one in sixteen pairs takes the same place.
    const { token } = await this.#founder.call('invite', { registry: ALIAS, role: 'publisher', uses: 1 })
    const started = performance.now()
    await member.call('join', { token })
    this.joins.push(performance.now() - started)
    return member
  }

  async #publishSomewhere(): Promise<void> {
    const member = this.#some()
    const serial = this.#serial++
    await this.#alone(member, () => this.#publish(member, nameOf(serial % PACKAGES), `1.${serial + 1}.0`))
  }

  async #publish(member: Member, name: string, version: string): Promise<void> {
    const folder = this.#fleet.folder(`${name}-${version}`)
    await writePackage(folder, { name, version, bytes: PACKAGE_BYTES })
    await member.call('publish', { folder, registry: ALIAS })
    const reference = `${ALIAS}:${name}@${version}`
    this.published.push(reference)
    await this.#kept(member, reference, version)
  }

  /** Resolves when the owner has the bytes of a version. */
  async #kept(publisher: Member, reference: string, version: string): Promise<void> {
    const started = performance.now()
    for (;;) {
      const { versions } = await this.#founder.call('show', { reference })
      if (versions.some(each => String(each.version) === version)) break
      if (performance.now() - started > PATIENCE_MS) {
        const { facts, peers } = await publisher.order('look', null)
        const where = `node ${publisher.index}, which has ${facts} facts and ${peers.length} peers`
        throw new Error(`the owner never heard of ${reference} from ${where}`)
      }
      await pause(LOOK_MS)
    }
    const wanted = { registry: ALIAS, facts: 0, peers: 0, kept: true, timeoutMs: PATIENCE_MS }
    await this.#founder.call('waitFor', wanted)
  }

  async #installSomewhere(): Promise<void> {
    const member = this.#some()
    await this.#alone(member, () => this.#install(member))
  }

  /** Whichever version is the newest that the node knows of. */
  async #install(member: Member): Promise<void> {
    const project = this.#fleet.folder(`project-${this.#serial++}`)
    const reference = `${ALIAS}:${nameOf(this.#serial % PACKAGES)}`
    try {
      const { installed } = await member.call('install', { references: [reference], project })
      if (installed.length !== 1) throw new Error('nothing was installed')
      this.installs.push({ ok: true })
    } catch (error) {
      this.installs.push({ ok: false })
      this.failures.push(`node ${member.index} could not install ${reference}: ${messageOf(error)}`)
    }
  }

  /** Nobody goes in the middle of what the bench has asked of him. */
  async #alone(member: Member, task: () => Promise<void>): Promise<void> {
    const before = this.#busy.get(member)
    const run = (async () => {
      await before?.catch(() => undefined)
      await task()
    })()
    const quiet = run.catch(() => undefined)
    this.#busy.set(member, quiet)
    await run
  }

  #some(): Member {
    const member = this.#up[Math.floor(Math.random() * this.#up.length)]
    if (member === undefined) throw new Error('nobody is there')
    return member
  }

  #take(): Member {
    const member = this.#some()
    this.#up.splice(this.#up.indexOf(member), 1)
    return member
  }
}

function nameOf(index: number): string {
  return `churned-${index}`
}
