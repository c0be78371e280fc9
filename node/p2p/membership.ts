import type { Principal } from '../../protocol/did.ts'
import type { HelloRefusal } from '../../protocol/hello.ts'
import type { Role } from '../../protocol/role.ts'

/** One secret under which a private hello may be held. */
export interface HelloSecret {
  /** Counts up with each rotation. */
  readonly epoch: number
  /** `privateKeys(secret).hello`, 32 bytes. */
  readonly key: Uint8Array
}

/** What a member shows of itself, docs/spec/hello.md section 4. */
export interface MemberProof {
  /** Null for whoever was not certified yet. */
  readonly certificate: Uint8Array | null
  /** The member's own word that this host is his; needed while there is no certificate. */
  readonly binding: Uint8Array | null
  /** Envelopes of facts that make the reader know the member: at most `LIMITS.membership.evidenceFacts`. */
  readonly evidence: readonly Uint8Array[]
}

/** A member as a connection knows it. */
export interface KnownMember {
  readonly key: Principal
  /** The strongest role that it holds in our own fold; of somebody who is in no fact here yet, what the certificate says. */
  readonly role: Role
  /** When what it has shown runs out, in milliseconds since 1970. */
  readonly until: number
}

export type MemberVerdict =
  | { readonly accepted: true; readonly member: KnownMember }
  | {
      readonly accepted: false
      readonly reason: Extract<HelloRefusal, 'expired' | 'invite-over' | 'not-a-member' | 'unknown-issuer'>
    }

/**
 * What a swarm asks about members, and what it has its own protocol tell them. Given only to private swarms: without one,
 * nobody is asked for anything. Implemented by `node/services/swarm/`.
 */
export interface Membership {
  /** The newest first; at most `1 + LIMITS.membership.oldSecrets`. */
  secrets(): readonly HelloSecret[]
  /** What we show. Called for every introduction: a certificate may have been renewed. */
  proof(): Promise<MemberProof>
  /** May we show it to this peer before it has shown us anything? Peers that proved themselves before, are in the token
   * that let us in, or in the configuration; never one whose member no longer stands. */
  isKnown(peer: string): boolean
  /** Known to run under a key that is no member, or to have been cut: not dialled, not let in. Called for every connection. */
  isBarred(peer: string): boolean
  /** Judges what a peer has shown. `peer` is what the handshake proved. Takes evidence in as far as it is let in by that. Never throws. */
  judge(peer: string, proof: MemberProof, signal: AbortSignal): Promise<MemberVerdict>
  /** Does an accepted member still stand? Asked again for everybody whenever something may have changed. */
  stands(peer: string, member: KnownMember): boolean

  /** A fresh certificate for an accepted member, when our key may issue one. */
  certify(peer: string, member: KnownMember): Promise<Uint8Array | undefined>
  /** Should an owner or curator be asked for a certificate of our own? */
  needsCertificate(): boolean
  /** Takes over a certificate of our own that somebody has issued. False: it is of no use. */
  takeCertificate(certificate: Uint8Array): Promise<boolean>
  /** Certificates of members that are known here, in the order of their peer ids, after the one named. */
  roster(after: string | null): readonly Uint8Array[]
  /** Takes over those that hold. @throws RegistryError MALFORMED for what no honest program sends */
  takeRoster(certificates: readonly Uint8Array[]): Promise<void>
  /** The signed record of the newest swarm secret, when there ever was more than one. */
  swarmKey(): Uint8Array | undefined
  /** Came our newest secret by the word of somebody who may not give one any more? */
  doubtsSecret(): boolean
  /** Takes over a newer one, signed by an owner. @throws RegistryError MALFORMED */
  takeSwarmKey(record: Uint8Array): Promise<void>

  /** Tells whenever members, certificates or secrets may have changed; returns how to stop listening. */
  onChange(listener: () => void): () => void
}
