import { fromUtf8, utf8 } from '../bytes.ts'
import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'

/** Why an archive was refused, as the process that read it can say it. */
export const REFUSALS = ['MALFORMED', 'HOSTILE_PATH', 'LIMIT_EXCEEDED'] as const
export type Refusal = (typeof REFUSALS)[number]

/**
 * What the process that reads an archive tells the one that started it: all entries, then that this was all of them, then
 * the same again, each file followed by its bytes.
 */
export type Frame =
  | { readonly type: 'directory'; readonly path: string }
  | { readonly type: 'file'; readonly path: string; readonly size: number; readonly executable: boolean }
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  | { readonly type: 'listed' }
  | { readonly type: 'end' }
  | { readonly type: 'refused'; readonly code: Refusal; readonly message: string }

const DIRECTORY = 1
const FILE = 2
const BYTES = 3
const END = 4
const REFUSED = 5
const LISTED = 6
const HEAD = 5

/** `type (1 byte) | length (4 bytes, big-endian) | payload`. */
export function formatFrame(frame: Frame): Uint8Array {
  switch (frame.type) {
    case 'directory':
      return framed(DIRECTORY, utf8(frame.path))
    case 'file': {
      const path = utf8(frame.path)
      const payload = new Uint8Array(9 + path.length)
      payload[0] = frame.executable ? 1 : 0
      new DataView(payload.buffer).setFloat64(1, frame.size)
      payload.set(path, 9)
      return framed(FILE, payload)
    }
    case 'bytes':
      return framed(BYTES, frame.bytes)
    case 'listed':
      return framed(LISTED, new Uint8Array(0))
    case 'end':
      return framed(END, new Uint8Array(0))
    case 'refused':
      return framed(REFUSED, utf8(`${frame.code} ${frame.message.slice(0, LIMITS.foreign.messageChars)}`))
  }
}

/** How many bytes the archive has, before it is sent, and sent again. */
export function formatLength(bytes: number): Uint8Array {
  const out = new Uint8Array(LENGTH_BYTES)
  new DataView(out.buffer).setFloat64(0, bytes)
  return out
}

/** @throws RegistryError INTERNAL for what is no length of an archive */
export function parseLength(head: Uint8Array): number {
  const bytes =
    head.length !== LENGTH_BYTES ? -1 : new DataView(head.buffer, head.byteOffset, head.byteLength).getFloat64(0)
  if (Number.isSafeInteger(bytes) && bytes >= 0 && bytes <= LIMITS.foreign.fileBytes) return bytes
  throw new RegistryError('INTERNAL', 'an archive was announced with a length that none has')
}

export const LENGTH_BYTES = 8

function framed(type: number, payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(HEAD + payload.length)
  out[0] = type
  new DataView(out.buffer).setUint32(1, payload.length)
  out.set(payload, HEAD)
  return out
}

/**
 * Reads frames as they come. Attack: the archive took over the process that reads it. Nothing but frames is understood, none
 * is larger than `frameBytes` and a little, and whoever uses them checks every path and every size again.
 */
export class FrameReader {
  #held = new Uint8Array(0)

  /** @throws RegistryError INTERNAL for what is no frame */
  read(chunk: Uint8Array): readonly Frame[] {
    const frames: Frame[] = []
    const bytes = new Uint8Array(this.#held.length + chunk.length)
    bytes.set(this.#held)
    bytes.set(chunk, this.#held.length)
    const view = new DataView(bytes.buffer)
    let at = 0
    while (bytes.length - at >= HEAD) {
      const length = view.getUint32(at + 1)
      if (length > LIMITS.foreign.metaBytes + HEAD + 9) throw noFrame()
      if (bytes.length - at < HEAD + length) break
      frames.push(parseFrame(bytes[at] ?? 0, bytes.subarray(at + HEAD, at + HEAD + length)))
      at += HEAD + length
    }
    this.#held = bytes.slice(at)
    return frames
  }
}

function parseFrame(type: number, payload: Uint8Array): Frame {
  switch (type) {
    case DIRECTORY:
      return { type: 'directory', path: textOf(payload) }
    case FILE: {
      if (payload.length < 9 || (payload[0] ?? 0) > 1) throw noFrame()
      const size = new DataView(payload.buffer, payload.byteOffset).getFloat64(1)
      if (!Number.isSafeInteger(size) || size < 0) throw noFrame()
      return { type: 'file', path: textOf(payload.subarray(9)), size, executable: payload[0] === 1 }
    }
    case BYTES:
      // Attack: nothing, again and again, until the time is over.
      if (payload.length === 0) throw noFrame()
      return { type: 'bytes', bytes: payload }
    case LISTED:
    case END:
      if (payload.length > 0) throw noFrame()
      return { type: type === END ? 'end' : 'listed' }
    case REFUSED: {
      const [, given, message = ''] = /^([A-Z_]+) (.*)$/s.exec(textOf(payload)) ?? []
      const code = REFUSALS.find(one => one === given)
      if (code === undefined) throw noFrame()
      return {
        type: 'refused',
        code,
        message: message.slice(0, LIMITS.foreign.messageChars).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')
      }
    }
    default:
      throw noFrame()
  }
}

function textOf(payload: Uint8Array): string {
  const text = fromUtf8(payload)
  if (text === undefined) throw noFrame()
  return text
}

function noFrame(): RegistryError {
  return new RegistryError('INTERNAL', 'the process that reads archives said something else than it may')
}
