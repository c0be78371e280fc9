import { attestationsOf } from '../../../protocol/attest/read-model.ts'
import type { AttestationRecord, SaidOf } from '../../../protocol/attest/read-model.ts'
import { subjectsOf } from '../../../protocol/attest/release-subjects.ts'
import type { ReleaseBytes } from '../../../protocol/attest/release-subjects.ts'
import type { Authority } from '../../../protocol/authority.ts'
import { toHex } from '../../../protocol/bytes.ts'
import type { ContentId, RegistryId } from '../../../protocol/cid.ts'
import type { Subject } from '../../../protocol/fact.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { Known } from '../membership.ts'
import { heedOf, NOBODY } from './heeded.ts'
import type { Heeded } from './heeded.ts'

export interface AttestationReaderComponents {
  readonly gate: {
    state(
      registry: RegistryId
    ): { readonly authority: Authority | undefined; known(subject: Subject): Promise<Known> } | undefined
  }
  /** Every registry that is followed, in the order of following. */
  readonly registries: { readonly ids: readonly RegistryId[] }
  readonly now: () => number
  /** A predicate that is content, where it is on this disk, out of the bytes of one registry. */
  readonly contentHere: (registry: RegistryId, cid: ContentId) => Promise<Uint8Array | undefined>
}

/**
 * What the registries that are followed say of a release. Everything is read from this disk: nobody is asked, so nobody hears
 * what is looked up, and a private release stays private.
 */
export class AttestationReader {
  readonly #components: AttestationReaderComponents

  /** What was read of releases, those that were asked for first at the front. */
  readonly #read = new Map<string, Read>()
  #records = 0

  constructor(components: AttestationReaderComponents) {
    this.#components = components
  }

  /** `heeded`: whose word matters here. */
  async of(release: ReleaseBytes, heeded: Heeded = NOBODY): Promise<readonly AttestationRecord[]> {
    const said = await this.said(release)
    const now = this.#components.now()
    const key = keyOf(release)
    const few = await this.#known(key, said, now)
    if (few !== undefined) return few
    // Attack: so many statements that each look at them keeps everybody waiting. What is shown of them depends on who is heeded.
    const among = `${key} ${[...heeded]
      .map(one => one.join(' '))
      .toSorted()
      .join(' ')}`
    const shown = await this.#known(among, said, now)
    if (shown !== undefined) return shown
    const { records, missing } = await this.#readAll(release, said, now)
    const isFew = records.length <= LIMITS.attestations.shown
    const read = { said: said.map(weakly), at: now, records: shownOf(records, heeded), missing }
    this.#remember(isFew ? key : among, read)
    return read.records
  }

  async #known(key: string, said: readonly SaidOf[], now: number): Promise<readonly AttestationRecord[] | undefined> {
    const known = this.#read.get(key)
    if (known === undefined || !isSame(known, said, now)) return undefined
    // A predicate that was not here may have come without any fact that says so.
    for (const { registry, cid } of known.missing) {
      if ((await this.#components.contentHere(registry, cid)) !== undefined) return undefined
    }
    return known.records
  }

  #remember(key: string, read: Read): void {
    const { readReleases, readRecords } = LIMITS.attestations
    this.#forget(key)
    this.#read.set(key, read)
    this.#records += read.records.length
    for (const oldest of this.#read.keys()) {
      if (this.#read.size <= readReleases && this.#records <= readRecords) return
      this.#forget(oldest)
    }
  }

  #forget(key: string): void {
    this.#records -= this.#read.get(key)?.records.length ?? 0
    this.#read.delete(key)
  }

