const DAY_MS = 24 * 60 * 60 * 1000

/** Whether a text is a day that there is: `2026-12-31`. */
export function isDay(text: string): boolean {
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text)) return false
  const time = Date.parse(`${text}T00:00:00Z`)
  return Number.isFinite(time) && new Date(time).toISOString().startsWith(text)
}

/** A number of hours as people say it. */
export function hoursText(hours: number): string {
  if (hours >= 72) return `${Math.floor(hours / 24)} days`
  return hours === 1 ? '1 hour' : `${hours} hours`
}

/** The end of a day in UTC, in milliseconds since 1970. */
export function endOfDay(day: string): number {
  return Date.parse(`${day}T00:00:00Z`) + DAY_MS
}
