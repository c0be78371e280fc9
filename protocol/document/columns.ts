import { RegistryError } from '../errors.ts'
import { ByteReader } from './byte-reader.ts'

/** The columns that a change of a flat document has, by what Automerge writes before each: id, and type in the low bits. */
export const COLUMN = Object.freeze({
  key: 0x15,
  insert: 0x34,
  action: 0x42,
  valueMeta: 0x56,
  valueRaw: 0x57,
  predecessorCount: 0x70,
  predecessorActor: 0x71,
  predecessorCounter: 0x73
})

/** Those that are not here are empty. */
export type Columns = ReadonlyMap<number, ByteReader>

const KNOWN: ReadonlySet<number> = new Set(Object.values(COLUMN))

/** Marks a column that is deflated. */
const DEFLATED = 0x08

/**
 * What is left of a change behind its head: how many columns, the kind and length of each, and then what is in them.
 * @throws RegistryError MALFORMED
 */
export function readColumns(reader: ByteReader): Columns {
  const count = reader.uint()
  if (count > KNOWN.size) throw new RegistryError('MALFORMED', 'a change has more columns than a flat document has')
  const lengths: [kind: number, length: number][] = []
  let before = -1
  for (let i = 0; i < count; i++) {
    const kind = reader.uint()
    // Attack: a few bytes that inflate to gigabytes.
    if ((kind & DEFLATED) !== 0) throw new RegistryError('MALFORMED', 'a column of a change is compressed')
    // Nested objects and elements of lists have columns of their own, so this also says that all is on the root.
    if (!KNOWN.has(kind)) throw new RegistryError('MALFORMED', 'a change has a column that no flat document has')
    if (kind <= before) throw new RegistryError('MALFORMED', 'columns of a change are not sorted or not distinct')
    before = kind
    const length = reader.uint()
    if (length === 0) throw new RegistryError('MALFORMED', 'a change names a column that is empty')
    lengths.push([kind, length])
  }
  const columns = new Map<number, ByteReader>()
  for (const [kind, length] of lengths) columns.set(kind, new ByteReader(reader.take(length)))
  if (reader.left > 0) throw new RegistryError('MALFORMED', 'a change has extra bytes')
  return columns
}

/**
 * A run-length encoded column, read value by value.
 *
 *   column = *(run / literals)
 *   run      = count value        ; count at least 2
 *   literals = -count 1*value     ; no two alike in a row
 *
 * Runs of null are refused: no column of a flat document has one. However long a run says it is, one value of it is
 * held and nothing is expanded, so the work is what the caller asks for.
 */
export class RunColumn<Value extends string | number> {
  readonly #reader: ByteReader
  readonly #read: (reader: ByteReader) => Value
  #left = 0
  #literal = false
  #value: Value | undefined

  constructor(reader: ByteReader | undefined, read: (reader: ByteReader) => Value) {
    this.#reader = reader ?? new ByteReader(new Uint8Array())
    this.#read = read
  }

  get done(): boolean {
    return this.#left === 0 && this.#reader.left === 0
  }

  next(): Value {
    if (this.#left === 0) this.#begin()
    this.#left -= 1
    if (this.#literal || this.#value === undefined) this.#value = this.#another()
    return this.#value
  }

  #begin(): void {
    const count = this.#reader.int()
    if (count === 0) throw new RegistryError('MALFORMED', 'a column of a change has a gap')
    // One spelling: literals would go on, and a run of one is a literal.
    if (count === 1 || (count < 0 && this.#literal))
      throw new RegistryError('MALFORMED', 'a column of a change is not in its one spelling')
    this.#left = Math.abs(count)
    this.#literal = count < 0
    if (count > 0) this.#value = this.#another()
  }

  /** What follows a value is another one, or it would belong to the same run. */
  #another(): Value {
    const value = this.#read(this.#reader)
    if (value === this.#value) throw new RegistryError('MALFORMED', 'a column of a change is not in its one spelling')
    return value
  }
}
