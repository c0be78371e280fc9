import { attestationsOf } from '../../../protocol/attest/read-model.ts'
import type { AttestationRecord, SaidOf } from '../../../protocol/attest/read-model.ts'
import { subjectsOf } from '../../../protocol/attest/release-subjects.ts'
import type { ReleaseBytes } from '../../../protocol/attest/release-subjects.ts'
import type { Authority } from '../../../protocol/authority.ts'
import type { ContentId, RegistryId } from '../../../protocol/cid.ts'
import type { Subject } from '../../../protocol/fact.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { Known } from '../membership.ts'

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

  constructor(components: AttestationReaderComponents) {
    this.#components = components
  }

  async of(release: ReleaseBytes): Promise<readonly AttestationRecord[]> {
    const said = await this.said(release)
    const { now } = this.#components
    const first = attestationsOf(release, said, { now: now() })
    const contents = new Map<ContentId, Uint8Array>()
    for (const { registry, content } of first) {
      if (content === null || contents.has(content.cid)) continue
      const bytes = await this.#components.contentHere(registry, content.cid)
      if (bytes !== undefined) contents.set(content.cid, bytes)
    }
    const records = contents.size === 0 ? first : attestationsOf(release, said, { now: now(), contents })
    return records.slice(0, LIMITS.attestations.shown)
  }

  /** The facts behind it. */
  async said(release: Pick<ReleaseBytes, 'root' | 'digests'>): Promise<readonly SaidOf[]> {
    const found: SaidOf[] = []
    for (const registry of this.#components.registries.ids) {
      const state = this.#components.gate.state(registry)
      if (state?.authority === undefined) continue
      for (const subject of subjectsOf(release)) {
        const { set, cut } = await state.known(subject)
        if (set.length + cut.length > 0) found.push({ registry, authority: state.authority, subject, set, cut })
      }
    }
    return found
  }
}
