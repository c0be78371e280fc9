import { RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { hoursText } from '../../../protocol/policy/day.ts'
import type { Warning } from '../project/lock-check.ts'
import type { Lock, PackId } from '../project/lock-format.ts'
import type { Target } from '../project/target.ts'
import type { Place } from '../publisher/publishers.ts'
import type { Candidate } from './candidate.ts'
import type { Judgement } from './judge.ts'

/**
 * What is to be judged of a lock: every release it names that is asked for, as the fact states it. `before`: the lock as it was.
 * @throws RegistryError INTERNAL for one that no fact was read for: what can't be judged is not let through
 */
export function toCandidates(
  { lock, releases }: Pick<Target, 'lock' | 'releases'>,
  before: Lock,
  isAsked: (id: PackId) => boolean = () => true
): readonly Candidate[] {
  const packs = [...lock.packs.values()].filter(({ id }) => isAsked(id))
  return packs.map(({ id, registry, name, version, cid, fact, author }) => {
    const content = releases.get(id)
    if (content === undefined) throw new RegistryError('INTERNAL', `nothing was read of ${id}, so it cannot be judged`)
    const locked = before.packs.get(id)?.cid === cid
    return { registry, name, version, root: cid, fact, by: author, locked, content }
  })
}

/** Whose keys signed them, and for which registries that matters. */
export function keysOf(candidates: readonly Candidate[]): readonly Place[] {
  return candidates.map(({ registry, by }) => ({ registry, key: by }))
}

/** What rules only warn of, where nothing else has said the same of that package, and registries that are stale. */
export function policyWarnings(
  judgement: Judgement | undefined,
  target: Pick<Target, 'lock' | 'warnings'>
): readonly Warning[] {
  return [...ruleWarnings(judgement, target), ...staleWarnings(judgement, target)]
}

function ruleWarnings(
  judgement: Judgement | undefined,
  { lock, warnings }: Pick<Target, 'lock' | 'warnings'>
): readonly Warning[] {
  const idOf = new Map([...lock.packs.values()].map(({ id, registry, name }) => [`${registry} ${name}`, id]))
  const said = new Set(warnings.map(({ id, code }) => `${id} ${code}`))
  return (judgement?.judged ?? []).flatMap(({ candidate, rules }) => {
    const id = idOf.get(`${candidate.registry} ${candidate.name}`)
    if (id === undefined) return []
    return rules
      .filter(({ outcome, code }) => outcome === 'warn' && !said.has(`${id} ${code}`))
      .map(({ code, message }) => ({
        code: 'policy' as const,
        id,
        text: `${id}@${candidate.version}: ${code}: ${message}`
      }))
  })
}

/** A registry whose view is older than the policies bear is called so, once, with its age: what was withdrawn since is not known. */
export function staleWarnings(judgement: Judgement | undefined, { lock }: Pick<Target, 'lock'>): readonly Warning[] {
  const { judged = [], policies = [] } = judgement ?? {}
  const maxHours = Math.min(...policies.map(({ policy }) => policy.maxStaleHours))
  const first = new Map(judged.map(one => [one.candidate.registry, one] as const).toReversed())
  return [...first.values()].flatMap(({ candidate, facts: { registry } }) => {
    const pack = [...lock.packs.values()].find(
      one => one.registry === candidate.registry && one.name === candidate.name
    )
    if (pack === undefined || registry.staleHours < maxHours) return []
    const since =
      registry.staleHours >= LIMITS.policy.neverHours
        ? 'it was never compared with anybody'
        : `it was compared with nobody for ${hoursText(registry.staleHours)}`
    const text = `${registry.alias} is stale: ${since}; what was withdrawn since is not known here`
    return [{ code: 'stale' as const, id: pack.id, text }]
  })
}
