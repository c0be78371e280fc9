import { constants } from 'node:fs'
import { open, opendir } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { parse, TomlError } from 'smol-toml'
import { fromUtf8 } from '../../protocol/bytes.ts'
import { hostilePath, showPath } from '../../protocol/content-path.ts'
import { messageOf, RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Manifest, ManifestKind, Note } from '../../protocol/manifest.ts'
import { normaliseManifest } from '../../protocol/normalise-manifest.ts'
import { tomlFault } from '../../protocol/toml-version.ts'

/** A folder's manifest, what was normalised in it, and the name of the file it was read from. */
export interface FolderManifest {
  readonly manifest: Manifest
  readonly notes: readonly Note[]
  readonly file: ManifestFile
}

export type ManifestFile = 'package.toml' | 'pack.toml'

const FILES: readonly { readonly file: ManifestFile; readonly kind: ManifestKind }[] = [
  { file: 'package.toml', kind: 'package' },
  { file: 'pack.toml', kind: 'pack' }
]
/** A hint names a few folders, not a whole marketplace. */
const HINTED_FOLDERS = 5
const LOOKED_AT_FOLDERS = 1_000

/**
 * Reads the manifest of a folder: `package.toml`, or else `pack.toml`.
 * @throws RegistryError NO_MANIFEST | INVALID_TOML | INVALID_MANIFEST | INVALID_NAME | INVALID_VERSION | LIMIT_EXCEEDED | HOSTILE_PATH
 */
export async function readManifest(folder: string): Promise<FolderManifest> {
  const texts = await Promise.all(FILES.map(async ({ file }) => readText(folder, file)))
  for (const [i, { file, kind }] of FILES.entries()) {
    const text = texts[i]
    if (text === undefined) continue
    const { manifest, notes } = normaliseManifest(parseToml(text, file), kind)
    const other = FILES[i + 1]
    if (other === undefined || texts[i + 1] === undefined) return { manifest, notes, file }
    const note = { field: other.file, message: `not read, because the folder has a ${file} too` }
    return { manifest, notes: [note, ...notes], file }
  }
  throw await noManifest(folder)
}

/**
 * A TOML 1.0 document, with the place of its first fault in the message.
 * @throws RegistryError INVALID_TOML
 */
export function parseToml(text: string, file: string): unknown {
  const document = text.startsWith('\ufeff') ? text.slice(1) : text
  let value: unknown
  try {
    value = parse(document, { maxDepth: LIMITS.manifest.tomlDepth })
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw invalidToml(file, messageOf(cause), { cause })
    // The library appends the source lines; the first line says what is wrong.
    const why = (cause.message.split('\n')[0] ?? '').replace(/^Invalid TOML document: /, '')
    throw invalidToml(file, why, { cause, line: cause.line, column: cause.column })
  }
  const fault = tomlFault(document)
  if (fault !== undefined) throw invalidToml(file, fault.message, fault)
  return value
}

function invalidToml(
  file: string,
  why: string,
  where: { cause?: unknown; line?: number; column?: number }
): RegistryError {
  const { cause, line, column } = where
  if (line === undefined || column === undefined) {
    return new RegistryError('INVALID_TOML', `${file} is not valid TOML: ${why}`, { cause, detail: { file } })
  }
  const message = `${file} is not valid TOML 1.0 at line ${line}, column ${column}: ${why}`
  return new RegistryError('INVALID_TOML', message, { cause, detail: { file, line, column } })
}

async function readText(folder: string, file: ManifestFile): Promise<string | undefined> {
  const path = join(folder, file)
  let handle: FileHandle
  try {
    handle = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    if (code === 'ELOOP' || code === 'EMLINK') throw hostilePath(file, 'it is a symbolic link')
    throw new RegistryError('UNKNOWN_FILE', `${showPath(path)} can't be read`, { cause })
  }
  try {
    if (!(await handle.stat()).isFile()) throw hostilePath(file, 'it is not a regular file')
    const { fileBytes } = LIMITS.manifest
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(fileBytes + 1), 0, fileBytes + 1, 0)
    if (bytesRead > fileBytes) throw new RegistryError('LIMIT_EXCEEDED', `${file} has more than ${fileBytes} bytes`)
    const text = fromUtf8(buffer.subarray(0, bytesRead))
    if (text === undefined) throw new RegistryError('INVALID_TOML', `${file} is not valid UTF-8`, { detail: { file } })
    return text
  } finally {
    await handle.close()
  }
}

async function noManifest(folder: string): Promise<RegistryError> {
  const found: string[] = []
  let looked = 0
  const directory = await opendir(folder).catch((cause: unknown) => {
    throw new RegistryError('UNKNOWN_FILE', `the folder ${showPath(folder)} does not exist or can't be read`, { cause })
  })
  for await (const entry of directory) {
    looked += 1
    if (looked > LOOKED_AT_FOLDERS || found.length >= HINTED_FOLDERS) break
    if (!entry.isDirectory()) continue
    const texts = await Promise.all(FILES.map(async ({ file }) => isFile(join(folder, entry.name, file))))
    if (texts.includes(true)) found.push(entry.name)
  }
  const hint = found
    .toSorted()
    .map(name => showPath(name))
    .join(', ')
  return new RegistryError('NO_MANIFEST', `${showPath(folder)} has neither package.toml nor pack.toml`, {
    next:
      hint === ''
        ? 'write a package.toml with [package], name and version'
        : `publish one of the folders in it that have a manifest: ${hint}`
  })
}

async function isFile(path: string): Promise<boolean> {
  const handle = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)).catch(
    () => undefined
  )
  await handle?.close()
  return handle !== undefined
}
