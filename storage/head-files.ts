import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { equalBytes, fromHex, toHex } from '../protocol/bytes.ts'
import { parseRegistryId } from '../protocol/cid.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { toWriteError } from './disk-errors.ts'
import { writeDurably } from './durable.ts'
import { readSmallFile } from './small-file.ts'

/** What a store held at some time, told by a file that the store does not write. */
export interface SyncedHead {
  readonly generation: number
  readonly count: number
  readonly fingerprint: Uint8Array
}

export interface HeadFilesOptions {
  /** Runs a task after a while. Without it only urgent writes and `flush` reach the disk. */
  readonly later?: (delayMs: number, task: () => void) => void
  readonly onError?: (error: unknown) => void
}

/**
 * One small file for each registry, outside the store: `<dir>/<registry>`.
 *
 *   "ggen-node head 1" LF generation SP count SP 64 hex digits of the fingerprint SP 8 hex digits of crc32 LF
 *
 * A store that lost its newest writes says nothing about it: LevelDB drops the damaged end of its log, and what is left
 * agrees with itself. The file is what still knows. It is never ahead of the store but by a loss, because it is written
 * after the write that it tells of was durable; it may be behind by whatever came after.
 */
export class HeadFiles {
  readonly #dir: string
  readonly #options: HeadFilesOptions
  readonly #waiting = new Map<RegistryId, SyncedHead>()
  /** A set that is added to while it is walked is walked to its new end. */
  readonly #urgent = new Set<RegistryId>()
  #writing: Promise<void> | undefined
  #isPlanned = false

  constructor(dir: string, options: HeadFilesOptions = {}) {
    this.#dir = dir
    this.#options = options
  }

  /** Undefined when there is none, or none that can be believed: then only the store itself can be asked. */
  async read(registry: RegistryId): Promise<SyncedHead | undefined> {
    const waiting = this.#waiting.get(registry)
    if (waiting !== undefined) return waiting
    try {
      const bytes = await readSmallFile(join(this.#dir, registry), { maxBytes: LIMITS.storage.headFileBytes })
      return parseHead(bytes.toString('latin1'))
    } catch {
      return undefined
    }
  }

  /** Registries that have a file: what the store should know of. */
  async registries(): Promise<readonly RegistryId[]> {
    const names = await readdir(this.#dir).catch(() => [])
    return names.flatMap(name => {
      try {
        return [parseRegistryId(name)]
      } catch (error) {
        if (!isRegistryError(error)) throw error
        return []
      }
    })
  }

  /** Remembers a head that the store holds. With `urgent` it is on its way to the disk at once, but nobody waits for it. */
  note(registry: RegistryId, head: SyncedHead, { urgent }: { readonly urgent: boolean }): void {
    this.#waiting.set(registry, head)
    if (!urgent) return this.#plan()
    this.#urgent.add(registry)
    this.#write().catch((error: unknown) => this.#options.onError?.(error))
  }

  /** Writes all that waits. @throws RegistryError DISK_FULL | READ_ONLY */
  flush(): Promise<void> {
    for (const registry of this.#waiting.keys()) this.#urgent.add(registry)
    return this.#write()
  }

  async remove(registry: RegistryId): Promise<void> {
    this.#waiting.delete(registry)
    await this.#writing?.catch(() => undefined)
    this.#waiting.delete(registry)
    await rm(join(this.#dir, registry), { force: true })
  }

  #plan(): void {
    const { later, onError } = this.#options
    if (this.#isPlanned || later === undefined) return
    this.#isPlanned = true
    later(LIMITS.storage.headLaterMs, () => {
      this.#isPlanned = false
      this.flush().catch((error: unknown) => onError?.(error))
    })
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writeUrgent()
    return this.#writing
  }

  /** Takes in what becomes urgent meanwhile: heads that follow each other faster than the disk writes are one write. */
  async #writeUrgent(): Promise<void> {
    try {
      for (const registry of this.#urgent) {
        this.#urgent.delete(registry)
        const head = this.#waiting.get(registry)
        if (head === undefined) continue
        await mkdir(this.#dir, { recursive: true, mode: 0o700 })
        await writeDurably(join(this.#dir, registry), formatHead(head))
        if (this.#waiting.get(registry) === head) this.#waiting.delete(registry)
      }
    } catch (cause) {
      throw toWriteError(cause, 'the head of a registry')
    } finally {
      // In the same turn as the last look at what is urgent, so that nothing falls between two writers.
      this.#writing = undefined
    }
  }
}

function formatHead({ generation, count, fingerprint }: SyncedHead): string {
  const text = `ggen-node head 1\n${generation} ${count} ${toHex(fingerprint)}`
  return `${text} ${crc32(text).toString(16).padStart(8, '0')}\n`
}

function parseHead(text: string): SyncedHead | undefined {
  const match = /^ggen-node head 1\n([0-9]+) ([0-9]+) ([0-9a-f]{64}) [0-9a-f]{8}\n$/.exec(text)
  const [, generation = '', count = '', sum = ''] = match ?? []
  const fingerprint = fromHex(sum)
  if (match === null || fingerprint === undefined) return undefined
  const head = { generation: Number(generation), count: Number(count), fingerprint }
  // One spelling per value, the checksum included.
  return formatHead(head) === text ? head : undefined
}

export function isSynced(head: SyncedHead, { generation, count, fingerprint }: SyncedHead): boolean {
  return head.generation === generation && head.count === count && equalBytes(head.fingerprint, fingerprint)
}
