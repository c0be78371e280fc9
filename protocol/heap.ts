/** Gives the least of what is in it, by `compare`. */
export class Heap<T> {
  readonly #items: T[] = []
  readonly #compare: (a: T, b: T) => number

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare
  }

  push(item: T): void {
    let at = this.#items.push(item) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!this.#swapIfLess(at, above)) return
      at = above
    }
  }

  pop(): T | undefined {
    const [least] = this.#items
    const last = this.#items.pop()
    if (last === undefined || this.#items.length === 0) return last
    this.#items[0] = last
    for (let at = 0; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      const below = this.#isLess(right, left) ? right : left
      if (!this.#swapIfLess(below, at)) return least
      at = below
    }
  }

  #isLess(a: number, b: number): boolean {
    const [one, other] = [this.#items[a], this.#items[b]]
    return one !== undefined && other !== undefined && this.#compare(one, other) < 0
  }

  #swapIfLess(a: number, b: number): boolean {
    if (!this.#isLess(a, b)) return false
    const [one, other] = [this.#items[a], this.#items[b]]
    if (one === undefined || other === undefined) return false
    this.#items[a] = other
    this.#items[b] = one
    return true
  }
}
