import type { ContentId, RegistryId } from '../../../protocol/cid.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { ecosystemOf, shortNameOf } from '../../../protocol/package-name.ts'
import type { ReleaseContent } from '../../../protocol/payload.ts'
import type { Version } from '../../../protocol/version.ts'
import { fanOut } from '../../runtime/queue.ts'
import { inOrder, wantedIds } from './graph.ts'
import type { Warning } from './lock-check.ts'
import { isLongId } from './lock-format.ts'
import type { Lock, LockedPack, PackId } from './lock-format.ts'
import type { FolderChanges, FolderState, Journal, PlacedFolder, ProjectStore } from './project.ts'
import type { FindPackage } from '../resolve.ts'
import type { Target } from './target.ts'

/** What happens to one package of the lock. `leave`: it holds somebody's edits and is none of this command's business. */
export interface Step {
  readonly pack: LockedPack
  readonly path: string
  readonly release: ReleaseContent
  readonly action: 'keep' | 'add' | 'replace' | 'leave'
  /** The version that the lock had before. */
  readonly was: Version | undefined
}

/** What is to be done to the folders of a project. */
export interface Plan {
  /** Dependencies before what depends on them. */
  readonly steps: readonly Step[]
  /** Folders that nothing needs any more. */
  readonly removals: readonly string[]
  readonly warnings: readonly Warning[]
}

export interface PlanOptions {
  readonly force: boolean
  /** Only what the project itself wants, or what the command names, is put in its place. */
  readonly named: ReadonlySet<PackId> | undefined
}

export interface PlanComponents {
  readonly find: FindPackage
  /** The files of a package, from blocks that are on this disk. */
  readonly filesOf: (root: ContentId, registry: RegistryId) => Promise<ReadonlyMap<string, string> | undefined>
}

/** Where a package lives in a project: two registries with one name never collide. */
export function packPath({ id, name, registry }: Pick<LockedPack, 'id' | 'name' | 'registry'>): string {
  const ecosystem = ecosystemOf(name)
  if (!isLongId(id) && ecosystem === 'ggen') return `.ggen/packages/${shortNameOf(name)}`
  return `.ggen/packages/${registry.slice(-16)}/${ecosystem}/${shortNameOf(name)}`
}

/**
 * Compares what is to be with what is there, and refuses before anything is touched when somebody's edits would go.
 * A folder is nobody's edit when it holds, byte for byte, what an install put there or what its registry published.
 * @throws RegistryError LOCALLY_MODIFIED that names the files
 */
export async function makePlan(
  { store, before, target, options }: PlanInput,
  components: PlanComponents,
  signal: AbortSignal
): Promise<Plan> {
  const history = await historyOf(store, before)
  const packs = inOrder(target.lock, wantedIds(target.lock))
  const chosen = packs.filter(({ id }) => options.named?.has(id) ?? true)
  assertApart(packs.map(packPath))
  await store.assertOwnFolders([...packs.map(packPath), ...history.paths])
  const looked = new Map<LockedPack, Looked>()
  const concurrency = LIMITS.fetch.concurrentPackages
  await fanOut(chosen, { concurrency, signal }, async (pack, abort) => {
    const path = packPath(pack)
    const state = await store.inspect(path, abort)
    looked.set(pack, { path, state, isOurs: await isOurs({ pack, path, state }, { history, components }) })
  })
  const edited: Edited[] = []
  const warnings: Warning[] = []
  const steps = chosen.flatMap((pack): readonly Step[] => {
    const look = looked.get(pack)
    const release = target.releases.get(pack.id)
    if (look === undefined || release === undefined) return []
    const was = before.packs.get(pack.id)
    const action = actionOf({ pack, look, was, focus: target.focus, force: options.force })
    if (action === 'refuse') edited.push({ pack, path: look.path, was })
    if (action === 'leave') {
      warnings.push({ code: 'kept', id: pack.id, text: `${look.path} holds changes of yours and stays as it is` })
    }
    return [{ pack, path: look.path, release, action: action === 'refuse' ? 'leave' : action, was: was?.version }]
  })
  if (edited.length > 0) throw await modified(edited, { store, history, components, signal })
  const removals = await removalsOf({ store, before, target, options }, history, { components, signal, warnings })
  return { steps, removals, warnings: [...warnings] }
}

export interface PlanInput {
  readonly store: ProjectStore
  readonly before: Lock
  readonly target: Target
  readonly options: PlanOptions
}

interface Looked {
  readonly path: string
  readonly state: FolderState
  readonly isOurs: boolean
}

interface Acting {
  readonly pack: LockedPack
  readonly look: Looked
  readonly was: LockedPack | undefined
  readonly focus: ReadonlySet<PackId>
  readonly force: boolean
}

function actionOf({ pack, look, was, focus, force }: Acting): Step['action'] | 'refuse' {
  const { state } = look
  if (state.type === 'missing') return 'add'
  if (state.type === 'folder' && state.root === pack.cid) return 'keep'
  if (look.isOurs || (force && focus.has(pack.id))) return 'replace'
  return focus.has(pack.id) || was?.cid !== pack.cid ? 'refuse' : 'leave'
}

