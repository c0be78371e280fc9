import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import { editFault } from '../../../protocol/document/edits.ts'
import type { DocumentValue, Edit, Path } from '../../../protocol/document/edits.ts'
import type { DocumentState } from '../../../protocol/document/document.ts'
import { isRegistryError, messageOf } from '../../../protocol/errors.ts'
import type { Manifest, Note } from '../../../protocol/manifest.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Signer } from '../author.ts'
import { edit } from './editor.ts'
import type { EditorComponents } from './editor.ts'

export interface Seeding {
  readonly registry: RegistryId
  readonly name: PackageName
  readonly signer: Signer
  readonly manifest: Manifest
  /** Of the highest version that was there before; undefined for the first. */
  readonly before: Manifest | undefined
}

export interface Seeded {
  readonly fact: FactId | null
  readonly notes: readonly Note[]
}

/**
 * Says about a package what its manifest says, as far as the manifest has something new to say: what people have said
 * otherwise since then stays. Null when there is nothing to be said. The version is published already: what keeps its
 * words from being said is told in a note.
 */
export async function seed(components: EditorComponents, seeding: Seeding): Promise<Seeded> {
  const { registry, name: subject, signer } = seeding
  try {
    const { fact } = await edit(components, { registry, subject, signer, plan: state => seeds(seeding, state) })
    return { fact, notes: [] }
  } catch (error) {
    if (!isRegistryError(error)) throw error
    const message = `the version is published; what the manifest says of the package could not be said: ${messageOf(error)}`
    return { fact: null, notes: [{ field: 'words', message }] }
  }
}

/**
 * Where the manifest says something else than the one before it, and the document still says what that one said. So a
 * title that was edited by hand is not taken back by the next version, and a keyword that somebody took away does not
 * come again.
 */
function seeds({ name, manifest, before }: Seeding, state: DocumentState | undefined): readonly Edit[] {
  const now = entriesOf(manifest)
  const then = before === undefined ? new Map<string, Entry>() : entriesOf(before)
  const held = new Map((state?.content ?? []).map(({ key, values }) => [key, values.map(({ value }) => value)]))
  const edits: Edit[] = []
  for (const [key, { path, value }] of now) {
    const was = then.get(key)?.value
    const here = held.get(key) ?? []
    const isOwn = was === undefined ? here.length === 0 : here.length === 1 && here[0] === was
    if (value !== was && isOwn) edits.push({ op: 'put', path, value })
  }
  for (const [key, { path, value }] of then) {
    const here = held.get(key) ?? []
    if (!now.has(key) && here.length === 1 && here[0] === value) edits.push({ op: 'delete', path })
  }
  // A manifest may hold what a document does not take, a keyword of several lines: it stays in the release.
  return edits.filter(one => editFault(name, one) === undefined)
}

/** True when there is anything that a document could say: without it no engine is needed. */
export function saysWords(manifest: Manifest): boolean {
  return entriesOf(manifest).size > 0
}

interface Entry {
  readonly path: Path
  readonly value: DocumentValue
}

function entriesOf(manifest: Manifest): Map<string, Entry> {
  const { title, description, keywords = [], category, homepage, repository } = manifest
  const entries: readonly (readonly [Path, DocumentValue | undefined])[] = [
    [['title'], title],
    [['description'], description],
    ...keywords.map(keyword => [['keywords', keyword], true] as const),
    ...(category === undefined ? [] : [[['categories', slug(category)], true] as const]),
    [['links', 'homepage'], homepage],
    [['links', 'repository'], repository]
  ]
  return new Map(entries.flatMap(([path, value]) => (value === undefined ? [] : [[path.join('/'), { path, value }]])))
}

/** `Web Frameworks` is the category `web-frameworks`. */
function slug(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .replaceAll(/^[-.]+|[-.]+$/g, '')
}
