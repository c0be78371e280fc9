import { inlineEngine } from '../../node/documents/inline.ts'
import { composePrecedence } from '../../node/precedence.ts'
import { Registries } from '../../node/registries.ts'
import { Gate } from '../../node/services/admit.ts'
import { Documents } from '../../node/services/documents/documents.ts'
import { tagReader } from '../../node/services/documents/words.ts'
import type { Precedence } from '../../node/services/precedence.ts'
import { EMPTY_LOCK } from '../../node/services/project/lock-format.ts'
import type { ProjectFile, WantChange } from '../../node/services/project/project.ts'
import { statedRelease } from '../../node/services/project/stated-release.ts'
import { findTarget } from '../../node/services/project/target.ts'
import type { ProjectCommand, ProjectState, Target, TargetComponents } from '../../node/services/project/target.ts'
import { parseTyped } from '../../node/services/project/wishes.ts'
import { RegistryView } from '../../node/services/registry-view.ts'
import { resolveNodes } from '../../node/services/resolve.ts'
import { searchAll } from '../../node/services/search.ts'
import { Sources } from '../../node/sources.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Dependency } from '../../protocol/manifest.ts'
import { DocumentStore } from '../../storage/document-store.ts'
import { FactStore } from '../../storage/fact-store.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { Records } from '../../storage/records.ts'
import type { FollowedRegistry } from '../../storage/records.ts'
import { FactWriter, person } from './facts.ts'
import type { Made } from './facts.ts'

/** How a registry is followed. `read`: compared with somebody, or made here. */
export interface FollowOptions {
  readonly kind: 'private' | 'public'
  readonly isDefault?: boolean
  /** False: nothing of it has come here yet. */
  readonly read?: boolean
}

/** Many registries over one store: the real gate, fold, view, precedence and solver, without a network or a disk. */
export class Federation {
  readonly kv: KeyValue
  readonly facts: FactStore
  readonly gate: Gate
  readonly view: RegistryView
  readonly registries: Registries
  readonly precedence: Precedence<FollowedRegistry>
  /** The time by its clock. */
  now = 1_700_000_000_000
  readonly sources: Sources
  readonly #documents: Documents
  readonly #admitted = new Map<FactWriter, number>()

