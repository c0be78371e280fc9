import { factIdFromLink } from './cid.ts'
import type { FactId } from './cid.ts'
import { parsePrincipal } from './did.ts'
import type { Principal } from './did.ts'
import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { textFault } from './manifest-text.ts'

/** Distinct keys in byte order: one spelling, and nobody is counted twice toward a threshold. */
export function parseKeys(raw: unknown): readonly Principal[] {
  if (!Array.isArray(raw) || raw.length === 0 || raw.length > LIMITS.fact.keysPerList) throw malformed('keys')
  const keys = raw.map(key => parsePrincipal(text(key)))
  if (!keys.every((key, i) => i === 0 || (keys[i - 1] ?? '') < key)) throw malformed('keys: sorted and distinct')
  return keys
}

export function parseCount(raw: unknown, min: number, max: number): number {
  if (typeof raw !== 'number' || !Number.isSafeInteger(raw) || raw < min || raw > max) throw malformed('number')
  return raw
}

export function text(raw: unknown): string {
  if (typeof raw !== 'string') throw malformed('text')
  return raw
}

export function malformed(what: string): RegistryError {
  return new RegistryError('MALFORMED', `a payload does not have its shape: ${what}`)
}

/** Fact ids in order, each once: 1 to `max` of them. @throws RegistryError MALFORMED */
export function parseFactIds(raw: unknown, max: number): readonly FactId[] {
  if (!Array.isArray(raw) || raw.length === 0 || raw.length > max) throw malformed('list of facts')
  const ids = raw.map(factIdFromLink)
  if (!ids.every((id, i) => i === 0 || (ids[i - 1] ?? '') < id)) throw malformed('list of facts: sorted and distinct')
  return ids
}

/**
 * Why something was done, or nothing. Attack: a reason is printed on terminals. Controls and bidi overrides must not get
 * there, and empty means none given.
 */
export function parseReason(raw: unknown): string {
  const reason = text(raw)
  if (reason !== '' && textFault(reason, LIMITS.fact.reasonChars) !== undefined) throw malformed('reason')
  return reason
}
