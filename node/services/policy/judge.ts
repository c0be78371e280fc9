import { setImmediate } from 'node:timers/promises'
import type { RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { CompiledPolicy, FindExcuse, ReleaseVerdict } from '../../../protocol/policy/evaluate.ts'
import { holdsAt, isAbout } from '../../../protocol/policy/exception.ts'
import type { ExceptionRecord, Excuse } from '../../../protocol/policy/exception.ts'
import type { Policy, PolicyException } from '../../../protocol/policy/policy.ts'
import type { Rule } from '../../../protocol/policy/rule.ts'
import type { ReleaseFacts } from '../../../protocol/policy/schema.ts'
import type { Version } from '../../../protocol/version.ts'
import type { Heeded } from '../attest/heeded.ts'
import { lookingOnce } from '../resolve.ts'
import type { Candidate } from './candidate.ts'
import { namedOver } from './named.ts'
import { othersOf } from './others.ts'
import type { PolicySources } from './sources.ts'

/** A policy that is in force, and whose it is. */
export interface LoadedPolicy {
  readonly name: string
  readonly policy: Policy
  /** False for that of a registry, which nobody here can make an exception from with a key of his own. */
  readonly isLocal: boolean
  /** Only releases of this registry are judged by it; without one, all of them. */
  readonly registry?: RegistryId
}

export interface JudgeComponents extends PolicySources {
  /**
   * All that are in force in a project, for releases of these registries: each must allow a release. Without `registries`, of
   * all that are followed.
   * @throws RegistryError POLICY_INVALID
   */
  readonly policies: (
    project: string | undefined,
    registries?: ReadonlySet<RegistryId>
  ) => Promise<readonly LoadedPolicy[]>
  /** Exceptions that somebody signed, as they stand in the project; nothing about them is checked yet. */
  readonly exceptions: (project: string | undefined) => Promise<readonly ExceptionRecord[]>
  readonly verifyException: (record: ExceptionRecord) => boolean
  /** The id of a registry by what a policy calls it; undefined when nothing is called that here. */
  readonly registryCalled: (text: string) => RegistryId | undefined
  readonly ownKey: Principal
  readonly now: () => number
}

/** A release and what became of it. */
export interface Judged extends ReleaseVerdict {
  readonly candidate: Candidate
  readonly facts: ReleaseFacts
}

export interface Judgement {
  readonly policies: readonly LoadedPolicy[]
  readonly judged: readonly Judged[]
  /** Exceptions that somebody signed, as they stand in the project. */
  readonly exceptions: readonly ExceptionRecord[]
  /** Judges the same release as if other facts held: what would have to change for it to pass? */
  readonly asIf: (candidate: Candidate, facts: ReleaseFacts) => ReleaseVerdict
  /** The highest other version of the package that passes; of so many as are looked at. */
  readonly another: (candidate: Candidate) => Promise<Version | undefined>
}

export type Judge = (
  project: string | undefined,
  candidates: readonly Candidate[],
  signal: AbortSignal
) => Promise<Judgement>

/** Judges releases by all policies that are in force in a project. The library for rules is loaded by the first call. */
export function judge(components: JudgeComponents): Judge {
  return async (project, candidates, signal) => {
    const [{ compilePolicy, judgeRelease }, { gatherFacts }] = await Promise.all([
      import('../../../protocol/policy/evaluate.ts'),
      import('./gather.ts')
    ])
    const policies = await components.policies(project, new Set(candidates.map(({ registry }) => registry)))
    const records = await components.exceptions(project)
    const compiled = policies.map(({ name, policy, registry }) => ({
      registry,
      policy: compilePolicy(name, policy)
    }))
    const ofRegistry = new Map<RegistryId, readonly CompiledPolicy[]>()
    const over = (registry: RegistryId): readonly CompiledPolicy[] => {
      const known = ofRegistry.get(registry)
      if (known !== undefined) return known
      const found = compiled.flatMap(one =>
        one.registry === undefined || one.registry === registry ? [one.policy] : []
      )
      ofRegistry.set(registry, found)
      return found
    }
    const excuses = new Excuses(policies, records, components)
    const named = namedOver(policies)
    const sources = lookingTogether(components, named)
    const now = components.now()
    const gather = (candidate: Candidate): Promise<ReleaseFacts> =>
      gatherFacts(candidate, sources, { now, named: named(candidate.registry) })
    const asIf = (candidate: Candidate, facts: ReleaseFacts): ReleaseVerdict =>
      judgeRelease(over(candidate.registry), facts, excuses.finder(candidate, now))
    const judged: Judged[] = []
    const { releasesPerTurn } = LIMITS.policy
    for (let at = 0; at < candidates.length; at += releasesPerTurn) {
      if (at > 0) await setImmediate()
      signal.throwIfAborted()
      // What is read of one release waits for the store several times: of many that is the wait of one.
      const some = candidates.slice(at, at + releasesPerTurn)
      const gathered = await Promise.all(some.map(async candidate => ({ candidate, facts: await gather(candidate) })))
      for (const { candidate, facts } of gathered) judged.push({ candidate, facts, ...asIf(candidate, facts) })
    }
    const another = async (candidate: Candidate): Promise<Version | undefined> => {
      const view = await sources.find(candidate.registry, candidate.name)
      for (const other of othersOf(candidate, view)) {
        if (asIf(other, await gather(other)).verdict !== 'deny') return other.version
      }
      return undefined
    }
    return { policies, judged, exceptions: records, asIf, another }
  }
}

/** What was looked up for one release of a judgement is not looked up again for another, nor can it differ between them. */
function lookingTogether(components: PolicySources, named: (registry: RegistryId) => Heeded): PolicySources {
  const find = lookingOnce(components.find)
  const domains = new Map<Principal, ReturnType<PolicySources['domainOf']>>()
  let own: ReturnType<PolicySources['ownKeys']> | undefined
  return {
    ...components,
    find,
    ownKeys: () => (own ??= components.ownKeys()),
    attestations: release => components.attestations(release, find, named(release.registry)),
    advisories: release => components.advisories(release, find),
    quarantine: release => components.quarantine(release, find),
    domainOf: key => {
      const known = domains.get(key) ?? components.domainOf(key)
      domains.set(key, known)
      return known
    }
  }
}

/** An exception that was found, and when it was signed. */
type Found = Omit<Excuse, 'holds'> & { readonly time: number }

/** Who answers for what. */
class Excuses {
  readonly #policies: ReadonlyMap<string, LoadedPolicy>
  readonly #records: readonly ExceptionRecord[]
  readonly #components: JudgeComponents
  /** Signatures are checked once, and only where they would matter. */
  readonly #verified = new Map<ExceptionRecord, boolean>()

  constructor(policies: readonly LoadedPolicy[], records: readonly ExceptionRecord[], components: JudgeComponents) {
    this.#policies = new Map(policies.map(policy => [policy.name, policy]))
    this.#records = records
    this.#components = components
  }

  finder(candidate: Candidate, now: number): FindExcuse {
    return ({ name }, rule) => {
      const policy = this.#policies.get(name)
      if (policy === undefined) return undefined
      const found = [...this.#written(policy, rule, candidate), ...this.#signed(policy, rule, candidate)]
      const excuses = found.map(({ time, ...excuse }) => ({
        ...excuse,
        holds: holdsAt({ until: excuse.until, time }, now)
      }))
      return excuses.find(({ holds }) => holds) ?? excuses[0]
    }
  }

  /** Attack: an exception for a package of one registry that covers one of the same name elsewhere. */
  #written({ policy }: LoadedPolicy, { id }: Rule, { registry, name, version }: Candidate): readonly Found[] {
    const covers = (entry: PolicyException): boolean =>
      entry.rule === id &&
      (entry.name === undefined || entry.name === name) &&
      (entry.version === undefined || entry.version === version) &&
      this.#components.registryCalled(entry.registry) === registry
    return policy.exceptions
      .filter(covers)
      .map(({ until, who, reason }) => ({ until, who, reason, signed: false, time: 0 }))
  }

  #signed({ policy, isLocal }: LoadedPolicy, { id }: Rule, candidate: Candidate): readonly Found[] {
    const { ownKey } = this.#components
    const mayExcuse = (by: Principal): boolean => (isLocal && by === ownKey) || policy.exceptionKeys.includes(by)
    return this.#records
      .filter(record => isAbout(record, id, candidate) && mayExcuse(record.body.by))
      .filter(record => this.#isSound(record))
      .map(({ body: { until, by, reason, time } }) => ({ until, who: by, reason, signed: true, time }))
  }

  #isSound(record: ExceptionRecord): boolean {
    const known = this.#verified.get(record)
    if (known !== undefined) return known
    const sound = this.#components.verifyException(record)
    this.#verified.set(record, sound)
    return sound
  }
}

/** What a policy is called in a verdict. */
export function policyOf({ policies }: Judgement, { name }: Pick<CompiledPolicy, 'name'>): LoadedPolicy | undefined {
  return policies.find(policy => policy.name === name)
}
