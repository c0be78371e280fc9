import { equalBytes } from '../../protocol/bytes.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import type { PackageView } from '../../protocol/fold.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { openPackageRow } from '../../protocol/view-row.ts'

interface OpenRow {
  readonly sealed: Uint8Array
  readonly view: PackageView
}

/**
 * Rows that were opened not long ago: one install looks at each of its packages a handful of times, and hashing and decoding a row
 * costs many times what comparing its bytes does.
 *
 * Invariant: a row is read from the store each time, and what was made of it before counts only while it is, byte for byte, the
 * row whose hash was checked. So nothing here can be stale, and what the disk changed is found out as before.
 *
 * Bound: beyond it the row that was asked for longest ago is forgotten.
 */
export class OpenRows {
  readonly #rows = new Map<string, OpenRow>()
  #bytes = 0

  /** @throws RegistryError STORE_CORRUPT when the row is not what was sealed */
  open(registry: RegistryId, name: PackageName, sealed: Uint8Array): PackageView {
    const key = `${registry} ${name}`
    const known = this.#rows.get(key)
    const isSame = known !== undefined && equalBytes(known.sealed, sealed)
    const row = isSame ? known : { sealed, view: openPackageRow(sealed) }
    this.#forget(key)
    if (sealed.length > LIMITS.openRows.rowBytes) return row.view
    this.#rows.set(key, row)
    this.#bytes += row.sealed.length
    for (const oldest of this.#rows.keys()) {
      if (this.#bytes <= LIMITS.openRows.bytes && this.#rows.size <= LIMITS.openRows.rows) break
      this.#forget(oldest)
    }
    return row.view
  }

  #forget(key: string): void {
    this.#bytes -= this.#rows.get(key)?.sealed.length ?? 0
    this.#rows.delete(key)
  }
}