  constructor(kv: KeyValue = memoryKeyValue()) {
    this.kv = kv
    this.facts = new FactStore(kv, { now: () => this.now })
    this.gate = new Gate({ store: this.facts, mayAsk: () => true })
    const records = new Records(kv)
    this.registries = new Registries(records)
    this.sources = new Sources(records, () => this.now)
    this.view = new RegistryView(this.facts)
    this.#documents = new Documents({
      gate: this.gate,
      records: new DocumentStore(kv, this.facts),
      engine: inlineEngine(),
      onFailed: () => {},
      onChanged: () => {}
    })
    const { facts, gate, registries, view } = this
    this.precedence = composePrecedence({ facts, gate, registries, view, sources: this.sources })
  }

  /** Follows a new registry, under the key of its alias. */
  async follow(alias: string, { kind, isDefault = false, read = true }: FollowOptions): Promise<FactWriter> {
    const writer = new FactWriter(person(alias), { name: alias, visibility: kind })
    const { registry } = writer
    const swarm = kind === 'private' ? alias : 'public'
    await this.registries.add(registry, { alias, isDefault, swarm })
    await this.facts.open(registry)
    await this.gate.open(registry)
    if (read) await this.read(writer)
    return writer
  }

  /** Takes in what was written since, as from a peer that the registry is compared with to the end. */
  async read(writer: FactWriter): Promise<void> {
    const { registry } = writer
    const rest = writer.all.slice(this.#admitted.get(writer) ?? 0)
    this.#admitted.set(writer, writer.all.length)
    for (let from = 0; from < rest.length; from += LIMITS.admission.factsPerBatch) {
      const batch = rest.slice(from, from + LIMITS.admission.factsPerBatch).map(({ bytes }) => bytes)
      const verdicts = await this.gate.admitMany(batch, { peer: 'someone', registry })
      const refused = verdicts.find(({ verdict }) => verdict !== 'accept')
      if (refused !== undefined) throw new Error(`a fact was not accepted: ${JSON.stringify(refused)}`)
    }
    await this.sources.add(registry, 'someone')
  }

  /** Opens all that is kept, as a start does. */
  async reopen(): Promise<void> {
    await this.registries.load()
    for (const registry of this.registries.ids) {
      this.gate.close(registry)
      await this.facts.open(registry)
      await this.gate.open(registry)
      await this.sources.load(registry)
    }
  }

  project(): TestProject {
    return new TestProject(this)
  }

  search(query: string, limit = 20): ReturnType<typeof searchAll> {
    const { view, precedence } = this
    return searchAll({ view, precedence }, { query, limit, registries: this.registries.all })
  }

  components(): TargetComponents {
    const { registries, precedence, facts, gate } = this
    const find = this.view.find.bind(this.view)
    return {
      find,
      precedence,
      solve: resolveNodes,
      release: (registry, said) => statedRelease({ facts, gate, find }, registry, said),
      registries: () => registries.all,
      followed: registries,
      tag: tagReader({ find, documents: this.#documents }),
      now: () => 0
    }
  }

  aliasOf(registry: RegistryId): string {
    return this.registries.all.find(({ id }) => id === registry)?.alias ?? registry
  }
}

type Flags = Partial<Pick<ProjectCommand, 'acceptMoves' | 'frozen' | 'registry'>>

/** A project file and a lockfile, as commands change them. */
export class TestProject {
  state: ProjectState = { project: { wants: [], overrides: [] }, lock: EMPTY_LOCK }
  readonly #federation: Federation

  constructor(federation: Federation) {
    this.#federation = federation
  }

  install(names: readonly string[] = [], flags: Flags = {}): Promise<Target> {
    return this.#run('install', names, flags)
  }

  update(names: readonly string[] = [], flags: Flags = {}): Promise<Target> {
    return this.#run('update', names, flags)
  }

  remove(names: readonly string[]): Promise<Target> {
    return this.#run('remove', names, {})
  }

  /** Edits the project file by hand: `{ 'acme:util': '*' }`. */
  override(lines: Readonly<Record<string, string>>): void {
    const overrides = Object.entries(lines).map(([key, range]) => ({ ...parseTyped(key, undefined), key, range }))
    this.state = { ...this.state, project: { ...this.state.project, overrides } }
  }

  /** Where each locked package is from: `acme:tool@1.0.0`, sorted. */
  get locked(): readonly string[] {
    return [...this.state.lock.packs.values()]
      .map(({ registry, name, version }) => `${this.#federation.aliasOf(registry)}:${name.slice(5)}@${version}`)
      .toSorted()
  }

  get wants(): readonly string[] {
    return this.state.project.wants.map(({ key }) => key).toSorted()
  }

  async #run(kind: ProjectCommand['kind'], names: readonly string[], flags: Flags): Promise<Target> {
    const command = { kind, names, registry: undefined, frozen: false, acceptMoves: false, ...flags }
    const target = await findTarget(command, this.state, this.#federation.components())
    this.state = { lock: target.lock, project: changed(this.state.project, target.wantChanges) }
    return target
  }
}

function changed(project: ProjectFile, changes: readonly WantChange[]): ProjectFile {
  const wants = new Map(project.wants.map(want => [want.key, want]))
  for (const { key, range } of changes) {
    if (range === undefined) wants.delete(key)
    else wants.set(key, { ...parseTyped(key, undefined), key, range })
  }
  return { ...project, wants: [...wants.values()] }
}

/** Claims a name and releases versions of it, each with what it needs: `{ '1.0.0': ['util ^1.0.0', 'extra * optional'] }`. */
export function publish(writer: FactWriter, name: string, versions: Readonly<Record<string, readonly string[]>>): Made {
  const claim = writer.claim(name)
  for (const [version, needs] of Object.entries(versions)) release(writer, { name, version, needs, claim: claim.id })
  return claim
}

/** One more version. */
export function release(
  writer: FactWriter,
  { name, version, needs = [], claim }: { name: string; version: string; needs?: readonly string[]; claim: Made['id'] }
): Made {
  const made = writer.release(name, version, { registry: writer.genesis.id, package: claim })
  if (needs.length === 0) return made
  const dependencies = needs.toSorted().map(dependencyOf)
  const stated = writer.withManifest(made, manifest => ({ ...manifest, dependencies }))
  writer.all.splice(-1, 1, stated)
  return stated
}

function dependencyOf(text: string): Dependency {
  const [name = '', range = '*', flag] = text.split(' ')
  return { name, range, kind: 'ggen', ...(flag === 'optional' ? { optional: true as const } : {}) }
}
