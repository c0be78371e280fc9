import { concatBytes, equalBytes } from '../bytes.ts'
import { decodeCbor, encodeCbor } from '../cbor.ts'
import { sha256 } from '@noble/hashes/sha2.js'
import { RegistryError } from '../errors.ts'
import type { BuildRecord } from './build-record.ts'
import type { DocumentState } from './document.ts'

/** A document as it is stored: what it is made of, the build, and the library's own form of it. */
export interface StoredDocument {
  readonly made: string
  readonly build: BuildRecord
  readonly bytes: Uint8Array
}

/** Nobody but this program writes these records, and a hash says that they are unchanged. */
const DEPTH = 8

/** sha2-256 of the record, then the record in dag-cbor. */
export function sealStored(stored: StoredDocument): Uint8Array {
  return seal(stored)
}

/** @throws RegistryError STORE_CORRUPT */
export function openStored(sealed: Uint8Array): StoredDocument {
  return open(sealed) as StoredDocument
}

/** The same of what a document says. */
export function sealState(state: DocumentState): Uint8Array {
  return seal(state)
}

/** @throws RegistryError STORE_CORRUPT */
export function openState(sealed: Uint8Array): DocumentState {
  return open(sealed) as DocumentState
}

function seal(value: unknown): Uint8Array {
  const record = encodeCbor(value)
  return concatBytes([sha256(record), record])
}

function open(sealed: Uint8Array): unknown {
  const record = sealed.subarray(32)
  if (!equalBytes(sha256(record), sealed.subarray(0, 32)))
    throw new RegistryError('STORE_CORRUPT', 'a record of a document changed on disk')
  return decodeCbor(record, DEPTH, Number.POSITIVE_INFINITY)
}
