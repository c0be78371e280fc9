import { isTag } from '../../../protocol/document/edits.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { shortNameOf } from '../../../protocol/package-name.ts'
import type { ReleaseContent } from '../../../protocol/payload.ts'
import type { LeftOut, Overridden } from '../../../protocol/solver/tree.ts'
import type { ReadTag } from '../documents/words.ts'
import { lookingOnce } from '../resolve.ts'
import type { Pick as Picked } from '../resolve.ts'
import { Bindings } from './bindings.ts'
import { reachable, wantedIds } from './graph.ts'
import { checkLock } from './lock-check.ts'
import type { LockCheckComponents, Warning } from './lock-check.ts'
import type { Lock, LockedPack, PackId } from './lock-format.ts'
import { edgesOf, leftOut, needsOf, outdatedReasons } from './outdated.ts'
import { assertUnmoved } from './moves.ts'
import type { Asked } from './outdated.ts'
import type { ProjectFile, Want, WantChange } from './project.ts'
import { solveFor } from './solve.ts'
import type { SolveComponents } from './solve.ts'
import { ProjectNames, findLocked, findWant, parseTyped, wantKey } from './wishes.ts'
import type { ProjectRegistries, TypedWish, Wish } from './wishes.ts'

/** What a command asks of a project. */
export interface ProjectCommand {
  readonly kind: 'install' | 'update' | 'remove'
  /** References or names; none means the whole project. */
  readonly names: readonly string[]
  /** The registry that names without an alias mean. */
  readonly registry: string | undefined
  /** What is locked holds, whatever precedence would say now. */
  readonly frozen: boolean
  /** Locked names may move to the registry that precedence says. */
  readonly acceptMoves: boolean
}

/** What a project has written down. */
export interface ProjectState {
  readonly project: ProjectFile
  readonly lock: Lock
}

/** Where a command leads: the lock and the project file as they are to be. */
export interface Target {
  readonly lock: Lock
  readonly wantChanges: readonly WantChange[]
  /** Why the lock could not stay as it was. */
  readonly reasons: readonly string[]
  readonly releases: ReadonlyMap<PackId, ReleaseContent>
  readonly warnings: readonly Warning[]
  readonly left: readonly LeftOut[]
  /** Overrides that took effect; empty when nothing had to be resolved. */
  readonly overridden: readonly Overridden[]
  /** What the command is about: a difference in these is its business. */
  readonly focus: ReadonlySet<PackId>
  /** What the command named, without what that needs. */
  readonly named: ReadonlySet<PackId>
}

export interface TargetComponents extends LockCheckComponents, SolveComponents {
  readonly followed: ProjectRegistries
  /** The version that a tag such as `next` stands for. */
  readonly tag: ReadTag
  readonly now: () => number
}

/**
 * Finds out where a command leads, without touching anything. A lock that has all that is asked for is left alone: only
 * what it lacks is resolved, with everything else held where it is as far as that goes.
 * @throws RegistryError whatever keeps the project from being resolved
 */
export async function findTarget(
  command: ProjectCommand,
  { project, lock }: ProjectState,
  given: TargetComponents
): Promise<Target> {
  const find = lookingOnce(given.find)
  const components = { ...given, find, precedence: given.precedence.over(find) }
  const spelled = command.names.map(text => parseTyped(text, command.registry))
  const names = await namesOf(command, { project, lock, spelled }, components)
  const typed = await Promise.all(spelled.map(one => withoutTag(one, names, components)))
  const change = changeOf(command, typed, { project, lock, names })
  const asked = askedOf({ wants: change.wants, overrides: project.overrides }, names)
  const bindings = bindingsOf(command, { lock, names, asked }, components)
  if (command.kind !== 'remove' && !command.frozen) {
    const { precedence, followed } = components
    const { acceptMoves } = command
    // An override with an alias binds dependencies as a wish does.
    const named = [...change.wants, ...project.overrides.filter(({ alias }) => alias !== undefined)]
    await assertUnmoved(lock, named, { names, bindings, precedence, followed, acceptMoves })
  }
  const isWhole = command.kind === 'update' && command.names.length === 0
  const start = command.kind === 'remove' ? withoutUnneeded(lock, asked.wishes) : lock
  // An update of everything takes nothing from the lock, so nothing in it has to be believed.
  const checked = isWhole ? { releases: new Map(), warnings: [] } : await checkLock(start, components)
  await bindings.load(needsOf(start, checked.releases))
  const known = { releases: checked.releases, bindings }
  const reasons = isWhole ? ['everything is resolved anew'] : outdatedReasons(start, asked, known)
  const named = new Set(change.named)
  if (reasons.length === 0 && change.update.size === 0) {
    return {
      lock: start,
      wantChanges: change.wantChanges,
      reasons,
      ...checked,
      left: leftOut(start, known),
      overridden: [],
      focus: focusOf(start, named),
      named
    }
  }
  const update = isWhole ? 'all' : change.update
  const solved = await solveAll(asked, { lock: start, update, names, bindings, components })
  const wants = settledWants(change, solved.lock)
  const after = await checkLock(wants.lock, components)
  return {
    lock: wants.lock,
    wantChanges: wants.changes,
    reasons: isWhole ? [] : reasons,
    ...after,
    left: solved.left,
    overridden: solved.overridden,
    focus: focusOf(wants.lock, named),
    named
  }
}

