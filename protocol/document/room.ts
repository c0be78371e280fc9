import { DOCUMENT_LIMITS } from './limits.ts'

/** What a document may hold until an owner rolls it over. */
export interface RoomLimits {
  readonly ops: number
  readonly bytes: number
  readonly actors: number
}

/** What an edit takes. */
export interface Cost {
  readonly author: string
  /** Edits, whether or not they change anything: each is work. */
  readonly ops: number
  readonly bytes: number
  /** It deletes and puts nothing. */
  readonly isDelete: boolean
}

type Spent = readonly [ops: number, bytes: number]

/** What was taken: by all edits, and of that by those that put something. */
type Taken = readonly [all: Spent, puts: Spent]

/** Of an author: what it took, and from when on it gets no more. */
export interface RoomRecord {
  readonly taken: Taken
  readonly authors: readonly (readonly [author: string, taken: Taken, refused: Refused])[]
}

/** What an author was refused for want of room. */
type Refused = 'nothing' | 'puts' | 'all'

interface Share {
  readonly taken: Taken
  readonly refused: Refused
}

const NONE: Taken = [
  [0, 0],
  [0, 0]
]
const NOTHING: Share = { taken: NONE, refused: 'nothing' }

/**
 * The room of one epoch of a document. Deletions get some that puts don't: a full document can still be cleared. And an
 * author gets a part only. Attack: one author's edits that come before all others fill the document, and what the others
 * said leaves it.
 *
 * Invariant: where all fit in one order they fit in any, since each bound is of a sum that only grows. So puts have a sum
 * of their own: deletions that come first take nothing of their part.
 */
export class Room {
  readonly #limits: RoomLimits
  readonly #shares = new Map<string, Share>()
  #taken: Taken = NONE

  constructor(limits: RoomLimits = DOCUMENT_LIMITS) {
    this.#limits = limits
  }

  static restore(record: RoomRecord, limits?: RoomLimits): Room {
    const room = new Room(limits)
    room.#taken = record.taken
    for (const [author, taken, refused] of record.authors) room.#shares.set(author, { taken, refused })
    return room
  }

  record(): RoomRecord {
    const authors = [...this.#shares].map(([author, { taken, refused }]) => [author, taken, refused] as const)
    return { taken: this.#taken, authors }
  }

  get limits(): RoomLimits {
    return this.#limits
  }

  /** True once somebody was refused. */
  get isFull(): boolean {
    return [...this.#shares.values()].some(({ refused }) => refused !== 'nothing')
  }

  /** Room that nobody has to answer for: of what was folded. */
  fill(ops: number, bytes: number): void {
    this.#taken = added(this.#taken, { ops, bytes, isDelete: false })
  }

  /** Whether an edit fits. */
  has(cost: Cost): boolean {
    const { taken, refused } = this.#shares.get(cost.author) ?? NOTHING
    if (refused === 'all' || (refused === 'puts' && !cost.isDelete)) return false
    return this.#isWithin(this.#taken, cost, 'all') && this.#isWithin(taken, cost, 'one')
  }

  /** False: there is no room. */
  take(cost: Cost): boolean {
    if (!this.has(cost)) {
      this.refuse(cost)
      return false
    }
    const share = this.#shares.get(cost.author) ?? NOTHING
    this.#shares.set(cost.author, { ...share, taken: added(share.taken, cost) })
    this.#taken = added(this.#taken, cost)
    return true
  }

  /** Whoever was refused once is refused from then on: ten thousand edits beyond the room cost no more than their number. */
  refuse({ author, isDelete }: Cost): void {
    const share = this.#shares.get(author) ?? NOTHING
    this.#shares.set(author, { ...share, refused: isDelete || share.refused === 'all' ? 'all' : 'puts' })
  }

  #isWithin(taken: Taken, cost: Cost, whose: 'all' | 'one'): boolean {
    const [all, puts] = added(taken, cost)
    const { roomForPuts, roomForDeletes } = DOCUMENT_LIMITS
    const fits = ([ops, bytes]: Spent, part: number): boolean =>
      ops <= this.#limits.ops * part && bytes <= this.#limits.bytes * part
    // A base may take more than the part of puts, and deletions are possible all the same.
    return fits(all, roomForDeletes[whose]) && (cost.isDelete || fits(puts, roomForPuts[whose]))
  }
}

function added([all, puts]: Taken, { ops, bytes, isDelete }: Omit<Cost, 'author'>): Taken {
  const more = ([o, b]: Spent): Spent => [o + ops, b + bytes]
  return [more(all), isDelete ? puts : more(puts)]
}
