import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { LIMITS } from '../protocol/limits.ts'

/** A folder of what was found damaged, for whoever asks what happened. It never holds more than its bound: the oldest go first. */
export class Quarantine {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  /** Moves a file there; where it is then. */
  async take(file: string): Promise<string> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 })
    const aside = join(this.#dir, basename(file))
    await rename(file, aside)
    return aside
  }

  /** Keeps bytes that were not in a file of their own. */
  async keep(name: string, bytes: Uint8Array): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 })
    await writeFile(join(this.#dir, name), bytes, { mode: 0o600 })
    await this.prune()
  }

  async prune(): Promise<void> {
    const names = await readdir(this.#dir)
    const excess = names.length - LIMITS.storage.quarantinedBlocks
    if (excess <= 0) return
    const aged = await Promise.all(names.map(async name => ({ name, at: (await stat(join(this.#dir, name))).ctimeMs })))
    aged.sort((a, b) => a.at - b.at)
    for (const { name } of aged.slice(0, excess)) await rm(join(this.#dir, name), { force: true, recursive: true })
  }
}
