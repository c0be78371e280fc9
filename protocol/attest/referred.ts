import { digestOf } from '../cid.ts'
import type { ContentId } from '../cid.ts'
import { parseContentId } from '../cid.ts'
import { RegistryError } from '../errors.ts'
import { toHex } from '../bytes.ts'
import { LIMITS } from '../limits.ts'
import { countIn, exactIn, listIn, maybeObjectIn, objectIn, objectsIn, wrong } from './predicate-fields.ts'
import { parsePredicateType } from './statement.ts'
import type { Statement } from './statement.ts'
import type { JsonObject } from './strict-json.ts'

/** in-toto/attestation, spec/predicates/reference.md: a document that is somewhere else, by its digest. */
export const REFERENCE_TYPE = 'https://in-toto.io/attestation/reference/v0.1'

/** Annotations that say what kind of predicate the document is, and how large. */
const TYPE = 'predicateType'
const SIZE = 'size'
const SCHEME = 'ipfs://'
/** How the base32 of every CIDv1 of a raw block with a sha2-256 begins. */
const RAW = 'bafkrei'

/** A predicate that is content: one raw block, so that its CID and its digest are one and the same. */
export interface Referred {
  readonly cid: ContentId
  /** In hexadecimal. */
  readonly sha256: string
  /** In bytes, as declared: a fetch stops there. */
  readonly size: number
  readonly predicateType: string
}

/** The predicate of a statement whose own predicate is content. */
export function referencePredicate({ cid, sha256, size, predicateType }: Referred, attester: string): JsonObject {
  return {
    attester: { id: attester },
    references: [
      {
        downloadLocation: `${SCHEME}${cid}`,
        digest: { sha256 },
        mediaType: 'application/json',
        annotations: { [TYPE]: predicateType, [SIZE]: size }
      }
    ]
  }
}

/**
 * What a statement refers to; undefined when its predicate is in it, or is a reference that says nothing of ours.
 * @throws RegistryError MALFORMED
 */
export function referredIn({ predicateType, predicate }: Statement): Referred | undefined {
  if (predicateType !== REFERENCE_TYPE) return undefined
  listIn(predicate, 'references')
  const [reference, ...others] = objectsIn(predicate, 'references')
  if (reference === undefined || others.length > 0) return undefined
  const location = exactIn(reference, 'downloadLocation')
  const annotations = maybeObjectIn(reference, 'annotations')
  if (!location.startsWith(SCHEME) || annotations === undefined) return undefined
  const cid = parseContentId(location.slice(SCHEME.length))
  // Attack: a root of much. One raw block is no larger than a block may be.
  if (!cid.startsWith(RAW)) throw wrong('downloadLocation', 'that of one raw block')
  const sha256 = exactIn(objectIn(reference, 'digest'), 'sha256')
  // Attack: a CID that is fetched and a digest that is shown, of two different documents.
  if (toHex(digestOf(cid)) !== sha256) throw wrong('digest', 'that of the CID beside it')
  const type = parsePredicateType(exactIn(annotations, TYPE))
  if (type === REFERENCE_TYPE) throw new RegistryError('MALFORMED', 'a reference refers to a reference')
  return { cid, sha256, size: countIn(annotations, SIZE, LIMITS.attest.predicateBytes), predicateType: type }
}
