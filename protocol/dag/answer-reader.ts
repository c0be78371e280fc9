import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { ANSWER_HEADER_BYTES, ANSWER_TYPES, parseBusy } from './messages.ts'
import type { AnswerFrame } from './messages.ts'

/**
 * Cuts what comes on a stream into the frames of an answer. Each byte is copied once at most, and never more than one
 * block is held: a frame is judged by its header, before there is room for it.
 */
export class AnswerReader {
  readonly #maxBlockBytes: () => number
  readonly #header = new Uint8Array(ANSWER_HEADER_BYTES)
  #headerLength = 0
  #type: AnswerFrame['type'] = 'end'
  #length = 0
  #body: Uint8Array | undefined
  #filled = 0

  /** @param maxBlockBytes what the block that comes next may have, asked when it begins; it throws where none may come */
  constructor(maxBlockBytes: () => number) {
    this.#maxBlockBytes = maxBlockBytes
  }

  /**
   * The frames that are whole with the next piece, one at a time: what the reader does with one decides what the next may
   * be. Blocks may share memory with the piece.
   * @throws RegistryError MALFORMED | LIMIT_EXCEEDED
   */
  *push(piece: Uint8Array): Generator<AnswerFrame, void> {
    let at = 0
    while (at < piece.length) {
      if (this.#headerLength < ANSWER_HEADER_BYTES) {
        this.#header[this.#headerLength++] = piece[at++] ?? 0
        if (this.#headerLength < ANSWER_HEADER_BYTES) continue
        this.#begin()
      }
      const wanted = this.#length - this.#filled
      const available = piece.subarray(at, at + wanted)
      at += available.length
      if (this.#body === undefined && available.length < this.#length) this.#body = new Uint8Array(this.#length)
      this.#body?.set(available, this.#filled)
      this.#filled += available.length
      if (this.#filled < this.#length) continue
      const body = this.#body ?? available
      this.#body = undefined
      this.#headerLength = 0
      this.#filled = 0
      yield frameOf(this.#type, body)
    }
  }

  #begin(): void {
    const [type = 0, high = 0, middle = 0, low = 0] = this.#header
    const known = ANSWER_TYPES[type]
    this.#length = high * 65_536 + middle * 256 + low
    if (known === undefined) throw malformed()
    this.#type = known
    const length = this.#length
    switch (known) {
      case 'block': {
        // Attack: a length of 16 MiB. Nothing is allocated for it.
        const most = this.#maxBlockBytes()
        if (length > most)
          throw new RegistryError('LIMIT_EXCEEDED', `a block of ${length} bytes where ${most} are the most`)
        return
      }
      case 'missing':
      case 'elsewhere':
      case 'end':
        if (length > 0) throw malformed()
        return
      case 'busy':
        if (length > LIMITS.dag.busyBytes) throw malformed()
    }
  }
}

function frameOf(type: AnswerFrame['type'], body: Uint8Array): AnswerFrame {
  switch (type) {
    case 'block':
      return { type, bytes: body }
    case 'missing':
    case 'elsewhere':
    case 'end':
      return { type }
    case 'busy':
      return { type, peers: parseBusy(body) }
  }
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'an answer about content does not have its shape')
}
