import type { FactId } from '../cid.ts'

/** The heads a fact about a package was made under: what its author could see of who may do what. */
export interface CitedAuthority {
  readonly registry: FactId
  readonly package: FactId
}