  async #readAll(
    release: ReleaseBytes,
    said: readonly SaidOf[],
    now: number
  ): Promise<Pick<Read, 'missing' | 'records'>> {
    const first = attestationsOf(release, said, { now })
    const contents = new Map<ContentId, Uint8Array>()
    const missing: Missing[] = []
    const looked = new Set<string>()
    for (const { registry, content } of first) {
      if (content === null || contents.has(content.cid) || looked.has(`${registry} ${content.cid}`)) continue
      looked.add(`${registry} ${content.cid}`)
      const bytes = await this.#components.contentHere(registry, content.cid)
      if (bytes === undefined) missing.push({ registry, cid: content.cid })
      else contents.set(content.cid, bytes)
    }
    const records = contents.size === 0 ? first : attestationsOf(release, said, { now, contents })
    return { records, missing: missing.filter(({ cid }) => !contents.has(cid)) }
  }

  /** The facts behind it. */
  async said(release: Pick<ReleaseBytes, 'root' | 'digests'>): Promise<readonly SaidOf[]> {
    const found: SaidOf[] = []
    for (const registry of this.#components.registries.ids) {
      const state = this.#components.gate.state(registry)
      const authority = state?.authority
      if (state === undefined || authority === undefined) continue
      // One after the other: many releases are read at once, and many registries may be followed.
      const asked = subjectsOf(release).map(async (subject): Promise<SaidOf> => {
        const { set, cut } = await state.known(subject)
        return { registry, authority, subject, set, cut }
      })
      found.push(...(await Promise.all(asked)).filter(({ set, cut }) => set.length + cut.length > 0))
    }
    return found
  }
}

/**
 * As many as one look-up answers with, in the order in which they were read. Attack: a registry that was followed early, or a key in one,
 * that says more of a release than anybody looks at. So those come first whose word matters here, then what counts, then what was found to
 * be bad; of what is alike each key in each registry has its turn.
 */
function shownOf(records: readonly AttestationRecord[], heeded: Heeded): readonly AttestationRecord[] {
  const { shown } = LIMITS.attestations
  if (records.length <= shown) return records
  const weightOf = (record: AttestationRecord): number =>
    heedOf(heeded, record) * 4 +
    (record.counts ? 2 : 0) +
    (record.summary?.type === 'audit' && record.summary.result === 'fail' ? 1 : 0)
  const turns = new Map<AttestationRecord, number>()
  const weights = new Map(records.map(record => [record, weightOf(record)]))
  for (const share of Map.groupBy(records, one => `${weights.get(one)} ${one.registry} ${one.by}`).values())
    for (const [turn, record] of share.entries()) turns.set(record, turn)
  const of = (known: ReadonlyMap<AttestationRecord, number>, one: AttestationRecord): number => known.get(one) ?? 0
  const first = records.toSorted((a, b) => of(weights, b) - of(weights, a) || of(turns, a) - of(turns, b))
  const taken = new Set(first.slice(0, shown))
  return records.filter(record => taken.has(record))
}

/** What was read of a release, and out of what. */
interface Read {
  readonly said: readonly WeakSaid[]
  readonly at: number
  readonly records: readonly AttestationRecord[]
  /** Predicates that are content and were not here. */
  readonly missing: readonly Missing[]
}

/** Attack: sets of facts by the megabyte that are kept here when nobody else keeps them. What is gone would be read again anyway. */
interface WeakSaid extends Pick<SaidOf, 'registry' | 'subject'> {
  readonly authority: WeakRef<SaidOf['authority']>
  readonly set: WeakRef<SaidOf['set']>
  readonly cut: WeakRef<SaidOf['cut']>
}

function weakly({ registry, subject, authority, set, cut }: SaidOf): WeakSaid {
  return { registry, subject, authority: new WeakRef(authority), set: new WeakRef(set), cut: new WeakRef(cut) }
}

interface Missing {
  readonly registry: RegistryId
  readonly cid: ContentId
}

/** What statements are compared with: all that one may say of the bytes, and the name that another may not use. */
function keyOf({ name, version, root, digests }: ReleaseBytes): string {
  return `${name}@${version} ${root} ${toHex(digests.sha256)} ${toHex(digests.sha512)}`
}

/**
 * Whether the same would be read again: the gate hands out other lists with every fact that comes, and another authority with every
 * change. What ends or begins with time is looked at again before anybody could tell the difference.
 */
function isSame({ said, at }: Read, now: readonly SaidOf[], time: number): boolean {
  return (
    Math.abs(time - at) <= LIMITS.attestations.rereadMs &&
    said.length === now.length &&
    said.every((one, i) => {
      const other = now[i]
      return (
        other !== undefined &&
        one.registry === other.registry &&
        one.subject === other.subject &&
        one.authority.deref() === other.authority &&
        one.set.deref() === other.set &&
        one.cut.deref() === other.cut
      )
    })
  )
}
