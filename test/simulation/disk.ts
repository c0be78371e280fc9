import { RegistryError } from '../../protocol/errors.ts'
import { checkBatch } from '../../storage/key-value.ts'
import type { KeyRange, KeyValue, KeyValueOp } from '../../storage/key-value.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import type { Rng } from './rng.ts'

/** What the process meets when its machine dies in the middle of a write. */
export class MachineDied extends Error {
  override readonly name = 'MachineDied'
}

/**
 * How one of the next writes goes wrong:
 *
 *   full           it and those after it fail for a while and leave nothing
 *   answer-lost    it lands and reports a failure
 *   limbo          it reports a failure, as do all after it; when the store is opened again it turns out to have landed or not
 *   dies-before, dies-after    the machine dies before or after it lands
 */
export type WriteFault = 'full' | 'answer-lost' | 'limbo' | 'dies-before' | 'dies-after'

interface Written {
  readonly ops: readonly KeyValueOp[]
}

/**
 * A disk under a key-value store, as LevelDB uses one: batches are appended to a log and land as a whole; a synced batch
 * makes all before it durable; the death of the process loses nothing, that of the machine loses any number of the last
 * batches that were not synced.
 */
export class SimDisk {
  readonly #rng: Rng
  #durable: KeyValueOp[] = []
  #unsynced: Written[] = []
  #limbo: Written | undefined
  #open: DiskKeyValue | undefined
  #armed: { fault: WriteFault; writesBefore: number; failures: number } | undefined
  #isDead = false
  #isBroken = false
  /** Batches that landed, for those who want to know whether anything changed. */
  writes = 0
  /** The same of those that changed a record of these kinds. */
  readonly writesOf = new Map<string, number>()

  constructor(rng: Rng) {
    this.#rng = rng
  }

  /** Takes no writes until it is opened again. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  get isDead(): boolean {
    return this.#isDead
  }

  /** The write after so many others goes wrong, once. */
  arm(fault: WriteFault, writesBefore: number, failures = 1): void {
    this.#armed = { fault, writesBefore, failures }
  }

  disarm(): void {
    this.#armed = undefined
  }

  /** The store as it is after what has happened; whatever was open before is closed. */
  async open(): Promise<KeyValue> {
    await this.#open?.close()
    if (this.#limbo !== undefined && this.#rng.chance(0.5)) this.#unsynced.push(this.#limbo)
    this.#limbo = undefined
    this.#isBroken = false
    this.#isDead = false
    this.#compact()
    const memory = memoryKeyValue()
    for (const ops of [this.#durable, ...this.#unsynced.map(({ ops }) => ops)]) await fill(memory, ops)
    this.#open = new DiskKeyValue(memory, (ops, sync) => this.#write(memory, ops, sync))
    return this.#open
  }

  /** The process dies: what it wrote is in the operating system's hands. */
  async kill(): Promise<void> {
    await this.#open?.close()
    this.#open = undefined
  }

  /** The machine dies: some of the last unsynced batches are gone. Returns how many. */
  async powerCut(): Promise<number> {
    await this.kill()
    const lost = this.#rng.int(this.#unsynced.length + 1)
    this.#unsynced.splice(this.#unsynced.length - lost, lost)
    return lost
  }

  /** A copy of what a backup tool would read now, for another home. */
  copy(rng: Rng): SimDisk {
    const copy = new SimDisk(rng)
    copy.#durable = [...this.#durable, ...this.#unsynced.flatMap(({ ops }) => ops)]
    return copy
  }

  async #write(memory: KeyValue, ops: readonly KeyValueOp[], sync: boolean): Promise<void> {
    if (this.#isDead) throw new MachineDied('the machine is dead')
    checkBatch(ops)
    if (this.#isBroken) throw new RegistryError('DISK_FULL', 'the store takes no writes until it is opened again')
    const owned = ops.map(op => (op.type === 'del' ? op : { ...op, value: Uint8Array.from(op.value) }))
    const fault = this.#faultNow()
    if (fault === 'full') throw new RegistryError('DISK_FULL', 'no space left on the disk')
    if (fault === 'limbo') {
      this.#limbo = { ops: owned }
      this.#isBroken = true
      throw new RegistryError('DISK_FULL', 'the write failed half way')
    }
    if (fault === 'dies-before') {
      this.#isDead = true
      throw new MachineDied('the machine died before the write')
    }
    await memory.batch(owned)
    this.#unsynced.push({ ops: owned })
    this.writes += 1
    for (const kind of new Set(owned.map(({ key }) => key.slice(0, key.indexOf('!')))))
      this.writesOf.set(kind, (this.writesOf.get(kind) ?? 0) + 1)
    if (sync) this.#settle()
    if (fault === 'answer-lost') throw new RegistryError('DISK_FULL', 'landed, and the answer was lost')
    if (fault === 'dies-after') {
      this.#isDead = true
      throw new MachineDied('the machine died after the write')
    }
  }

  #settle(): void {
    for (const { ops } of this.#unsynced) this.#durable.push(...ops)
    this.#unsynced = []
  }

  #faultNow(): WriteFault | undefined {
    const armed = this.#armed
    if (armed === undefined) return undefined
    if (armed.writesBefore > 0) {
      armed.writesBefore -= 1
      return undefined
    }
    armed.failures -= 1
    if (armed.failures <= 0 || armed.fault !== 'full') this.#armed = undefined
    return armed.fault
  }

  #compact(): void {
    const last = new Map<string, KeyValueOp>()
    for (const op of this.#durable) {
      if (op.type === 'del') last.delete(op.key)
      else last.set(op.key, op)
    }
    this.#durable = [...last.values()]
  }
}

/** Bounded batches, as every store wants them. */
async function fill(memory: KeyValue, ops: readonly KeyValueOp[]): Promise<void> {
  for (let from = 0; from < ops.length; from += 1_000) await memory.batch(ops.slice(from, from + 1_000))
}

class DiskKeyValue implements KeyValue {
  readonly #memory: KeyValue
  readonly #write: (ops: readonly KeyValueOp[], sync: boolean) => Promise<void>
  #isOpen = true

  constructor(memory: KeyValue, write: (ops: readonly KeyValueOp[], sync: boolean) => Promise<void>) {
    this.#memory = memory
    this.#write = write
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#memory.get(key)
  }

  getMany(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    return this.#memory.getMany(keys)
  }

  has(key: string): Promise<boolean> {
    return this.#memory.has(key)
  }

  async batch(ops: readonly KeyValueOp[], { sync = false }: { readonly sync?: boolean } = {}): Promise<void> {
    if (!this.#isOpen) throw new RegistryError('INTERNAL', 'the store is closed')
    await this.#write(ops, sync)
  }

  iterate(range?: KeyRange): AsyncIterable<readonly [string, Uint8Array]> {
    return this.#memory.iterate(range)
  }

  async close(): Promise<void> {
    this.#isOpen = false
    await this.#memory.close()
  }
}
