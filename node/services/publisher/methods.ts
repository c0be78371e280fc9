import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { Domain } from '../../../protocol/publisher/domain.ts'
import type { LookupFault } from '../../../protocol/publisher/binding.ts'
import type { Filed, SigningParams } from '../authority/methods.ts'
import type { ShownBinding } from './publishers.ts'

/** The calls about keys that are bound to domains (docs/spec/publisher.md). */
export interface PublisherMethods {
  /** Says that a domain is the holder's of one of our keys. It counts once the domain says so, too. */
  publisherClaim: {
    params: SigningParams & { domain: string; registry?: string }
    result: Filed & {
      readonly key: Principal
      readonly domain: Domain
      readonly registry: RegistryId
      readonly alias: string
      readonly fact: FactId
      readonly isNew: boolean
      /** What is to be written into the zone. */
      readonly record: { readonly name: string; readonly text: string }
    }
  }
  /** Asks the domains of a key, or one domain, now. Without a name, those of this node's own key. */
  publisherVerify: {
    params: { what?: string }
    result: {
      readonly bindings: readonly ShownBinding[]
      /** Where a domain was asked: the keys that it names, and those of them that claim it nowhere. */
      readonly named: readonly Principal[]
      readonly unclaimed: readonly Principal[]
      readonly fault: LookupFault | null
    }
  }
  /** Every claim in the registries that are followed, by what was answered last. Asks nobody. */
  publisherList: {
    params: { registry?: string }
    result: readonly (ShownBinding & { readonly alias: string })[]
  }
}
