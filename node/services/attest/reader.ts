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

  constructor(components: AttestationReaderComponents) {
    this.#components = components
  }

  /** `heeded`: whose word matters here. */
  async of(release: ReleaseBytes, heeded: Heeded = NOBODY): Promise<readonly AttestationRecord[]> {
    const said = await this.said(release)
    const now = this.#components.now()
    const key = keyOf(release)
    const known = this.#read.get(key)
    if (known !== undefined && isSame(known, said, now)) return shownOf(known.records, heeded)
    const { records, isWhole } = await this.#readAll(release, said, now)
    this.#read.delete(key)
    // A predicate that is not here may come without any fact that says so.
    if (isWhole && records.length <= LIMITS.attestations.shown) this.#read.set(key, { said, at: now, records })
    const [oldest] = this.#read.keys()
    if (oldest !== undefined && this.#read.size > LIMITS.attestations.readReleases) this.#read.delete(oldest)
    return shownOf(records, heeded)
  }

  async #readAll(
    release: ReleaseBytes,
    said: readonly SaidOf[],
    now: number
  ): Promise<Pick<Read, 'records'> & { readonly isWhole: boolean }> {
    const first = attestationsOf(release, said, { now })
    const contents = new Map<ContentId, Uint8Array>()
    for (const { registry, content } of first) {
      if (content === null || contents.has(content.cid)) continue
      const bytes = await this.#components.contentHere(registry, content.cid)
      if (bytes !== undefined) contents.set(content.cid, bytes)
    }
    const records = contents.size === 0 ? first : attestationsOf(release, said, { now, contents })
    const isWhole = records.every(({ marks }) => !marks.includes('not-here'))
    return { records, isWhole }
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
  readonly said: readonly SaidOf[]
  readonly at: number
  readonly records: readonly AttestationRecord[]
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
        one.authority === other.authority &&
        one.set === other.set &&
        one.cut === other.cut
      )
    })
  )
}