/** What earlier installs put where. */
interface History {
  readonly paths: readonly string[]
  readonly placed: ReadonlyMap<string, PlacedFolder>
  readonly locked: ReadonlyMap<string, LockedPack>
  /** Contents that may lie at a path by our own doing. */
  readonly own: ReadonlyMap<string, ReadonlySet<ContentId>>
  /** Where a power cut may have taken bytes. */
  readonly torn: ReadonlySet<string>
}

async function historyOf(store: ProjectStore, before: Lock): Promise<History> {
  const [placed, journal] = await Promise.all([store.placed(), store.readJournal()])
  const locked = new Map([...before.packs.values()].map(pack => [packPath(pack), pack]))
  const own = new Map<string, Set<ContentId>>()
  const add = (path: string, cid: ContentId): void => {
    own.set(path, (own.get(path) ?? new Set()).add(cid))
  }
  for (const [path, { cid }] of placed) add(path, cid)
  for (const { path, cid } of journal.packs) add(path, cid)
  for (const [path, { cid }] of locked) add(path, cid)
  const torn = new Set(journal.mayBeTorn ? journalPaths(journal) : [])
  return { paths: [...own.keys()], placed, locked, own, torn }
}

async function isOurs(
  { pack, path, state }: { readonly pack: LockedPack | undefined; readonly path: string; readonly state: FolderState },
  { history, components }: { readonly history: History; readonly components: PlanComponents }
): Promise<boolean> {
  if (state.type !== 'folder') return false
  if (history.own.get(path)?.has(state.root) === true || history.torn.has(path)) return true
  if (pack === undefined) return false
  const view = await components.find(pack.registry, pack.name)
  return view?.versions.some(({ contents }) => contents.some(({ root }) => root === state.root)) === true
}

interface Removing {
  readonly components: PlanComponents
  readonly signal: AbortSignal
  readonly warnings: Warning[]
}

async function removalsOf(
  { store, target, options }: PlanInput,
  history: History,
  { components, signal, warnings }: Removing
): Promise<readonly string[]> {
  const needed = new Set([...target.lock.packs.values()].map(packPath))
  const removals: string[] = []
  for (const path of history.paths.filter(each => !needed.has(each))) {
    const state = await store.inspect(path, signal)
    if (state.type === 'missing') continue
    const pack = history.locked.get(path)
    if (options.force || (await isOurs({ pack, path, state }, { history, components }))) removals.push(path)
    else {
      const text = `${path} is no longer needed and holds changes of yours: delete it yourself`
      warnings.push({ code: 'kept', id: pack?.id ?? path, text })
    }
  }
  return removals
}

/** Attack: a package named like the folder of another registry, which it would then lie around. */
function assertApart(paths: readonly string[]): void {
  const sorted = paths.toSorted()
  const inner = sorted.find((path, i) => i > 0 && path.startsWith(`${sorted[i - 1] ?? ''}/`))
  if (inner === undefined) return
  throw new RegistryError('ALREADY_EXISTS', `two packages would lie in one another at ${inner}`, {
    next: 'remove one of them from the project'
  })
}

interface Edited {
  readonly pack: LockedPack
  readonly path: string
  readonly was: LockedPack | undefined
}

interface Comparing {
  readonly store: ProjectStore
  readonly history: History
  readonly components: PlanComponents
  readonly signal: AbortSignal
}

async function modified(edited: readonly Edited[], comparing: Comparing): Promise<RegistryError> {
  const lines: string[] = []
  for (const one of edited) lines.push(...(await changedFiles(one, comparing)))
  const named = LIMITS.project.namedFiles
  const shown = lines.length > named ? [...lines.slice(0, named), `and ${lines.length - named} more`] : lines
  const what = edited.map(({ path }) => path).slice(0, named)
  return new RegistryError(
    'LOCALLY_MODIFIED',
    `${what.join(', ')} differ${what.length > 1 ? '' : 's'} from what was installed`,
    {
      tried: shown,
      next: 'move your changes away, or overwrite them with --force'
    }
  )
}

async function changedFiles(
  { pack, path, was }: Edited,
  { store, history, components, signal }: Comparing
): Promise<readonly string[]> {
  const held = was ?? pack
  const files = history.placed.get(path)?.files ?? (await components.filesOf(held.cid, held.registry))
  if (files === undefined) return [`${path} is not what the lockfile has: ${held.cid}`]
  return changeLines(path, await store.compare(path, files, signal))
}

/** One line for each file that differs. */
export function changeLines(path: string, { modified: changed, missing, extra }: FolderChanges): readonly string[] {
  return [
    ...changed.map(file => `modified: ${path}/${file}`),
    ...missing.map(file => `missing: ${path}/${file}`),
    ...extra.map(file => `not from the package: ${path}/${file}`)
  ]
}

/** Paths that an interrupted install may have been working on. */
export function journalPaths({ packs }: Journal): readonly string[] {
  return packs.map(({ path }) => path)
}

/** What is put where it is to be. */
export function toPlace({ steps }: Plan): readonly Step[] {
  return steps.filter(({ action }) => action === 'add' || action === 'replace')
}
