import { mkdir, open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PathSet, showPath } from '../../protocol/content-path.ts'
import type { ContentLimits } from '../../protocol/content-path.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { Frame } from '../../protocol/foreign/frames.ts'
import { LIMITS } from '../../protocol/limits.ts'

type EntryFrame = Extract<Frame, { readonly type: 'directory' | 'file' | 'bytes' }>
type FileFrame = Extract<Frame, { readonly type: 'file' }>

/**
 * What an archive would put below a folder, before anything of it is there. Attack: as many files as a package may have, and the
 * one too many, or the one that leads elsewhere, as the last.
 */
export class TreePlan {
  readonly #limits: ContentLimits
  readonly #paths: PathSet
  #bytes = 0

  constructor(limits: ContentLimits = LIMITS.content) {
    this.#limits = limits
    this.#paths = new PathSet(limits)
  }

  /** @throws RegistryError HOSTILE_PATH | LIMIT_EXCEEDED | INTERNAL for bytes, which nobody wants yet */
  take(frame: EntryFrame): void {
    if (frame.type === 'bytes') throw notAsSaid()
    this.#paths.add(frame.path, frame.type)
    if (frame.type === 'directory') return
    const { path, size } = frame
    const { fileBytes, packageBytes } = this.#limits
    if (size > fileBytes)
      throw new RegistryError('LIMIT_EXCEEDED', `${showPath(path)} has more than ${fileBytes} bytes`)
    this.#bytes += size
    if (this.#bytes > packageBytes)
      throw new RegistryError('LIMIT_EXCEEDED', `the files together have more than ${packageBytes} bytes`)
  }
}

/**
 * Writes what an archive holds below a folder of ours.
 *
 * Invariants:
 * 1. No path is used before it passed the rules for packages, and no two are the same file anywhere.
 * 2. Files and folders are made, always new ones: there is never a link in the folder that could lead out of it.
 * 3. Not a byte more is written than the limits of a package allow, whatever was announced, now or when it was listed.
 */
export class TreeWriter {
  readonly #root: string
  readonly #plan: TreePlan
  readonly #folders = new Set<string>()
  #handle: FileHandle | undefined
  #path = ''
  #left = 0
  #files = 0

  constructor(root: string, limits: ContentLimits = LIMITS.content) {
    this.#root = root
    this.#plan = new TreePlan(limits)
  }

  get files(): number {
    return this.#files
  }

  /** @throws RegistryError HOSTILE_PATH | LIMIT_EXCEEDED | INTERNAL */
  async take(frame: EntryFrame): Promise<void> {
    switch (frame.type) {
      case 'bytes':
        if (frame.bytes.length > this.#left) throw notAsSaid()
        await this.#handle?.appendFile(frame.bytes)
        this.#left -= frame.bytes.length
        if (this.#left === 0) await this.close()
        return
      case 'directory':
        if (this.#left > 0) throw notAsSaid()
        this.#plan.take(frame)
        return this.#folder(frame.path)
      case 'file':
        if (this.#left > 0) throw notAsSaid()
        this.#plan.take(frame)
        return this.#file(frame)
    }
  }

  /** @throws RegistryError MALFORMED when a file is not whole */
  async end(): Promise<void> {
    await this.close()
    if (this.#left > 0)
      throw new RegistryError('MALFORMED', `the archive ends in the middle of ${showPath(this.#path)}`)
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close()
  }

  async #file({ path, size, executable }: FileFrame): Promise<void> {
    const folder = dirname(path)
    if (folder !== '.') await this.#folder(folder)
    this.#files += 1
    this.#path = path
    this.#left = size
    this.#handle = await open(join(this.#root, path), 'wx', executable ? 0o755 : 0o644)
    if (size === 0) await this.close()
  }

  async #folder(path: string): Promise<void> {
    if (this.#folders.has(path)) return
    await mkdir(join(this.#root, path), { recursive: true, mode: 0o700 })
    this.#folders.add(path)
  }
}

function notAsSaid(): RegistryError {
  return new RegistryError('INTERNAL', 'the process that reads archives sent other bytes than it announced')
}
