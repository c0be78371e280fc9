import { generateSecret, principalOf } from '../../../attestation/keys.ts'
import type { Secret } from '../../../attestation/keys.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { formatToken, isTokenAddress } from '../../../protocol/membership/token.ts'
import type { Token } from '../../../protocol/membership/token.ts'
import type { InvitedRole } from '../../../protocol/payload-invite.ts'
import { authorityOf, changeHere, scopeHere } from '../authority/place.ts'
import { grantRole } from '../authority/roles.ts'
import type { RoleComponents } from '../authority/roles.ts'
import { writeOrder } from '../authority/writer.ts'
import type { Written } from '../authority/writer.ts'
import type { SwarmSecrets } from './swarm-store.ts'
import { checkUses, parseCiExpiry, parseInvitedRole, parseInviteExpiry } from './terms.ts'

export interface InviteComponents extends RoleComponents {
  readonly random: (bytes: number) => Uint8Array
  readonly secrets: () => SwarmSecrets
  /** Where our host can be reached: multiaddrs that end in /p2p/ and its peer id. */
  readonly addresses: () => readonly string[]
}

export interface InviteAsked {
  readonly role: string | undefined
  readonly scope: string | undefined
  /** `7d`, or a date. */
  readonly expires: string | undefined
  readonly uses: number | undefined
  /** A token with a member's own key, for machines that live for minutes. */
  readonly ci: boolean
}

export interface Invited {
  readonly written: Written
  /** A secret. */
  readonly token: string
  readonly fact: FactId
  readonly role: InvitedRole
  readonly expires: number
  readonly uses: number | null
  readonly member: Principal | null
}

const DAY = 24 * 3_600_000

/** Makes a token that lets others in. @throws RegistryError NOT_AUTHORIZED | USAGE */
export async function inviteTo(
  components: InviteComponents,
  about: { readonly registry: RegistryId; readonly key: string | undefined },
  asked: InviteAsked
): Promise<Invited> {
  const { genesis } = authorityOf(components.gate, about.registry)
  if (genesis.visibility !== 'private')
    throw new RegistryError('USAGE', `${genesis.name} is a public registry, which everybody may follow`, {
      next: 'ggen-node role grant gives a key a role in it'
    })
  const now = components.now()
  const order = { now, role: parseInvitedRole(asked.role ?? 'member'), secret: generateSecret(components.random(32)) }
  // One moment for all of it: what the fact says and what the token shows are the same time.
  const made = { ...components, now: () => now }
  return asked.ci ? grantNew(made, about, { ...asked, ...order }) : writeInvite(made, about, { ...asked, ...order })
}

interface Order extends Pick<InviteAsked, 'scope' | 'expires' | 'uses'> {
  readonly now: number
  readonly role: InvitedRole
  readonly secret: Secret
}

type About = Parameters<typeof inviteTo>[1]

async function writeInvite(
  components: InviteComponents,
  { registry, key: signing }: About,
  { role, scope, secret, now, ...asked }: Order
): Promise<Invited> {
  const uses = checkUses(asked.uses ?? 1)
  const expires = parseInviteExpiry(asked.expires, now)
  const key = principalOf(secret)
  const written = await writeOrder(components, {
    registry,
    subject: 'registry',
    signer: await components.signer(signing),
    payload: place => {
      const { authPrev } = changeHere(place)
      const value = { authPrev, head: null, key, role, scope: scopeHere(place, scope), expires, uses }
      return { type: 'invite', value }
    }
  })
  const { fact } = written
  const token = tokenOf(components, registry, { kind: 'invite', key: secret, expires, invite: fact })
  return { written, token, fact, role, expires, uses, member: null }
}

/** A key of its own that is granted its role by name. Its secret half is in the token and nowhere else. */
async function grantNew(
  components: InviteComponents,
  { registry, key: signing }: About,
  { role, scope, secret, now, ...asked }: Order
): Promise<Invited> {
  if (asked.uses !== undefined)
    throw new RegistryError('USAGE', 'a token with a key of its own is not used up', {
      next: 'leave --uses or --ci away'
    })
  const expires = parseCiExpiry(asked.expires, now)
  const member = principalOf(secret)
  const text = asked.expires ?? `${LIMITS.membership.ciGrantDefaultMs / DAY}d`
  const written = await grantRole(
    components,
    { registry, subject: 'registry', key: signing },
    { key: member, role, scope, expires: text, threshold: undefined }
  )
  const token = tokenOf(components, registry, { kind: 'member', key: secret, expires, invite: null })
  return { written, token, fact: written.fact, role, expires, uses: null, member }
}

type Given = Pick<Token, 'key' | 'expires'> &
  ({ readonly kind: 'invite'; readonly invite: FactId } | { readonly kind: 'member'; readonly invite: null })

function tokenOf({ gate, secrets, addresses }: InviteComponents, registry: RegistryId, given: Given): string {
  const { secret, epoch, psk } = secrets()
  const { name } = authorityOf(gate, registry).genesis
  return formatToken({ ...given, registry, name, secret, epoch, psk, addresses: reachable(addresses()) })
}

/** The best of what a token has room for: what only this machine can reach comes last. */
function reachable(addresses: readonly string[]): readonly string[] {
  const fit = [...new Set(addresses)].filter(isTokenAddress)
  const isNear = (address: string): boolean => /^\/(?:ip4\/127\.|ip6\/::1\/)/.test(address)
  return [...fit.filter(address => !isNear(address)), ...fit.filter(isNear)].slice(0, LIMITS.membership.tokenAddresses)
}
