/** Bytes that come as they like, in parts whose lengths are known. */
export class Input {
  readonly #chunks: AsyncIterator<Uint8Array>
  #held: Uint8Array = new Uint8Array(0)

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** So many bytes, or fewer where it ends before. Nothing behind them is taken. */
  async *next(length: number): AsyncGenerator<Uint8Array, void, void> {
    for (let left = length; left > 0;) {
      const chunk = await this.#chunk()
      if (chunk === undefined) return
      this.#held = chunk.subarray(left)
      left -= Math.min(left, chunk.length)
      yield chunk.subarray(0, chunk.length - this.#held.length)
    }
  }

  /** Few bytes at once. */
  async whole(length: number): Promise<Uint8Array> {
    const out = new Uint8Array(length)
    let at = 0
    for await (const part of this.next(length)) {
      out.set(part, at)
      at += part.length
    }
    return out.subarray(0, at)
  }

  async #chunk(): Promise<Uint8Array | undefined> {
    if (this.#held.length > 0) return this.#held
    const next = await this.#chunks.next()
    return next.done === true ? undefined : next.value
  }
}
