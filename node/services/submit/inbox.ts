import type { RegistryId } from '../../../protocol/cid.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { encodeKeptSubmission, parseKeptSubmission } from '../../../protocol/submission-record.ts'
import type { KeptSubmission, SubmissionState } from '../../../protocol/submission-record.ts'
import type { SubmissionId } from '../../../protocol/submission.ts'

/** Where submissions are kept: opaque bytes by registry and id. */
export interface SubmissionRecords {
  submissions(registry: RegistryId): AsyncIterable<readonly [string, Uint8Array]>
  putSubmission(registry: RegistryId, id: string, bytes: Uint8Array): Promise<void>
  deleteSubmission(registry: RegistryId, id: string): Promise<void>
}

type Kept = Map<SubmissionId, KeptSubmission>

/**
 * The submissions that a curator keeps: what waits for a decision, and what was decided last, so that who asks later
 * is answered. On disk, because a person may take days.
 *
 * Invariants:
 * 1. At most `inbox` wait and `decided` are remembered, for each registry.
 * 2. One author waits with one submission for one name: the newer one takes the place of the older.
 * 3. A full inbox gives way at whoever fills it: a source with fewer than the one that holds most still gets in.
 */
export class Inbox {
  readonly #records: SubmissionRecords
  readonly #registries = new Map<RegistryId, Promise<Kept>>()

  constructor(records: SubmissionRecords) {
    this.#records = records
  }

  async get(registry: RegistryId, id: SubmissionId): Promise<KeptSubmission | undefined> {
    return (await this.#kept(registry)).get(id)
  }

  /** What waits, in the order in which it came. */
  async waiting(registry: RegistryId): Promise<readonly KeptSubmission[]> {
    return [...(await this.#kept(registry)).values()].filter(isWaiting).toSorted((a, b) => a.arrived - b.arrived)
  }

  /** Keeps one that waits; false when there is no room for it. Durable when it returns. */
  async add(submission: KeptSubmission): Promise<boolean> {
    const { author, body } = submission.envelope
    const open = await this.waiting(body.registry)
    const older = open.filter(({ envelope }) => envelope.author === author && envelope.body.name === body.name)
    const others = open.filter(each => !older.includes(each))
    if (others.filter(({ envelope }) => envelope.author === author).length >= LIMITS.submit.openPerKey) return false
    const gone = [...older]
    if (others.length >= LIMITS.submit.inbox) {
      const way = givesWay(others, submission)
      if (way === undefined) return false
      gone.push(way)
    }
    await this.#put(submission)
    for (const { envelope } of gone) await this.#delete(body.registry, envelope.id)
    return true
  }

  /** Notes what became of one. Durable when it returns. */
  async decide(submission: KeptSubmission, state: SubmissionState): Promise<void> {
    const { registry } = submission.envelope.body
    const kept = await this.#kept(registry)
    // Set again, so that the order of the map is the order of the decisions.
    kept.delete(submission.envelope.id)
    await this.#put({ ...submission, state })
    const decided = [...kept.values()].filter(each => !isWaiting(each))
    for (const { envelope } of decided.slice(0, Math.max(0, decided.length - LIMITS.submit.decided))) {
      await this.#delete(registry, envelope.id)
    }
  }

  async #put(submission: KeptSubmission): Promise<void> {
    const { id, body } = submission.envelope
    await this.#records.putSubmission(body.registry, id, encodeKeptSubmission(submission))
    const kept = await this.#kept(body.registry)
    kept.set(id, submission)
  }

  async #delete(registry: RegistryId, id: SubmissionId): Promise<void> {
    await this.#records.deleteSubmission(registry, id)
    const kept = await this.#kept(registry)
    kept.delete(id)
  }

  #kept(registry: RegistryId): Promise<Kept> {
    const known = this.#registries.get(registry)
    if (known !== undefined) return known
    const reading = this.#read(registry)
    this.#registries.set(registry, reading)
    reading.catch(() => this.#registries.delete(registry))
    return reading
  }

  async #read(registry: RegistryId): Promise<Kept> {
    const found: KeptSubmission[] = []
    for await (const [id, bytes] of this.#records.submissions(registry)) {
      const kept = readable(bytes)
      // A record that the disk spoilt is one stranger's question: he asks again.
      if (kept === undefined) await this.#records.deleteSubmission(registry, id)
      else found.push(kept)
    }
    return new Map(found.toSorted((a, b) => a.arrived - b.arrived).map(kept => [kept.envelope.id, kept]))
  }
}

function readable(bytes: Uint8Array): KeptSubmission | undefined {
  try {
    return parseKeptSubmission(bytes)
  } catch {
    return undefined
  }
}

function isWaiting({ state }: KeptSubmission): boolean {
  return state.type === 'waiting'
}

/**
 * Attack: a flood fills the inbox and keeps everybody else out. The newest of the range of addresses that holds most
 * goes, or within one range that of the peer, unless the newcomer comes from there himself.
 */
function givesWay(open: readonly KeptSubmission[], newcomer: KeptSubmission): KeptSubmission | undefined {
  const heaviest = heaviestOf(open, ({ range }) => range, newcomer)
  if (heaviest !== undefined) return heaviest
  const near = open.filter(({ range }) => range === newcomer.range)
  return heaviestOf(near, ({ peer }) => peer, newcomer)
}

function heaviestOf(
  open: readonly KeptSubmission[],
  keyOf: (each: KeptSubmission) => string,
  newcomer: KeptSubmission
): KeptSubmission | undefined {
  const groups = [...Map.groupBy(open, keyOf).values()].toSorted((a, b) => b.length - a.length)
  const own = open.filter(each => keyOf(each) === keyOf(newcomer)).length
  const [most] = groups
  return most !== undefined && own + 1 < most.length ? most.at(-1) : undefined
}
