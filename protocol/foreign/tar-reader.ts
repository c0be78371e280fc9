import { hostilePath } from '../content-path.ts'
import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { malformed, parseLongName, parsePax, parseTarHeader, SLASH, tarName, TAR_BLOCK } from './tar-header.ts'
import type { TarHeader, TarMeta } from './tar-header.ts'

/** A file or a folder. Its path is as the archive has it and checked by nobody yet. */
export interface TarEntry {
  readonly kind: 'file' | 'directory'
  readonly path: string
  /** 0 for a folder. */
  readonly size: number
  readonly executable: boolean
}

/** Told of each entry, then of its bytes. */
export interface TarSink {
  entry(entry: TarEntry): void
  bytes(chunk: Uint8Array): void
}

export type TarLimits = { readonly [K in keyof typeof LIMITS.foreign]: number }

const KINDS: Readonly<Record<string, string>> = {
  '1': 'a hard link',
  '2': 'a symbolic link',
  '3': 'a device',
  '4': 'a device',
  '6': 'a named pipe',
  K: 'a link'
}

/**
 * Reads a tar archive of others as it comes. Takes what GNU tar, bsdtar, git and npm write, and nothing that two programs
 * read in two ways: archives of which one person audits this tree and another installs that one (docs/spec/content.md
 * section 9).
 *
 * Invariants:
 * 1. What is kept is less than a header, or what is said about one entry: `metaBytes`.
 * 2. Files and folders come out, nothing else: a link or a device has no form in which it could.
 * 3. After the end there are zero bytes only, and without an end nothing was whole.
 */
export class TarReader {
  readonly #sink: TarSink
  readonly #limits: TarLimits
  #held = new Uint8Array(0)
  #state: 'header' | 'body' | 'meta' | 'end' = 'header'
  /** Bytes of the entry that are still to come, and zeros behind them. */
  #left = 0
  #padding = 0
  #meta: Uint8Array[] = []
  #metaType = ''
  #said: TarMeta | undefined
  #headers = 0
  #zeroBlocks = 0

  constructor(sink: TarSink, limits: TarLimits = LIMITS.foreign) {
    this.#sink = sink
    this.#limits = limits
  }

  /** @throws RegistryError MALFORMED | HOSTILE_PATH | LIMIT_EXCEEDED */
  write(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#left > 0) at += this.#take(chunk.subarray(at, at + this.#left))
      else if (this.#padding > 0) {
        const skipped = Math.min(this.#padding, chunk.length - at)
        this.#padding -= skipped
        at += skipped
      } else at += this.#header(chunk.subarray(at))
    }
  }

  /** @throws RegistryError MALFORMED when it ends before its end */
  end(): void {
    if (this.#state !== 'end' || this.#held.length > 0) throw malformed('it ends in the middle')
  }

  #take(bytes: Uint8Array): number {
    if (this.#state === 'body') this.#sink.bytes(bytes)
    else this.#meta.push(bytes.slice())
    this.#left -= bytes.length
    if (this.#left === 0) this.#finish()
    return bytes.length
  }

  #finish(): void {
    if (this.#state === 'meta') this.#say()
    this.#state = 'header'
  }

  /** Takes in what is missing of a block and returns how much of the chunk that was. */
  #header(rest: Uint8Array): number {
    const missing = rest.subarray(0, TAR_BLOCK - this.#held.length)
    const block = new Uint8Array(this.#held.length + missing.length)
    block.set(this.#held)
    block.set(missing, this.#held.length)
    this.#held = block
    if (block.length === TAR_BLOCK) {
      this.#held = new Uint8Array(0)
      this.#block(block)
    }
    return missing.length
  }

  #block(block: Uint8Array): void {
    if (block.every(byte => byte === 0)) {
      if (this.#said !== undefined) throw malformed('something is said of an entry that does not come')
      this.#zeroBlocks += 1
      if (this.#zeroBlocks === 2) this.#state = 'end'
      return
    }
    // Attack: one program stops at the first zero block, another one at the second, a third reads on behind them.
    if (this.#zeroBlocks > 0) throw malformed('something stands behind its end')
    this.#headers += 1
    if (this.#headers > this.#limits.headers)
      throw new RegistryError('LIMIT_EXCEEDED', `the archive has more than ${this.#limits.headers} headers`)
    const header = parseTarHeader(block)
    const { type, size } = header
    if (type === 'x' || type === 'g' || type === 'L') this.#beginMeta(type, size)
    else this.#beginEntry(header)
    this.#padding = (TAR_BLOCK - (this.#left % TAR_BLOCK)) % TAR_BLOCK
  }

  #beginMeta(type: string, size: number): void {
    if (size > this.#limits.metaBytes)
      throw new RegistryError(
        'LIMIT_EXCEEDED',
        `the archive says more than ${this.#limits.metaBytes} bytes of one entry`
      )
    if (size === 0) throw malformed('a header says nothing')
    // Attack: for some programs the first of two holds, for others the last, or what is said of the one between.
    if (this.#said !== undefined) throw malformed('two headers say what one entry is')
    this.#state = 'meta'
    this.#metaType = type
    this.#meta = []
    this.#left = size
  }

  #say(): void {
    const bytes = new Uint8Array(this.#meta.reduce((sum, part) => sum + part.length, 0))
    let at = 0
    for (const part of this.#meta) {
      bytes.set(part, at)
      at += part.length
    }
    this.#meta = []
    const said = this.#metaType === 'L' ? parseLongName(bytes) : parsePax(bytes, this.#metaType === 'g')
    if (this.#metaType !== 'g') this.#said = said
  }

  #beginEntry({ type, name, size, mode, link }: TarHeader): void {
    const said = this.#said
    this.#said = undefined
    const path = relative(said?.path ?? tarName(name))
    const kind = type === '0' || type === '\0' ? 'file' : type === '5' ? 'directory' : undefined
    if (kind === undefined)
      throw hostilePath(
        path,
        `it is ${KINDS[type] ?? 'of a kind of its own'}, only files and folders may be in a package`
      )
    if (said?.size !== undefined && said.size !== size) throw malformed('an entry has two sizes')
    if (kind === 'directory' && size !== 0) throw malformed('a folder has bytes of its own')
    // Attack: some programs leave such an entry out, others don't look.
    if (link.length > 0) throw malformed('something that is no link leads somewhere')
    // Attack: in the form of 1979 that is a folder, and some programs ask no further when another header names it.
    if (kind === 'file' && name.at(-1) === SLASH) throw malformed('a file has the name of a folder')
    if (kind === 'file' && (mode & 0o7000) !== 0) throw hostilePath(path, 'it has the setuid, setgid or sticky bit')
    this.#left = size
    this.#state = size > 0 ? 'body' : 'header'
    if (kind === 'file') return this.#sink.entry({ kind, path, size, executable: (mode & 0o111) !== 0 })
    const folder = path.endsWith('/') ? path.slice(0, -1) : path
    // The folder that was packed, as `tar -C folder .` names it.
    if (folder !== '.' && folder !== '') this.#sink.entry({ kind, path: folder, size: 0, executable: false })
    else if (path === '/') throw hostilePath(path, 'it leads elsewhere')
  }
}

/** `tar -C folder .` puts "./" before everything: the one thing that is spelled in two ways. */
function relative(path: string): string {
  return path.startsWith('./') ? path.slice(2) : path
}
