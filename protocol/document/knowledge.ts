import { compareText } from '../bytes.ts'
import type { FactId } from '../cid.ts'
import { join, knows, withPlace } from './clock.ts'
import type { Clock, Place } from './clock.ts'
import type { FactStatus, MetadataFact } from './document.ts'
import { DOCUMENT_LIMITS } from './limits.ts'

/** How a fact became part of a document, and what a later one needs to know of it. */
export interface Entry {
  readonly id: FactId
  readonly status: FactStatus
  /** `author chain` and position. */
  readonly chain: string
  readonly seq: number
  readonly counts: boolean
  /** A rollover that began an epoch took it in: what stands for it is the base. */
  readonly isFolded: boolean
  /** The applied changes that stand for it: its own, or where it has none those of what it follows. */
  readonly stands: readonly string[]
  /** What it knows, itself included. */
  readonly clock: Clock
}

/** What a fact comes on top of. */
export interface Known {
  readonly clock: Clock
  /** Changes, ascending. */
  readonly deps: readonly string[]
  /** There were more than a change may name. */
  readonly isCut: boolean
}

/** What says of a fact what it follows. */
export interface Following {
  /** `author chain` */
  readonly chain: string
  readonly after: readonly FactId[]
  readonly epoch: FactId | null
  readonly counts: boolean
}

/** Of candidates for the deps of one change. Beyond it some are left out, which costs nothing but a line of history. */
const CANDIDATES = 4 * DOCUMENT_LIMITS.stands
/** Of an id: enough that none is taken for another but on purpose, and then a document is made anew in vain. */
const MISSING_CHARS = 16
const SEQS = 16_384

/** Who follows whom in a document. Only what counts follows the one before it in its chain: forks are not in a row. */
export class Knowledge {
  readonly entries = new Map<FactId, Entry>()
  readonly chains: string[] = []
  readonly missing = new Set<string>()
  readonly #numbers = new Map<string, number>()
  readonly #lasts = new Map<string, Entry>()
  readonly #facts = new Map<number, FactId>()
  /** Of the current epoch: applied changes, and of each chain the last one. */
  readonly #changes = new Map<string, Entry>()
  readonly #lastApplied = new Map<string, string>()
  #base: readonly string[] = []
  #unfolded: FactId[] = []

  get base(): readonly string[] {
    return this.#base
  }

  lastOf(chain: string): Entry | undefined {
    return this.#lasts.get(chain)
  }

