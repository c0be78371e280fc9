import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import { parsePrincipal } from '../../../protocol/did.ts'
import type { Principal } from '../../../protocol/did.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import type { Subject } from '../../../protocol/fact.ts'
import { headsOf } from '../../../protocol/heads.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { cleanText } from '../../../protocol/manifest-text.ts'
import { isRole, PACKAGE_ROLES, ROLES, WHOLE } from '../../../protocol/role.ts'
import type { Role, Scope } from '../../../protocol/role.ts'
import { standingRoles } from '../../../protocol/roles.ts'
import type { Held } from '../../../protocol/roles.ts'
import type { Signer } from '../author.ts'
import { headForRevoke, partsOf } from './cut.ts'
import { parseExpiry } from './expiry.ts'
import { changeHere, claimOf, placeOf, scopeHere } from './place.ts'
import type { Place } from './place.ts'
import { ownersHere, ownersOver } from './powers.ts'
import { recognised } from './recognised.ts'
import type { Recogniser } from './recognised.ts'
import { shortOf } from './words.ts'
import { writeOrder } from './writer.ts'
import type { WriterComponents, Written } from './writer.ts'

export interface RoleComponents extends WriterComponents, Recogniser {
  /** Packages about which a key may have something to say, or in which it is named. */
  readonly packagesOf: (registry: RegistryId, key: Principal) => AsyncIterable<Subject>
  /** Refuses a key that proves nothing. @throws RegistryError INADMISSIBLE_KEY */
  readonly admitKey: (key: Principal) => void
}

/** What is changed: the registry, or one package of it. */
export interface About {
  readonly registry: RegistryId
  readonly subject: Subject
  /** A key of the data directory other than the node's own. */
  readonly key: string | undefined
}

export interface GrantAsked {
  readonly key: string
  readonly role: string
  readonly scope: string | undefined
  /** `30d`, or a date. */
  readonly expires: string | undefined
  readonly threshold: number | undefined
}

/** Gives a key a role. @throws RegistryError NOT_AUTHORIZED | USAGE | UNKNOWN_PACKAGE | INADMISSIBLE_KEY */
export async function grantRole(components: RoleComponents, about: About, asked: GrantAsked): Promise<Written> {
  const role = roleFrom(asked.role, about.subject)
  const key = keyFrom(asked.key)
  components.admitKey(key)
  const expires = asked.expires === undefined ? null : parseExpiry(asked.expires, components.now())
  const signer = await components.signer(about.key)
  const given = { key, role, expires, threshold: asked.threshold ?? null }
  return writeOrder(components, {
    ...about,
    signer,
    payload: place => {
      assertThreshold(place, given)
      assertHeard(place, key)
      return { type: 'grant', value: { ...changeHere(place), ...given, scope: scopeHere(place, asked.scope) } }
    }
  })
}

export interface RevokeAsked {
  readonly key: string
  readonly role: string | undefined
  readonly scope: string | undefined
  readonly reason: string
  readonly threshold: number | undefined
  /** Recognises only what `keep` names; else all that is known here of the key stays. */
  readonly isCompromised: boolean
  readonly keep: readonly FactId[]
}

/** Takes roles of a key away. @throws RegistryError NOT_AUTHORIZED | USAGE | LIMIT_EXCEEDED | UNKNOWN_PACKAGE */
export async function revokeRole(
  components: RoleComponents,
  about: About,
  asked: RevokeAsked
): Promise<readonly Written[]> {
  const signer = await components.signer(about.key)
  const key = keyFrom(asked.key)
  const role = asked.role === undefined ? null : roleFrom(asked.role, about.subject)
  if (role === 'recovery')
    throw new RegistryError('USAGE', 'the recovery key is changed by a grant of its own', {
      next: 'ggen-node role grant KEY recovery --key recovery'
    })
  return writeRevokes(components, about, { ...asked, signer, key, role })
}

interface RevokeOrder extends Pick<RevokeAsked, 'scope' | 'threshold' | 'isCompromised' | 'keep'> {
  readonly signer: Signer
  readonly key: Principal
  readonly role: Role | null
  readonly reason: string
  /** The grant to whoever comes in its place, which must count before this may. */
  readonly after?: FactId | undefined
}

async function writeRevokes(
  components: RoleComponents,
  { registry, subject }: Pick<About, 'registry' | 'subject'>,
  { signer, key, role, after, ...asked }: RevokeOrder
): Promise<readonly Written[]> {
  const reason = reasonFrom(asked.reason)
  const place = await placeOf(components.gate, registry, subject)
  if (subject !== 'registry') claimOf(place)
  const scope = scopeHere(place, asked.scope)
  const positions = await recognised(components, place, { ...asked, key, scope })
  const isOwner = ownersOver(place.authority, 'registry').includes(key)
  const parts = subject === 'registry' ? partsOf(scope, positions, isOwner) : [{ scope, heads: headsOf(positions) }]
  const written: Written[] = []
  for (const part of parts) {
    const isWhole = subject !== 'registry' || part.scope === WHOLE
    // Whoever comes in the key's place keeps the number as it is.
    const isFewer = isWhole && after === undefined && (role === null || role === 'owner')
    const threshold = asked.threshold ?? (isFewer ? fewerOwners(place, key) : null)
    const payload = (at: Place) => {
      const change = { ...changeHere(at), authPrev: after ?? headForRevoke(at, key, part.heads) }
      return { type: 'revoke' as const, value: { ...change, key, role, ...part, threshold, reason } }
    }
    written.push(await writeOrder(components, { registry, subject, signer, payload }))
  }
  return written
}

