/** How old the view of a registry is, beside what the policies of a node bear. */
export interface Staleness {
  /** Whole hours since it was compared with somebody to the end; null when it never was. 0 where it was made. */
  readonly hours: number | null
  readonly maxHours: number
  readonly stale: boolean
}
