import { compareText } from '../../../protocol/bytes.ts'
import type { RegistryId } from '../../../protocol/cid.ts'
import { isRegistryError, RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { parseCertificate } from '../../../protocol/membership/certificate.ts'
import type { Certificate } from '../../../protocol/membership/certificate.ts'
import type { SignedRecord } from '../../../protocol/membership/signed-record.ts'

/**
 * The certificates in a page of a roster; no signature is checked here.
 * @throws RegistryError MALFORMED for a page that no honest program sends
 */
export function readPage(
  certificates: readonly Uint8Array[],
  registry: RegistryId
): readonly SignedRecord<Certificate>[] {
  if (certificates.length > LIMITS.membership.rosterPage) throw badPage()
  const read = certificates.map(bytes => {
    try {
      return parseCertificate(bytes)
    } catch (cause) {
      if (!isRegistryError(cause)) throw cause
      throw badPage(cause)
    }
  })
  for (const [index, { body }] of read.entries()) {
    const before = read[index - 1]
    if (body.registry !== registry) throw badPage()
    if (before !== undefined && compareText(before.body.peer, body.peer) >= 0) throw badPage()
  }
  return read
}

function badPage(cause?: unknown): RegistryError {
  return new RegistryError('MALFORMED', 'a page of the roster does not have its shape', { cause })
}
