import type { NodeParts } from './parts.ts'
import { keysOf, toCandidates } from './services/policy/install.ts'
import type { Judge, Judgement } from './services/policy/judge.ts'
import { checkLock } from './services/project/lock-check.ts'
import { statedRelease } from './services/project/stated-release.ts'

export interface JudgingLock {
  readonly project: string
  readonly by: Judge
  readonly signal: AbortSignal
}

/** Judges what is locked: what somebody has installed, or is about to. */
export async function judgeLock(
  { facts, gate, projects, publishers, registries, view }: NodeParts,
  { project, by, signal }: JudgingLock
): Promise<Judgement> {
  const lock = await projects.open(project).readLock()
  const find = view.find.bind(view)
  const { releases } = await checkLock(lock, {
    find,
    release: (registry, said) => statedRelease({ facts, gate, find }, registry, said),
    registries: () => registries.all
  })
  const candidates = toCandidates({ lock, releases }, lock)
  await publishers.refresh(keysOf(candidates), signal)
  return by(project, candidates, signal)
}
