import { foldAttestations } from '../../../protocol/attest/fold.ts'
import type { AttestationFault } from '../../../protocol/attest/fold.ts'
import { foldAuthority } from '../../../protocol/authority.ts'
import type { Authority, AuthoritySetAside } from '../../../protocol/authority.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import { editsOfCatalogue } from '../../../protocol/document/counted.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import type { Subject } from '../../../protocol/fact.ts'
import { foldPackage } from '../../../protocol/fold.ts'
import type { ClaimView, PackageView, SetAsideReason } from '../../../protocol/fold.ts'
import { shortNameOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { parseScope, WHOLE } from '../../../protocol/role.ts'
import type { Scope } from '../../../protocol/role.ts'
import { isDigestSubject, isPackage } from '../../../protocol/subject.ts'

/** What reading who may do what needs of the gate. */
export interface PlaceGate {
  state(
    registry: RegistryId
  ):
    | { readonly authority: Authority | undefined; factsOf(subject: Subject): Promise<readonly VerifiedFact[]> }
    | undefined
}

/** One subject as it is now: all its facts and what they add up to. */
export interface Place {
  readonly registry: RegistryId
  readonly subject: Subject
  readonly authority: Authority
  readonly facts: readonly VerifiedFact[]
  /** About a package: its view. */
  readonly view: PackageView | undefined
}

/** Why a fact does not count. */
export type AsideReason = AuthoritySetAside | SetAsideReason | AttestationFault

/** @throws RegistryError UNKNOWN_REGISTRY | PENDING */
export async function placeOf(gate: PlaceGate, registry: RegistryId, subject: Subject): Promise<Place> {
  const authority = authorityOf(gate, registry)
  const facts = (await gate.state(registry)?.factsOf(subject)) ?? []
  const view = isPackage(subject) ? foldPackage(subject, authority, facts) : undefined
  return { registry, subject, authority, facts, view }
}

/** @throws RegistryError UNKNOWN_REGISTRY | PENDING */
export function authorityOf(gate: PlaceGate, registry: RegistryId): Authority {
  const state = gate.state(registry)
  if (state === undefined) throw new RegistryError('UNKNOWN_REGISTRY', `registry ${registry} is not followed here`)
  if (state.authority !== undefined) return state.authority
  throw new RegistryError('PENDING', 'the genesis of the registry has not arrived yet', {
    next: 'connect to a peer that follows it: ggen-node connect ADDRESS'
  })
}

/** The grant of the name of a package. @throws RegistryError UNKNOWN_PACKAGE when nobody gave it out */
export function claimOf({ view, subject }: Place): ClaimView {
  if (view !== undefined && view.claim !== null) return view.claim
  throw new RegistryError('UNKNOWN_PACKAGE', `no package ${shortNameOf(subject as PackageName)} in the registry`)
}

/** What a change of who may do what about this subject says of its place: it is made in the knowledge of all that counts. */
export function changeHere(place: Place): { readonly authPrev: FactId; readonly head: FactId | null } {
  const { authority } = place
  return place.subject === 'registry'
    ? { authPrev: authority.head, head: null }
    : { authPrev: claimOf(place).head, head: authority.head }
}

/** The scope of a role about this subject: the package, or in a registry what is asked for. @throws RegistryError USAGE */
export function scopeHere({ subject }: Place, asked: string | undefined): Scope {
  if (subject === 'registry') return asked === undefined ? WHOLE : scopeFrom(asked)
  if (asked !== undefined && asked !== subject)
    throw new RegistryError('USAGE', 'a role about one package has that package as its scope')
  return subject as string as Scope
}

/** @throws RegistryError USAGE */
export function scopeFrom(text: string): Scope {
  try {
    return parseScope(text)
  } catch (cause) {
    throw new RegistryError('USAGE', `${JSON.stringify(text.slice(0, 80))} is not a scope`, {
      cause,
      next: 'use *, ggen/*, ggen/prefix* or the name of a package'
    })
  }
}

/** Why a fact that is here does not count; undefined when it counts. */
export function asideReason({ subject, authority, facts, view }: Place, id: FactId): AsideReason | undefined {
  return setAsideIn({ subject, authority, facts, view }).find(({ fact }) => fact === id)?.reason
}

/** Facts of the place that do not count, the lowest ids of them. */
export function setAsideIn({
  subject,
  authority,
  facts,
  view
}: Pick<Place, 'subject' | 'authority' | 'facts' | 'view'>): readonly {
  readonly fact: FactId
  readonly reason: AsideReason
}[] {
  if (subject === 'registry') return [...authority.setAside, ...editsOfCatalogue(authority, facts).setAside]
  return isDigestSubject(subject) ? foldAttestations(subject, authority, facts).setAside : (view?.setAside ?? [])
}

/** The place as it would be with one more fact: what nobody has signed yet is judged by the fold and by nothing else. */
export function withFact(place: Place, fact: VerifiedFact): Place {
  return withFacts(place, [...place.facts, fact])
}

/** The place as it would be if it were made of these facts. */
export function withFacts(place: Place, facts: readonly VerifiedFact[]): Place {
  if (isDigestSubject(place.subject)) return { ...place, facts }
  if (place.subject !== 'registry') return { ...place, facts, view: foldPackage(place.subject, place.authority, facts) }
  const authority = foldAuthority(place.registry, facts)
  return { ...place, facts, ...(authority === undefined ? {} : { authority }) }
}
