import { factIdFromLink, toLink } from '../cid.ts'
import type { FactId } from '../cid.ts'
import { recordOf } from '../fact.ts'
import type { PackageName } from '../package-name.ts'
import { malformed } from '../payload-shape.ts'
import { parseOsv } from './osv.ts'
import type { OsvRecord } from './osv.ts'

/** What a fact of type `advisory` holds: an OSV record as its author wrote it, about the package that is the subject. */
export interface Advisory {
  /** The head of the registry's authority that the author saw. */
  readonly head: FactId
  readonly record: Uint8Array
  /** What the record is read as; no part of the payload. */
  readonly osv: OsvRecord
}

export function advisoryRecord({ head, record }: Pick<Advisory, 'head' | 'record'>): unknown {
  return { head: toLink(head), record }
}

/** @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function parseAdvisory(raw: unknown, subject: PackageName): Advisory {
  const { head, record } = recordOf(raw, ['head', 'record'])
  if (!(record instanceof Uint8Array)) throw malformed('record')
  const osv = parseOsv(record)
  // Attack: a true record about one package, filed under the name of another.
  if (!osv.affected.some(({ name }) => name === subject)) throw malformed('record: it is not about the subject')
  return { head: factIdFromLink(head), record, osv }
}
