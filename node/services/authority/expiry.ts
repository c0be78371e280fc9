import { RegistryError } from '../../../protocol/errors.ts'

const HOUR = 3_600_000
const UNITS: Readonly<Record<string, number>> = { h: HOUR, d: 24 * HOUR, w: 7 * 24 * HOUR }

/**
 * When a role ends, in milliseconds since 1970:
 *
 *   expiry = 1*5DIGIT ("h" / "d" / "w")  from now  /  YYYY-MM-DD  its first moment, UTC  /  YYYY-MM-DDThh:mm[:ss]Z
 *
 * @throws RegistryError USAGE
 */
export function parseExpiry(text: string, now: number): number {
  const span = /^([0-9]{1,5})([hdw])$/.exec(text)
  const at = span === null ? dateOf(text) : now + Number(span[1]) * (UNITS[span[2] ?? ''] ?? 0)
  if (at !== undefined && at > now) return at
  throw new RegistryError('USAGE', `${JSON.stringify(text.slice(0, 40))} is not a time to come`, {
    next: 'write 12h, 30d, 8w, 2027-01-31 or 2027-01-31T12:00Z'
  })
}

function dateOf(text: string): number | undefined {
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?Z)?$/.test(text)) return undefined
  const at = Date.parse(text)
  // Attack: none, but 2027-02-30 would quietly be another day.
  return Number.isNaN(at) || !new Date(at).toISOString().startsWith(text.slice(0, 10)) ? undefined : at
}
