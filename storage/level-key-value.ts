import { isRegistryError, messageOf, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { codeOf, isDiskFull, toWriteError } from './disk-errors.ts'
import { checkBatch, checkKey, checkRange } from './key-value.ts'
import type { KeyRange, KeyValue, KeyValueOp } from './key-value.ts'
import { forgetStarts, noteStarts, startsOf } from './store-starts.ts'
import { ReadsTogether } from './reads-together.ts'
import { contentOf, finishRebuild, newDatabase, rebuildFiles, repairFiles, seal } from './level-repair.ts'
import type { Database } from './level-repair.ts'

/** A store in a folder, with what is needed to get it going again after the disk was full. */
export interface LevelKeyValue extends KeyValue {
  /** Why writing is refused. LevelDB fails every write after the first failed one; reading goes on. */
  failure(): RegistryError | undefined
  /** Closes and opens the files again, once there is space. Operations that come meanwhile wait. */
  recover(): Promise<void>
  rebuild(): Promise<void>
  /** It has been in use for a while: how its process ends from now on says nothing about its files. */
  settled(): Promise<void>
}

/**
 * LevelDB in a folder. Each value is followed on disk by the crc32 of its key and itself: LevelDB as built for Node does
 * not check its own block checksums on reads, so a flipped bit would be returned as if it had been stored.
 *
 * @throws RegistryError HOME_LOCKED | DISK_FULL | STORE_CORRUPT | UNKNOWN_FILE
 */
export async function openLevel(dir: string): Promise<LevelKeyValue> {
  await finishRebuild(dir)
  const starts = await startsOf(dir)
  const isRebuilt = starts >= LIMITS.storage.startsUntilRebuild && (await rebuildFiles(dir).then(isDone, isNotDone))
  await noteStarts(dir, isRebuilt ? 1 : starts + 1)
  const db = await newDatabase(dir)
  await openOrRepair(db, dir)
  return new LevelStore(db, dir)
}

const isDone = (): boolean => true
/** What was in the way is in the way of opening it too, and is told there. */
const isNotDone = (): boolean => false

/** Values that nobody asked for. */
const NOTHING = new Uint8Array(0)

interface Pieces<T> {
  nextv(size: number): Promise<T[]>
  close(): Promise<void>
}

/** Many entries with one call each time: a promise for each of a hundred thousand is half of what a start takes. */
async function* inPieces<T>(iterator: Pieces<T>): AsyncGenerator<T> {
  try {
    for (;;) {
      const piece = await iterator.nextv(LIMITS.storage.readAheadEntries)
      if (piece.length === 0) return
      yield* piece
    }
  } finally {
    await iterator.close()
  }
}

class LevelStore implements LevelKeyValue {
  readonly #db: Database
  readonly #dir: string
  readonly #reads: ReadsTogether
  #failure: RegistryError | undefined
  #recovering: Promise<void> | undefined

  constructor(db: Database, dir: string) {
    this.#db = db
    this.#dir = dir
    const get = async (key: string): Promise<Uint8Array | undefined> => {
      // It may have been closed to be opened again between the question and its turn.
      await this.#recovering
      return this.#db.get(key)
    }
    this.#reads = new ReadsTogether({ getMany: keys => this.#db.getMany([...keys]), get })
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    checkKey(key)
    await this.#recovering
    return unseal(key, await reading(() => this.#reads.get(key)))
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
    const { keysOnly = false, onDamage, ...bounds } = checkRange(range)
    const options = { ...bounds, highWaterMarkBytes: LIMITS.storage.readAheadBytes }
    try {
      if (keysOnly) for await (const key of inPieces(this.#db.keys(options))) yield [key, NOTHING]
      else {
        for await (const [key, sealed] of inPieces(this.#db.iterator(options))) {
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
    return this.#recovering ?? this.#whileClosed(() => Promise.resolve())
  }

  /** Takes as long as reading and writing all of it; operations that come meanwhile wait. */
  rebuild(): Promise<void> {
    return this.#whileClosed(() => rebuildFiles(this.#dir))
  }

  async close(): Promise<void> {
    await this.#recovering?.catch(() => undefined)
    await this.#db.close()
    await forgetStarts(this.#dir)
  }

  settled(): Promise<void> {
    return forgetStarts(this.#dir)
  }

  #whileClosed(task: () => Promise<void>): Promise<void> {
    const before = this.#recovering ?? Promise.resolve()
    const run = before
      .catch(() => undefined)
      .then(async () => {
        await this.#db.close()
        try {
          await task()
        } catch (cause) {
          throw isRegistryError(cause) ? cause : toWriteError(cause, 'the store while it is rebuilt')
        } finally {
          // A failure here leaves the store closed: reads fail until the next try succeeds.
          await openFiles(this.#db)
        }
        this.#failure = undefined
      })
      .finally(() => {
        if (this.#recovering === run) this.#recovering = undefined
      })
    this.#recovering = run
    return run
  }

  #writeFailed(cause: unknown): RegistryError {
    if (codeOf(cause) === 'LEVEL_DATABASE_NOT_OPEN') return closed(cause)
    this.#failure = codeOf(cause) === 'LEVEL_CORRUPTION' ? corrupt(cause) : toWriteError(cause, 'to the store')
    return this.#failure
  }
}

/** A store that LevelDB refuses is repaired once. What that lost is seen when its records are counted. */
async function openOrRepair(db: Database, dir: string): Promise<void> {
  try {
    return await openFiles(db)
  } catch (error) {
    if (!isRegistryError(error) || error.code !== 'STORE_CORRUPT') throw error
  }
  try {
    await repairFiles(dir)
    await openFiles(db)
  } catch (cause) {
    if (isRegistryError(cause) && cause.code !== 'STORE_CORRUPT') throw cause
    throw new RegistryError('STORE_CORRUPT', `the store cannot be opened, nor repaired: ${messageOf(cause)}`, {
      cause,
      next: `move ${dir} away and start again: facts come back from peers, keys and content are elsewhere`
    })
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
    // Tables and logs that are gone, or are not what the manifest says, are no less lost than ones that lie.
    if (codeOf(cause) === 'LEVEL_CORRUPTION' || isMissingFile(cause)) throw corrupt(cause)
    throw new RegistryError('UNKNOWN_FILE', `the store cannot be opened: ${messageOf(cause)}`, { cause })
  }
}

function isMissingFile(cause: unknown): boolean {
  return /No such file or directory|Invalid argument|does not (?:match|exist)|missing files/i.test(messageOf(cause))
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

function unseal(key: string, sealed: Uint8Array): Uint8Array
function unseal(key: string, sealed: Uint8Array | undefined): Uint8Array | undefined
function unseal(key: string, sealed: Uint8Array | undefined): Uint8Array | undefined {
  if (sealed === undefined) return undefined
  const value = contentOf(key, sealed)
  if (value !== undefined) return value
  throw new RegistryError('STORE_CORRUPT', 'a stored record does not match its checksum', { detail: { key } })
}
