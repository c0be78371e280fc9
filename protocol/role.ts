import type { Brand } from './brand.ts'
import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { isEcosystem, parsePackageName } from './package-name.ts'
import type { PackageName } from './package-name.ts'
import { isDigestSubject, parseDigestSubject } from './subject.ts'
import type { Subject } from './subject.ts'

export const ROLES = ['owner', 'maintainer', 'publisher', 'curator', 'auditor', 'mirror', 'member'] as const

/**
 * What a grant may give. `recovery` is not held beside others: it names the one key that outranks all of the registry
 * from then on, and only the recovery key before it can say so.
 */
export type Role = (typeof ROLES)[number] | 'recovery'

/** Roles that a package's own owners may give for it. */
export const PACKAGE_ROLES: readonly Role[] = ['owner', 'maintainer', 'publisher']

/** Roles whose holder publishes alone. Owners publish by the threshold of their number. */
export const DELEGATED_ROLES: readonly Role[] = ['maintainer', 'publisher']

/** Roles under which a release, yank or unyank counts. */
export const PUBLISHING_ROLES: readonly Role[] = ['owner', 'maintainer', 'publisher']

/** Roles under which a quarantine counts, and what lifts one; that of a curator over the registry alone. */
export const STOPPING_ROLES: readonly Role[] = ['owner', 'maintainer', 'curator']

/** Roles of the registry under which an advisory counts. Owners speak alone: it warns, and decides nothing by itself. */
export const ADVISING_ROLES: readonly Role[] = ['owner', 'curator', 'auditor']

/** Roles of the registry under which an edit of a package's words counts; of the package itself the publishing ones. */
export const EDITING_ROLES: readonly Role[] = ['owner', 'maintainer', 'publisher', 'curator']

/** Roles of the registry under which it counts when somebody first saw a release: of those who look, not of those who publish. */
export const OBSERVING_ROLES: readonly Role[] = ['mirror', 'curator']

/** Roles under which an edit of the registry's catalogue counts. */
export const CATALOGUE_ROLES: readonly Role[] = ['owner', 'curator']

/** Roles under which a claim counts: who may hand out names. */
export const NAMING_ROLES: readonly Role[] = ['owner', 'curator']

/**
 * What a grant covers:
 *
 *   scope = "*" / ecosystem "/*" / ecosystem "/" prefix "*" / package-name
 *         / "sha256/" 0*64( "0"-"9" / "a"-"f" ) "*" / digest-subject
 */
export type Scope = Brand<string, 'Scope'>

/** Where digests stand among the ecosystems, so that what was said about them can be divided like what was said about names. */
export const DIGESTS = 'sha256'

export function isRole(value: unknown): value is Role {
  return typeof value === 'string' && (value === 'recovery' || (ROLES as readonly string[]).includes(value))
}

/** @throws RegistryError MALFORMED */
export function parseScope(text: string): Scope {
  if (text === '*') return text as Scope
  if (text.length > LIMITS.names.nameChars + 16) throw new RegistryError('MALFORMED', 'a scope is too long')
  const slash = text.indexOf('/')
  const rest = text.slice(slash + 1)
  const isOfNames = slash > 0 && isEcosystem(text.slice(0, slash)) && /^[a-z0-9@._/-]*\*$/.test(rest)
  const isGlob = isOfNames || /^sha256\/[0-9a-f]{0,64}\*$/.test(text)
  if (!isGlob && !isName(text))
    throw new RegistryError('MALFORMED', 'not a scope: use *, ggen/*, ggen/prefix* or a package')
  return text as Scope
}

/**
 * What a revocation covers: what a grant may, or the place of a scope alone, so that the parts of a scope leave nothing out:
 *
 *   revoked-scope = scope / "registry" / ecosystem "/" prefix
 *
 * @throws RegistryError MALFORMED
 */
export function parseRevokedScope(text: string): Scope {
  if (text === 'registry') return text as Scope
  // A name is the place of what begins with it, too: one spelling either way.
  if (text === '' || text.endsWith('*')) return parseScope(text)
  parseScope(`${text}*`)
  return text as Scope
}

/** A scope that covers the registry as a whole, its own roles included. */
export const WHOLE: Scope = '*' as Scope

/** An explicit prefix rule, never a pattern: `ggen/acme-*` covers `ggen/acme-tool` and not `ggen/acme`; of grants only `*` covers the registry. */
export function covers(scope: Scope, subject: Subject): boolean {
  return scope.endsWith('*') ? subject.startsWith(scope.slice(0, -1)) : subject === (scope as string)
}

/**
 * Something that a scope covers and that stands for all of it: what it covers begins with what is left of its star. A role
 * over the scope stands for as long as it is held here.
 */
export function placeIn(scope: Scope): 'registry' | PackageName {
  return scope === WHOLE ? 'registry' : ((scope as string).replace(/\*$/, '') as PackageName)
}

function isName(text: string): boolean {
  try {
    if (isDigestSubject(text)) parseDigestSubject(text)
    else parsePackageName(text)
    return true
  } catch {
    return false
  }
}
