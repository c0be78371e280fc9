/** Tells one listener that something has happened since it last heard, however often. */
export class Bell {
  #hasRung = false
  #wake: () => void = () => undefined

  ring(): void {
    this.#hasRung = true
    this.#wake()
  }

  /** Resolves at once when it has rung since the last call. */
  async heard(): Promise<void> {
    if (!this.#hasRung) await new Promise<void>(resolve => (this.#wake = resolve))
    this.#hasRung = false
  }
}
