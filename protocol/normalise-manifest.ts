import semver from 'semver'
import { checkContentPath } from './content-path.ts'
import { compareText } from './bytes.ts'
import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { isWebUrl, parseManifestRecord } from './manifest.ts'
import type { Manifest, ManifestKind, Note } from './manifest.ts'
import { normaliseDependencies } from './manifest-dependencies.ts'
import { isTable, Notes, own } from './manifest-notes.ts'
import type { Table } from './manifest-notes.ts'
import { cleanText, cutText } from './manifest-text.ts'
import { ggenNameFault, parseGgenName } from './package-name.ts'
import type { GgenName } from './package-name.ts'
import { parseSemver } from './version.ts'
import type { Version } from './version.ts'

/** A manifest in the form that is signed, and what was changed on the way there. */
export interface NormalisedManifest {
  readonly manifest: Manifest
  readonly notes: readonly Note[]
}

/**
 * Turns a parsed `package.toml` or `pack.toml` into the one form that is signed. Whatever is changed or not taken is
 * said in a note; whatever can't be understood is refused by the name of its field. Keys that the registry has no use
 * for (`[templates]`, `[ontology]`, `[marketplace]`, …) stay in the file, which is part of the content.
 *
 * @throws RegistryError INVALID_MANIFEST | INVALID_NAME | INVALID_VERSION | LIMIT_EXCEEDED | HOSTILE_PATH
 */
export function normaliseManifest(toml: unknown, kind: ManifestKind): NormalisedManifest {
  if (!isTable(toml)) throw new RegistryError('INVALID_MANIFEST', 'the manifest is not a table')
  const section = own(toml, kind)
  if (!isTable(section))
    throw new RegistryError('INVALID_MANIFEST', `the manifest has no [${kind}] section`, {
      next: `put [${kind}] above its name and version`
    })
  const notes = new Notes()
  const { name, title } = readName(section, notes)
  const manifest = {
    kind,
    name,
    version: readVersion(section, notes),
    ...optional('title', title),
    ...optional('description', readText(section, 'description', { notes, maxChars: LIMITS.manifest.descriptionChars })),
    ...optional('license', readText(section, 'license', { notes, maxChars: LIMITS.manifest.licenseChars })),
    ...optional('authors', readAuthors(section, notes)),
    ...optional('keywords', readKeywords(section, notes)),
    ...optional('category', readCategory(section, notes)),
    ...optional('homepage', readUrl(section, 'homepage', notes)),
    ...optional('repository', readUrl(section, 'repository', notes)),
    dependencies: normaliseDependencies(toml, section, notes),
    executables: readExecutables(section, notes)
  }
  // One reader decides what a manifest is: what is signed here is read by the same function everywhere.
  return { manifest: parseSelf(manifest), notes: notes.list() }
}

function parseSelf(manifest: Readonly<Record<string, unknown>>): Manifest {
  try {
    return parseManifestRecord(manifest)
  } catch (cause) {
    if (!(cause instanceof RegistryError) || cause.code !== 'MALFORMED') throw cause
    throw new RegistryError('INVALID_MANIFEST', cause.message, { cause })
  }
}

function readName(section: Table, notes: Notes): { name: GgenName; title: string | undefined } {
  const raw = own(section, 'name')
  const id = own(section, 'id')
  if (typeof raw !== 'string' || raw.trim() === '') throw new RegistryError('INVALID_NAME', 'the manifest has no name')
  const text = cleanText(raw)
  const lower = text.toLowerCase()
  // In this order: as written, in lower case, the id, and only then a name made of the words of the title.
  const tries = [lower, typeof id === 'string' ? id.trim().toLowerCase() : '', lower.replaceAll(/\s+/g, '-')]
  const found = tries.find(candidate => ggenNameFault(candidate) === undefined)
  const name = parseGgenName(found ?? text)
  if (name !== raw) notes.add('name', 'the name was normalised', { from: raw, to: name })
  const display = own(section, 'title') ?? own(section, 'full_name') ?? (lower === name ? undefined : raw)
  return { name, title: shorten(display, { field: 'title', maxChars: LIMITS.manifest.titleChars, notes }) }
}

function readVersion(section: Table, notes: Notes): Version {
  const raw = own(section, 'version')
  if (typeof raw !== 'string') {
    throw new RegistryError('INVALID_VERSION', 'the manifest has no version, or one that is not in quotation marks')
  }
  const parts = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+)(-[0-9A-Za-z.-]+)?)?(?:\+[0-9A-Za-z.-]+)?$/.exec(raw.trim())
  const [, major, minor = '0', patch = '0', pre = ''] = parts ?? []
  const full = major === undefined ? raw : `${major}.${minor}.${patch}${pre}`
  const version = parseSemver(raw.length <= LIMITS.names.versionChars && semver.valid(full) === full ? full : raw)
  if (version !== raw) notes.add('version', 'the version was normalised', { from: raw, to: version })
  return version
}

