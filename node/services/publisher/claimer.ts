import { isAttestation } from '../../../protocol/attest/fold.ts'
import { parseDsse } from '../../../protocol/attest/envelope.ts'
import { formatStatement, parseStatement } from '../../../protocol/attest/statement.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { claimsOf, claimSubjects, DOMAIN_TYPE, keySubject } from '../../../protocol/publisher/claim.ts'
import type { Domain } from '../../../protocol/publisher/domain.ts'
import type { DigestSubject } from '../../../protocol/subject.ts'
import type { AttesterComponents } from '../attest/attester.ts'
import { placeOf } from '../authority/place.ts'

export interface ClaimOrder {
  readonly domain: Domain
  readonly registry: RegistryId
  readonly key: string | undefined
}

export interface Claimed {
  readonly key: Awaited<ReturnType<AttesterComponents['signer']>>['principal']
  readonly fact: FactId
  readonly subject: DigestSubject
  readonly isNew: boolean
}

/**
 * Says in a registry that a domain is the holder's of a key. Every key that the registry has named may say so of itself.
 * @throws RegistryError NOT_AUTHORIZED when it has named it nowhere | LIMIT_EXCEEDED
 */
export async function claimDomain(
  { gate, author, signer: signerCalled, announce, now }: Omit<AttesterComponents, 'isPrivate' | 'store'>,
  { domain, registry, key }: ClaimOrder
): Promise<Claimed> {
  const signer = await signerCalled(key)
  const { principal } = signer
  const subject = keySubject(principal)
  const { authority, facts } = await placeOf(gate, registry, subject)
  const claims = claimsOf(principal, facts, now())
  const same = claims.find(claim => claim.domain === domain)
  if (same !== undefined) return { key: principal, fact: same.fact, subject, isNew: false }
  const own = facts.filter(fact => isAttestation(fact) && fact.body.author === principal)
  if (claims.length >= LIMITS.publisher.domainsPerKey || own.length > LIMITS.publisher.domainsPerKey)
    throw new RegistryError('LIMIT_EXCEEDED', `a key claims at most ${LIMITS.publisher.domainsPerKey} domains`)
  const envelope = signer.signStatement(
    formatStatement({ subjects: claimSubjects(principal), predicateType: DOMAIN_TYPE, predicate: { domain } })
  )
  const dsse = parseDsse(envelope)
  const statement = parseStatement(dsse.payload)
  const value = { head: authority.head, envelope, keys: [principal], dsse, statement }
  const fact = await author.write(registry, subject, { type: 'attestation', value }, { signer })
  announce(registry, fact)
  return { key: principal, fact: fact.id, subject, isNew: true }
}
