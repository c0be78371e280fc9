import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { rootHash, shortHash } from './filter.ts'
import type { RootFilter } from './filter.ts'
import type { HaveMessage } from './messages.ts'

/** What a peer says of a root; undefined when it says nothing. */
export type Said = 'yes' | 'no' | undefined

/**
 * What one peer has told of the roots that it holds.
 *
 * Invariants:
 * 1. A stream begins with a filter; a delta changes exactly the version that came before it.
 * 2. What the deltas after one filter change is bounded.
 * 3. What was said counts for a while; who says nothing any more has said nothing.
 * 4. Whoever says yes and has not got it, too often, is believed no more until the next filter.
 */
export class ToldRoots {
  #filter: RootFilter | undefined
  #version = 0
  readonly #changes = new Map<number, boolean>()
  #heardAt = 0
  #right = 0
  #wrong = 0

  /** Bytes in memory, about. */
  get weight(): number {
    return (this.#filter?.weight ?? 0) + this.#changes.size * 64
  }

  /** @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
  take(message: HaveMessage, now: number): void {
    if (message.type === 'full') this.#replace(message)
    else this.#change(message)
    this.#version = message.version
    this.#heardAt = now
  }

  says(digest: Uint8Array, now: number): Said {
    const filter = this.#filter
    const { silentMs, wrong, wrongPart } = LIMITS.have
    if (filter === undefined || now - this.#heardAt > silentMs) return undefined
    if (this.#wrong > wrong && this.#wrong * wrongPart > this.#right) return undefined
    const hash = rootHash(filter.salt, digest)
    return (this.#changes.get(shortHash(hash)) ?? filter.has(hash)) ? 'yes' : 'no'
  }

  /** It said yes, was asked, and had it or not. */
  proved(hadIt: boolean): void {
    if (hadIt) this.#right += 1
    else this.#wrong += 1
  }

  /** A new stream of the same peer: it begins anew. */
  restart(): void {
    this.#filter = undefined
    this.#changes.clear()
  }

  #replace({ version, filter }: HaveMessage & { readonly type: 'full' }): void {
    if (this.#filter !== undefined && version <= this.#version) throw backwards()
    this.#filter = filter
    this.#changes.clear()
    this.#right = 0
    this.#wrong = 0
  }

  #change({ from, added, removed }: HaveMessage & { readonly type: 'delta' }): void {
    if (this.#filter === undefined || from !== this.#version) throw backwards()
    for (const hash of added) this.#changes.set(hash, true)
    for (const hash of removed) this.#changes.set(hash, false)
    // Attack: deltas without end, each a little more to remember.
    if (this.#changes.size > LIMITS.have.changes)
      throw new RegistryError('LIMIT_EXCEEDED', 'more changes of a filter than a new one would take')
  }
}

function backwards(): RegistryError {
  return new RegistryError('MALFORMED', 'a change of what was never said, or was said later')
}
