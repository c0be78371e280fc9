/** Tells whoever waits that something changed: a fact, a peer, a content root. Says not what: listeners look. */
export class Changes {
  readonly #listeners = new Set<() => void>()
  #scheduled = false

  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Many changes in one turn of the loop are one. */
  emit(): void {
    if (this.#scheduled || this.#listeners.size === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      for (const listener of this.#listeners) listener()
    })
  }
}
