import { sha256 } from '@noble/hashes/sha2.js'
import type { DigestView } from './attest/fold.ts'
import { authorityRow } from './authority.ts'
import type { Authority } from './authority.ts'
import { compareText, concatBytes, equalBytes } from './bytes.ts'
import { decodeCbor, encodeCbor } from './cbor.ts'
import type { VerifiedFact } from './chains.ts'
import { catalogueMark } from './document/counted.ts'
import { RegistryError } from './errors.ts'
import type { Subject } from './fact.ts'
import type { PackageView } from './fold.ts'
import { LIMITS } from './limits.ts'
import { parseManifestRecord } from './manifest.ts'

export { encodeDigestRow } from './attest/fold.ts'
export { encodePackageRow } from './fold.ts'

/** By which rules rows are folded. One more with each change after which the same facts give another row: what was folded by others is folded again. */
export const ROW_RULES = 1

/** What is said about a digest, out of a sealed row. @throws RegistryError STORE_CORRUPT */
export function openDigestRow(sealed: Uint8Array): DigestView {
  return decodeCbor(unsealed(sealed), LIMITS.fact.cborDepth, Number.POSITIVE_INFINITY) as DigestView
}

/** The row of the registry itself: who may do what, and which facts its catalogue is made of. `facts` are those of the set. */
export function encodeAuthorityRow(authority: Authority, facts: readonly VerifiedFact[]): Uint8Array {
  return encodeCbor({ ...authorityRow(authority), catalogue: catalogueMark(authority, facts) })
}

/** sha2-256 of a row. */
export function rowHash(row: Uint8Array): Uint8Array {
  return sha256(row)
}

/** A row as it is stored: its hash, then its bytes. */
export function sealRow(row: Uint8Array): Uint8Array {
  return concatBytes([rowHash(row), row])
}

/** The hash of a sealed row without reading it. */
export function sealedHash(sealed: Uint8Array): Uint8Array {
  return sealed.subarray(0, 32)
}

/**
 * A package's view out of a sealed row.
 * @throws RegistryError STORE_CORRUPT when the row is not what was sealed
 */
export function openPackageRow(sealed: Uint8Array): PackageView {
  const row = unsealed(sealed)
  // Our own fold wrote these bytes and the hash above says they are unchanged: only manifests need rebuilding.
  const view = decodeCbor(row, LIMITS.fact.cborDepth, Number.POSITIVE_INFINITY) as PackageView
  const versions = view.versions.map(version => ({
    ...version,
    contents: version.contents.map(content => ({ ...content, manifest: parseManifestRecord(content.manifest) }))
  }))
  return { ...view, versions }
}

function unsealed(sealed: Uint8Array): Uint8Array {
  const row = sealed.subarray(32)
  if (equalBytes(rowHash(row), sealedHash(sealed))) return row
  throw new RegistryError('STORE_CORRUPT', 'a row of the view changed on disk')
}

/**
 * What equal sets have equal: sha2-256 over the hashes of all rows, then of what all documents say, each in the byte order
 * of their subjects. docs/spec/fact.md section 7.
 */
export function viewDigest(
  rows: Iterable<readonly [Subject, Uint8Array]>,
  documents: Iterable<readonly [Subject, Uint8Array]> = []
): Uint8Array {
  const hashes = [rows, documents].flatMap(part => [...part].toSorted(([a], [b]) => compareText(a, b)))
  return sha256(concatBytes(hashes.map(([, hash]) => hash)))
}
