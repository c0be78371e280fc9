import { foldAttestations } from './attest/fold.ts'
import type { Authority } from './authority.ts'
import type { VerifiedFact } from './chains.ts'
import { foldPackage } from './fold.ts'
import { isDigestSubject } from './subject.ts'
import type { Subject } from './subject.ts'
import { encodeDigestRow, encodePackageRow } from './view-row.ts'

/** The row of anything but the registry itself, and whether some of its facts do not count as yet. */
export function foldSubject(
  subject: Exclude<Subject, 'registry'>,
  authority: Authority,
  facts: readonly VerifiedFact[]
): { readonly row: Uint8Array; readonly hasAside: boolean } {
  if (isDigestSubject(subject)) {
    const view = foldAttestations(subject, authority, facts)
    return { row: encodeDigestRow(view), hasAside: view.setAside.length > 0 }
  }
  const view = foldPackage(subject, authority, facts)
  return { row: encodePackageRow(view), hasAside: view.setAside.length > 0 }
}
