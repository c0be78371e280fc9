import { factIdFromLink, toLink } from './cid.ts'
import type { FactId } from './cid.ts'
import { parsePrincipal } from './did.ts'
import type { Principal } from './did.ts'
import { recordOf } from './fact.ts'
import type { Subject } from './fact.ts'
import { headsRecord, parseHeads } from './heads.ts'
import type { Heads } from './heads.ts'
import { LIMITS } from './limits.ts'
import { malformed, parseCount, parseFactIds, parseKeys, parseReason, text } from './payload-shape.ts'
import { isRole, PACKAGE_ROLES, parseRevokedScope, parseScope } from './role.ts'
import type { Role, Scope } from './role.ts'

/** What every change of who may do what says of its place. */
interface Change {
  /** The head of the subject's own authority that it changes. */
  readonly authPrev: FactId
  /** About a package: the head of the registry's authority it was made under. About the registry: null, it is `authPrev`. */
  readonly head: FactId | null
}

export interface Grant extends Change {
  readonly key: Principal
  readonly role: Role
  readonly scope: Scope
  /** Milliseconds since 1970, or never. Tested where a role is used, not in the fold. */
  readonly expires: number | null
  /** With role `owner`: so many owners must sign from here on; null leaves the number as it is. */
  readonly threshold: number | null
}

export interface Revoke extends Change {
  readonly key: Principal
  /** One role, or null for every role: then what the key signed beyond `heads` leaves the set. */
  readonly role: Role | null
  /** Also the place of a scope alone (`parseRevokedScope`). */
  readonly scope: Scope
  readonly heads: Heads
  readonly threshold: number | null
  readonly reason: string
}

/** One more signer for another fact about the same subject. */
export interface Cosign {
  readonly fact: FactId
  /** The registry's authority head that the signer saw. */
  readonly head: FactId
}

/** Of several facts that exclude each other (contents of one version, bodies of one position), one is kept. */
export interface Resolve extends Change {
  readonly keep: FactId
  readonly over: readonly FactId[]
}

export interface Claim {
  readonly authPrev: FactId
  readonly keys: readonly Principal[]
  readonly threshold: number
}

export type AuthorityPayload =
  | { readonly type: 'grant'; readonly value: Grant }
  | { readonly type: 'revoke'; readonly value: Revoke }
  | { readonly type: 'cosign'; readonly value: Cosign }
  | { readonly type: 'resolve'; readonly value: Resolve }
  | { readonly type: 'claim'; readonly value: Claim }

/** The record of a payload, as it goes into dag-cbor. */
export function authorityPayloadRecord({ type, value }: AuthorityPayload): unknown {
  switch (type) {
    case 'grant':
      return { ...value, ...changeRecord(value) }
    case 'revoke':
      return { ...value, ...changeRecord(value), heads: headsRecord(value.heads) }
    case 'cosign':
      return { fact: toLink(value.fact), head: toLink(value.head) }
    case 'resolve':
      return { ...changeRecord(value), keep: toLink(value.keep), over: value.over.map(toLink) }
    case 'claim':
      return { ...value, authPrev: toLink(value.authPrev) }
  }
}

function changeRecord({ authPrev, head }: Change): Record<string, unknown> {
  return { authPrev: toLink(authPrev), head: head === null ? null : toLink(head) }
}

/** @throws RegistryError MALFORMED */
export function parseAuthorityPayload(
  type: AuthorityPayload['type'],
  raw: unknown,
  subject: Subject
): AuthorityPayload {
  switch (type) {
    case 'grant':
      return { type, value: parseGrant(raw, subject) }
    case 'revoke':
      return { type, value: parseRevoke(raw, subject) }
    case 'cosign': {
      const { fact, head } = recordOf(raw, ['fact', 'head'])
      return { type, value: { fact: factIdFromLink(fact), head: factIdFromLink(head) } }
    }
    case 'resolve':
      return { type, value: parseResolve(raw, subject) }
    case 'claim': {
      const record = recordOf(raw, ['authPrev', 'keys', 'threshold'])
      const keys = parseKeys(record.keys)
      return {
        type,
        value: {
          authPrev: factIdFromLink(record.authPrev),
          keys,
          threshold: parseCount(record.threshold, 1, keys.length)
        }
      }
    }
  }
}

function parseGrant(raw: unknown, subject: Subject): Grant {
  const record = recordOf(raw, ['authPrev', 'head', 'key', 'role', 'scope', 'expires', 'threshold'])
  const { role, expires } = record
  if (!isRole(role)) throw malformed('role')
  const scope = scopeAbout(subject, parseScope(text(record.scope)))
  if (subject !== 'registry' && !PACKAGE_ROLES.includes(role)) throw malformed('role: not one that a package has')
  if (role === 'recovery' && (scope !== '*' || expires !== null)) throw malformed('recovery: over everything, for ever')
  return {
    ...parseChange(record, subject),
    key: parsePrincipal(text(record.key)),
    role,
    scope,
    expires: expires === null ? null : parseCount(expires, 0, Number.MAX_SAFE_INTEGER),
    threshold: parseThreshold(record.threshold, role, scope, subject)
  }
}

function parseRevoke(raw: unknown, subject: Subject): Revoke {
  const record = recordOf(raw, ['authPrev', 'head', 'key', 'role', 'scope', 'heads', 'threshold', 'reason'])
  const { role } = record
  // The recovery key is changed by a grant of its own, never taken away.
  if (role !== null && (!isRole(role) || role === 'recovery')) throw malformed('role')
  if (subject !== 'registry' && role !== null && !PACKAGE_ROLES.includes(role)) throw malformed('role')
  const scope = scopeAbout(subject, parseRevokedScope(text(record.scope)))
  const heads = parseHeads(record.heads)
  for (const subjects of heads.values()) {
    for (const about of subjects.keys())
      if (subject !== 'registry' && about !== subject) throw malformed('heads: subject')
  }
  return {
    ...parseChange(record, subject),
    key: parsePrincipal(text(record.key)),
    role,
    scope,
    heads,
    threshold: parseThreshold(record.threshold, role ?? 'owner', scope, subject),
    reason: parseReason(record.reason)
  }
}

function parseResolve(raw: unknown, subject: Subject): Resolve {
  const record = recordOf(raw, ['authPrev', 'head', 'keep', 'over'])
  const keep = factIdFromLink(record.keep)
  const over = parseFactIds(record.over, LIMITS.fact.resolvedFacts)
  if (over.includes(keep)) throw malformed('over: what is kept')
  return { ...parseChange(record, subject), keep, over }
}

/** One spelling: about the registry both heads are one, so only one is said. */
function parseChange(record: { readonly authPrev: unknown; readonly head: unknown }, subject: Subject): Change {
  if ((record.head === null) !== (subject === 'registry')) throw malformed('head')
  return {
    authPrev: factIdFromLink(record.authPrev),
    head: record.head === null ? null : factIdFromLink(record.head)
  }
}

/** About a package, the scope is that package. */
function scopeAbout(subject: Subject, scope: Scope): Scope {
  if (subject !== 'registry' && (scope as string) !== subject) throw malformed('scope')
  return scope
}

/** Only a change among the owners of the whole subject may change how many of them must sign. */
function parseThreshold(raw: unknown, role: Role, scope: Scope, subject: Subject): number | null {
  if (raw === null) return null
  if (role !== 'owner' || (subject === 'registry' && scope !== '*')) throw malformed('threshold')
  return parseCount(raw, 1, LIMITS.fact.keysPerList)
}
