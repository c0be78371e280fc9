import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { cleanText, cutText } from '../manifest-text.ts'
import { isJsonObject } from './strict-json.ts'
import type { JsonObject } from './strict-json.ts'

/**
 * Reads fields of predicates that anybody may have written. Each throws MALFORMED for what is not of its kind, and says where.
 * Own properties only: a predicate has no prototype that could answer for it.
 */

export function fieldOf(of: JsonObject, name: string): unknown {
  return Object.hasOwn(of, name) ? of[name] : undefined
}

export function objectIn(of: JsonObject, name: string): JsonObject {
  const value = fieldOf(of, name)
  if (!isJsonObject(value)) throw wrong(name, 'an object')
  return value
}

export function maybeObjectIn(of: JsonObject, name: string): JsonObject | undefined {
  return isAbsent(of, name) ? undefined : objectIn(of, name)
}

/** A text as it is shown: clean, and cut where a summary ends. */
export function textIn(of: JsonObject, name: string, maxChars: number = LIMITS.attest.summaryChars): string {
  const text = cleanText(exactIn(of, name))
  if (text === '') throw wrong(name, 'a text')
  return cutText(text, maxChars)
}

/** A text that is compared, so never cut or cleaned: a name, a URI, a version. */
export function exactIn(of: JsonObject, name: string): string {
  const value = fieldOf(of, name)
  if (typeof value !== 'string') throw wrong(name, 'a text')
  if (value.length > LIMITS.attest.nameChars && name !== 'text') throw wrong(name, 'a shorter text')
  return value
}

export function maybeTextIn(of: JsonObject, name: string): string | null {
  return isAbsent(of, name) ? null : textIn(of, name)
}

export function maybeExactIn(of: JsonObject, name: string): string | null {
  return isAbsent(of, name) ? null : exactIn(of, name)
}

export function listIn(of: JsonObject, name: string): readonly unknown[] {
  const value = fieldOf(of, name)
  if (!Array.isArray(value) || value.length > LIMITS.attest.listItems) throw wrong(name, 'a list')
  return value
}

export function maybeListIn(of: JsonObject, name: string): readonly unknown[] {
  return isAbsent(of, name) ? [] : listIn(of, name)
}

export function objectsIn(of: JsonObject, name: string): readonly JsonObject[] {
  return maybeListIn(of, name).map(entry => {
    if (!isJsonObject(entry)) throw wrong(name, 'a list of objects')
    return entry
  })
}

/** Names that are compared. */
export function textsIn(of: JsonObject, name: string): readonly string[] {
  return maybeListIn(of, name).map(entry => {
    if (typeof entry !== 'string' || entry.length > LIMITS.attest.nameChars) throw wrong(name, 'a list of texts')
    return entry
  })
}

export function oneOf<const T extends string>(of: JsonObject, name: string, all: readonly T[]): T {
  const value = fieldOf(of, name)
  const found = all.find(known => known === value)
  if (found === undefined) throw wrong(name, `one of ${all.join(', ')}`)
  return found
}

export function numberIn(of: JsonObject, name: string, min: number, max: number): number {
  const value = fieldOf(of, name)
  if (typeof value !== 'number' || !(value >= min && value <= max)) throw wrong(name, `a number from ${min} to ${max}`)
  return value
}

export function countIn(of: JsonObject, name: string, max: number): number {
  const value = numberIn(of, name, 0, max)
  if (!Number.isInteger(value)) throw wrong(name, 'a whole number')
  return value
}

const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/

/** Milliseconds since 1970 of an RFC 3339 timestamp; null where there is none. */
export function maybeTimeIn(of: JsonObject, name: string): number | null {
  if (isAbsent(of, name)) return null
  const text = exactIn(of, name)
  const time = TIMESTAMP.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw wrong(name, 'a time as 2026-01-31T12:00:00Z')
  return time
}

/** The first entries: what a summary tells of a list. */
export function some<T>(list: readonly T[]): readonly T[] {
  return list.slice(0, LIMITS.attest.summaryItems)
}

export function wrong(name: string, wanted: string): RegistryError {
  return new RegistryError('MALFORMED', `a predicate does not have its shape: ${name} is not ${wanted}`)
}

function isAbsent(of: JsonObject, name: string): boolean {
  const value = fieldOf(of, name)
  return value === undefined || value === null
}
