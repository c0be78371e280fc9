import { concatBytes, equalBytes, fromUtf8 } from '../bytes.ts'
import { decodeCbor, encodeCbor } from '../cbor.ts'
import { sha256 } from '@noble/hashes/sha2.js'
import { RegistryError } from '../errors.ts'
import { standingsIn } from './build-record.ts'
import type { BuildRecord } from './build-record.ts'
import type { FactId } from '../cid.ts'
import type { DocumentState, Standing } from './document.ts'

/** A document as it is stored: what it is made of, the build, and the library's own form of it. */
export interface StoredDocument {
  readonly made: string
  readonly build: BuildRecord
  readonly bytes: Uint8Array
}

/** What is told of a stored document without reading all of it. */
export interface StoredSummary {
  readonly made: string
  readonly standings: ReadonlyMap<FactId, Standing>
}

/** By which rules documents are made. One more with each change of them: what was made by others is made again. */
const RULES = 1

/** Nobody but this program writes these records, and a hash says that they are unchanged. */
const DEPTH = 8

/**
 * sha2-256 of the record, then the record in dag-cbor: what it is made of, what is told without reading all of it, and the
 * rest as bytes. Attack: a document may hold tens of thousands of keys, and to read them takes longer than the main thread
 * may be held up; it reads what is asked for.
 */
export function sealStored({ made, build, bytes }: StoredDocument): Uint8Array {
  const { entries, ...others } = build
  return seal({ rules: RULES, made, head: entries, rest: encodeCbor({ build: others, bytes }) })
}

/** @throws RegistryError STORE_CORRUPT */
export function openStored(sealed: Uint8Array): StoredDocument {
  const { made, head, rest } = open(sealed)
  const { build, bytes } = read(rest) as { readonly build: Omit<BuildRecord, 'entries'>; readonly bytes: Uint8Array }
  return { made, build: { ...build, entries: head }, bytes }
}

/** @throws RegistryError STORE_CORRUPT */
export function summaryOf(sealed: Uint8Array): StoredSummary {
  const { made, head } = open(sealed)
  return { made, standings: standingsIn({ entries: head }) }
}

/** What a document says: sha2-256 of the state in dag-cbor, then that. */
export function sealState(state: DocumentState): Uint8Array {
  return seal(state)
}

/** @throws RegistryError STORE_CORRUPT */
export function openState(sealed: Uint8Array): DocumentState {
  return read(recordIn(sealed)) as DocumentState
}

/** `made`, by the length of its name the first key of a state: map of 4, text of 4, text of 64. */
const STATE_BEGINS = Uint8Array.of(0xa4, 0x64, 0x6d, 0x61, 0x64, 0x65, 0x78, 0x40)
const MADE_CHARS = 64

/** The facts that a state was made of, without reading what it says. @throws RegistryError STORE_CORRUPT */
export function madeOfState(sealed: Uint8Array): string {
  const record = recordIn(sealed)
  const at = STATE_BEGINS.length
  const made = fromUtf8(record.subarray(at, at + MADE_CHARS))
  if (made !== undefined && equalBytes(record.subarray(0, at), STATE_BEGINS)) return made
  throw new RegistryError('STORE_CORRUPT', 'a record is not what a document says')
}

interface Sealed {
  readonly rules: number
  readonly made: string
  readonly head: BuildRecord['entries']
  readonly rest: Uint8Array
}

function seal(value: Sealed | DocumentState): Uint8Array {
  const record = encodeCbor(value)
  return concatBytes([sha256(record), record])
}

function open(sealed: Uint8Array): Sealed {
  const stored = read(recordIn(sealed)) as Sealed
  if (stored.rules === RULES) return stored
  throw new RegistryError('STORE_CORRUPT', 'a document was made by other rules than those of this program')
}

function recordIn(sealed: Uint8Array): Uint8Array {
  const record = sealed.subarray(32)
  if (equalBytes(sha256(record), sealed.subarray(0, 32))) return record
  throw new RegistryError('STORE_CORRUPT', 'a record of a document changed on disk')
}

function read(record: Uint8Array): unknown {
  return decodeCbor(record, DEPTH, Number.POSITIVE_INFINITY)
}
