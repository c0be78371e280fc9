import type { RegistryId } from '../../protocol/cid.ts'
import { deprecationsOf } from '../../protocol/document/deprecation.ts'
import { isRegistryError, RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { shortNameOf } from '../../protocol/package-name.ts'
import type { ReadWords } from './documents/words.ts'
import type { DeprecatedVersion, InstalledPackage, InstallResult, LockChange } from './install-result.ts'
import { fanOut } from '../runtime/queue.ts'
import { similarNames } from './project/similar-names.ts'
import type { FindSimilar } from './project/similar-names.ts'
import type { Place } from './publisher/publishers.ts'
import type { Judge, Judgement } from './policy/judge.ts'
import type { WriteReceipt } from './policy/receipt.ts'
import { assertAllowed } from './policy/refusal.ts'
import { keysOf, policyWarnings, toCandidates } from './policy/install.ts'
import type { Meanings } from './project/bindings.ts'
import { assertHere, fetchAll, placeAll } from './project/execute.ts'
import type { Arrived, ExecuteContext, PackageContent } from './project/execute.ts'
import { wantedIds } from './project/graph.ts'
import type { Warning } from './project/lock-check.ts'
import { formatLock } from './project/lock-format.ts'
import type { Lock, LockedPack, PackId } from './project/lock-format.ts'
import { journalPaths, makePlan, toPlace } from './project/plan.ts'
import type { Plan, Step } from './project/plan.ts'
import type { ProjectStore } from './project/project.ts'
import { findTarget } from './project/target.ts'
import type { ProjectCommand, ProjectState, Target, TargetComponents } from './project/target.ts'

export interface InstallComponents extends TargetComponents {
  readonly precedence: Meanings & { asKnown(): Meanings }
  readonly open: (folder: string) => ProjectStore
  readonly content: PackageContent
  /** Whether one peer alone has shown what a registry says, and nobody accepted that. */
  readonly isUnconfirmed: (registry: RegistryId) => boolean
  /** What people say of a package, where anybody does. */
  readonly words: ReadWords
  /** Whether packages may be installed at all. */
  readonly judge: Judge
  readonly similar: FindSimilar
  /** Asks domains that keys claim, where that is due and may be done. */
  readonly askDomains: (places: readonly Place[], signal: AbortSignal) => Promise<void>
  readonly receipt: WriteReceipt
  /** What a project's lockfile names stays here: told whenever a command has come to its end there. */
  readonly onInstalled: (project: string, lock: Lock) => Promise<void>
  /** Of this program, as it is written into lockfiles. */
  readonly version: string
}

export interface InstallRequest extends ProjectCommand {
  /** The folder that holds `.ggen`. */
  readonly project: string
  /** Overwrites locally modified files. */
  readonly force: boolean
  /** Fails when lockfile or project file would change. */
  readonly frozen: boolean
  /** Asks nobody for bytes. */
  readonly offline: boolean
  /** Finds out what would be done, and does nothing. */
  readonly dryRun: boolean
  /** Puts only what is named, or what the project itself wants, in its place. The lockfile holds all the same. */
  readonly noDeps: boolean
  /** What one peer alone says of a registry is good enough, this time. */
  readonly singleSource: boolean
  /** Answers when all that was installed is on the disk, and not only sure to survive the end of a process. */
  readonly sync: boolean
}

export type Install = (
  request: InstallRequest,
  context: Pick<ExecuteContext, 'onProgress' | 'signal'>
) => Promise<InstallResult>

/**
 * Installs, updates and removes. Phases: read, resolve what the lock does not answer, compare with the disk, fetch all
 * that is missing, write the journal, put each package in its place, take away what nobody needs, write project file and
 * lockfile, clear the journal. A crash between any two leaves whole packages, and running the command again ends what
 * was begun. When there is nothing to do, nothing is written and nobody is asked.
 */
export function installer(components: InstallComponents): Install {
  return async (request, context) => {
    const store = components.open(request.project)
    const { signal, onProgress } = context
    const started = components.now()
    const stamp = await store.stamp()
    const first = await prepare(components, { request, store, signal })
    const resolveMs = components.now() - started
    if (request.dryRun || isIdle(first)) {
      if (!request.dryRun) await components.onInstalled(store.folder, first.target.lock)
      if (request.sync) await store.synced()
      return resultOf(first, { components, request }, new Map())
    }
    const onWait = (holder: string): void => onProgress({ text: `waiting for ${holder}`, done: 0, of: 0 })
    const work = async (): Promise<InstallResult> => {
      await store.recover(journalPaths(await store.readJournal()))
      // Another command may have been at work until now: then what was read before counts for nothing.
      const isSame = stamp === (await store.stamp())
      const current = isSame ? first : await prepare(components, { request, store, signal })
      return execute(current, { components, request, store, context: { ...context, resolveMs } })
    }
    const result = await store.exclusively(work, { signal, onWait })
    if (request.sync) await store.synced()
    return result
  }
}

interface Work {
  readonly before: ProjectState
  readonly target: Target
  readonly plan: Plan
  readonly deprecated: Promise<readonly DeprecatedVersion[]>
  readonly lockChanged: boolean
  readonly projectChanged: boolean
  readonly isInterrupted: boolean
  /** Undefined where nothing is about to be installed, so that nothing has to be judged. */
  readonly judgement: Judgement | undefined
}

interface Preparing {
  readonly request: InstallRequest
  readonly store: ProjectStore
  readonly signal: AbortSignal
}

async function prepare(components: InstallComponents, { request, store, signal }: Preparing): Promise<Work> {
  const before = { project: await store.readProject(), lock: await store.readLock() }
  signal.throwIfAborted()
  // Who says that nobody is to be asked goes by what is known here, also of private registries that were not heard for long.
  const precedence = request.offline ? components.precedence.asKnown() : components.precedence
  const target = await findTarget(request, before, { ...components, precedence })
  signal.throwIfAborted()
  const lockChanged = differs(before.lock, target.lock)
  const projectChanged = await store.changesWants(target.wantChanges)
  if (request.frozen && (lockChanged || projectChanged)) throw outdated(before.lock, target, projectChanged)
  const options = { force: request.force, named: request.noDeps ? namedIds(request, target) : undefined }
  const { find, content } = components
  const files = { find, filesOf: content.filesOf.bind(content) }
  const plan = await makePlan({ store, before: before.lock, target, options }, files, signal)
  const judgement = await judged(components, { request, before: before.lock, target, plan, lockChanged }, signal)
  if (request.offline) await assertHere(toPlace(plan), content)
  const isInterrupted = (await store.readJournal()).state === 'interrupted'
  // Found out while the bytes come: documents of a registry that has just been read may still have to be made.
  const deprecated = deprecatedIn(toPlace(plan), components.words)
  // Whoever fails before it is awaited fails for that reason, not for this one.
  deprecated.catch(() => undefined)
  return { before, target, plan, deprecated, lockChanged, projectChanged, isInterrupted, judgement }
}

interface Judging extends Pick<Work, 'lockChanged' | 'plan' | 'target'> {
  readonly request: InstallRequest
  readonly before: Lock
}

/**
 * Everything passes or nothing is installed: all of the lock is judged when anything of it is to be placed or written, and
 * always with --frozen. Who takes packages away is not held up by those that stay. Attack: a lockfile of a stranger's project with
 * something in it that is not there yet, so that taking something else away would put it there: what is placed is judged.
 * @throws RegistryError POLICY_DENIED
 */
async function judged(
  { judge, askDomains, now }: InstallComponents,
  { request, before, target, plan, lockChanged }: Judging,
  signal: AbortSignal
): Promise<Judgement | undefined> {
  const placed = new Set(toPlace(plan).map(({ pack }) => pack.id))
  const isRemoval = request.kind === 'remove'
  if (placed.size === 0 && (isRemoval || !(request.frozen || lockChanged))) return undefined
  const candidates = toCandidates(target, before, id => !isRemoval || placed.has(id))
  if (!request.offline) await askDomains(keysOf(candidates), signal)
  const judgement = await judge(request.project, candidates, signal)
  await assertAllowed(judgement, now(), signal)
  return judgement
}

function isIdle({ plan, lockChanged, projectChanged, isInterrupted }: Work): boolean {
  const isPlaced = toPlace(plan).length === 0
  return isPlaced && plan.removals.length === 0 && !lockChanged && !projectChanged && !isInterrupted
}

function namedIds({ names }: InstallRequest, { lock, named }: Target): ReadonlySet<PackId> {
  return names.length === 0 ? new Set(wantedIds(lock)) : named
}

interface Executing {
  readonly components: InstallComponents
  readonly request: InstallRequest
  readonly store: ProjectStore
  readonly context: Pick<ExecuteContext, 'onProgress' | 'resolveMs' | 'signal'>
}

async function execute(work: Work, { components, request, store, context }: Executing): Promise<InstallResult> {
  const { target, plan } = work
  const { content, now, version } = components
  const executing: ExecuteContext = { content, now, ...context }
  const steps = toPlace(plan)
  const arrived = await fetchAll(steps, executing)
  context.signal.throwIfAborted()
  const placed = steps.length + plan.removals.length === 0 ? [] : await placeAll({ ...plan, steps }, store, executing)
  const lock = { ...target.lock, updatedAt: new Date(now()).toISOString(), ggenVersion: version }
  const kept = plan.steps.filter(({ action }) => action === 'keep')
  const known = kept.map(({ path, pack }) => ({ path, cid: pack.cid, files: undefined }))
  // Reads only, while the disk is waited for.
  const result = resultOf(work, { components, request }, arrived)
  result.catch(() => undefined)
  // None of these needs what another of them writes. Crash state in all of them: the journal says that this was interrupted, and the
  // next command looks at the folders, writes what is missing here, and pins and remembers what is there.
  const writes = [
    () => store.writeDown({ wants: target.wantChanges, lock: work.lockChanged ? lock : undefined }),
    () => components.onInstalled(store.folder, target.lock),
    () => store.remember([...known, ...placed], plan.removals)
  ]
  await fanOut(writes, { concurrency: writes.length }, write => write())
  try {
    // When all is in its place: it says what was done, not what was about to be.
    const receipt = await receiptOf(work, { components, request }, arrived)
    return { ...(await result), receipt }
  } finally {
    // The disk is busy from then on. Crash state before it: the next command looks at what was placed once more.
    await store.finish()
  }
}

async function receiptOf(
  { judgement, target }: Work,
  { components, request }: Pick<Executing, 'components' | 'request'>,
  arrived: ReadonlyMap<PackId, Arrived>
): Promise<string | null> {
  if (judgement === undefined) return null
  const packs = [...target.lock.packs.values()]
  return components.receipt(request.project, judgement, ({ registry, name }) => {
    const pack = packs.find(each => each.registry === registry && each.name === name)
    return (pack === undefined ? undefined : arrived.get(pack.id)?.from) ?? []
  })
}

async function resultOf(
  work: Work,
  { components, request }: Pick<Executing, 'components' | 'request'>,
  arrived: ReadonlyMap<PackId, Arrived>
): Promise<InstallResult> {
  const { dryRun, singleSource } = request
  const { before, target, plan, lockChanged, projectChanged } = work
  const shown = plan.steps.filter(({ pack, action }) => target.focus.has(pack.id) || action !== 'keep')
  return {
    installed: shown.map(step => installedOf(step, arrived.get(step.pack.id))),
    changes: changesBetween(before.lock, target.lock),
    removed: plan.removals,
    left: target.left,
    overridden: target.overridden,
    warnings: [
      ...target.warnings,
      ...plan.warnings,
      ...(singleSource ? [] : unconfirmed(plan, components)),
      ...policyWarnings(work.judgement, target),
      ...(await similarNames({ before: before.lock, after: target.lock }, components.similar))
    ],
    deprecated: await work.deprecated,
    packages: target.lock.packs.size,
    lockChanged,
    projectChanged,
    dryRun,
    severalRegistries: components.precedence.all.length > 1,
    receipt: null,
    upToDate: isIdle(work)
  }
}

/** What is about to be put in its place and somebody advises against. A document that can't be made keeps nobody from installing. */
async function deprecatedIn(steps: readonly Step[], words: ReadWords): Promise<readonly DeprecatedVersion[]> {
  const found: DeprecatedVersion[] = []
  const { releasesPerTurn } = LIMITS.policy
  for (let at = 0; at < steps.length; at += releasesPerTurn) {
    const some = steps.slice(at, at + releasesPerTurn).map(({ pack }) => deprecatedOf(pack, words))
    found.push(...(await Promise.all(some)).flat())
  }
  return found
}

async function deprecatedOf(
  { registry, name, version }: LockedPack,
  words: ReadWords
): Promise<readonly DeprecatedVersion[]> {
  const said = await words(registry, name).catch((error: unknown) => {
    if (isRegistryError(error)) return undefined
    throw error
  })
  const about = deprecationsOf(name, said?.deprecated ?? [])(version)
  return about.map(({ text }) => ({ name: shortNameOf(name), version, text }))
}

/** One peer alone may keep back what it likes, a yank above all: whoever installs something is told once per registry. */
function unconfirmed(plan: Plan, { isUnconfirmed }: InstallComponents): readonly Warning[] {
  const packs = toPlace(plan).map(({ pack }) => pack)
  const first = packs.filter(({ registry }, i) => packs.findIndex(pack => pack.registry === registry) === i)
  return first
    .filter(({ registry }) => isUnconfirmed(registry))
    .map(({ id, alias }) => ({
      code: 'single-source',
      id,
      text: `${alias} was seen from one peer: nobody else confirmed what it showed; --single-source accepts that`
    }))
}

const ACTIONS = { add: 'added', keep: 'unchanged', leave: 'left', replace: 'replaced' } as const

function installedOf({ pack, path, action, was }: Step, arrived: Arrived | undefined): InstalledPackage {
  return {
    id: pack.id,
    name: shortNameOf(pack.name),
    registry: pack.registry,
    alias: pack.alias,
    version: pack.version,
    was: was ?? null,
    cid: pack.cid,
    author: pack.author,
    path,
    action: ACTIONS[action],
    from: arrived?.from ?? [],
    bytes: arrived?.bytes ?? 0,
    ms: arrived?.ms ?? 0,
    unchanged: action === 'keep'
  }
}

/** What is different in a lock, in the order of the ids; a content that changed under one version counts. */
export function changesBetween(before: Lock, after: Lock): readonly LockChange[] {
  const ids = [...new Set([...before.packs.keys(), ...after.packs.keys()])].toSorted()
  return ids.flatMap(id => {
    const [from, to] = [before.packs.get(id), after.packs.get(id)]
    const pack = to ?? from
    if (pack === undefined || (from?.cid === to?.cid && from?.version === to?.version)) return []
    const named = { id, name: shortNameOf(pack.name), alias: pack.alias }
    return [{ ...named, from: from?.version ?? null, to: to?.version ?? null }]
  })
}

/** Dates and the program's version alone make no difference. */
function differs(before: Lock, after: Lock): boolean {
  const same = { updatedAt: before.updatedAt, ggenVersion: before.ggenVersion }
  return formatLock(before) !== formatLock({ ...after, ...same })
}

function outdated(before: Lock, target: Target, projectChanged: boolean): RegistryError {
  const changes = changesBetween(before, target.lock).map(({ id, from, to }) =>
    from === null
      ? `${id}@${to ?? ''} would be added`
      : to === null
        ? `${id} would go`
        : `${id} would go from ${from} to ${to}`
  )
  const project = projectChanged ? target.wantChanges.map(({ key }) => `the project file would change: ${key}`) : []
  return new RegistryError('LOCKFILE_OUTDATED', '--frozen, and .ggen/packs.lock is not what the project asks for', {
    tried: [...target.reasons, ...changes, ...project].slice(0, 20),
    next: 'run ggen-node install without --frozen and commit what changes'
  })
}
