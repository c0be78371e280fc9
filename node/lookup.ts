import { toHex } from '../protocol/bytes.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import type { PackageView } from '../protocol/fold.ts'
import { packageNameOf } from '../protocol/package-name.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import { documentOf, maintainersIn } from './document-api.ts'
import { meantReference } from './meant.ts'
import type { NodeParts } from './parts.ts'
import { namedKeys } from './named-keys.ts'
import type { ApiMethods, CallContext, ShownPackage } from './services/api.ts'
import type { ChooseRegistry } from './services/publish.ts'
import { summarise } from './services/registry-view.ts'
import { searchAll } from './services/search.ts'

/**
 * Where a package goes when nobody said it. Attack: an accident. A package whose name a private registry holds, or that
 * needs what only a private one has, is never published in a public one that was not named.
 */
export function choosing({ precedence }: Pick<NodeParts, 'precedence'>): ChooseRegistry {
  return async ({ name, dependencies }) => {
    const registry = await precedence.forWriting(packageNameOf('ggen', name))
    if (precedence.isPrivate(registry)) return registry.id
    for (const needed of dependencies.filter(({ kind }) => kind === 'ggen')) {
      const meant = await precedence.forWriting(packageNameOf('ggen', needed.name))
      if (meant.id === registry.id || !precedence.isPrivate(meant)) continue
      throw new RegistryError('AMBIGUOUS_NAME', `${name} needs ${meant.alias}:${needed.name}, which is private`, {
        tried: [`without --registry it would be published in ${registry.alias}, where everybody can read that`],
        next: `say where it belongs: --registry ${meant.alias} or --registry ${registry.alias}`
      })
    }
    return registry.id
  }
}

/** Everything that is followed, or the one registry that was named. */
export async function search(
  parts: NodeParts,
  { query, registry, limit }: ApiMethods['search']['params']
): Promise<ApiMethods['search']['result']> {
  const { registries, view, precedence } = parts
  // With nothing followed there is an error rather than nothing found.
  const named = registries.find(registry)
  const looked = registry === undefined ? registries.all : [named]
  const found = await searchAll({ view, precedence }, { query, limit, registries: looked })
  const authors = found.map(({ by }) => by)
  const publishers = new Map((await namedKeys(parts, authors)).map(one => [one.key, one]))
  return found.map(one => ({ ...one, publisher: publishers.get(one.by) ?? null }))
}

/** All that one registry says of a package, and which others have one of that name. */
export async function show(
  parts: NodeParts,
  { reference: text }: ApiMethods['show']['params'],
  { signal }: CallContext
): Promise<ApiMethods['show']['result']> {
  const { reference, registry } = await meantReference(parts, text)
  const { name } = reference
  const found = await parts.view.package(registry.id, name)
  const document = found.document === null ? null : await documentOf(parts, registry.id, name).catch(unmade)
  const standing = await parts.precedence.standing(name)
  const meant = standing.type === 'found' ? standing.registry.id : undefined
  const holders = await parts.precedence.holders(name)
  const others = holders
    .filter(({ id }) => id !== registry.id)
    .map(({ id, alias }) => ({ registry: id, alias, hidden: id !== meant }))
  const keys = [...(found.claim?.keys ?? []), ...found.versions.flatMap(({ contents }) => contents.map(({ by }) => by))]
  await parts.publishers.refresh(
    keys.map(key => ({ registry: registry.id, key })),
    signal
  )
  return {
    ...shown(found, registry),
    document,
    others,
    publishers: await namedKeys(parts, [...keys, ...maintainersIn(document)])
  }
}

/** Versions are shown whatever became of the words: `document` and `history` say why there are none. */
function unmade(error: unknown): null {
  if (isRegistryError(error) && error.code === 'DOCUMENT_FAILED') return null
  throw error
}

function shown(
  view: PackageView,
  { id, alias }: FollowedRegistry
): Omit<ShownPackage, 'document' | 'others' | 'publishers'> {
  const best = summarise(view)
  const manifest = view.versions.find(entry => entry.version === best?.version)?.contents[0]?.manifest ?? null
  return {
    name: view.name,
    registry: id,
    alias,
    owners: view.claim?.keys ?? [],
    manifest,
    observations: view.observations ?? [],
    versions: view.versions.map(({ version, contents, yanks, quarantines = [] }) => ({
      version,
      state:
        contents.length > 1 ? 'conflict' : quarantines.length > 0 ? 'quarantined' : yanks.length > 0 ? 'yanked' : 'ok',
      reasons: [...quarantines, ...yanks].map(({ reason }) => reason).filter(reason => reason !== ''),
      contents: contents.map(({ root, size, by, fact, time, marks, digests }) => ({
        cid: root,
        size,
        by,
        fact,
        time,
        marks,
        digests: { sha256: toHex(digests.sha256), sha512: toHex(digests.sha512), archiveBytes: digests.archiveBytes }
      }))
    })),
    setAside: view.setAside
  }
}
