import { createHash } from 'node:crypto'
import { ARCHIVE_END, archiveHeader, archivePadding } from '../../protocol/archive.ts'

/** The digests that other clients know a package by: those of its canonical archive, docs/spec/content.md section 5. */
export interface ContentDigests {
  readonly sha256: Uint8Array
  readonly sha512: Uint8Array
  readonly archiveBytes: number
}

/** Computes the digests of a canonical archive while its files pass by, in ascending byte order of their paths. */
export class ArchiveDigest {
  readonly #sha256 = createHash('sha256')
  readonly #sha512 = createHash('sha512')
  #archiveBytes = 0
  #size = 0

  begin(path: string, size: number): void {
    this.#size = size
    this.update(archiveHeader(path, size))
  }

  update(bytes: Uint8Array): void {
    this.#sha256.update(bytes)
    this.#sha512.update(bytes)
    this.#archiveBytes += bytes.length
  }

  end(): void {
    this.update(archivePadding(this.#size))
  }

  digests(): ContentDigests {
    this.update(ARCHIVE_END)
    return {
      sha256: new Uint8Array(this.#sha256.digest()),
      sha512: new Uint8Array(this.#sha512.digest()),
      archiveBytes: this.#archiveBytes
    }
  }
}