interface TextRule {
  readonly notes: Notes
  readonly maxChars: number
}

function readText(section: Table, field: string, { notes, maxChars }: TextRule): string | undefined {
  const value = own(section, field)
  if (value !== undefined && typeof value !== 'string') notes.add(field, 'not text, so it is left out')
  return shorten(value, { field, maxChars, notes })
}

/** A text in its one spelling and within its limit; undefined for what is no text or says nothing. */
function shorten(
  value: unknown,
  { field, maxChars, notes }: TextRule & { readonly field: string }
): string | undefined {
  if (typeof value !== 'string') return undefined
  const clean = cleanText(value)
  const short = cutText(clean, maxChars)
  if (short !== clean) {
    notes.add(field, `cut to ${maxChars} characters`)
  } else if (short !== value.trim()) {
    notes.add(field, 'unusual characters were normalised')
  }
  return short === '' ? undefined : short
}

function readAuthors(section: Table, notes: Notes): readonly string[] | undefined {
  const list = [own(section, 'author') ?? [], own(section, 'authors') ?? []].flat(1)
  const names = list.map(item => {
    if (!isTable(item)) return item
    const [name, email] = [own(item, 'name'), own(item, 'email')]
    return typeof name === 'string' && typeof email === 'string' ? `${name} <${email}>` : name
  })
  return unique(names, {
    field: 'authors',
    notes,
    items: LIMITS.manifest.authors,
    maxChars: LIMITS.manifest.authorChars
  })
}

function readKeywords(section: Table, notes: Notes): readonly string[] | undefined {
  const list = ['keywords', 'tags'].flatMap(key => {
    const value = own(section, key)
    // `[package.keywords]` with `keywords = […]` in it is how some write the list.
    const inner = isTable(value) ? own(value, key) : value
    return inner === undefined ? [] : [inner].flat(1)
  })
  const { keywords: items, keywordChars: maxChars } = LIMITS.manifest
  return unique(list, { field: 'keywords', notes, items, maxChars })
}

function unique(
  list: readonly unknown[],
  { field, notes, items, maxChars }: TextRule & { readonly field: string; readonly items: number }
): readonly string[] | undefined {
  const out = new Set<string>()
  for (const item of list) {
    const text = shorten(item, { field, maxChars, notes })
    if (text === undefined) {
      notes.add(field, 'an entry is not text or is empty, so it is left out')
    } else if (out.size < items) {
      out.add(text)
    } else if (!out.has(text)) {
      notes.add(field, `only the first ${items} are kept`)
      break
    }
  }
  return out.size === 0 ? undefined : [...out]
}

function readCategory(section: Table, notes: Notes): string | undefined {
  const categories = own(section, 'categories')
  const value = own(section, 'category') ?? (Array.isArray(categories) ? (categories as unknown[])[0] : undefined)
  const text = shorten(value, { field: 'category', notes, maxChars: LIMITS.manifest.keywordChars })
  const lower = text === undefined ? undefined : cutText(cleanText(text.toLowerCase()), LIMITS.manifest.keywordChars)
  if (lower !== text) notes.add('category', 'written in lower case', { from: text ?? '', to: lower ?? '' })
  if (value !== undefined && typeof value !== 'string') notes.add('category', 'not text, so it is left out')
  return lower
}

function readUrl(section: Table, field: string, notes: Notes): string | undefined {
  const value = own(section, field)
  if (value === undefined) return undefined
  if (typeof value === 'string' && value.trim().length <= LIMITS.manifest.urlChars) {
    const text = cleanText(value)
    if (isWebUrl(text)) return text
  }
  notes.add(field, 'not an http or https address, so it is left out')
  return undefined
}

function readExecutables(section: Table, notes: Notes): readonly string[] {
  const value = own(section, 'executables')
  if (value === undefined) return []
  if (!Array.isArray(value)) throw new RegistryError('INVALID_MANIFEST', 'executables is not a list of paths')
  const paths = new Set<string>()
  for (const item of value as readonly unknown[]) {
    if (typeof item !== 'string') throw new RegistryError('INVALID_MANIFEST', 'executables is not a list of paths')
    const path = item.startsWith('./') ? item.slice(2) : item
    if (path !== item) notes.add('executables', 'the path was normalised', { from: item, to: path })
    checkContentPath(path)
    paths.add(path)
  }
  return [...paths].toSorted(compareText)
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V })
}
