import { RegistryError } from '../errors.ts'
import { compareBounds } from './item-set.ts'
import type { Bound, Item } from './item-set.ts'
import { formatVarint } from './varint.ts'
import type { ByteReader } from './varint.ts'

/** Behind everything. */
export const LAST_BOUND: Bound = { time: Infinity, prefix: new Uint8Array() }

/** Before everything. */
export const FIRST_BOUND: Bound = { time: 0, prefix: new Uint8Array() }

const ID_BYTES = 32

/**
 * Writes the bounds of one message, in order: a time is one more than its distance from the time before, and 0 is
 * "behind everything"; then the length of the prefix, and the prefix.
 */
export class BoundWriter {
  #before = 0

  format({ time, prefix }: Bound): readonly Uint8Array[] {
    if (time === Infinity) return [formatVarint(0), formatVarint(0)]
    const distance = time - this.#before
    this.#before = time
    return [formatVarint(distance + 1), formatVarint(prefix.length), prefix]
  }
}

/** Reads the bounds of one message. Two may be equal, as around a range in which nothing fits; none goes back. */
export class BoundReader {
  #before: Bound = FIRST_BOUND

  /** @throws RegistryError MALFORMED */
  parse(reader: ByteReader): Bound {
    const distance = reader.varint()
    const length = reader.varint()
    if (length > ID_BYTES) throw new RegistryError('MALFORMED', 'a bound with more bytes than an id has')
    const time = distance === 0 ? Infinity : this.#before.time + distance - 1
    const bound = { time, prefix: reader.take(length).slice() }
    // A time that no fact can have, and what lies behind it.
    const isTime = time === Infinity ? distance === 0 && length === 0 : Number.isSafeInteger(time)
    if (!isTime || compareBounds(bound, this.#before) < 0)
      throw new RegistryError('MALFORMED', 'the bounds of a reconciliation message are not in order')
    this.#before = bound
    return bound
  }
}

/** The shortest bound between two items that follow each other. */
export function boundBetween(before: Item, after: Item): Bound {
  if (before.time !== after.time) return { time: after.time, prefix: new Uint8Array() }
  let shared = 0
  while (shared < ID_BYTES - 1 && before.id[shared] === after.id[shared]) shared += 1
  return { time: after.time, prefix: after.id.slice(0, shared + 1) }
}

/** The bound just before an item. */
export function boundAt({ time, id }: Item): Bound {
  return { time, prefix: id }
}
