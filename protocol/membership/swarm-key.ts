import { encodeCbor } from '../cbor.ts'
import { toLink } from '../cid.ts'
import type { RegistryId } from '../cid.ts'
import type { Principal } from '../did.ts'
import { preAuthEncoding, recordOf } from '../fact.ts'
import { MEMBERSHIP_LIMITS } from './limits.ts'
import { badRecord, parseKey, parseRegistry, parseSigned, parseWhole } from './signed-record.ts'
import type { SignedRecord } from './signed-record.ts'

/**
 * A new swarm secret, docs/spec/membership.md section 6, signed by an owner. Shown to members only, and never in a fact:
 *
 *   {v: 1, registry: link, epoch: int, secret: bytes(32), psk: bool, overlapUntil: ms, by: key, time: ms}
 */
export interface SwarmKey {
  readonly v: 1
  readonly registry: RegistryId
  /** One more than that of the secret before; the first secret of a swarm has 0 and no such record. */
  readonly epoch: number
  readonly secret: Uint8Array
  /** Whether connections are behind a pre-shared key too. */
  readonly psk: boolean
  /** Until when the secret before is good too. */
  readonly overlapUntil: number
  readonly by: Principal
  readonly time: number
}

export function encodeSwarmKey(body: SwarmKey): Uint8Array {
  return encodeCbor({ ...body, registry: toLink(body.registry) })
}

/** What the owner signs. */
export function swarmKeySignedBytes(bodyBytes: Uint8Array): Uint8Array {
  return preAuthEncoding('application/vnd.ggen.swarm-key+cbor', bodyBytes)
}

/** Reads the record; the signature is NOT checked here. @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function parseSwarmKey(bytes: Uint8Array): SignedRecord<SwarmKey> {
  return parseSigned(bytes, MEMBERSHIP_LIMITS.swarmKeyBytes, raw => {
    const keys = ['v', 'registry', 'epoch', 'secret', 'psk', 'overlapUntil', 'by', 'time'] as const
    const record = recordOf(raw, keys)
    const { v, secret, psk } = record
    if (v !== 1 || !(secret instanceof Uint8Array) || secret.length !== 32 || typeof psk !== 'boolean')
      throw badRecord()
    const epoch = parseWhole(record.epoch)
    const overlapUntil = parseWhole(record.overlapUntil)
    const time = parseWhole(record.time)
    if (epoch === 0) throw badRecord()
    if (overlapUntil < time || overlapUntil - time > MEMBERSHIP_LIMITS.overlapMaxMs) throw badRecord()
    return {
      v,
      registry: parseRegistry(record.registry),
      epoch,
      secret,
      psk,
      overlapUntil,
      by: parseKey(record.by),
      time
    }
  })
}
