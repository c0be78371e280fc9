import { concatBytes } from './bytes.ts'

/** Bytes of the length that goes before every message of our own stream protocols: unsigned, big-endian. */
export const FRAME_HEADER_BYTES = 4

/** One message as it goes over a stream: its length in four bytes, then the message. */
export function encodeFrame(message: Uint8Array): Uint8Array {
  const header = new Uint8Array(FRAME_HEADER_BYTES)
  new DataView(header.buffer).setUint32(0, message.length)
  return concatBytes([header, message])
}

/** The length that a complete header names. A width that is fixed has one spelling, so there is nothing to refuse. */
export function frameLength(header: Uint8Array): number {
  return new DataView(header.buffer, header.byteOffset, FRAME_HEADER_BYTES).getUint32(0)
}
