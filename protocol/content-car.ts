import { CID } from 'multiformats/cid'
import { concatBytes } from './bytes.ts'
import { decodeCbor, encodeCbor } from './cbor.ts'
import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'

/** Digits of a length in base 128; four reach 256 MiB, and no section has more than a block and its CID. */
const LENGTH_DIGITS = 4

/** The header of a CARv1 with one root: its length, then dag-cbor `{roots, version}`. */
export function contentCarHeader(root: CID): Uint8Array {
  const header = encodeCbor({ version: 1, roots: [root] })
  return concatBytes([formatLength(header.length), header])
}

/** What stands before the bytes of a block: the length of both, then the CID. */
export function contentCarPrefix(cid: CID, bytes: number): Uint8Array {
  return concatBytes([formatLength(cid.bytes.length + bytes), cid.bytes])
}

/** A block as an archive has it: the name that it gives the bytes, which nobody has verified yet. */
export interface CarSection {
  readonly cid: CID
  readonly bytes: Uint8Array
}

/**
 * Reads a CARv1 of content as it comes, from whoever sends it: any roots, any CIDs. Nothing is kept for a length before that
 * length was found to be that of a block. What is read of the header is its version: who asked knows the root.
 */
export class ContentCarReader {
  #digits: number[] = []
  /** What is being read, and how much of it is there. One buffer: a block that comes byte by byte is no heap of pieces. */
  #frame: Uint8Array | undefined
  #filled = 0
  #isHeaderRead = false

  /** The sections that are complete with these bytes. @throws RegistryError MALFORMED */
  push(chunk: Uint8Array): readonly CarSection[] {
    const sections: CarSection[] = []
    for (let at = 0; at < chunk.length;) {
      if (this.#frame === undefined) {
        const length = this.#nextDigit(chunk[at] ?? 0)
        at += 1
        if (length !== undefined) this.#frame = new Uint8Array(length)
        continue
      }
      const piece = chunk.subarray(at, at + this.#frame.length - this.#filled)
      this.#frame.set(piece, this.#filled)
      this.#filled += piece.length
      at += piece.length
      if (this.#filled < this.#frame.length) continue
      if (this.#isHeaderRead) sections.push(sectionOf(this.#frame))
      else checkHeader(this.#frame)
      this.#isHeaderRead = true
      this.#frame = undefined
      this.#filled = 0
    }
    return sections
  }

  /** There are no more bytes. @throws RegistryError MALFORMED when that is in the middle of something */
  end(): void {
    const isBetween = this.#frame === undefined && this.#digits.length === 0
    if (!isBetween || !this.#isHeaderRead) throw malformed('the archive is cut short')
  }

  /** The length of the next frame, when this was its last digit. */
  #nextDigit(byte: number): number | undefined {
    this.#digits.push(byte & 0x7f)
    if (byte >= 0x80) {
      if (this.#digits.length >= LENGTH_DIGITS) throw malformed('a length in the archive has too many digits')
      return undefined
    }
    const length = this.#digits.reduceRight((sum, digit) => sum * 128 + digit, 0)
    this.#digits = []
    const { carHeaderBytes, cidBytes } = LIMITS.gatewaySource
    const most = this.#isHeaderRead ? LIMITS.content.blockBytes + cidBytes : carHeaderBytes
    // Attack: a length of 2^31. It is refused before anything is kept for it.
    if (length === 0 || length > most) throw malformed('a section of the archive is longer than a block may be')
    return length
  }
}

function checkHeader(bytes: Uint8Array): void {
  const header = decodeCbor(bytes, 4)
  const version: unknown = typeof header === 'object' && header !== null ? Reflect.get(header, 'version') : undefined
  if (version !== 1) throw malformed('it is no CARv1')
}

function sectionOf(frame: Uint8Array): CarSection {
  try {
    const [cid, bytes] = CID.decodeFirst(frame)
    return { cid, bytes }
  } catch (cause) {
    throw malformed('a section of the archive has no CID', cause)
  }
}

/** Base 128, the least significant digit first. */
function formatLength(length: number): Uint8Array {
  const digits: number[] = []
  let rest = length
  for (; rest > 0x7f; rest >>>= 7) digits.push((rest & 0x7f) | 0x80)
  return Uint8Array.from([...digits, rest])
}

function malformed(message: string, cause?: unknown): RegistryError {
  return new RegistryError('MALFORMED', message, { cause })
}
