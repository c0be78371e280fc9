import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { Role } from '../../../protocol/role.ts'
import type { Filed, SigningParams } from '../authority/methods.ts'
import type { NamedKey } from '../publisher/named-key.ts'

/** A private registry and the swarm that carries it. */
export interface ShownSwarm {
  readonly registry: RegistryId
  /** The name of the swarm here, and the alias that its registry was followed under. */
  readonly name: string
  readonly alias: string
  /** Whether its host runs. */
  readonly running: boolean
  readonly peerId: string | null
  readonly addresses: readonly string[]
  readonly peers: number
  /** Counts up with each rotation of the secret. */
  readonly epoch: number
  /** Until when the secret before is good too; null when it is not. */
  readonly overlapUntil: number | null
  readonly psk: boolean
  readonly certificate: ShownCertificate | null
  /** What a person should know, in words: a certificate that runs out, nobody who could renew it. */
  readonly warnings: readonly string[]
}

export interface ShownCertificate {
  readonly peer: string
  readonly issuer: Principal
  readonly issued: number
  readonly expires: number
}

export interface InviteResult extends Filed {
  /** One line for whoever is to join; all that `join` needs. Whoever has it can join: it is a secret. */
  readonly token: string
  readonly fact: FactId
  readonly registry: RegistryId
  readonly alias: string
  readonly role: Role
  readonly expires: number
  /** Null for a token that holds a member's own key, which is not used up. */
  readonly uses: number | null
  /** The key of such a member; null for an invite. */
  readonly member: Principal | null
  /** Owners that still have to sign before it is good; 0 when it is. */
  readonly missing: number
}

export interface JoinResult {
  readonly registry: RegistryId
  readonly alias: string
  readonly name: string
  readonly member: Principal
  readonly role: Role
  /** The first peer that let us in. */
  readonly peer: string
  readonly facts: number
  readonly packages: number
  readonly certificate: ShownCertificate | null
  /** True: this node was a member before, and nothing was used up. */
  readonly already: boolean
  readonly warnings: readonly string[]
}

/** One key that may be in the swarm. */
export interface ShownMember {
  readonly key: Principal
  readonly roles: readonly Role[]
  /** `expired`: every role of it has run out. */
  readonly state: 'member' | 'expired'
  /** Null for founders, and for keys that were granted their role by name. */
  readonly invite: { readonly fact: FactId; readonly by: Principal } | null
  readonly isSelf: boolean
  /** The hosts that it was seen on. */
  readonly hosts: readonly {
    readonly peer: string
    readonly connected: boolean
    /** Milliseconds since 1970; null when this node has only been told of it. */
    readonly lastSeen: number | null
    readonly certificate: ShownCertificate | null
  }[]
}

export interface ShownInvite {
  readonly fact: FactId
  readonly by: Principal
  readonly role: Role
  readonly expires: number
  readonly uses: number
  readonly used: number
  readonly state: 'open' | 'used-up' | 'expired' | 'ended'
  /** Uses that two people took at once; the one with the lower fact id holds. */
  readonly doubled: number
}

export interface ShownMembers {
  readonly registry: RegistryId
  readonly alias: string
  readonly members: readonly ShownMember[]
  readonly invites: readonly ShownInvite[]
  /** What the keys of both are called. */
  readonly publishers: readonly NamedKey[]
}

export interface ExpelResult extends Filed {
  readonly registry: RegistryId
  readonly alias: string
  readonly member: Principal
  readonly facts: readonly FactId[]
  /** Invites that were ended too, because the member holds their secret or made them. */
  readonly invites: readonly FactId[]
  /** Who came by one of them, and is a member by name from now on. */
  readonly kept: readonly Principal[]
  /** Keys that claimed one place of them, for each such place: none of these is kept. */
  readonly doubtful: readonly { readonly invite: FactId; readonly keys: readonly Principal[] }[]
  /** Owners that still have to sign before it is in force; 0 when it is. */
  readonly missing: number
  /** Connections that this node cut. */
  readonly cut: number
  readonly rotated: boolean
}

/** The calls about private swarms. */
export interface SwarmMethods {
  swarmCreate: {
    params: { name: string; alias?: string; listen?: readonly string[]; psk?: boolean; admission?: string }
    result: ShownSwarm
  }
  swarmList: { params: Record<string, never>; result: readonly ShownSwarm[] }
  /** `expires` as in `role grant`: a date or a span; `ci`: a token with a member's own key instead of an invite. */
  invite: {
    params: SigningParams & {
      registry?: string
      role?: string
      scope?: string
      expires?: string
      uses?: number
      ci?: boolean
    }
    result: InviteResult
  }
  join: {
    params: { token: string; alias?: string; listen?: readonly string[] }
    result: JoinResult
  }
  members: { params: { registry?: string }; result: ShownMembers }
  /** `member`: a key, or the peer id of one of its hosts. */
  expel: {
    params: SigningParams & {
      member: string
      registry?: string
      reason?: string
      compromised: boolean
      rotate: boolean
      /** Keys at places that several claim, which are kept. */
      keep?: readonly string[]
    }
    result: ExpelResult
  }
  swarmRotate: {
    params: { registry?: string; overlap?: string; key?: string }
    result: {
      readonly registry: RegistryId
      readonly alias: string
      readonly epoch: number
      readonly overlapUntil: number
    }
  }
  swarmLeave: {
    params: { registry: string; purge: boolean; newDefault?: string }
    result: {
      readonly registry: RegistryId
      readonly alias: string
      readonly purged: boolean
      readonly newDefault: string | null
    }
  }
}
