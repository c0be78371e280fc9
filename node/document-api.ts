import type { FactId, RegistryId } from '../protocol/cid.ts'
import { isPrincipal } from '../protocol/did.ts'
import type { Principal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import type { Subject } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { nearest } from '../protocol/nearest.ts'
import type { PackageName } from '../protocol/package-name.ts'
import { catalogueOf } from '../protocol/document/words.ts'
import type { Catalogue } from '../protocol/document/words.ts'
import type { Edit } from '../protocol/document/edits.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import { filing } from './authority-api.ts'
import { meantReference, ownReference } from './meant.ts'
import type { Meant } from './meant.ts'
import { namedKeys } from './named-keys.ts'
import type { NodeParts } from './parts.ts'
import type { Api } from './services/api.ts'
import { placeOf } from './services/authority/place.ts'
import * as catalogue from './services/documents/catalogue.ts'
import { edit, editsToward, nameFor, rollOver } from './services/documents/editor.ts'
import type { Edited, Planned } from './services/documents/editor.ts'
import type {
  CatalogueParams,
  DocumentConflict,
  DocumentEdited,
  DocumentMethods,
  EditOrder
} from './services/documents/methods.ts'
import { historyOf, saidIn, shownDocument } from './services/documents/shown.ts'
import type { ShownDocument } from './services/documents/methods.ts'

/** The calls about the words of packages and the catalogues of registries. */
export function documentApi(parts: NodeParts): Pick<Api, keyof DocumentMethods> {
  return { ...packageCalls(parts), ...bundleCalls(parts), ...catalogueCalls(parts) }
}

/** What people say of a package; null when nobody said anything. @throws RegistryError DOCUMENT_FAILED */
export async function documentOf(
  { gate, documents }: Pick<NodeParts, 'gate' | 'documents'>,
  registry: RegistryId,
  name: PackageName
): Promise<ShownDocument | null> {
  const state = await documents.current(registry, name)
  const { view, facts } = await placeOf(gate, registry, name)
  return state === undefined || view === undefined ? null : shownDocument(state, { view, facts })
}

function packageCalls(parts: NodeParts): Pick<Api, 'edit' | 'rollover' | 'document' | 'history'> {
  const { gate, registries, documents } = parts
  return {
    edit: async ({ reference, edits, whole = [], ...params }) => {
      const { registry, name } = packageOf(await ownReference(parts, reference))
      await parts.view.package(registry.id, name)
      if (edits.length > 0 && whole.length > 0)
        throw new RegistryError('USAGE', 'either edits or whole fields, not both')
      const plan: Planned = (state, { view }) => {
        const planned = [
          ...edits.map(toEdit),
          ...whole.flatMap(field => editsToward(name, state, { ...field, field: fieldNamed(field.field) }))
        ]
        assertReleased(planned, view?.versions.map(({ version }) => version) ?? [])
        return planned
      }
      const edited = await editing(parts, { registry, subject: name, ...params }, plan)
      return { ...edited, name, notes: await notesOn(parts, registry.id, edited.changed) }
    },
    rollover: async ({ reference, registry: which, ...params }) => {
      const named = reference === undefined ? undefined : packageOf(await ownReference(parts, reference))
      if (named !== undefined) await parts.view.package(named.registry.id, named.name)
      const registry = named?.registry ?? registries.find(which)
      const subject: Subject = named?.name ?? 'registry'
      const signer = await parts.authority.signer(params.key)
      let folded = 0
      let fact: FactId | null = null
      const { file } = await filing(parts, params.out, async () => {
        const rolled = await rollOver(editorOf(parts), { registry: registry.id, subject, signer })
        folded = rolled.folded
        fact = rolled.fact?.id ?? null
        return fact === null ? undefined : { registry: registry.id, facts: [{ id: fact, subject }] }
      })
      const { id, alias } = registry
      return { name: named?.name ?? null, registry: id, alias, fact, folded, notes: [], file }
    },
    document: async ({ reference }) => {
      const { registry, name } = packageOf(await meantReference(parts, reference))
      await parts.view.package(registry.id, name)
      const document = await documentOf(parts, registry.id, name)
      const keys = [...speakers(document?.conflicts ?? []), ...maintainersIn(document)]
      const publishers = await namedKeys(parts, keys)
      return { name, registry: registry.id, alias: registry.alias, document, publishers }
    },
    history: async ({ reference, limit }) => {
      const { registry, name } = packageOf(await meantReference(parts, reference))
      await parts.view.package(registry.id, name)
      const standings = await documents.standings(registry.id, name)
      const { facts } = await placeOf(gate, registry.id, name)
      const history = historyOf(facts, standings, Math.min(limit, LIMITS.document.historyEntries))
      const publishers = await namedKeys(
        parts,
        history.entries.map(({ by }) => by)
      )
      return { name, registry: registry.id, alias: registry.alias, ...history, publishers }
    }
  }
}

function bundleCalls(parts: NodeParts): Pick<Api, 'bundleCreate' | 'bundleAdd' | 'bundleRemove' | 'bundleList'> {
  const changing = async (params: CatalogueParams & { readonly name: string }, plan: Planned) => ({
    ...(await editing(parts, cataloguePlace(parts, params), plan)),
    name: params.name
  })
  return {
    bundleCreate: ({ title, minScore, ...params }) =>
      changing(params, catalogue.bundleCreation(params.name, title, minScore)),
    bundleAdd: ({ members, ...params }) =>
      changing(params, catalogue.membersAdded(params.name, membersIn(parts, params, members))),
    bundleRemove: ({ members, ...params }) =>
      changing(
        params,
        members.length === 0
          ? catalogue.bundleRemoval(params.name)
          : catalogue.membersRemoved(params.name, membersIn(parts, params, members))
      ),
    bundleList: async ({ registry: which, name }) => {
      const { id, alias } = parts.registries.find(which)
      const known = await catalogueHere(parts, id)
      const bundles = name === undefined ? known.bundles : [catalogue.bundleNamed(known, name)]
      const { facts } = await placeOf(parts.gate, id, 'registry')
      const shown = bundles.map(bundle => ({ ...bundle, conflicts: saidIn(bundle.conflicts, facts) }))
      const publishers = await namedKeys(parts, speakers(shown.flatMap(({ conflicts }) => conflicts)))
      return { registry: id, alias, bundles: shown, publishers }
    }
  }
}

function catalogueCalls(
  parts: NodeParts
): Pick<Api, 'categoryAdd' | 'categoryRemove' | 'categoryList' | 'announce' | 'announceRemove' | 'announceList'> {
  return {
    categoryAdd: async ({ name, description, ...params }) => {
      const plan: Planned = () => [{ op: 'put', path: ['categories', name], value: description ?? true }]
      return { ...(await editing(parts, cataloguePlace(parts, params), plan)), name }
    },
    categoryRemove: async ({ name, ...params }) => ({
      ...(await editing(parts, cataloguePlace(parts, params), catalogue.entryRemoval('categories', name))),
      name
    }),
    categoryList: async ({ registry: which }) => {
      const { id, alias } = parts.registries.find(which)
      const { categories, conflicts } = await catalogueHere(parts, id)
      const { facts } = await placeOf(parts.gate, id, 'registry')
      const own = conflicts.filter(({ path }) => path[0] === 'categories')
      const said = saidIn(own, facts)
      const publishers = await namedKeys(parts, speakers(said))
      return { registry: id, alias, categories, conflicts: said, publishers }
    },
    announce: async ({ text, ...params }) => {
      const id = nameFor(text, parts.clock.now())
      const plan: Planned = () => [{ op: 'put', path: ['announcements', id], value: text }]
      return { ...(await editing(parts, cataloguePlace(parts, params), plan)), id }
    },
    announceRemove: async ({ id, ...params }) => ({
      ...(await editing(parts, cataloguePlace(parts, params), catalogue.entryRemoval('announcements', id))),
      id
    }),
    announceList: async ({ registry: which }) => {
      const { id: registry, alias } = parts.registries.find(which)
      const { announcements } = await catalogueHere(parts, registry)
      const { facts } = await placeOf(parts.gate, registry, 'registry')
      const said = announcements.flatMap(({ id, text, fact }) => {
        const found = facts.find(known => known.id === fact)
        return found === undefined ? [] : { id, text, by: found.body.author, time: found.body.time }
      })
      const publishers = await namedKeys(
        parts,
        said.map(({ by }) => by)
      )
      const newest = said.toSorted((a, b) => b.time - a.time || (a.id < b.id ? -1 : 1))
      return { registry, alias, announcements: newest, publishers }
    }
  }
}

/** Keys to which a document gives a name of its own. Whoever wrote it may have written no key. */
export function maintainersIn(document: ShownDocument | null): readonly Principal[] {
  return (document?.maintainers ?? []).flatMap(({ key }) => (isPrincipal(key) ? [key] : []))
}

/** Who contradict each other. */
function speakers(conflicts: readonly DocumentConflict[]): readonly Principal[] {
  return conflicts.flatMap(({ values }) => values.map(({ by }) => by))
}

interface EditPlace {
  readonly registry: FollowedRegistry
  readonly subject: Subject
  readonly key?: string
  readonly out?: string
}

async function editing(
  parts: NodeParts,
  { registry, subject, key, out }: EditPlace,
  plan: Planned
): Promise<DocumentEdited> {
  const signer = await parts.authority.signer(key)
  let edited: Edited = { fact: null, changed: [], settled: [] }
  const { file } = await filing(parts, out, async () => {
    edited = await edit(editorOf(parts), { registry: registry.id, subject, signer, plan })
    return edited.fact === null ? undefined : { registry: registry.id, facts: [{ id: edited.fact, subject }] }
  })
  return { ...edited, registry: registry.id, alias: registry.alias, notes: [], file }
}

function editorOf({ authority, documents }: NodeParts): Parameters<typeof edit>[0] {
  return { ...authority, documents }
}

function packageOf({ reference, registry }: Meant): { registry: FollowedRegistry; name: PackageName } {
  if (reference.range === undefined) return { registry, name: reference.name }
  throw new RegistryError('INVALID_REFERENCE', 'words are about a package, not about one version of it', {
    next: 'name it without a version'
  })
}

function cataloguePlace({ registries }: NodeParts, { registry, key, out }: CatalogueParams): EditPlace {
  return {
    registry: registries.find(registry),
    subject: 'registry',
    ...(key === undefined ? {} : { key }),
    ...(out === undefined ? {} : { out })
  }
}

async function catalogueHere({ documents }: NodeParts, registry: RegistryId): Promise<Catalogue> {
  const state = await documents.current(registry, 'registry')
  return state === undefined ? catalogue.EMPTY : catalogueOf(state)
}

/** Members are of the bundle's own registry: what is installed with it must not depend on anybody's aliases. */
function membersIn(
  { registries }: NodeParts,
  { registry }: CatalogueParams,
  members: readonly string[]
): readonly catalogue.Member[] {
  const own = registries.find(registry)
  return members.map(text => {
    const { reference, registry: meant } = registries.resolveIn(text, registry)
    if (meant.id === own.id) return { name: reference.name, range: reference.range }
    throw new RegistryError('INVALID_REFERENCE', `${text} is of another registry than the bundle`, {
      next: `a bundle of ${own.alias} holds packages of ${own.alias}`
    })
  })
}

function toEdit({ op, path, value }: EditOrder): Edit {
  if (op === 'delete') return { op, path }
  if (value !== null) return { op, path, value }
  throw new RegistryError('INVALID_EDIT', `${path.join('/')} is to be put, and nothing is said to be there`)
}

function fieldNamed(field: string): string {
  if (/^[a-z]+$/.test(field)) return field
  throw new RegistryError('INVALID_EDIT', `${JSON.stringify(field.slice(0, 80))} is not a field of a package`)
}

/** A tag may only point to a version that was released. @throws RegistryError UNKNOWN_VERSION */
function assertReleased(edits: readonly Edit[], versions: readonly string[]): void {
  for (const one of edits) {
    const [field, tag = ''] = one.path
    if (one.op !== 'put' || field !== 'tags' || typeof one.value !== 'string' || versions.includes(one.value)) continue
    const near = nearest(one.value, versions)
    throw new RegistryError('UNKNOWN_VERSION', `${one.value} was not released, so no tag ${tag} can stand for it`, {
      next: near.length > 0 ? `perhaps you meant ${near.join(' or ')}` : 'publish it first'
    })
  }
}

/** What is said is not wrong, and perhaps not what was meant. */
async function notesOn(
  parts: NodeParts,
  registry: RegistryId,
  changed: DocumentEdited['changed']
): Promise<readonly string[]> {
  const categories = changed.flatMap(({ path, to }) => (path[0] === 'categories' && to !== null ? (path[1] ?? []) : []))
  if (categories.length === 0) return []
  const known = (await catalogueHere(parts, registry)).categories.map(({ name }) => name)
  if (known.length === 0) return []
  return categories
    .filter(name => !known.includes(name))
    .map(name => {
      const near = nearest(name, known)
      const hint =
        near.length > 0 ? `perhaps you meant ${near.join(' or ')}` : `it has ${known.slice(0, 20).join(', ')}`
      return `the catalogue has no category ${name}: ${hint}`
    })
}
