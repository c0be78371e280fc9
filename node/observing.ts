import type { RegistryId } from '../protocol/cid.ts'
import type { Subject } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { PackageName } from '../protocol/package-name.ts'
import { OBSERVING_ROLES } from '../protocol/role.ts'
import { standingRoles } from '../protocol/roles.ts'
import { isPackage } from '../protocol/subject.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import { ownSightings } from './first-seen.ts'
import type { Seeing } from './first-seen.ts'
import type { Log } from './runtime/log.ts'
import type { Clock } from './runtime/clock.ts'
import type { Signer } from './services/author.ts'
import { tellOf } from './services/observation/observer.ts'
import type { ObserverComponents } from './services/observation/observer.ts'
import type { RegistryView } from './services/registry-view.ts'

type Composing = Seeing &
  Omit<ObserverComponents, 'sightings'> & {
    readonly registries: { readonly all: readonly FollowedRegistry[] }
  }

/** What tells when releases came here, and does so by itself. */
export function composeObserving(
  parts: Omit<Composing, 'signer'> &
    Omit<ObservingInit, 'keepsAny' | 'observer'> & { readonly keeper: Pick<ObservingInit, 'keepsAny'> }
): { readonly observer: ObserverComponents; readonly observing: Observing } {
  const observer = composeObserver(parts)
  const { keeper } = parts
  return { observer, observing: new Observing({ ...parts, observer, keepsAny: id => keeper.keepsAny(id) }) }
}

/** What tells when releases came here. In a registry that was founded here everything was seen to come. */
function composeObserver(parts: Composing): ObserverComponents {
  const { gate, author, announce, now, registries } = parts
  return {
    gate,
    author,
    announce,
    now,
    sightings: async (registry, facts) => {
      const own = await ownSightings(parts, registry, facts)
      const isFounded = registries.all.some(({ id, made }) => id === registry && made)
      return isFounded ? own.map(({ time }) => ({ time, basis: 'first-seen' })) : own
    }
  }
}

export interface ObservingInit {
  readonly clock: Pick<Clock, 'after' | 'now'>
  readonly log: Log
  readonly observer: ObserverComponents
  readonly signer: Signer
  readonly view: Pick<RegistryView, 'packages'>
  /** Whether any bytes of a registry are kept here by a mirror, a role or a setting. */
  readonly keepsAny: (registry: RegistryId) => boolean
}

/**
 * A node that keeps bytes of a registry, and whose key may speak in it, tells when releases came. What comes within a minute is told
 * together, so that a package with many releases is one fact. What is left when it stops is told after the next start, which looks at all.
 */
export class Observing {
  readonly #init: ObservingInit
  readonly #due = new Map<RegistryId, Set<PackageName>>()
  /** Of which every package is to be looked at. */
  readonly #whole = new Set<RegistryId>()
  readonly #abort = new AbortController()
  #isRunning = false
  #isScheduled = false
  #telling: Promise<void> = Promise.resolve()

  constructor(init: ObservingInit) {
    this.#init = init
  }

  start(registries: readonly RegistryId[]): void {
    this.#isRunning = true
    for (const registry of registries) this.noted(registry, 'registry')
  }

  async stop(): Promise<void> {
    this.#isRunning = false
    this.#abort.abort()
    await this.#telling
  }

  /**
   * Something of a registry came: of a package what is new in it. Of the registry itself perhaps a role of ours, or a mirror of it was
   * made: then every package is looked at.
   */
  noted(registry: RegistryId, subject: Subject): void {
    if (!this.#isRunning || !this.#maySpeak(registry)) return
    if (isPackage(subject)) this.#add(registry, subject)
    else if (subject === 'registry') this.#whole.add(registry)
    this.#schedule()
  }

  #add(registry: RegistryId, name: PackageName): void {
    const names = this.#due.get(registry) ?? new Set()
    // Full: what finds no room is looked at after the next start, or the next time something comes of it.
    if (names.size >= LIMITS.observation.waiting) return
    this.#due.set(registry, names.add(name))
  }

  #schedule(): void {
    if (this.#isScheduled || this.#due.size + this.#whole.size === 0 || this.#abort.signal.aborted) return
    this.#isScheduled = true
    this.#init.clock.after(LIMITS.observation.gatherMs, () => this.#round(), this.#abort.signal)
  }

  async #round(): Promise<void> {
    this.#telling = this.#tellDue().catch((error: unknown) => this.#failed(error))
    await this.#telling
    this.#isScheduled = false
    this.#schedule()
  }

  async #tellDue(): Promise<void> {
    const { clock, observer, signer } = this.#init
    const since = clock.now() - LIMITS.observation.backMs
    await this.#lookAround()
    let left: number = LIMITS.observation.factsPerRound
    for (const [registry, names] of this.#due) {
      if (!this.#maySpeak(registry)) names.clear()
      for (const name of names) {
        if (left <= 0 || !this.#isRunning) return
        names.delete(name)
        const { facts } = await tellOf(observer, { registry, name, signer, since })
        left -= facts.length
      }
      if (names.size === 0) this.#due.delete(registry)
    }
  }

  async #lookAround(): Promise<void> {
    for (const registry of this.#whole) {
      this.#whole.delete(registry)
      for await (const { name, versions } of this.#init.view.packages(registry)) {
        if (!this.#isRunning) return
        if (versions.length > 0) this.#add(registry, name)
      }
    }
  }

  /** Cheap, because it is asked for every fact that comes: what it lets through is weighed for each package. */
  #maySpeak(registry: RegistryId): boolean {
    const { keepsAny, observer, signer } = this.#init
    const authority = observer.gate.state(registry)?.authority
    if (authority === undefined || !keepsAny(registry)) return false
    return standingRoles(authority, signer.principal).some(({ role }) => OBSERVING_ROLES.includes(role))
  }

  #failed(error: unknown): void {
    this.#init.log.warn({ error }, 'when releases came could not be told')
  }
}
