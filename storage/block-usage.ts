import { LIMITS } from '../protocol/limits.ts'

/** Blocks and the bytes in them. */
export interface BlockCount {
  readonly blocks: number
  readonly bytes: number
}

const NONE: BlockCount = { blocks: 0, bytes: 0 }

/**
 * How many blocks a store holds: each folder is counted once, and from then on whoever writes and deletes says so. Counting
 * a million files takes seconds, so it is done when somebody asks for the first time.
 */
export class BlockUsage {
  readonly #list: () => Promise<readonly string[]>
  readonly #count: (folder: string) => Promise<BlockCount>
  readonly #counts = new Map<string, BlockCount>()
  /** Folders that are being counted, and whether they changed meanwhile. */
  readonly #counting = new Map<string, { changed: boolean }>()
  #isWhole = false
  #running: Promise<void> | undefined

  constructor(list: () => Promise<readonly string[]>, count: (folder: string) => Promise<BlockCount>) {
    this.#list = list
    this.#count = count
  }

  changed(folder: string, blocks: number, bytes: number): void {
    const counting = this.#counting.get(folder)
    if (counting !== undefined) counting.changed = true
    const before = this.#counts.get(folder) ?? (this.#isWhole ? NONE : undefined)
    if (before === undefined) return
    this.#counts.set(folder, {
      blocks: Math.max(0, before.blocks + blocks),
      bytes: Math.max(0, before.bytes + bytes)
    })
  }

  async total(): Promise<BlockCount> {
    if (!this.#isWhole) await (this.#running ??= this.#countAll().finally(() => (this.#running = undefined)))
    let [blocks, bytes] = [0, 0]
    for (const count of this.#counts.values()) {
      blocks += count.blocks
      bytes += count.bytes
    }
    return { blocks, bytes }
  }

  /** Counts again when somebody asks next: what was damaged was counted without being read. */
  forget(): void {
    this.#isWhole = false
    this.#counts.clear()
  }

  async #countAll(): Promise<void> {
    // A folder that is made meanwhile is not in the list, and is counted by the second look at it.
    for (let look = 0; look < LIMITS.store.countAttempts; look++) {
      const left = (await this.#list()).filter(folder => !this.#counts.has(folder))
      if (left.length === 0) break
      while (left.length > 0) {
        await Promise.all(left.splice(0, LIMITS.store.countsAtOnce).map(folder => this.#countOne(folder)))
      }
    }
    this.#isWhole = true
  }

  async #countOne(folder: string): Promise<void> {
    let count = NONE
    for (let attempt = 0; attempt < LIMITS.store.countAttempts; attempt++) {
      const state = { changed: false }
      this.#counting.set(folder, state)
      count = await this.#count(folder)
      if (!state.changed) break
    }
    this.#counting.delete(folder)
    this.#counts.set(folder, count)
  }
}
