import { equalBytes } from '../protocol/bytes.ts'
import { decodeCbor, encodeCbor } from '../protocol/cbor.ts'
import { RegistryError } from '../protocol/errors.ts'
import { recordOf } from '../protocol/fact.ts'

/** What a registry's set amounts to. */
export interface FactHead {
  readonly count: number
  /** Sum of the digests in the ids as little-endian numbers, modulo 2^256: 32 bytes, as `ItemSet.sum()` says it. */
  readonly fingerprint: Uint8Array
  /** Grows with every write. */
  readonly generation: number
  /** The same of what is known outside the set, and how many bytes its envelopes have. */
  readonly cut: { readonly count: number; readonly bytes: number; readonly fingerprint: Uint8Array }
}

/** A head as stores wrote it that kept facts in order of arrival. Only its count is of use. */
export interface OldHead {
  readonly count: number
  readonly isOld: true
}

const FIELDS = ['count', 'sum', 'generation', 'cutCount', 'cutBytes', 'cutSum'] as const

/** dag-cbor of {count, sum, generation, cutCount, cutBytes, cutSum} */
export function encodeHead({ count, fingerprint, generation, cut }: FactHead): Uint8Array {
  return encodeCbor({
    count,
    sum: fingerprint,
    generation,
    cutCount: cut.count,
    cutBytes: cut.bytes,
    cutSum: cut.fingerprint
  })
}

/** @throws RegistryError STORE_CORRUPT */
export function decodeHead(bytes: Uint8Array): FactHead | OldHead {
  try {
    const value = decodeCbor(bytes, 1)
    const isOld = typeof value === 'object' && value !== null && 'epoch' in value
    const fields = recordOf<string>(value, isOld ? ['count', 'next', 'sum', 'epoch'] : FIELDS)
    if (isOld) return { count: number(fields['count']), isOld }
    return {
      count: number(fields['count']),
      fingerprint: digest(fields['sum']),
      generation: number(fields['generation']),
      cut: {
        count: number(fields['cutCount']),
        bytes: number(fields['cutBytes']),
        fingerprint: digest(fields['cutSum'])
      }
    }
  } catch (cause) {
    throw new RegistryError('STORE_CORRUPT', 'the head of a fact set cannot be read', { cause })
  }
}

export function isSameHead(a: FactHead, b: FactHead): boolean {
  return equalBytes(encodeHead(a), encodeHead(b))
}

function number(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new RegistryError('MALFORMED', 'no number in a head')
}

function digest(value: unknown): Uint8Array {
  if (value instanceof Uint8Array && value.length === 32) return value
  throw new RegistryError('MALFORMED', 'no sum in a head')
}
