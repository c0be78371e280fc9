import { fromUtf8 } from '../bytes.ts'
import { hostilePath } from '../content-path.ts'
import { RegistryError } from '../errors.ts'

/** One 512-byte header of a tar archive, as far as it is read here. */
export interface TarHeader {
  readonly type: string
  readonly name: Uint8Array
  readonly size: number
  readonly mode: number
  /** Where a link leads. Empty for everything else. */
  readonly link: Uint8Array
}

/** What pax records or a long name say about the entry that follows. */
export interface TarMeta {
  readonly path: string | undefined
  readonly size: number | undefined
}

export const TAR_BLOCK = 512

const NUL = 0
export const SLASH = 0x2f

/** The mark of a number that is not written in digits. */
const BINARY = 0x80

/** Owner, group, time, and the numbers of a device: nothing here asks for them. */
const UNUSED_NUMBERS = [
  [108, 8],
  [116, 8],
  [136, 12],
  [329, 8],
  [337, 8]
] as const

/** Records that change what an entry is, or how large, for the programs that know them: sparse files, parts of volumes, kinds. */
const CHANGING =
  /^(?:linkpath|hdrcharset|GNU\.(?:sparse|volume|dumpdir)|SCHILY\.(?:realsize|offset|filetype)|SUN\.holes)/

/**
 * Takes POSIX ustar and the form of GNU tar. Numbers are octal digits: what is larger than they can say is larger than any
 * package.
 * @throws RegistryError MALFORMED
 */
export function parseTarHeader(block: Uint8Array): TarHeader {
  const magic = text(block, 257, 8)
  const isPosix = magic === 'ustar\x0000'
  if (!isPosix && magic !== 'ustar  \0') throw malformed('it has an entry without the mark of a tar archive')
  let sum = 8 * 0x20
  for (let i = 0; i < TAR_BLOCK; i += 1) if (i < 148 || i >= 156) sum += block[i] ?? 0
  if (octal(block, 148, 8) !== sum) throw malformed('the checksum of a header is wrong')
  for (const [at, length] of UNUSED_NUMBERS) checkNumber(block, at, length)
  const name = untilNul(block, 0, 100)
  // Attack: when another header names the entry, some programs leave it out and others don't look.
  if (name.length === 0) throw malformed('an entry has no name')
  const prefix = isPosix ? untilNul(block, 345, 155) : new Uint8Array(0)
  // Attack: GNU tar and star keep other things where POSIX has the prefix, or behind it, and half of all programs read them as such.
  if (block.subarray(345 + prefix.length).some(byte => byte !== NUL))
    throw malformed('a header has more in it than POSIX and GNU tar agree upon')
  return {
    type: text(block, 156, 1),
    name: prefix.length === 0 ? name : Uint8Array.of(...prefix, SLASH, ...name),
    size: octal(block, 124, 12),
    mode: octal(block, 100, 8),
    link: untilNul(block, 157, 100)
  }
}

/** A name in a header or behind one. @throws RegistryError HOSTILE_PATH */
export function tarName(bytes: Uint8Array): string {
  const name = fromUtf8(bytes)
  // Attack: two programs repair what is no UTF-8 in two ways, and unpack two different trees.
  if (name === undefined) throw hostilePath(latin1(bytes), 'it is not valid UTF-8')
  return name
}

/** What GNU tar puts into an entry of its own: a name and zero bytes. */
export function parseLongName(bytes: Uint8Array): TarMeta {
  return { path: someName(untilNul(bytes, 0, bytes.length)), size: undefined }
}

/** Attack: for some programs an empty name takes back the one that the header has, for others it is the name. */
function someName(bytes: Uint8Array): string {
  if (bytes.length === 0) throw malformed('it says an empty name')
  return tarName(bytes)
}

/**
 * Records of the form `"<length> <key>=<value>\n"`. Of what they say, a path and a size are taken; times, owners and comments
 * are passed over, and what changes what an entry is, is refused.
 * @throws RegistryError MALFORMED | HOSTILE_PATH
 */
export function parsePax(bytes: Uint8Array, isGlobal: boolean): TarMeta {
  const said = new Map<string, Uint8Array>()
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at)
    const digits = space < 0 ? '' : text(bytes, at, space - at)
    const end = /^[1-9][0-9]{0,5}$/.test(digits) ? at + Number(digits) : 0
    const equals = bytes.indexOf(0x3d, space)
    if (end <= space || end > bytes.length || bytes[end - 1] !== 0x0a || equals < 0 || equals >= end)
      throw malformed('a pax record does not have its form')
    const key = text(bytes, space + 1, equals - space - 1)
    if (said.has(key)) throw malformed('a pax record is there twice')
    said.set(key, bytes.slice(equals + 1, end - 1))
    at = end
  }
  for (const key of said.keys()) {
    if (CHANGING.test(key)) throw malformed(`not all programs read what it says of an entry: ${key}`)
  }
  const [path, size] = [said.get('path'), said.get('size')]
  // Attack: a path for all entries that follow, which half of all programs honour.
  if (isGlobal && (path !== undefined || size !== undefined))
    throw malformed('it says a path or a size for all entries')
  return { path: path === undefined ? undefined : someName(path), size: size === undefined ? undefined : decimal(size) }
}

export function malformed(why: string): RegistryError {
  return new RegistryError('MALFORMED', `the archive can't be read: ${why}`)
}

function decimal(bytes: Uint8Array): number {
  const digits = text(bytes, 0, bytes.length)
  if (!/^(0|[1-9][0-9]{0,14})$/.test(digits)) throw malformed('a size is no number')
  return Number(digits)
}

/** Octal digits, with blanks before and blanks or zero bytes behind. Nothing at all is 0, as all programs have it. */
function octal(block: Uint8Array, at: number, length: number): number {
  const field = text(block, at, length)
  const digits = /^ *([0-7]*)[ \0]*$/.exec(field)?.[1]
  if (digits === undefined) throw malformed('a number in a header is not octal, or too large')
  return digits === '' ? 0 : Number.parseInt(digits, 8)
}

/**
 * Attack: at a number that is none, or that they can't hold, some programs stop as if the archive ended there or leave the entry
 * out, and others read on. Binary numbers, of large ids, begin with a mark of their own.
 */
function checkNumber(block: Uint8Array, at: number, length: number): void {
  if (block[at] !== BINARY) octal(block, at, length)
  else if (block.subarray(at + 1, at + length - 6).some(byte => byte !== 0)) throw malformed('a number is too large')
}

function untilNul(bytes: Uint8Array, at: number, length: number): Uint8Array {
  const field = bytes.subarray(at, at + length)
  const nul = field.indexOf(NUL)
  return nul < 0 ? field : field.subarray(0, nul)
}

function text(bytes: Uint8Array, at: number, length: number): string {
  return latin1(bytes.subarray(at, at + length))
}

/** One character a byte. Fields are short, and what is long is bounded by `metaBytes`. */
function latin1(bytes: Uint8Array): string {
  let out = ''
  for (const byte of bytes) out += String.fromCharCode(byte)
  return out
}
