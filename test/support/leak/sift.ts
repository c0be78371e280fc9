import type { Received } from './recording.ts'

/** What came on one channel, or on one stream inside it, in order. */
export interface Strand {
  /** The channel, and the number of the stream with the name of its protocol once that is known. */
  readonly name: string
  readonly channel: string
  /** Null for a channel as a whole. */
  readonly stream: number | null
  readonly pieces: readonly Piece[]
}

export interface Piece {
  readonly at: number
  readonly bytes: Uint8Array
}

/**
 * Takes recordings apart. Each channel is there as a whole, frames included; a muxed one also stream by stream, because
 * what is looked for may lie across two frames.
 */
export function sift(received: readonly Received[]): readonly Strand[] {
  const channels = new Map<string, Piece[]>()
  for (const { channel, at, bytes } of received) {
    const pieces = channels.get(channel) ?? []
    pieces.push({ at, bytes })
    channels.set(channel, pieces)
  }
  return [...channels].flatMap(([channel, pieces]): readonly Strand[] => {
    const whole: Strand = { name: channel, channel, stream: null, pieces }
    return channel.startsWith('muxed ') ? [whole, ...streamsOf(channel, pieces)] : [whole]
  })
}

const HEADER_BYTES = 12
const DATA = 0
const TYPES = 4

/** The streams of yamux, https://github.com/hashicorp/yamux/blob/master/spec.md */
function streamsOf(channel: string, pieces: readonly Piece[]): readonly Strand[] {
  const streams = new Map<number, Piece[]>()
  let rest: Uint8Array = new Uint8Array()
  for (const { at, bytes } of pieces) {
    rest = Buffer.concat([rest, bytes])
    for (;;) {
      const frame = nextFrame(rest, channel)
      if (frame === undefined) break
      rest = rest.subarray(frame.end)
      if (frame.data.length === 0) continue
      const stream = streams.get(frame.stream) ?? []
      stream.push({ at, bytes: frame.data })
      streams.set(frame.stream, stream)
    }
  }
  return [...streams].map(([stream, parts]) => ({
    name: `${channel} #${stream} ${protocolOf(parts)}`.trimEnd(),
    channel,
    stream,
    pieces: parts
  }))
}

interface Frame {
  readonly stream: number
  readonly data: Uint8Array
  readonly end: number
}

function nextFrame(bytes: Uint8Array, channel: string): Frame | undefined {
  if (bytes.length < HEADER_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const [version, type] = [view.getUint8(0), view.getUint8(1)]
  // A witness that cannot read what it got has seen nothing: that must not pass for "nothing was there".
  if (version !== 0 || type >= TYPES) throw new Error(`${channel} holds no yamux frames`)
  const length = type === DATA ? view.getUint32(8) : 0
  const end = HEADER_BYTES + length
  if (bytes.length < end) return undefined
  return { stream: view.getUint32(4), data: bytes.subarray(HEADER_BYTES, end), end }
}

/** The last protocol that multistream-select named at the beginning of a stream, as far as one can be told. */
function protocolOf(pieces: readonly Piece[]): string {
  const text = Buffer.concat(pieces.slice(0, 4).map(({ bytes }) => bytes))
    .subarray(0, 512)
    .toString('latin1')
  return [...text.matchAll(/(\/[\x21-\x7e]{3,})\n/g)].at(-1)?.[1] ?? ''
}

/** All bytes of a strand in one. */
export function joined({ pieces }: Strand): Uint8Array {
  return Buffer.concat(pieces.map(({ bytes }) => bytes))
}
