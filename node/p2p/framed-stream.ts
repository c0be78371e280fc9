import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { concatBytes } from '../../protocol/bytes.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { FRAME_HEADER_BYTES, encodeFrame, frameLength } from '../../protocol/frame.ts'

/**
 * Whole messages over a libp2p stream. It listens only while somebody reads: what comes in between stays in the
 * stream's own bounded buffer, and a sender that overruns it loses the stream.
 */
export class FramedStream {
  readonly stream: Stream
  #chunks: Uint8Array[] = []
  #length = 0
  /** Nothing is joined or looked at before this many bytes are there: one byte at a time would cost the square. */
  #need = FRAME_HEADER_BYTES

  constructor(stream: Stream) {
    this.stream = stream
  }

  /** The next message, or undefined when the other side has ended well. @throws RegistryError LIMIT_EXCEEDED | TIMEOUT */
  async read(maxBytes: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    for (;;) {
      const frame = this.#take(maxBytes)
      if (frame !== undefined) return frame
      if (!(await this.#more(signal))) {
        if (this.#length === 0) return undefined
        throw new RegistryError('MALFORMED', 'a stream ended in the middle of a message')
      }
    }
  }

  /**
   * What comes next, without frames, or undefined at the end. Between two calls the sender is held back: nothing more than
   * its window piles up.
   */
  async chunk(signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { stream } = this
    if (this.#length === 0) {
      const more = this.#more(signal)
      if (stream.readStatus === 'paused') stream.resume()
      if (!(await more)) return undefined
    }
    const bytes = this.#joined()
    this.#chunks = []
    this.#length = 0
    if (stream.readStatus === 'readable' && stream.status === 'open') stream.pause()
    return bytes
  }

  /** Bytes without a frame around them. */
  async writeRaw(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (!this.post(bytes)) await this.sent(signal)
  }

  /** The same without waiting: whether all of it is on its way. If not, nothing more may be written before `sent`. */
  post(bytes: Uint8Array): boolean {
    this.stream.send(bytes)
    return this.stream.writeBufferLength === 0
  }

  async write(message: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.stream.send(encodeFrame(message))
    await this.sent(signal)
  }

  async end(signal: AbortSignal): Promise<void> {
    await this.stream.close({ signal })
  }

  abort(error: Error): void {
    this.stream.abort(error)
  }

  #take(maxBytes: number): Uint8Array | undefined {
    if (this.#length < this.#need) return undefined
    const bytes = this.#joined()
    const length = frameLength(bytes)
    // Attack: a length of 4 GiB. Nothing is allocated for it, and the stream goes with the claim.
    if (length > maxBytes) {
      const error = new RegistryError('LIMIT_EXCEEDED', `a message of ${length} bytes where ${maxBytes} are allowed`)
      this.stream.abort(error)
      throw error
    }
    const end = FRAME_HEADER_BYTES + length
    this.#need = bytes.length < end ? end : FRAME_HEADER_BYTES
    if (bytes.length < end) return undefined
    this.#chunks = bytes.length > end ? [bytes.slice(end)] : []
    this.#length = bytes.length - end
    return bytes.slice(FRAME_HEADER_BYTES, end)
  }

  #joined(): Uint8Array {
    const bytes = this.#chunks.length === 1 ? (this.#chunks[0] ?? new Uint8Array()) : concatBytes(this.#chunks)
    this.#chunks = [bytes]
    return bytes
  }

  /**
   * Waits until everything is on its way. A stream says that it may be written to as soon as the other side takes a little:
   * who writes more each time than was taken overruns the buffer before long, and loses the stream.
   */
  sent(signal: AbortSignal): Promise<void> {
    const { stream } = this
    return new Promise((resolve, reject) => {
      const done = (settle: () => void): void => {
        stream.removeEventListener('idle', onIdle)
        stream.removeEventListener('close', onClose)
        signal.removeEventListener('abort', onAbort)
        settle()
      }
      const onIdle = (): void => {
        if (stream.writeBufferLength === 0) done(resolve)
      }
      const onClose = (event: StreamCloseEvent): void => done(() => reject(event.error ?? broken()))
      const onAbort = (): void => done(() => reject(asError(signal.reason)))
      if (stream.writeBufferLength === 0) return resolve()
      if (stream.status === 'aborted' || stream.status === 'reset') return reject(broken())
      stream.addEventListener('idle', onIdle)
      stream.addEventListener('close', onClose)
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
    })
  }

  /** Waits for the next bytes; false at the end of the stream. */
  #more(signal: AbortSignal): Promise<boolean> {
    const { stream } = this
    return new Promise((resolve, reject) => {
      const done = (settle: () => void): void => {
        stream.removeEventListener('message', onMessage)
        stream.removeEventListener('end', onEnd)
        stream.removeEventListener('close', onClose)
        signal.removeEventListener('abort', onAbort)
        settle()
      }
      const onMessage = (event: StreamMessageEvent): void => {
        const chunk = event.data.subarray()
        this.#chunks.push(chunk)
        this.#length += chunk.length
        done(() => resolve(true))
      }
      const onEnd = (): void => done(() => resolve(false))
      const onClose = (event: StreamCloseEvent): void =>
        done(() => (event.error === undefined ? resolve(false) : reject(event.error)))
      const onAbort = (): void => done(() => reject(asError(signal.reason)))
      if (signal.aborted) return onAbort()
      // A stream that broke between two reads has not ended: what is missing is nobody's lie.
      if (stream.readBufferLength === 0 && (stream.status === 'aborted' || stream.status === 'reset'))
        return done(() => reject(broken()))
      if (stream.readableEnded || (stream.status !== 'open' && stream.readBufferLength === 0)) return onEnd()
      stream.addEventListener('end', onEnd)
      stream.addEventListener('close', onClose)
      signal.addEventListener('abort', onAbort, { once: true })
      stream.addEventListener('message', onMessage)
    })
  }
}

function broken(): RegistryError {
  return new RegistryError('CANCELLED', 'the stream broke off')
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new RegistryError('CANCELLED', 'the read was given up', { cause: reason })
}
