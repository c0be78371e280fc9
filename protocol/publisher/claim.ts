import { sha256 } from '@noble/hashes/sha2.js'
import { isAttestation } from '../attest/fold.ts'
import type { StatementSubject } from '../attest/statement.ts'
import { isAbout } from '../attest/payload.ts'
import { summarise } from '../attest/predicates.ts'
import { compareText, toHex, utf8 } from '../bytes.ts'
import type { VerifiedFact } from '../chains.ts'
import type { FactId } from '../cid.ts'
import type { Principal } from '../did.ts'
import { isRegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { digestSubjectOf, sha256Of } from '../subject.ts'
import type { DigestSubject } from '../subject.ts'
import type { Domain } from './domain.ts'

/** The kind of statement by which a key says that a domain is its holder's. */
export const DOMAIN_TYPE = 'urn:ggen:attestation:domain:1'

/** What is said of a key is filed under the sha2-256 of its text, `did:key:z6Mk…`. */
export function keySubject(key: Principal): DigestSubject {
  return digestSubjectOf(toHex(sha256(utf8(key))))
}

export function claimSubjects(key: Principal): readonly StatementSubject[] {
  return [{ name: key, digests: new Map([['sha256', sha256Of(keySubject(key))]]) }]
}

/** A domain that a key says is its holder's. It is worth nothing until the domain says so, too. */
export interface DomainClaim {
  readonly key: Principal
  readonly domain: Domain
  readonly fact: FactId
  readonly time: number
}

/**
 * The domains that a key claims, of the facts of a registry about the key, by domain. Every key that the registry has named may
 * speak of itself: no role is asked for, and nobody's statements keep it from being heard.
 *
 * Attack: somebody else claims a domain in the name of a key. Its author is the key, and its envelope is signed by the key.
 */
export function claimsOf(key: Principal, facts: readonly VerifiedFact[], now: number): readonly DomainClaim[] {
  const found = new Map<Domain, DomainClaim>()
  for (const fact of facts) {
    const domain = fact.body.author === key ? domainIn(key, fact, now) : undefined
    if (domain === undefined) continue
    const known = found.get(domain)
    if (known === undefined || compareText(fact.id, known.fact) < 0)
      found.set(domain, { key, domain, fact: fact.id, time: fact.body.time })
  }
  return [...found.values()]
    .toSorted((a, b) => compareText(a.domain, b.domain))
    .slice(0, LIMITS.publisher.domainsPerKey)
}

function domainIn(key: Principal, fact: VerifiedFact, now: number): Domain | undefined {
  if (!isAttestation(fact)) return undefined
  const { keys, statement } = fact.payload.value
  const isOwn = keys.includes(key) && statement.predicateType === DOMAIN_TYPE && isAboutKey(statement, key)
  if (!isOwn || fact.body.time > now + LIMITS.clockSkewMs) return undefined
  try {
    const summary = summarise(statement.predicateType, statement.predicate)
    return summary?.type === 'domain' ? summary.domain : undefined
  } catch (error) {
    // A key may sign what it likes; what has no shape says nothing.
    if (isRegistryError(error)) return undefined
    throw error
  }
}

/** About this key and nothing beside it. */
function isAboutKey(statement: Parameters<typeof isAbout>[0], key: Principal): boolean {
  return statement.subjects.length === 1 && isAbout(statement, sha256Of(keySubject(key)))
}