/** New owner in, own key out with all that it said. @throws RegistryError NOT_AUTHORIZED | USAGE | UNKNOWN_PACKAGE */
export async function transferPackage(
  components: RoleComponents,
  about: About,
  to: string
): Promise<readonly Written[]> {
  const signer = await components.signer(about.key)
  const key = keyFrom(to)
  const claim = claimOf(await placeOf(components.gate, about.registry, about.subject))
  if (!claim.keys.includes(signer.principal))
    throw new RegistryError('NOT_AUTHORIZED', `${signer.principal} is no owner of ${shortOf(about.subject)}`, {
      tried: [`its owners are ${claim.keys.join(', ')}`],
      next: 'ggen-node owner add and owner remove change the owners of a package that is not yours'
    })
  if (key === signer.principal) throw new RegistryError('USAGE', 'the package is transferred to another key')
  const asked = { key, role: 'owner', scope: undefined, expires: undefined, threshold: undefined }
  const granted = claim.keys.includes(key) ? [] : [await grantRole(components, about, asked)]
  const order = { ...ROUTINE, signer, key: signer.principal, role: null, after: granted[0]?.fact }
  const revoked = await writeRevokes(components, about, order)
  return [...granted, ...revoked]
}

/** A revocation after which all that the key said stays. */
export const ROUTINE = {
  role: undefined,
  scope: undefined,
  reason: '',
  threshold: undefined,
  isCompromised: false,
  keep: []
} as const

export interface Rotated {
  readonly written: readonly Written[]
  /** Packages in which the old key has a role that could not be changed, and why. */
  readonly skipped: readonly { readonly subject: Subject; readonly why: string }[]
}

/**
 * Gives a new key everything that an old one holds, then takes it from the old one, whose facts stay. Packages come
 * first: once the registry has let the old key go, nothing that it signs is in the set any more.
 */
export async function rotateKey(
  components: RoleComponents,
  about: Omit<About, 'subject'>,
  { from, to }: { readonly from: string; readonly to: string }
): Promise<Rotated> {
  const [old, fresh] = [keyFrom(from), keyFrom(to)]
  if (old === fresh) throw new RegistryError('USAGE', 'a key is rotated to another key')
  components.admitKey(fresh)
  const { registry } = about
  const signer = await components.signer(about.key)
  const written: Written[] = []
  const skipped: { readonly subject: Subject; readonly why: string }[] = []
  const subjects: Subject[] = []
  for await (const subject of components.packagesOf(registry, old)) {
    subjects.push(subject)
    if (subjects.length > LIMITS.authoring.packages) throw new RegistryError('LIMIT_EXCEEDED', 'too many packages')
  }
  for (const subject of [...subjects, 'registry' as const]) {
    try {
      written.push(...(await replaceIn(components, { registry, subject, signer }, { old, fresh })))
    } catch (error) {
      if (!(error instanceof RegistryError) || error.code !== 'NOT_AUTHORIZED') throw error
      skipped.push({ subject, why: error.message })
    }
  }
  if (written.length > 0) return { written, skipped }
  const why = skipped.map(({ subject, why: reason }) => `${subject}: ${reason}`)
  throw new RegistryError('NOT_AUTHORIZED', `nothing of ${old} could be given to ${fresh}`, {
    tried: why.length > 0 ? why.slice(0, 8) : [`looked for roles of ${old}`],
    next: 'ggen-node role list shows who holds what; owners may rotate the keys of others'
  })
}

interface In {
  readonly registry: RegistryId
  readonly subject: Subject
  readonly signer: Signer
}

async function replaceIn(
  components: RoleComponents,
  { registry, subject, signer }: In,
  { old, fresh }: { readonly old: Principal; readonly fresh: Principal }
): Promise<readonly Written[]> {
  const place = await placeOf(components.gate, registry, subject)
  const held = heldIn(place, old)
  const written: Written[] = []
  for (const { role, scope, expires } of held) {
    const payload = (at: Place) => {
      const here = changeHere(at)
      const authPrev = written.at(-1)?.fact ?? here.authPrev
      const value = { ...here, authPrev, key: fresh, role, scope, expires, threshold: null }
      return { type: 'grant' as const, value }
    }
    written.push(await writeOrder(components, { registry, subject, signer, payload }))
  }
  // The recovery key is replaced by the grant; whoever holds nothing else has nothing to lose.
  if (held.every(({ role }) => role === 'recovery')) return written
  // Attack: taken away beside the grant and not after it, ownership would for a moment be that of fewer keys, and a change
  // made of that moment would need the signatures of fewer.
  const order = { ...ROUTINE, signer, key: old, role: null, after: written.at(-1)?.fact }
  return [...written, ...(await writeRevokes(components, { registry, subject }, order))]
}

