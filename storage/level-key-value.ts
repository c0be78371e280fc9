import { crc32 } from 'node:zlib'
import type { Level } from 'level'
import { isRegistryError, messageOf, RegistryError } from '../protocol/errors.ts'
import { codeOf, isDiskFull, toWriteError } from './disk-errors.ts'
import { checkBatch, checkKey, checkRange } from './key-value.ts'
import type { KeyRange, KeyValue, KeyValueOp } from './key-value.ts'

type Database = Level<string, Uint8Array>

const CHECKSUM_BYTES = 4

/** A store in a folder, with what is needed to get it going again after the disk was full. */
export interface LevelKeyValue extends KeyValue {
  /** Why writing is refused. LevelDB fails every write after the first failed one; reading goes on. */
  failure(): RegistryError | undefined
  /** Closes and opens the files again, once there is space. Operations that come meanwhile wait. */
  recover(): Promise<void>
}

/**
 * LevelDB in a folder. Each value is followed on disk by the crc32 of its key and itself: LevelDB as built for Node does
 * not check its own block checksums on reads, so a flipped bit would be returned as if it had been stored.
 *
 * @throws RegistryError HOME_LOCKED | DISK_FULL | STORE_CORRUPT | UNKNOWN_FILE
 */
export async function openLevel(dir: string): Promise<LevelKeyValue> {
  // Lazy: the native addon costs every command 15 ms, and most commands ask a running node.
  const { Level } = await import('level')
  const db: Database = new Level<string, Uint8Array>(dir, { keyEncoding: 'utf8', valueEncoding: 'view' })
  await openFiles(db)
  return new LevelStore(db)
}

class LevelStore implements LevelKeyValue {
  readonly #db: Database
  #failure: RegistryError | undefined
  #recovering: Promise<void> | undefined

  constructor(db: Database) {
    this.#db = db
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    checkKey(key)
    await this.#recovering
    return unseal(key, await reading(() => this.#db.get(key)))
  }

  async getMany(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    const asked = keys.map(checkKey)
    await this.#recovering
    const sealed = await reading(() => this.#db.getMany(asked))
    return asked.map((key, i) => unseal(key, sealed[i]))
  }

  async has(key: string): Promise<boolean> {
    checkKey(key)
    await this.#recovering
    return reading(() => this.#db.has(key))
  }

  async batch(ops: readonly KeyValueOp[], { sync = false }: { readonly sync?: boolean } = {}): Promise<void> {
    checkBatch(ops)
    await this.#recovering
    if (this.#failure !== undefined) throw this.#failure
    const sealed = ops.map(op => (op.type === 'put' ? { ...op, value: seal(op.key, op.value) } : op))
    try {
      await this.#db.batch(sealed, { sync })
    } catch (cause) {
      throw this.#writeFailed(cause)
    }
  }

  async *iterate(range: KeyRange = {}): AsyncGenerator<readonly [string, Uint8Array]> {
    await this.#recovering
    const { keysOnly = false, onDamage, ...options } = checkRange(range)
    try {
      if (keysOnly) for await (const key of this.#db.keys(options)) yield [key, new Uint8Array(0)]
      else {
        for await (const [key, sealed] of this.#db.iterator(options)) {
          const value = onDamage === undefined ? unseal(key, sealed) : contentOf(key, sealed)
          if (value === undefined) onDamage?.(key)
          else yield [key, value]
        }
      }
    } catch (error) {
      // What the consumer's signal says is the consumer's.
      range.signal?.throwIfAborted()
      throw toReadError(error)
    }
  }

  failure(): RegistryError | undefined {
    return this.#failure
  }

  recover(): Promise<void> {
    this.#recovering ??= this.#reopen().finally(() => {
      this.#recovering = undefined
    })
    return this.#recovering
  }

  async close(): Promise<void> {
    await this.#recovering?.catch(() => undefined)
    await this.#db.close()
  }

  async #reopen(): Promise<void> {
    await this.#db.close()
    // A failure here leaves the store closed: reads fail until the next try succeeds.
    await openFiles(this.#db)
    this.#failure = undefined
  }

  #writeFailed(cause: unknown): RegistryError {
    if (codeOf(cause) === 'LEVEL_DATABASE_NOT_OPEN') return closed(cause)
    this.#failure = codeOf(cause) === 'LEVEL_CORRUPTION' ? corrupt(cause) : toWriteError(cause, 'to the store')
    return this.#failure
  }
}

async function openFiles(db: Database): Promise<void> {
  try {
    await db.open()
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
    if (codeOf(cause) === 'LEVEL_LOCKED') {
      throw new RegistryError('HOME_LOCKED', 'another process has the store open', { cause })
    }
    if (isDiskFull(cause)) throw toWriteError(cause, 'the store while opening it')
    if (codeOf(cause) === 'LEVEL_CORRUPTION') throw corrupt(cause)
    throw new RegistryError('UNKNOWN_FILE', `the store cannot be opened: ${messageOf(cause)}`, { cause })
  }
}

async function reading<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    throw toReadError(error)
  }
}

function toReadError(error: unknown): RegistryError {
  if (isRegistryError(error)) return error
  if (codeOf(error)?.endsWith('_NOT_OPEN') === true) return closed(error)
  // A sector that cannot be read is as lost as one that lies.
  return corrupt(error)
}

function closed(cause: unknown): RegistryError {
  return new RegistryError('INTERNAL', 'the store is closed', { cause })
}

function corrupt(cause: unknown): RegistryError {
  return new RegistryError('STORE_CORRUPT', `the store cannot be read: ${messageOf(cause)}`, { cause })
}

function seal(key: string, value: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(value.length + CHECKSUM_BYTES)
  sealed.set(value)
  new DataView(sealed.buffer).setUint32(value.length, crc32(value, crc32(key)))
  return sealed
}

function unseal(key: string, sealed: Uint8Array): Uint8Array
function unseal(key: string, sealed: Uint8Array | undefined): Uint8Array | undefined
function unseal(key: string, sealed: Uint8Array | undefined): Uint8Array | undefined {
  if (sealed === undefined) return undefined
  const value = contentOf(key, sealed)
  if (value !== undefined) return value
  throw new RegistryError('STORE_CORRUPT', 'a stored record does not match its checksum', { detail: { key } })
}

/** The value of a record, or undefined when it does not match its checksum. */
function contentOf(key: string, sealed: Uint8Array): Uint8Array | undefined {
  const length = sealed.length - CHECKSUM_BYTES
  // A plain Uint8Array: LevelDB hands out Buffers, whose `slice` shares memory where a Uint8Array's copies.
  const value = new Uint8Array(sealed.buffer, sealed.byteOffset, Math.max(0, length))
  const view = new DataView(sealed.buffer, sealed.byteOffset, sealed.byteLength)
  return length >= 0 && view.getUint32(length) === crc32(value, crc32(key)) ? value : undefined
}
