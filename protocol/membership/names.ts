import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes, toHex, utf8 } from '../bytes.ts'
import { digestOf } from '../cid.ts'
import type { FactId, RegistryId } from '../cid.ts'
import { factsTopic } from '../gossip-message.ts'

/** What a swarm calls itself where strangers may look. */
export interface SwarmNames {
  readonly kadProtocol: string
  /** The service type that mDNS asks the local network for. */
  readonly mdnsTag: string
  topicOf(registry: RegistryId): string
}

/** The names of the public swarm, which hide nothing. */
export const PUBLIC_NAMES: SwarmNames = {
  kadProtocol: '/ggen/kad/1.0.0',
  mdnsTag: '_ggen._udp.local',
  topicOf: factsTopic
}

/** Keys that follow from a swarm secret, and are shown to nobody. */
export interface SwarmKeys {
  /** Proves in the hello that somebody knows the secret. 32 bytes. */
  readonly hello: Uint8Array
  /** The optional outer wall: the pre-shared key of every connection. 32 bytes. */
  readonly psk: Uint8Array
}

/**
 * The names of a private swarm: HMACs of its secret (32 bytes), so that who does not know the secret can neither guess
 * nor recognise them, and a new secret means new names.
 *
 *   kad   = "/ggen/" hex(HMAC(secret, "ggen kad")[0..16]) "/kad/1.0.0"
 *   mdns  = "_" hex(HMAC(secret, "ggen mdns")[0..7]) "._udp.local"
 *   topic = "/ggen/1/" hex(HMAC(secret, "ggen topic" || sha2-256 digest of the registry's id)[0..16])
 */
export function privateNames(secret: Uint8Array): SwarmNames {
  return {
    kadProtocol: `/ggen/${toHex(derive(secret, 'ggen kad').slice(0, 16))}/kad/1.0.0`,
    // A service label has at most 15 characters (RFC 6763, section 7.2).
    mdnsTag: `_${toHex(derive(secret, 'ggen mdns').slice(0, 7))}._udp.local`,
    topicOf: registry => {
      const about = digestOf(registry as string as FactId)
      return `/ggen/1/${toHex(derive(secret, 'ggen topic', about).slice(0, 16))}`
    }
  }
}

export function privateKeys(secret: Uint8Array): SwarmKeys {
  return { hello: derive(secret, 'ggen hello'), psk: derive(secret, 'ggen psk') }
}

function derive(secret: Uint8Array, what: string, about: Uint8Array = new Uint8Array(0)): Uint8Array {
  return hmac(sha256, secret, concatBytes([utf8(what), about]))
}
