import { LIMITS } from './limits.ts'
import type { Note } from './manifest.ts'

/** Notes in a bounded number and of bounded length; the last one says how many more there were. */
export class Notes {
  readonly #notes: Note[] = []
  #more = 0

  add(field: string, message: string, change: { readonly from?: string; readonly to?: string } = {}): void {
    if (this.#notes.length >= LIMITS.manifest.notes - 1) {
      this.#more += 1
      return
    }
    const cut = Object.entries(change).map(([key, text]) => [key, cutNote(text)])
    this.#notes.push({ field: cutNote(field), message: cutNote(message), ...Object.fromEntries(cut) })
  }

  list(): readonly Note[] {
    if (this.#more === 0) return [...this.#notes]
    return [...this.#notes, { field: '', message: `${this.#more} more notes are not shown` }]
  }
}

function cutNote(text: string): string {
  const { noteChars } = LIMITS.manifest
  return (text.length <= noteChars ? text : `${text.slice(0, noteChars - 1)}…`).toWellFormed()
}

/** A parsed TOML table, read only through its own keys: `__proto__` in a file is a key like any other. */
export type Table = Readonly<Record<string, unknown>>

/** Whether a parsed TOML value is a table. Dates are objects too and are none. */
export function isTable(value: unknown): value is Table {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const proto: unknown = Object.getPrototypeOf(value)
  return proto === Object.prototype || proto === null
}

/** The value of a table's own key. */
export function own(table: Table | undefined, key: string): unknown {
  return table !== undefined && Object.hasOwn(table, key) ? table[key] : undefined
}
