import type { Warning } from '../project/lock-check.ts'
import type { Lock } from '../project/lock-format.ts'
import type { Target } from '../project/target.ts'
import type { Place } from '../publisher/publishers.ts'
import type { Candidate } from './candidate.ts'
import type { Judgement } from './judge.ts'

/** What is to be judged of a lock: every release it names, as the fact states it. `before`: the lock as it was. */
export function toCandidates(
  { lock, releases }: Pick<Target, 'lock' | 'releases'>,
  before: Lock
): readonly Candidate[] {
  return [...lock.packs.values()].flatMap(({ id, registry, name, version, cid, fact, author }) => {
    const content = releases.get(id)
    const locked = before.packs.get(id)?.cid === cid
    return content === undefined ? [] : [{ registry, name, version, root: cid, fact, by: author, locked, content }]
  })
}

/** Whose keys signed them, and for which registries that matters. */
export function keysOf(candidates: readonly Candidate[]): readonly Place[] {
  return candidates.map(({ registry, by }) => ({ registry, key: by }))
}

/** What rules only warn of, where nothing else has said the same of that package. */
export function policyWarnings(
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