interface Spelled extends ProjectState {
  readonly spelled: readonly TypedWish[]
}

function namesOf(
  { acceptMoves, frozen }: ProjectCommand,
  { project, lock, spelled }: Spelled,
  { followed: registries, precedence }: TargetComponents
): Promise<ProjectNames> {
  const names = [...project.wants, ...project.overrides, ...spelled].map(({ name }) => name)
  const plain = [...project.wants, ...spelled].filter(({ alias }) => alias === undefined)
  const asked = new Set(plain.map(({ name }) => name))
  const init = { lock, wants: project.wants, asked, registries, precedence, acceptMoves: acceptMoves && !frozen }
  return ProjectNames.open(init, names)
}

/** An override with an alias also says of which registry the dependencies of that name are. */
function bindingsOf(
  { acceptMoves, frozen }: ProjectCommand,
  { lock, names, asked }: { readonly lock: Lock; readonly names: ProjectNames; readonly asked: Asked },
  { precedence }: TargetComponents
): Bindings {
  const named = asked.overrides.filter(({ alias }) => alias !== undefined)
  const decided = new Map(named.map(({ name, registry }) => [name, registry.id]))
  const main = precedence.all.length === 0 ? undefined : names.main().id
  return new Bindings(lock, { precedence, main, decided, acceptMoves: acceptMoves && !frozen })
}

/** A tag means, once and for all, the version that it stands for now: the project asks for that one from then on. */
async function withoutTag(typed: TypedWish, names: ProjectNames, { tag }: TargetComponents): Promise<TypedWish> {
  const { name, range } = typed
  if (range === undefined || !isTag(range)) return typed
  const { registry } = names.wishOf({ ...typed, key: '', range: '*' })
  return { ...typed, range: await tag(registry.id, name, range) }
}

interface Change {
  readonly wants: readonly Want[]
  readonly wantChanges: readonly WantChange[]
  /** Wishes that were typed without a range: they get one once their version is known. */
  readonly open: ReadonlyMap<PackId, Want>
  readonly named: readonly PackId[]
  readonly update: ReadonlySet<PackId>
}

interface Before extends ProjectState {
  readonly names: ProjectNames
}

function changeOf({ kind }: ProjectCommand, typed: readonly TypedWish[], before: Before): Change {
  switch (kind) {
    case 'install':
      return additions(typed, before)
    case 'update': {
      const ids = typed.map(one => findLocked(before.lock, withoutRange(one)).id)
      return { wants: before.project.wants, wantChanges: [], open: new Map(), named: ids, update: new Set(ids) }
    }
    case 'remove':
      return removals(typed, before)
  }
}

function additions(typed: readonly TypedWish[], { project, lock, names }: Before): Change {
  const wants = new Map(project.wants.map(want => [want.key, want]))
  const open = new Map<PackId, Want>()
  const named: PackId[] = []
  const update = new Set<PackId>()
  for (const one of typed) {
    const known = findWant(project, one, names)
    const alias = known === undefined ? aliasFor(one, names) : known.alias
    const want = known ?? { key: wantKey(alias, one.name), alias, name: one.name, range: '*' }
    const next = { ...want, range: one.range ?? want.range }
    const { id } = names.wishOf(next)
    wants.set(next.key, next)
    named.push(id)
    if (known === undefined && one.range === undefined) open.set(id, next)
    // Who asks for a package by name the first time means its newest version, whatever others made the lock have.
    if (known === undefined) update.add(id)
  }
  const changed = [...wants.values()].filter(
    ({ key, range }) => project.wants.find(w => w.key === key)?.range !== range
  )
  const isLocked = (id: PackId): boolean => lock.packs.get(id)?.requested !== undefined
  return {
    wants: [...wants.values()],
    wantChanges: changed.map(({ key, range }) => ({ key, range })),
    open,
    named,
    update: new Set([...update].filter(id => !isLocked(id)))
  }
}

/**
 * The alias that a new wish is written with: none only where a name without one means this very registry to everybody who
 * has the project.
 */
function aliasFor(typed: TypedWish, names: ProjectNames): string | undefined {
  const { registry } = names.wishOf({ ...typed, key: '', range: '*' })
  const standing = names.standingOf(typed.name)
  const isPlain = registry.id === names.main().id && standing?.type === 'found' && standing.registry.id === registry.id
  return isPlain ? undefined : (typed.alias ?? registry.alias)
}

