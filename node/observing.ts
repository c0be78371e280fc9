import { RegistryError } from '../protocol/errors.ts'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import type { Subject } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { PackageName } from '../protocol/package-name.ts'
import { ecosystemOf } from '../protocol/package-name.ts'
import { OBSERVING_ROLES } from '../protocol/role.ts'
import { standingRoles } from '../protocol/roles.ts'
import { isPackage } from '../protocol/subject.ts'
import { orderingOf } from '../protocol/version.ts'
import type { Version } from '../protocol/version.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import { ownSightings } from './first-seen.ts'
import type { Seeing } from './first-seen.ts'
import type { NodeParts } from './parts.ts'
import { pinTarget } from './pin-target.ts'
import type { Log } from './runtime/log.ts'
import type { Clock } from './runtime/clock.ts'
import type { Api, CallContext } from './services/api.ts'
import type { Signer } from './services/author.ts'
import type { ObservationMethods, SightingState, ToldRelease } from './services/observation/methods.ts'
import { tellOf } from './services/observation/observer.ts'
import type { ObserverComponents, Told } from './services/observation/observer.ts'
import type { RegistryView } from './services/registry-view.ts'

type Composing = Seeing &
  Omit<ObserverComponents, 'sightings'> & {
    readonly registries: { readonly all: readonly FollowedRegistry[] }
  }

/** What tells when releases came here. In a registry that was founded here everything was seen to come. */
export function composeObserver(parts: Composing): ObserverComponents {
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

/** The calls about when releases were first seen. */
export function observationApi(parts: NodeParts): Pick<Api, 'observe'> {
  return { observe: (params, context) => observe(parts, params, context) }
}

async function observe(
  parts: NodeParts,
  { what, key }: ObservationMethods['observe']['params'],
  { signal }: CallContext
): Promise<ObservationMethods['observe']['result']> {
  const { attester, observer, registries, view } = parts
  const target = await pinTarget(parts, what)
  if (target.type === 'root')
    throw new RegistryError('USAGE', 'releases are observed, and this is one content', {
      next: 'ggen-node observe NAME, or ALIAS: for a registry'
    })
  const { registry } = target
  const signer = await attester.signer(key)
  const names: PackageName[] = []
  if (target.type === 'package') names.push(target.name)
  else for await (const { name, versions } of view.packages(registry)) if (versions.length > 0) names.push(name)
  const range = target.type === 'package' ? target.range : null
  const facts: FactId[] = []
  const releases: ToldRelease[] = []
  let [isHeld, isExpired, more] = [names.length === 0, false, false]
  for (const name of names) {
    signal.throwIfAborted()
    if (facts.length >= LIMITS.observation.factsPerCommand) {
      more = true
      break
    }
    const told: Told = await tellOf(observer, { registry, name, signer, ...meaning(name, range) })
    isHeld ||= told.holding === 'held'
    isExpired ||= told.holding === 'expired'
    facts.push(...told.facts)
    releases.push(...told.releases)
  }
  const { alias } = registries.find(registry)
  if (!isHeld) throw notHeld(alias, { key: signer.principal, isExpired })
  return { registry, alias, facts, counts: countsOf(releases), releases: named(releases), more }
}

function meaning(name: PackageName, range: string | null): { readonly isMeant?: (version: Version) => boolean } {
  return range === null ? {} : { isMeant: orderingOf(ecosystemOf(name)).parseRange(range) }
}

function notHeld(
  alias: string,
  { key, isExpired }: { readonly key: string; readonly isExpired: boolean }
): RegistryError {
  const why = isExpired ? ': its role has expired' : ''
  return new RegistryError('NOT_AUTHORIZED', `in ${alias} it does not count when this key saw something${why}`, {
    tried: [`looked for one of the roles ${OBSERVING_ROLES.join(', ')} for ${key}`],
    next: `an owner of the registry gives it: ggen-node role grant ${key} mirror --registry ${alias}`
  })
}

function countsOf(releases: readonly ToldRelease[]): Readonly<Record<SightingState, number>> {
  const count = (state: SightingState): number => releases.filter(one => one.state === state).length
  return {
    told: count('told'),
    same: count('same'),
    own: count('own'),
    'first-look': count('first-look'),
    enough: count('enough')
  }
}

function named(releases: readonly ToldRelease[]): readonly ToldRelease[] {
  const [told, others] = [true, false].map(is => releases.filter(({ state }) => (state === 'told') === is))
  return [...(told ?? []), ...(others ?? [])].slice(0, LIMITS.observation.named)
}
