import { compareText, utf8 } from './bytes.ts'
import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'

/** One regular file of an archive. `content` yields exactly `size` bytes. */
export interface ArchiveFile {
  readonly path: string
  readonly size: number
  readonly content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

const BLOCK = 512
const NAME_BYTES = 100
const PREFIX_BYTES = 155

/** What ends every canonical archive: two empty blocks and nothing after them. */
export const ARCHIVE_END: Uint8Array = new Uint8Array(2 * BLOCK)

/**
 * The canonical archive of a package, docs/spec/content.md section 5: one spelling for one set of files, so that its
 * digests are digests of the files. Streams: what is in memory is a header and the chunk that `content` yields.
 *
 * @throws RegistryError MALFORMED when paths are not in ascending byte order or a size is not kept
 */
export async function* canonicalArchive(
  files: Iterable<ArchiveFile> | AsyncIterable<ArchiveFile>
): AsyncGenerator<Uint8Array> {
  let last: string | undefined
  for await (const { path, size, content } of files) {
    if (last !== undefined && compareText(last, path) >= 0) {
      throw new RegistryError(
        'MALFORMED',
        'the files of a canonical archive are in ascending byte order of their paths'
      )
    }
    last = path
    yield archiveHeader(path, size)
    let written = 0
    for await (const chunk of content) {
      written += chunk.length
      // A longer file would run into the next header and shift everything behind it.
      if (written > size) break
      yield chunk
    }
    if (written !== size) throw new RegistryError('MALFORMED', 'a file is not as long as its header says')
    yield archivePadding(size)
  }
  yield ARCHIVE_END
}

/**
 * What stands before a file's bytes: one 512-byte ustar header, or, for a path that does not fit ustar, a pax header
 * block, its record `path=…` and then the ustar header. A path fits when it is ASCII and either has at most 100 bytes
 * or splits at its first "/" that leaves at most 100 bytes behind it, with at most 155 before it.
 */
export function archiveHeader(path: string, size: number): Uint8Array {
  if (!Number.isSafeInteger(size) || size < 0 || size > LIMITS.content.packageBytes) {
    throw new RegistryError('LIMIT_EXCEEDED', 'a file in an archive is too large')
  }
  const split = splitForUstar(path)
  if (split !== undefined) return ustarHeader(split, size, '0')
  const record = paxRecord('path', path)
  const out = new Uint8Array(BLOCK + padded(record.length) + BLOCK)
  out.set(ustarHeader({ name: 'PaxHeader', prefix: '' }, record.length, 'x'), 0)
  out.set(record, BLOCK)
  out.set(ustarHeader({ name: 'PaxEntry', prefix: '' }, size, '0'), BLOCK + padded(record.length))
  return out
}

/** The zero bytes that fill a file up to the next multiple of 512. */
export function archivePadding(size: number): Uint8Array {
  return new Uint8Array(padded(size) - size)
}

/** The length of the canonical archive of files with these paths and sizes. */
export function archiveBytes(files: Iterable<{ readonly path: string; readonly size: number }>): number {
  let bytes = ARCHIVE_END.length
  for (const { path, size } of files) bytes += archiveHeader(path, size).length + padded(size)
  return bytes
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK
}

function splitForUstar(path: string): { name: string; prefix: string } | undefined {
  // ustar names no character set, pax says UTF-8: only ASCII means the same in both.
  if (!/^[\x20-\x7e]+$/.test(path)) return undefined
  if (path.length <= NAME_BYTES) return { name: path, prefix: '' }
  const slash = path.indexOf('/', path.length - NAME_BYTES - 1)
  if (slash <= 0 || slash > PREFIX_BYTES) return undefined
  return { name: path.slice(slash + 1), prefix: path.slice(0, slash) }
}

/** What all headers have in common. */
const COMMON_HEADER: Uint8Array = (() => {
  const header = new Uint8Array(BLOCK)
  const put = (offset: number, text: string): void => header.set(utf8(text), offset)
  put(100, '0000644\0')
  put(108, '0000000\0')
  put(116, '0000000\0')
  put(136, '00000000000\0')
  put(148, '        ')
  put(257, 'ustar\x0000')
  put(329, '0000000\0')
  put(337, '0000000\0')
  return header
})()

function ustarHeader({ name, prefix }: { name: string; prefix: string }, size: number, type: '0' | 'x'): Uint8Array {
  const header = COMMON_HEADER.slice()
  // ASCII, all of it: `splitForUstar` lets nothing else in here.
  const put = (offset: number, text: string): void => {
    for (let i = 0; i < text.length; i++) header[offset + i] = text.charCodeAt(i)
  }
  put(0, name)
  put(124, `${size.toString(8).padStart(11, '0')}\0`)
  put(156, type)
  put(345, prefix)
  let sum = 0
  for (const byte of header) sum += byte
  put(148, `${sum.toString(8).padStart(6, '0')}\0 `)
  return header
}

/** `"<length> <key>=<value>\n"`, where the length counts its own digits. */
function paxRecord(key: string, value: string): Uint8Array {
  const body = utf8(` ${key}=${value}\n`)
  let length = body.length + String(body.length).length
  length = body.length + String(length).length
  const out = new Uint8Array(length)
  out.set(utf8(String(length)), 0)
  out.set(body, length - body.length)
  return out
}
