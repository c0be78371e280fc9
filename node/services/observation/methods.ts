import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Version } from '../../../protocol/version.ts'

/**
 * What became of one release. `told`: this key says so now; `same`: it said so before; `own`: it signed the release itself;
 * `first-look`: it was there before anybody here looked; `enough`: as many as are heard have said so.
 */
export type SightingState = 'enough' | 'first-look' | 'own' | 'same' | 'told'

export interface ToldRelease {
  readonly name: PackageName
  readonly version: Version
  readonly release: FactId
  /** Since when it is here. */
  readonly time: number
  readonly state: SightingState
}

/** The calls about when releases were first seen. */
export interface ObservationMethods {
  /** Signs when the releases of a registry, of a package or of one version came here. */
  observe: {
    params: { readonly what: string; readonly key?: string }
    result: {
      readonly registry: RegistryId
      readonly alias: string
      readonly facts: readonly FactId[]
      /** How many releases were looked at, by what became of them. */
      readonly counts: Readonly<Record<SightingState, number>>
      /** Some of them, those that were told first. */
      readonly releases: readonly ToldRelease[]
      /** Whether there is more than one call writes: asked for again it goes on. */
      readonly more: boolean
    }
  }
}
