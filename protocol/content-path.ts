import { utf8 } from './bytes.ts'
import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'

/** The limits of a package's content; tests pass smaller ones. */
export type ContentLimits = { readonly [K in keyof typeof LIMITS.content]: number }

/** A path inside a package, already known to follow docs/spec/content.md section 2. */
export interface PathRules {
  readonly segmentBytes: number
  readonly pathBytes: number
  readonly depth: number
}

// Cc: controls. Cf: bidi overrides, joiners, soft hyphens: some file systems drop them, so ".g<ZWNJ>it" becomes ".git".
// Zl, Zp: line separators that split a log line or a terminal row.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
const FORBIDDEN_CHARACTER = /[\\<>:"|?*]/
const RESERVED_ON_WINDOWS = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:[ .]|$)/i
// Attack: a package that brings its own ".git/config" runs commands when somebody uses git in the installed folder;
// ".ggen" is where this program keeps what it installed. "git~1" is the short name of ".git" on NTFS.
const CLAIMED = new Set(['.git', '.ggen', 'git~1', 'ggen~1'])

/**
 * Checks one entry path of a package.
 *
 *   path    = segment *31( "/" segment )              ; at most 1,024 bytes of UTF-8
 *   segment = 1*255 bytes of UTF-8, not "." or "..", no control or invisible character,
 *             none of \ < > : " | ? *, no trailing "." or " ", no name Windows reserves, not ".git" or ".ggen"
 *
 * @throws RegistryError HOSTILE_PATH | LIMIT_EXCEEDED
 */
export function checkContentPath(path: string, limits: PathRules = LIMITS.content): void {
  if (path.length > limits.pathBytes || utf8(path).length > limits.pathBytes) {
    throw new RegistryError('LIMIT_EXCEEDED', `${showPath(path)} has more than ${limits.pathBytes} bytes`)
  }
  const segments = path.split('/')
  if (segments.length > limits.depth) {
    throw new RegistryError('LIMIT_EXCEEDED', `${showPath(path)} is more than ${limits.depth} levels deep`)
  }
  for (const segment of segments) {
    const fault = segmentFault(segment)
    if (fault !== undefined) throw hostilePath(path, fault)
    if (utf8(segment).length > limits.segmentBytes) {
      throw new RegistryError(
        'LIMIT_EXCEEDED',
        `${showPath(path)} has a name of more than ${limits.segmentBytes} bytes`
      )
    }
  }
}

/** Why one name can't be part of a path in a package, or undefined when it can. */
export function segmentFault(segment: string): string | undefined {
  if (segment === '') return 'a name in it is empty, or it begins or ends with "/"'
  if (segment === '.' || segment === '..') return `"${segment}" leads elsewhere`
  if (!segment.isWellFormed()) return 'it is not valid Unicode'
  if (INVISIBLE.test(segment)) return 'it holds a control or an invisible character'
  if (FORBIDDEN_CHARACTER.test(segment)) return 'it holds one of \\ < > : " | ? *'
  if (segment.endsWith('.') || segment.endsWith(' ')) return 'a name in it ends with a dot or a space'
  if (RESERVED_ON_WINDOWS.test(segment)) return 'Windows reserves a name in it'
  if (CLAIMED.has(foldPath(segment))) return 'git or ggen keeps its own files under that name'
  return undefined
}

/**
 * The key under which two paths are the same file on some file system: NFC and full case folding (upper case first,
 * so that "ß", "ſ" and the Kelvin sign meet their plain forms).
 */
export function foldPath(path: string): string {
  return path.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC')
}

/** A path for a message: invisible characters escaped, at most 160 characters. */
export function showPath(path: string): string {
  const cut = path.length > 160 ? `${path.slice(0, 157)}…` : path
  const safe = cut.toWellFormed().replaceAll(/[\p{C}\p{Z}\\"]/gu, c => {
    if (c === ' ') return c
    if (c === '\\' || c === '"') return `\\${c}`
    return `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`
  })
  return `"${safe}"`
}

/** The refusal of a path, in one form everywhere. */
export function hostilePath(path: string, why: string): RegistryError {
  return new RegistryError('HOSTILE_PATH', `${showPath(path)} can't be in a package: ${why}`, {
    detail: { path: showPath(path) }
  })
}

type Kind = 'file' | 'directory'

interface Seen {
  readonly path: string
  readonly kind: Kind
  /** False for a parent that no entry of its own has named yet. */
  named: boolean
}

/**
 * The paths of one package, no two of which may be the same file anywhere.
 *
 * Invariants:
 * 1. No two entries, and no two parents of entries, are equal under `foldPath` unless they are spelled the same.
 * 2. Nothing is both a file and a directory, and nothing is named twice.
 * 3. There are at most `limits.entries` of them, parents included.
 */
export class PathSet {
  readonly #seen = new Map<string, Seen>()
  readonly #limits: PathRules & { readonly entries: number }

  constructor(limits: PathRules & { readonly entries: number } = LIMITS.content) {
    this.#limits = limits
  }

  get size(): number {
    return this.#seen.size
  }

  /** @throws RegistryError HOSTILE_PATH | LIMIT_EXCEEDED */
  add(path: string, kind: Kind): void {
    checkContentPath(path, this.#limits)
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      this.#put(path.slice(0, slash), 'directory', false)
    }
    this.#put(path, kind, true)
  }

  #put(path: string, kind: Kind, named: boolean): void {
    const key = foldPath(path)
    const seen = this.#seen.get(key)
    if (seen === undefined) {
      if (this.#seen.size >= this.#limits.entries) {
        throw new RegistryError('LIMIT_EXCEEDED', `a package has at most ${this.#limits.entries} files and folders`)
      }
      this.#seen.set(key, { path, kind, named })
      return
    }
    if (seen.path !== path) {
      throw hostilePath(path, `on some file systems it is the same file as ${showPath(seen.path)}`)
    }
    if (seen.kind !== kind) throw hostilePath(path, 'it is both a file and a folder')
    if (named && seen.named) throw hostilePath(path, 'it is in there twice')
    if (named) seen.named = true
  }
}