  /** Of each other chain the last fact whose change was applied in this epoch, and the last that counts. */
  endsBeside(own: string | undefined): { readonly said: readonly FactId[]; readonly lasts: readonly FactId[] } {
    const others = [...this.#lasts].filter(([chain]) => chain !== own)
    const said = [...this.#lastApplied].filter(([chain]) => chain !== own)
    return {
      said: said.flatMap(([, hash]) => this.#changes.get(hash)?.id ?? []),
      lasts: others.map(([, { id }]) => id)
    }
  }

  isMissed(id: FactId): boolean {
    return this.missing.has(id.slice(-MISSING_CHARS))
  }

  /** The place of a fact that counts. */
  placeOf(id: FactId): Place {
    const entry = this.entries.get(id)
    return entry === undefined ? { chain: -1, seq: -1 } : this.numberOf(entry)
  }

  numberOf({ chain, seq }: Pick<Entry, 'chain' | 'seq'>): Place {
    let number = this.#numbers.get(chain)
    if (number === undefined) {
      number = this.chains.push(chain) - 1
      this.#numbers.set(chain, number)
    }
    return { chain: number, seq }
  }

  factAt(place: Place): FactId | undefined {
    return this.#facts.get(keyOf(place))
  }

  of({ chain, after, epoch, counts }: Following): Known {
    const own = counts ? this.#lasts.get(chain) : undefined
    const ids = epoch === null ? after : [...after, epoch]
    const followed = ids.flatMap(id => this.entries.get(id) ?? [])
    const parents = own === undefined ? followed : [own, ...followed]
    return { clock: join(parents.map(({ clock }) => clock)), ...this.#depsOf(parents, counts ? chain : undefined) }
  }

  enter({ id, chain, seq, counts, after, epoch }: Line, { status, stands, clock }: Became): void {
    for (const other of epoch === null ? after : [...after, epoch])
      if (!this.entries.has(other)) this.missing.add(other.slice(-MISSING_CHARS))
    this.missing.delete(id.slice(-MISSING_CHARS))
    const known = counts ? withPlace(clock, this.numberOf({ chain, seq })) : clock
    this.restore({ id, status, chain, seq, counts, isFolded: status === 'rollover', stands, clock: known })
  }

  /** Enters what is made already. */
  restore(entry: Entry): void {
    const { id, status, chain, seq, counts } = entry
    this.entries.set(id, entry)
    if (counts) {
      this.#facts.set(keyOf(this.numberOf(entry)), id)
      if (seq > (this.#lasts.get(chain)?.seq ?? -1)) this.#lasts.set(chain, entry)
    }
    if (entry.isFolded) return
    this.#unfolded.push(id)
    const [change] = entry.stands
    if ((status !== 'native' && status !== 'derived') || change === undefined || this.#changes.has(change)) return
    this.#changes.set(change, entry)
    this.#lastApplied.set(chain, change)
  }

  /** Folds everything that is here. Who follows the rollover knows it all. */
  fold(rollover: Line): void {
    const clocks: Clock[] = []
    for (const id of this.#unfolded) {
      const entry = this.entries.get(id)
      if (entry === undefined) continue
      clocks.push(entry.clock)
      const isApplied = entry.status === 'native' || entry.status === 'derived'
      this.#replace({ ...entry, status: isApplied ? 'folded' : entry.status, isFolded: true, stands: [] })
    }
    this.#unfolded = []
    this.#changes.clear()
    this.#lastApplied.clear()
    const before = rollover.epoch === null ? undefined : this.entries.get(rollover.epoch)
    if (before !== undefined) clocks.push(before.clock)
    this.enter(rollover, { status: 'rollover', stands: [], clock: join(clocks) })
  }

  /** Says which changes hold what the last rollover folded: none when that was nothing. */
  begin(base: readonly string[], rollover: FactId): void {
    this.#base = base
    const entry = this.entries.get(rollover)
    if (entry !== undefined) for (const hash of base) this.#changes.set(hash, entry)
  }

  #replace(entry: Entry): void {
    this.entries.set(entry.id, entry)
    if (this.#lasts.get(entry.chain)?.id === entry.id) this.#lasts.set(entry.chain, entry)
  }

  /** What stands for all that is followed, without what is below others, but with the own last one, which is never missing. */
  #depsOf(parents: readonly Entry[], chain: string | undefined): Pick<Known, 'deps' | 'isCut'> {
    const own = chain === undefined ? undefined : this.#lastApplied.get(chain)
    const all = new Set<string>(own === undefined ? [] : [own])
    let isCut = false
    for (const entry of parents) {
      for (const hash of entry.isFolded ? this.#base : entry.stands) {
        if (all.size < CANDIDATES) all.add(hash)
        else isCut ||= !all.has(hash)
      }
    }
    const tops = all.size === 1 ? [...all] : this.#topsOf([...all])
    const others = tops.filter(hash => hash !== own).toSorted(compareText)
    const room = DOCUMENT_LIMITS.stands - (own === undefined ? 0 : 1)
    const deps = [...others.slice(0, room), ...(own === undefined ? [] : [own])]
    return { deps: deps.toSorted(compareText), isCut: isCut || others.length > room }
  }

  #topsOf(hashes: readonly string[]): readonly string[] {
    const all = hashes.map(hash => {
      const entry = this.#changes.get(hash)
      return entry === undefined ? undefined : { entry, place: this.numberOf(entry) }
    })
    return hashes.filter((_hash, i) => {
      const one = all[i]
      if (one === undefined) return true
      // Thousands of facts may follow 64 others each: this is the innermost loop of all.
      for (const other of all)
        if (other !== undefined && other.entry !== one.entry && knows(other.entry.clock, one.place)) return false
      return true
    })
  }
}

/** Where a fact stands and what it follows. */
export interface Line extends Following {
  readonly id: FactId
  readonly seq: number
}

type Became = Pick<Entry, 'status' | 'stands' | 'clock'>

export function lineOf({ id, author, chain, seq, counts, after, epoch }: MetadataFact): Line {
  return { id, chain: chainOf({ author, chain }), seq, counts, after, epoch }
}

export function chainOf({ author, chain }: Pick<MetadataFact, 'author' | 'chain'>): string {
  return `${author} ${chain}`
}

function keyOf({ chain, seq }: Place): number {
  return chain * SEQS + seq
}
