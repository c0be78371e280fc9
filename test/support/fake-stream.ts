import type { Stream } from '@libp2p/interface'

interface HeldEvent {
  readonly type: string
  readonly data?: Uint8Array & { subarray(): Uint8Array }
  readonly error?: Error
}
/** What goes over the wire in one go: others have their turn in between. */
const FRAME_BYTES = 128 * 1024

type Listener = (event: HeldEvent) => void

/** Carries bytes of one side to the other: when they are there, and when they are off the sender's hands. */
export interface Wire {
  carry(bytes: number, events: { readonly onSent: () => void; readonly onThere: () => void }): void
}

/**
 * One end of a stream, with what of libp2p's streams the transfers of content use: bytes wait until somebody listens, `idle`
 * when all is sent, `remoteCloseWrite` and `end` behind the last byte, `close` when both sides are done or one broke off.
 */
export class StreamEnd {
  status: 'open' | 'closed' | 'aborted' | 'reset' = 'open'
  readStatus: 'readable' | 'paused' = 'readable'
  writeBufferLength = 0
  readableEnded = false
  readonly #wire: Wire
  readonly #listeners = new Map<string, Map<Listener, { readonly once: boolean }>>()
  readonly #waiting: (Uint8Array | undefined)[] = []
  #other: StreamEnd | undefined
  #hasClosed = false

  constructor(wire: Wire) {
    this.#wire = wire
  }

  static pair(there: Wire, back: Wire): readonly [Stream, Stream] {
    const [a, b] = [new StreamEnd(there), new StreamEnd(back)]
    a.#other = b
    b.#other = a
    return [a as unknown as Stream, b as unknown as Stream]
  }

  get readBufferLength(): number {
    return this.#waiting.reduce((sum, bytes) => sum + (bytes?.length ?? 0), 0)
  }

  get #there(): StreamEnd {
    if (this.#other === undefined) throw new Error('a stream with one end')
    return this.#other
  }

  send(bytes: Uint8Array): boolean {
    if (this.status !== 'open') throw new Error(`a stream that is ${this.status}`)
    this.writeBufferLength += bytes.length
    for (let at = 0; at < bytes.length; at += FRAME_BYTES) {
      const frame = bytes.subarray(at, at + FRAME_BYTES)
      this.#wire.carry(frame.length, {
        onSent: () => {
          this.writeBufferLength -= frame.length
          if (this.writeBufferLength === 0) this.#emit({ type: 'idle' })
        },
        onThere: () => this.#there.#take(frame)
      })
    }
    return true
  }

  async close(): Promise<void> {
    if (this.#hasClosed || this.status !== 'open') return
    this.#hasClosed = true
    this.#wire.carry(0, { onSent: () => undefined, onThere: () => this.#there.#take(undefined) })
    this.#settle()
  }

  abort(error: Error): void {
    if (this.status !== 'open') return
    this.#end('aborted', error)
    this.#wire.carry(0, {
      onSent: () => undefined,
      onThere: () => this.#there.#end('reset', new Error('the other side broke off'))
    })
  }

  pause(): void {
    this.readStatus = 'paused'
  }

  resume(): void {
    this.readStatus = 'readable'
    this.#flush()
  }

  addEventListener(type: string, listener: Listener, { once = false }: { once?: boolean } = {}): void {
    const listeners = this.#listeners.get(type) ?? new Map<Listener, { once: boolean }>()
    this.#listeners.set(type, listeners.set(listener, { once }))
    if (type === 'message') queueMicrotask(() => this.#flush())
  }

  removeEventListener(type: string, listener: Listener): void {
    this.#listeners.get(type)?.delete(listener)
  }

  #take(bytes: Uint8Array | undefined): void {
    if (this.status !== 'open') return
    this.#waiting.push(bytes)
    this.#flush()
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.readStatus === 'readable') {
      if ((this.#listeners.get('message')?.size ?? 0) === 0) return
      const bytes = this.#waiting.shift()
      if (bytes === undefined) {
        this.readableEnded = true
        this.#emit({ type: 'remoteCloseWrite' })
        this.#emit({ type: 'end' })
        this.#settle()
      } else this.#emit({ type: 'message', data: bytes })
    }
  }

  #settle(): void {
    // Whoever has closed and reads no more is done when the other side has said its last.
    if (this.#hasClosed && (this.readableEnded || this.#waiting.includes(undefined))) this.#end('closed', undefined)
  }

  #end(status: 'closed' | 'aborted' | 'reset', error: Error | undefined): void {
    if (this.status !== 'open') return
    this.status = status
    this.#emit({ type: 'close', ...(error !== undefined && { error }) })
  }

  #emit(event: HeldEvent): void {
    const listeners = [...(this.#listeners.get(event.type) ?? [])]
    for (const [listener, { once }] of listeners) {
      if (once) this.removeEventListener(event.type, listener)
      listener(event)
    }
  }
}