function removals(typed: readonly TypedWish[], { project, lock, names }: Before): Change {
  const gone = typed.map(one => {
    const want = findWant(project, one, names)
    if (want !== undefined) return want
    const { id } = findLocked(lock, withoutRange(one))
    throw new RegistryError(
      'NOT_IN_PROJECT',
      `${id} is here because another package needs it, not by a wish of yours`,
      {
        next: `ggen-node why ${shortNameOf(one.name)} says which`
      }
    )
  })
  const keys = new Set(gone.map(({ key }) => key))
  return {
    wants: project.wants.filter(({ key }) => !keys.has(key)),
    wantChanges: [...keys].map(key => ({ key, range: undefined })),
    open: new Map(),
    named: gone.map(want => names.wishOf(want).id),
    update: new Set()
  }
}

function withoutRange(typed: TypedWish): TypedWish {
  if (typed.range === undefined) return typed
  throw new RegistryError('USAGE', `${shortNameOf(typed.name)}@${typed.range}: give the name without a version`, {
    next: `ggen-node install ${shortNameOf(typed.name)}@${typed.range} changes the range`
  })
}

function askedOf({ wants, overrides }: ProjectFile, names: ProjectNames): Asked {
  return { wishes: wants.map(want => names.wishOf(want)), overrides: overrides.map(want => names.overrideOf(want)) }
}

/** The lock without what nobody needs once these wishes are all there are. */
function withoutUnneeded(lock: Lock, wishes: readonly Wish[]): Lock {
  const wanted = new Set(wishes.map(({ id }) => id))
  const packs = new Map(
    [...lock.packs].map(([id, pack]) => {
      const { requested: _requested, ...other } = pack
      return [id, wanted.has(id) ? pack : other]
    })
  )
  const needed = reachable({ ...lock, packs }, [...wanted])
  return { ...lock, packs: new Map([...packs].filter(([id]) => needed.has(id))) }
}

interface SolveContext {
  readonly lock: Lock
  readonly update: 'all' | ReadonlySet<PackId>
  readonly names: ProjectNames
  readonly bindings: Bindings
  readonly components: TargetComponents
}

/** All registries at once: a package of one may need a package of another. */
async function solveAll(
  asked: Asked,
  { lock, update, names, bindings, components }: SolveContext
): Promise<Pick<Target, 'left' | 'lock' | 'overridden'>> {
  const packs = new Map<PackId, LockedPack>()
  const picked = new Map<PackId, ReleaseContent>()
  const request = { ...asked, locked: [...lock.packs.values()], update }
  const { picks, left, overridden } = await solveFor({ ...components, bindings }, request)
  for (const pick of picks) {
    const pack = toLocked(pick, { followed: components.followed, names, now: components.now() })
    picked.set(pack.id, pick.content)
    packs.set(pack.id, asBefore(pack, lock.packs.get(pack.id)))
  }
  const { wishes, overrides } = asked
  const wanted = new Map(wishes.map(({ id, range }) => [id, range]))
  const whole = { ...lock, packs, overrides: new Map(overrides.map(({ key, range }) => [key, range])) }
  await bindings.load(needsOf(whole, picked))
  const linked = [...packs.values()].map((pack): readonly [PackId, LockedPack] => {
    const manifest = picked.get(pack.id)?.manifest
    const requested = wanted.get(pack.id)
    const dependencies = manifest === undefined ? [] : edgesOf(whole, pack, { manifest, bindings })
    return [pack.id, { ...pack, dependencies, ...(requested === undefined ? {} : { requested }) }]
  })
  return { lock: { ...whole, packs: new Map(linked) }, left, overridden }
}

function toLocked(
  { name, version, content, registry }: Picked,
  { followed, names, now }: Pick<TargetComponents, 'followed'> & { readonly names: ProjectNames; readonly now: number }
): LockedPack {
  return {
    id: names.idOf(name, registry),
    name,
    version,
    registry,
    alias: followed.find(registry).alias,
    cid: content.root,
    sha256: content.digests.sha256,
    author: content.by,
    fact: content.fact,
    installedAt: new Date(now).toISOString(),
    dependencies: [],
    extra: {}
  }
}

/** What is still the same stays as it stands in the file, date, alias and unknown fields included. */
function asBefore(pack: LockedPack, before: LockedPack | undefined): LockedPack {
  if (before === undefined || before.cid !== pack.cid || before.version !== pack.version) return pack
  const { requested: _requested, ...same } = before
  return same
}

/** Gives wishes that were typed without a range the one that allows what is compatible with the version found. */
function settledWants({ open, wantChanges }: Change, lock: Lock): { lock: Lock; changes: readonly WantChange[] } {
  const packs = new Map(lock.packs)
  const ranges = new Map<string, string>()
  for (const [id, { key }] of open) {
    const pack = packs.get(id)
    if (pack === undefined) continue
    const requested = `^${pack.version}`
    packs.set(id, { ...pack, requested })
    ranges.set(key, requested)
  }
  const changes = wantChanges.map(change => ({ ...change, range: ranges.get(change.key) ?? change.range }))
  return { lock: { ...lock, packs }, changes }
}

function focusOf(lock: Lock, named: ReadonlySet<PackId>): ReadonlySet<PackId> {
  return reachable(lock, named.size === 0 ? [...wantedIds(lock)] : [...named])
}
