import type { RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { isOpen } from '../protocol/fold-versions.ts'
import { LIMITS } from '../protocol/limits.ts'
import { ecosystemOf, shortNameOf } from '../protocol/package-name.ts'
import type { PackageName } from '../protocol/package-name.ts'
import { orderingOf } from '../protocol/version.ts'
import type { Version } from '../protocol/version.ts'
import { heardHere } from './advisories.ts'
import type { NodeParts } from './parts.ts'
import { judgeLock } from './policy-lock.ts'
import { advisoriesAbout } from './services/advisory/heard.ts'
import type { AdvisoryAbout, HeardComponents } from './services/advisory/heard.ts'
import type { AdvisoryMethods, AuditedPackage, Finding, ProjectAudit } from './services/advisory/methods.ts'
import type { Api, CallContext } from './services/api.ts'
import type { LockChange } from './services/install-result.ts'
import { referenceOf } from './services/policy/forward.ts'
import type { Candidate } from './services/policy/candidate.ts'
import type { Judged } from './services/policy/judge.ts'
import { lookingOnce } from './services/resolve.ts'

/** The calls that hold what is installed against what is known today. */
export function projectAuditApi(parts: NodeParts): Pick<Api, 'auditFix' | 'auditProject'> {
  return {
    auditProject: ({ project }, { signal }) => auditProject(parts, project, signal),
    auditFix: (params, context) => fix(parts, params, context)
  }
}

/** What all packages of one audit are held against. */
interface Auditing {
  readonly parts: NodeParts
  readonly project: string
  readonly signal: AbortSignal
  readonly heard: HeardComponents
}

async function auditProject(parts: NodeParts, project: string, signal: AbortSignal): Promise<ProjectAudit> {
  const { judged } = await judgeLock(parts, { project, by: parts.policy.judge, signal })
  const { registries, view } = parts
  const find = lookingOnce(view.find.bind(view))
  const heard = { find, registries: registries.ids, heard: await heardHere(parts) }
  const auditing: Auditing = { parts, project, signal, heard }
  const findings: Finding[] = []
  const packages: AuditedPackage[] = []
  for (const one of judged) {
    signal.throwIfAborted()
    const own = findingsIn(one, await advisoriesAbout(one.candidate, heard))
    if (own.length === 0) continue
    findings.push(...own)
    const { registry, name, version } = one.candidate
    const moveTo = (await nearestSound(one.candidate, auditing)) ?? null
    packages.push({ reference: referenceOf(one), registry, name, version, verdict: one.verdict, moveTo })
  }
  const denied = judged.filter(({ verdict }) => verdict === 'deny').length
  return { audited: judged.length, denied, findings, packages }
}

/** What is known of one package. A rule of the policy is told where none of the facts has said the same. */
function findingsIn(judged: Judged, advisories: readonly AdvisoryAbout[]): readonly Finding[] {
  const { facts, rules, candidate } = judged
  const { registry, name, version } = candidate
  const head = { reference: referenceOf(judged), registry, name, version, about: null, severity: null, fixed: null }
  const found: Finding[] = []
  if (facts.quarantine.active) {
    const { reason } = facts.quarantine
    found.push({ ...head, code: 'quarantine', text: `in quarantine${reason === '' ? '' : `: ${reason}`}` })
  }
  for (const { id, malware, severity, summary, fixed } of advisories) {
    const what = malware ? 'known malware' : `${severity} severity`
    const text = `${id}, ${what}${summary === '' ? '' : `: ${summary}`}`
    found.push({ ...head, code: malware ? 'malware' : 'advisory', about: id, severity, text, fixed })
  }
  if (facts.marks.conflict) found.push({ ...head, code: 'conflict', text: 'the version has more than one content' })
  if (!facts.marks.counts) found.push({ ...head, code: 'withdrawn', text: 'the registry does not count the release' })
  if (facts.marks.yanked) found.push({ ...head, code: 'yanked', text: 'the version was yanked' })
  const told = new Set<string>(found.map(({ code }) => code))
  for (const { code, message, outcome, policy } of rules) {
    if ((outcome !== 'deny' && outcome !== 'warn') || told.has(code)) continue
    found.push({
      ...head,
      code: 'policy',
      about: code,
      text: `${outcome === 'deny' ? 'refused' : 'warned of'} by ${code} (${policy}): ${message}`
    })
  }
  return found
}

/**
 * The version to move to: the lowest above that nothing is known against and that the policies allow, else the highest
 * below. It is judged like one that somebody installs anew.
 */
async function nearestSound(candidate: Candidate, auditing: Auditing): Promise<Version | undefined> {
  const { parts, project, signal, heard } = auditing
  const { registry, name, version } = candidate
  const view = await heard.find(registry, name)
  const { compare, isPrerelease } = orderingOf(ecosystemOf(name))
  const sound = (view?.versions ?? []).filter(
    entry =>
      entry.version !== version &&
      entry.contents.length === 1 &&
      isOpen(entry) &&
      (!isPrerelease(entry.version) || isPrerelease(version))
  )
  const above = sound.filter(entry => compare(entry.version, version) > 0).toReversed()
  const below = sound.filter(entry => compare(entry.version, version) < 0)
  for (const { version: other, contents } of [...above, ...below].slice(0, LIMITS.advisory.alternatives)) {
    const [content] = contents
    const about = { registry, name, version: other }
    if (content === undefined || (await advisoriesAbout(about, heard)).length > 0) continue
    const { root, fact, by } = content
    const { judged } = await parts.policy.judge(project, [{ ...about, root, fact, by, locked: false, content }], signal)
    if (judged[0]?.verdict !== 'deny') return other
  }
  return undefined
}

/** A package that can be moved, and how it is wanted in the project. */
interface Move {
  readonly reference: string
  readonly registry: RegistryId
  readonly name: PackageName
  readonly to: Version
}

/**
 * Moves through the installer and nothing else: it resolves, judges, and places all or nothing. First within the ranges of the
 * project; where those do not lead away from what was found, to the version itself, which then is what the project asks for.
 */
async function fix(
  parts: NodeParts,
  { project, offline = false }: AdvisoryMethods['auditFix']['params'],
  context: CallContext
): Promise<AdvisoryMethods['auditFix']['result']> {
  const before = await auditProject(parts, project, context.signal)
  const changes: LockChange[] = []
  let after = before
  let undone: string | null = null
  for (const attempt of [update, moveAbove, moveExactly]) {
    const moves = movesIn(parts, after)
    if (moves.length === 0) break
    const request = attempt(moves)
    const done = await install(parts, { ...request, project, offline }, context)
    undone = 'why' in done ? done.why : null
    if ('changes' in done) changes.push(...done.changes)
    after = await auditProject(parts, project, context.signal)
  }
  return { before, after, changes, undone }
}

interface Attempt {
  readonly kind: 'install' | 'update'
  readonly names: readonly string[]
}

function update(moves: readonly Move[]): Attempt {
  return { kind: 'update', names: moves.map(({ reference }) => reference) }
}

function moveAbove(moves: readonly Move[]): Attempt {
  return { kind: 'install', names: moves.map(({ reference, to }) => `${reference}@^${to}`) }
}

function moveExactly(moves: readonly Move[]): Attempt {
  return { kind: 'install', names: moves.map(({ reference, to }) => `${reference}@${to}`) }
}

function movesIn({ registries }: NodeParts, { packages }: ProjectAudit): readonly Move[] {
  return packages.flatMap(({ registry, name, moveTo: to }) => {
    const entry = registries.all.find(({ id }) => id === registry)
    if (to === null || entry === undefined) return []
    return [{ reference: `${entry.alias}:${shortNameOf(name)}`, registry, name, to }]
  })
}

/** What changed, or why this way does not lead there. */
async function install(
  parts: NodeParts,
  { kind, names, project, offline }: Attempt & { readonly project: string; readonly offline: boolean },
  context: CallContext
): Promise<{ readonly changes: readonly LockChange[] } | { readonly why: string }> {
  const off = {
    force: false,
    frozen: false,
    dryRun: false,
    noDeps: false,
    singleSource: false,
    sync: false,
    acceptMoves: false
  }
  try {
    const result = await parts.installer({ ...off, kind, names, registry: undefined, project, offline }, context)
    return { changes: result.changes }
  } catch (error) {
    if (isRegistryError(error) && WAYS_OUT.includes(error.code)) return { why: error.message }
    throw error
  }
}

/** What one way of moving may fail with while another goes. */
const WAYS_OUT: readonly string[] = [
  'POLICY_DENIED',
  'UNSOLVABLE',
  'UNKNOWN_VERSION',
  'VERSION_CONFLICT',
  'MISSING_DEPENDENCY'
]
