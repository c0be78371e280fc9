import { safe } from './print.ts'

const PREFIX = 'did:key:'

/** A key short enough for a column: both ends of it. Whole ones are in `--full` and in `--json`. */
export function shortKey(key: string): string {
  const text = safe(key.startsWith(PREFIX) ? key.slice(PREFIX.length) : key)
  return text.length <= 20 ? text : `${text.slice(0, 8)}…${text.slice(-8)}`
}

/** A moment, to the minute, UTC. */
export function timeText(ms: number): string {
  return ms > 8.64e15 ? 'never' : new Date(ms).toISOString().slice(0, 16).replace('T', ' ')
}

const SPANS = [
  ['d', 24 * 3_600_000],
  ['h', 3_600_000],
  ['min', 60_000]
] as const

/** A span in its largest unit, cut and not rounded: `29 d`, `5 h`, `2 min`. */
export function spanText(ms: number): string {
  for (const [unit, size] of SPANS) if (ms >= size) return `${Math.floor(ms / size)} ${unit}`
  return 'under 1 min'
}

/** How long something is good still. */
export function leftText(expires: number, now: number): string {
  return expires <= now ? `over since ${timeText(expires)}` : `${spanText(expires - now)} left`
}