/** A role as somebody holds it about one subject. */
export interface HeldRole {
  readonly key: Principal
  readonly role: Role
  readonly scope: Scope
  readonly expires: number | null
}

/** What a key holds by the facts of one subject. */
export function heldIn(place: Place, key: Principal): readonly HeldRole[] {
  return rolesIn(place).filter(held => held.key === key)
}

/** Who holds what by the facts of one subject: owners first, then in the order of their grants. */
export function rolesIn({ authority, subject, view }: Place): readonly HeldRole[] {
  if (subject !== 'registry') {
    const claim = view?.claim ?? null
    if (claim === null) return []
    const scope = subject as string as Scope
    return [...claim.keys.map(key => ({ key, role: 'owner' as const, scope, expires: null })), ...claim.roles]
  }
  return registryRoles(authority)
}

function registryRoles(authority: Place['authority']): readonly HeldRole[] {
  const owners = ownersOver(authority, 'registry')
  const founding = authority.founders
    .filter(key => owners.includes(key))
    .map(key => ({ key, role: 'owner' as const, scope: WHOLE, expires: null }))
  const named = new Set([...authority.grants, ...authority.redemptions].map(({ key }) => key))
  const granted = [...named]
    .flatMap(key => standingRoles(authority, key).map(held => ({ key, ...held })))
    .filter(({ role, node }) => role !== 'recovery' && node.parent !== undefined)
    .toSorted((a, b) => placeOfNode(authority, a) - placeOfNode(authority, b))
    .map(({ key, role, scope, expires }) => ({ key, role, scope, expires }))
  const recovery = { key: authority.recovery, role: 'recovery' as const, scope: WHOLE, expires: null }
  const all = [...founding, ...granted, recovery]
  const last = new Map(all.map(held => [`${held.key} ${held.role} ${held.scope}`, held]))
  return [...last.values()]
}

function placeOfNode(authority: Place['authority'], { node }: Pick<Held, 'node'>): number {
  return authority.order.get(node.fact.id) ?? 0
}

function roleFrom(text: string, subject: Subject): Role {
  const allowed: readonly string[] = subject === 'registry' ? [...ROLES, 'recovery'] : PACKAGE_ROLES
  if (isRole(text) && allowed.includes(text)) return text
  throw new RegistryError('USAGE', `${JSON.stringify(text.slice(0, 40))} is not a role here`, {
    next: `choose one of ${allowed.join(', ')}`
  })
}

/** A key that lost all roles in the registry says nothing in it, whatever a package gives it. @throws RegistryError USAGE */
function assertHeard({ authority, subject, registry }: Place, key: Principal): void {
  if (subject === 'registry' || !authority.revokedKeys.has(key)) return
  const { head } = authority
  const body = { v: 1, type: 'cosign', registry, subject, author: key, chain: '0'.repeat(32), seq: 0 } as const
  const payload = { type: 'cosign', value: { fact: head, head } } as const
  // Of no fact that there is: what is asked is whether anything new of the key would be in the set.
  const said = { id: '' as FactId, body: { ...body, prev: null, time: 0, payload: new Uint8Array() }, payload }
  if (!authority.isCut(said)) return
  throw new RegistryError('USAGE', `the registry has taken every role from ${key}, so nothing that it signs comes in`, {
    next: 'give it a role in the registry first: ggen-node role grant KEY member'
  })
}

/** @throws RegistryError USAGE */
export function keyFrom(text: string): Principal {
  try {
    return parsePrincipal(text)
  } catch (cause) {
    throw new RegistryError('USAGE', `${JSON.stringify(text.slice(0, 80))} is not a key`, {
      cause,
      next: 'write it as did:key:z6Mk…; its owner sees it with ggen-node key show'
    })
  }
}

function reasonFrom(said: string): string {
  // The one spelling that a fact may hold: no controls, no bidi overrides.
  const reason = cleanText(said)
  if (reason.length <= LIMITS.fact.reasonChars) return reason
  throw new RegistryError('LIMIT_EXCEEDED', `a reason has at most ${LIMITS.fact.reasonChars} characters`)
}

/** How many must sign once the key is gone, where fewer are left than must sign now. */
function fewerOwners(place: Place, key: Principal): number | null {
  const { owners, threshold } = ownersHere(place)
  const left = owners.filter(owner => owner !== key).length
  return left > 0 && left < threshold ? left : null
}

function assertThreshold(place: Place, { key, threshold }: { key: Principal; threshold: number | null }): void {
  if (threshold === null) return
  const count = new Set([...ownersHere(place).owners, key]).size
  if (threshold >= 1 && threshold <= count) return
  throw new RegistryError('USAGE', `of ${count} owners, 1 to ${count} can have to sign, not ${threshold}`)
}
