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

/** Of an author: what it took, and from when on it gets no more. */
export interface RoomRecord {
  readonly spent: Spent
  readonly authors: readonly (readonly [author: string, ops: number, bytes: number, refused: Refused])[]
}

/** What an author was refused for want of room. */
type Refused = 'nothing' | 'puts' | 'all'

interface Share {
  readonly spent: Spent
  readonly refused: Refused
}

const NOTHING: Share = { spent: [0, 0], refused: 'nothing' }

/**
 * The room of one epoch of a document. Deletions get some that puts don't: a full document can still be cleared. And an
 * author gets a part only. Attack: one author's edits that come before all others fill the document, and what the others
 * said leaves it.
 */
export class Room {
  readonly #limits: RoomLimits
  readonly #shares = new Map<string, Share>()
  #spent: Spent = [0, 0]

  constructor(limits: RoomLimits = DOCUMENT_LIMITS) {
    this.#limits = limits
  }

  static restore(record: RoomRecord, limits?: RoomLimits): Room {
    const room = new Room(limits)
    room.#spent = record.spent
    for (const [author, ops, bytes, refused] of record.authors)
      room.#shares.set(author, { spent: [ops, bytes], refused })
    return room
  }

  record(): RoomRecord {
    const authors = [...this.#shares].map(([author, { spent, refused }]) => [author, ...spent, refused] as const)
    return { spent: this.#spent, authors }
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
    this.#spent = [this.#spent[0] + ops, this.#spent[1] + bytes]
  }

  /** Whether an edit fits. */
  has(cost: Cost): boolean {
    const { author, ops, bytes, isDelete } = cost
    const { spent, refused } = this.#shares.get(author) ?? NOTHING
    if (refused === 'all' || (refused === 'puts' && !isDelete)) return false
    const { all, one } = isDelete ? DOCUMENT_LIMITS.roomForDeletes : DOCUMENT_LIMITS.roomForPuts
    return isWithin(this.#spent, [ops, bytes], this.#limits, all) && isWithin(spent, [ops, bytes], this.#limits, one)
  }

  /** False: there is no room. */
  take(cost: Cost): boolean {
    if (!this.has(cost)) {
      this.refuse(cost)
      return false
    }
    const share = this.#shares.get(cost.author) ?? NOTHING
    const [ops, bytes] = share.spent
    this.#shares.set(cost.author, { ...share, spent: [ops + cost.ops, bytes + cost.bytes] })
    this.fill(cost.ops, cost.bytes)
    return true
  }

  /** Whoever was refused once is refused from then on: ten thousand edits beyond the room cost no more than their number. */
  refuse({ author, isDelete }: Cost): void {
    const share = this.#shares.get(author) ?? NOTHING
    this.#shares.set(author, { ...share, refused: isDelete || share.refused === 'all' ? 'all' : 'puts' })
  }
}

function isWithin(spent: Spent, more: Spent, limits: RoomLimits, part: number): boolean {
  return spent[0] + more[0] <= limits.ops * part && spent[1] + more[1] <= limits.bytes * part
}
