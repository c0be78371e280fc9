import { fromUtf8 } from '../protocol/bytes.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { nearest } from '../protocol/nearest.ts'
import { parseToml } from '../storage/content/read-manifest.ts'
import { readSmallFile } from '../storage/small-file.ts'
import type { WholeField } from './services/documents/methods.ts'

/** What the fields of such a file are made of. */
const FIELDS = {
  title: 'text',
  description: 'text',
  keywords: 'list',
  categories: 'list',
  links: 'table',
  tags: 'table',
  deprecated: 'table',
  maintainers: 'table'
} as const

type FieldName = keyof typeof FIELDS
type Entries = WholeField['entries']

/**
 * A file of descriptive metadata, which states the whole of each field that it names:
 *
 *   title = "Core vocabulary"
 *   keywords = ["web", "rdf"]
 *   [links]
 *   homepage = "https://example.org"
 *
 * @throws RegistryError UNKNOWN_FILE | LIMIT_EXCEEDED | INVALID_TOML | INVALID_EDIT
 */
export async function readDocumentFile(path: string): Promise<readonly WholeField[]> {
  return parseDocumentFile(await readText(path), path)
}

/** @throws RegistryError INVALID_TOML | INVALID_EDIT */
export function parseDocumentFile(text: string, file: string): readonly WholeField[] {
  const top = parseToml(text, file)
  if (!isTable(top)) throw new RegistryError('INVALID_TOML', `${file} is not a table`)
  const fields = Object.entries(top).map(([name, value]) => {
    if (!isField(name)) throw unknownField(name, file)
    const entries = entriesOf(name, value)
    if (entries === undefined)
      throw new RegistryError('INVALID_EDIT', `${file}: ${name} is not ${SHAPES[FIELDS[name]]}`)
    return { field: name, entries }
  })
  if (fields.length > 0) return fields
  throw new RegistryError('INVALID_EDIT', `${file} names no field`, { next: `name one of ${NAMES.join(', ')}` })
}

const NAMES = Object.keys(FIELDS)

const SHAPES = {
  text: 'a text',
  list: 'a list of different texts',
  table: 'a table of texts'
} as const

function entriesOf(field: FieldName, value: unknown): Entries | undefined {
  switch (FIELDS[field]) {
    case 'text':
      if (typeof value !== 'string') return undefined
      // An empty text takes the field away, as the option does.
      return value === '' ? [] : [{ path: [field], value }]
    case 'list': {
      if (!Array.isArray(value)) return undefined
      const words = value.filter((word): word is string => typeof word === 'string')
      if (words.length < value.length || new Set(words).size < words.length) return undefined
      return words.map(word => ({ path: [field, word], value: true }))
    }
    case 'table': {
      if (!isTable(value)) return undefined
      const entries = Object.entries(value).flatMap(([name, text]) =>
        typeof text === 'string' ? [{ path: [field, name], value: text }] : []
      )
      return entries.length === Object.keys(value).length ? entries : undefined
    }
  }
}

function unknownField(name: string, file: string): RegistryError {
  const [near] = nearest(name, NAMES)
  return new RegistryError('INVALID_EDIT', `${file}: ${JSON.stringify(name.slice(0, 80))} means nothing here`, {
    tried: [`known fields: ${NAMES.join(', ')}`],
    next: near === undefined ? 'remove it' : `perhaps you meant ${near}`
  })
}

function isField(name: string): name is FieldName {
  return Object.hasOwn(FIELDS, name)
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  // A date of TOML is an object, too.
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

async function readText(path: string): Promise<string> {
  let bytes: Uint8Array
  try {
    bytes = await readSmallFile(path, { maxBytes: LIMITS.document.fileBytes, followLinks: true })
  } catch (cause) {
    if (isRegistryError(cause)) throw cause
    throw new RegistryError('UNKNOWN_FILE', `${path} cannot be read`, { cause })
  }
  const text = fromUtf8(bytes)
  if (text === undefined) throw new RegistryError('INVALID_TOML', `${path} is not valid UTF-8`)
  return text
}
