import type { Principal } from '../../../protocol/did.ts'

/** The secret that was good before the last rotation. */
export interface PreviousSecret {
  /** 32 bytes. */
  readonly secret: Uint8Array
  readonly epoch: number
  /** Until when hellos are still held under it, in milliseconds since 1970. */
  readonly until: number
}

/** The secrets of a swarm, as one value: they change together. */
export interface SwarmSecrets {
  /** 32 bytes. */
  readonly secret: Uint8Array
  /** Counts up with each rotation; 0 is the secret that the swarm was made with. */
  readonly epoch: number
  readonly psk: boolean
  readonly previous: PreviousSecret | null
  /** The signed record that brought the secret (`protocol/membership/swarm-key.ts`); null when it came with a token. */
  readonly record: Uint8Array | null
}

/** A host that showed itself here, or whose certificate was passed on. */
export interface RosterRow {
  readonly peer: string
  readonly member: Principal
  /** Null for who was let in by a redemption and is not certified yet. */
  readonly certificate: Uint8Array | null
  /** When it last proved itself to us, in milliseconds since 1970; null for who is only known from others. */
  readonly lastSeen: number | null
}

/** What is remembered of one swarm, but for its roster. */
export interface SwarmRecord {
  readonly secrets: SwarmSecrets
  /** Our own, as it was signed. */
  readonly certificate: Uint8Array | null
  /** Multiaddrs with /p2p/ from the token that let us in, at most `LIMITS.membership.tokenAddresses`. */
  readonly vouched: readonly string[]
}

/**
 * What a private swarm keeps between runs. Every `put` is durable when it returns.
 *
 * Crash state: the current secret is a key file and all else is in the store, so `putSecrets` writes the store first, the
 * new secret included, and the file after it; who reads a store that names another secret than the file believes the
 * store, and writes the file again.
 */
export interface SwarmStore {
  read(): Promise<SwarmRecord>
  putSecrets(secrets: SwarmSecrets): Promise<void>
  putCertificate(certificate: Uint8Array | null): Promise<void>
  putVouched(addresses: readonly string[]): Promise<void>
  /** In no order; at most `LIMITS.membership.members`. */
  roster(): Promise<readonly RosterRow[]>
  /** Writes rows over those of the same peers. */
  putRoster(rows: readonly RosterRow[]): Promise<void>
  deleteRoster(peers: readonly string[]): Promise<void>
}
